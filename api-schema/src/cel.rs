//! Expressions in CEL over the variables of a request: match conditions of webhooks, and admission policies.
//!
//! Guarantees: what names or calls something that is not there does not compile. Before an expression runs, its steps
//! are bounded with the sizes of the values at hand; what is beyond the budget fails instead of running. A defect of
//! the library ends one evaluation, not the process.
//!
//! Caveats: `object`, `oldObject` and `params` have no declared types, so that a field which is not there comes up when
//! the expression runs. `transformMap` is not known. The bound is counted before the run, and is never below what the run takes.

mod authorizer;
mod build;
mod expression;
mod json;
mod kinds;
mod objects;
mod optional;
mod pairs;
mod rewrite;
mod session;
#[cfg(test)]
mod tests;

pub use crate::crd::rules::Objects;
pub use authorizer::{Authorizer, Question};
pub use expression::{Declared, Expression, Gives};
pub(crate) use kinds::{is_structure, structure, structure_field};
pub use objects::{Scope, problems};
pub(crate) use optional::{AT, FIELD, FIRST, LIST};
pub(crate) use pairs::PAIRS;
pub(crate) use rewrite::names;
pub use session::{Activation, Failure, Session, Variable, run};

/// Makes optional fields and loops of two variables into what the library has.
pub(crate) fn with_pairs_and_options(tree: &mut kube_cel::cel::common::ast::IdedExpr) {
    optional::rewrite(tree);
    pairs::rewrite(tree);
}

/// Adds the functions that the library has not.
pub(crate) fn add_functions(context: &mut kube_cel::cel::Context<'static>) {
    authorizer::add_functions(context);
    optional::add_functions(context);
    pairs::add_functions(context);
}

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
