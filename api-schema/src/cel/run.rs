//! Running expressions: what they give, and what that costs, as Kubernetes counts it.
//!
//! Guarantees: an expression that costs more than its limit stops there. Besides, what it copies and compares is counted:
//! work that costs nothing by Kubernetes' rules is bounded too.
//!
//! Read in this order: [`values`], [`machine`] (from a tree to a value), [`operators`], [`calls`] (which function is
//! which) and the functions' own files.

mod addresses;
mod authorizer;
mod calls;
mod conversions;
mod convert;
mod formatting;
mod lists;
mod machine;
mod named_formats;
mod operators;
mod optionals;
mod prices;
mod quantities;
mod semvers;
#[cfg(test)]
mod tests;
mod texts;
mod times;
mod urls;
mod values;
mod work;

pub(crate) use authorizer::asking;
pub use authorizer::{Authorizer, Question};
pub(crate) use conversions::problem as conversion_problem;
pub(crate) use convert::{of_json, optional, to_json};
pub(crate) use formatting::{Clause, clauses, fits};
pub(crate) use machine::{Names, run};
pub(crate) use times::{duration, timestamp};
pub(crate) use values::{Given, Stop, Value};
