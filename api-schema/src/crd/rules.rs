//! Rules in CEL (`x-kubernetes-validations`, KEP-2876): compiled when the definition is written, evaluated for each
//! object.
//!
//! Guarantees: a rule whose types do not fit, that calls what does not exist, names fields that the schema does not have,
//! or costs too much by Kubernetes' estimate, is refused with the definition. Before a rule runs, its steps are bounded
//! with the sizes of the object at hand; what is beyond the budget fails instead of running.
//!
//! Caveat: lists of type `set` and `map` compare in order.

mod analyze;
mod compile;
mod convert;
mod evaluate;
mod names;
mod problem;
mod program;
mod refuse;
mod result;
mod typed;
mod types;

pub(crate) use analyze::{Findings, Node, Reader};
pub(crate) use compile::{MAX_DEPTH, MAX_NESTING, MAX_TEXT, PARSER_STACK, nesting};
pub(super) use compile::{RuleTree, check_text, compile};
pub(super) use evaluate::evaluate;
pub(crate) use evaluate::{DEEP_STACK, ENGINE, Engine, SHALLOW, words};
pub(super) use refuse::check;
pub(crate) use result::depth;
pub use typed::Objects;
pub(crate) use typed::{Found, check_found, check_over};
