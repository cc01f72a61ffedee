//! What can go wrong with a cloud, told so that no credential and no name of the platform's own gets out.

use api_types::ApiError;

/// A defect, as a condition tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The condition's reason.
    pub reason: Reason,
    /// For people; safe for tenants.
    pub message: String,
}

impl Fault {
    /// A defect.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Fault { reason, message: message.into() }
    }
}

/// The reasons. Each has a line in `docs/reasons.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words are the documentation; the remedies are in docs/reasons.md
pub enum Reason {
    NotImplemented,
    InvalidSpec,
    AccountNotFound,
    AccountNotAllowed,
    AccountChanged,
    CredentialsMissing,
    ClassNotFound,
    VersionNotOffered,
    LimitReached,
    OwnedByAnother,
    SecretNotOwned,
    SecretRefused,
    AuthorUnknown,
    TenantTerminating,
    WaitingForFinalizers,
    Unreachable,
    AuthenticationFailed,
    PermissionDenied,
    TlsFailed,
    TimedOut,
    ConnectionLost,
    TooManyConnections,
    RoleInUse,
    ServerError,
}

impl Reason {
    /// True when the next try may succeed without anybody changing anything.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Reason::Unreachable
                | Reason::TimedOut
                | Reason::ConnectionLost
                | Reason::TooManyConnections
                | Reason::ServerError
        )
    }
}

/// Why work on an object did not get to its end.
#[derive(Debug)]
pub enum Stop {
    /// Something to be told in its status.
    Fault(Fault),
    /// The plane did not answer as it should; another try is the remedy.
    Plane(ApiError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Stop::Plane(error)
    }
}
