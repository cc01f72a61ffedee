//! Rules in CEL (`x-kubernetes-validations`, KEP-2876): compiled when the definition is written, evaluated for each
//! object.
//!
//! Guarantees: a rule that calls what does not exist, names fields that the schema does not have, or would take
//! too long with the largest object that the schema lets through, is refused with the definition. Before a rule
//! runs, its steps are bounded with the sizes of the object at hand; what is beyond the budget fails instead of
//! running.
//!
//! Caveats: types are checked only as far as fields and results go; other type errors come up when the rule runs.
//! Lists of type `set` and `map` compare in order.

mod analyze;
mod compile;
mod convert;
mod evaluate;
mod names;
mod problem;
mod result;
mod types;

pub(crate) use analyze::{Findings, Node, Reader};
pub(crate) use compile::{MAX_DEPTH, MAX_NESTING, MAX_TEXT, PARSER_STACK, nesting};
pub(super) use compile::{RuleTree, check_text, compile};
pub(super) use evaluate::evaluate;
pub(crate) use evaluate::{DEEP_STACK, ENGINE, Engine, SHALLOW, words};
pub(crate) use result::{depth, kind_of};
