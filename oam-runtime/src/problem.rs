//! Why something of an application is not there: a reason in one word, and a message for people.

use std::fmt;

/// The reason of a condition, in one CamelCase word. Each has a line in `docs/reasons.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words are the documentation; the remedies are in docs/reasons.md
pub enum Cause {
    NotImplemented,
    InvalidComponent,
    ComponentNotFound,
    RevisionNotFound,
    WaitingForRevision,
    InvalidWorkload,
    InvalidTrait,
    UnknownKind,
    ClusterScopedKind,
    OtherNamespace,
    MissingParameter,
    UnknownParameter,
    DuplicateParameter,
    InvalidParameter,
    DuplicateObject,
    TraitNotApplicable,
    TraitConflict,
    InvalidDefinition,
    InvalidBinding,
    BindingConflict,
    BindingCycle,
    NoApplication,
    WaitingForSecret,
    SecretKeyMissing,
    AuthorUnknown,
    Forbidden,
    Rejected,
    NotOwned,
    ApplyFailed,
    WaitingForWorkload,
    WorkloadNotReady,
    WorkloadFailed,
    NotScalable,
    ScalerConflict,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One defect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The reason.
    pub cause: Cause,
    /// What is wrong, and with what.
    pub message: String,
}

impl Problem {
    /// A defect.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Problem { cause, message: message.into() }
    }
}

/// Several defects in one sentence each.
pub fn messages(problems: &[Problem]) -> String {
    problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; ")
}
