//! Numbers that are given as they are or as a percentage (`IntOrString`).

use serde_json::Value;

/// A number, or a percentage of a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Count(i64),
    Percent(i64),
}

impl Share {
    /// Reads an IntOrString; `None` when it is neither.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        if let Some(count) = value.as_i64() {
            return Some(Share::Count(count));
        }
        value.as_str()?.strip_suffix('%')?.parse().ok().map(Share::Percent)
    }

    /// What it comes to.
    pub(crate) fn of(self, total: i64, round_up: bool) -> i64 {
        match self {
            Share::Count(count) => count,
            Share::Percent(percent) => (total * percent + if round_up { 99 } else { 0 }).div_euclid(100),
        }
    }
}
