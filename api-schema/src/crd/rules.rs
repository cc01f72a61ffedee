//! Rules in CEL (`x-kubernetes-validations`, KEP-2876): compiled when the definition is written, evaluated for each
//! object.
//!
//! Guarantees: a rule whose types do not fit, that calls what does not exist, names fields that the schema does not have,
//! or costs too much by Kubernetes' estimate, is refused with the definition. What a run costs is counted while it
//! runs, as Kubernetes counts it; what is beyond the budget stops.

mod compile;
mod evaluate;
mod names;
mod refuse;
mod typed;

pub(crate) use compile::{MAX_DEPTH, MAX_NESTING, MAX_TEXT, PARSER_STACK, nesting};
pub(super) use compile::{RuleTree, check_text, compile};
pub(super) use evaluate::evaluate;
pub(crate) use evaluate::{DEEP_STACK, SHALLOW};
pub(crate) use names::{escape, is_function};
pub(super) use refuse::check;
pub use typed::Objects;
pub(crate) use typed::{Found, GATHERED, INSERT, Kind, Literal, Loop, OPTIONAL, Part, check_found, read};
