//! Expressions in CEL over the variables of a request: match conditions of webhooks, and admission policies.
//!
//! Guarantees: what names or calls something that is not there does not compile. What an expression costs is counted
//! while it runs, and one beyond its budget stops. A defect ends one evaluation, not the process.
//!
//! Caveats: `object`, `oldObject` and `params` have no declared types, so that a field which is not there comes up when
//! the expression runs.

mod expression;
mod kinds;
mod objects;
mod run;
mod session;
#[cfg(test)]
mod tests;

pub use crate::crd::rules::Objects;
pub use expression::{Declared, Expression, Gives, NOT_INSTANTIATED};
pub(crate) use kinds::{is_structure, is_variable, structure, structure_field};
pub use objects::{Scope, problems};
pub use run::{Authorizer, Question};
pub(crate) use run::{
    Clause, Given, Names, Stop, Value, clauses, duration, fits, of_json, optional, run as run_tree, timestamp,
};
pub use session::{Activation, Failure, Session, Variable, run};

/// Words that no variable may be called; in rules of schemas, `__word__` stands for a field of the name.
pub const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// The most steps of one expression.
pub const EXPRESSION_LIMIT: u64 = 1_000_000;
/// The most steps of all expressions of one policy for one request.
pub const POLICY_BUDGET: u64 = 10_000_000;
/// The most steps of all match conditions of one webhook or policy for one request.
pub const CONDITIONS_BUDGET: u64 = POLICY_BUDGET / 4;
