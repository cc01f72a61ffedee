//! How each built-in kind is defaulted, prepared and validated: one file per resource, joined in one table.
//!
//! Everything here is a pure function over objects in their stored version. What needs other objects (addresses,
//! quota, service accounts, priority classes) is the server's admission.

mod generic;
pub mod place;

use crate::resource::Strategy;

/// The strategy of a built-in kind. Kinds without rules of their own get the plain one: names are DNS subdomains,
/// the status is cleared at creation and kept by updates of the main resource.
pub fn strategy(group: &str, kind: &str) -> Strategy {
    STRATEGIES
        .iter()
        .find(|(g, k, _)| *g == group && *k == kind)
        .map_or_else(generic::plain, |(_, _, strategy)| strategy())
}

/// Group, kind, strategy.
const STRATEGIES: &[(&str, &str, fn() -> Strategy)] = &[];
