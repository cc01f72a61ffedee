//! What calls cost, as Kubernetes counts it.

use super::named_formats;
use super::values::{List, Value};

/// For each letter that is looked at.
fn letters(count: u64) -> u64 {
    count.div_ceil(10)
}

fn twice(count: u64) -> u64 {
    count.saturating_mul(2).div_ceil(10)
}

/// The elements of a list with all that they are compared by.
fn traversed(value: &Value) -> u64 {
    match value {
        Value::List(list) => list.items.iter().map(traversed).sum(),
        Value::Text(_) | Value::Bytes(_) => letters(value.size()),
        _ => 1,
    }
}

fn square(list: &List, factor: (u64, u64)) -> u64 {
    let count = list.items.len() as u64;
    count.saturating_mul(count).saturating_mul(factor.0).div_ceil(factor.1).saturating_add(NEW)
}

/// A call that makes a list.
const NEW: u64 = 11;

/// What a call costs at least, as far as its arguments tell, so that it is not begun in vain.
pub(super) fn before(name: &str, given: &[Value]) -> u64 {
    match (name, given) {
        ("lists.range", [Value::Int(count)]) => u64::try_from(*count).unwrap_or(0),
        ("distinct" | "sort" | "@sortByAssociatedKeys", [Value::List(list), ..]) => square(list, (2, 1)),
        ("sets.contains" | "sets.intersects" | "sets.equivalent", [a, b]) => {
            a.size().saturating_mul(b.size())
        }
        ("@in", [_, list @ Value::List(_)]) => list.size(),
        ("check", [Value::Asking(_), _]) => 350_000,
        _ => 0,
    }
}

/// What a call cost.
pub(super) fn price(name: &str, given: &[Value], result: &Value) -> u64 {
    let size = |at: usize| given.get(at).map_or(0, Value::size);
    let text = matches!(given.first(), Some(Value::Text(_) | Value::Bytes(_)));
    match name {
        "_==_" | "_!=_" => match given.first() {
            Some(
                Value::Quantity(_)
                | Value::Ip(_)
                | Value::Cidr(..)
                | Value::Format(_)
                | Value::Url(_)
                | Value::Semver(_)
                | Value::Asking(_)
                | Value::Decided(_),
            ) => 1,
            _ => letters(size(0).min(size(1))),
        },
        "_<_" | "_<=_" | "_>_" | "_>=_" if text => letters(size(0).min(size(1))),
        "_+_" if text => letters(size(0).saturating_add(size(1))),
        "@in" => match given.get(1) {
            Some(Value::List(list)) => list.items.len() as u64,
            _ => 1,
        },
        "startsWith" | "endsWith" => letters(size(1)),
        "bytes" | "string" if text => letters(size(0)),
        "strings.quote" | "format" => letters(size(0)),
        "matches" | "find" | "findAll" => letters(size(0) + 1).saturating_mul(size(1).div_ceil(4)),
        "contains" => letters(size(0)).saturating_mul(letters(size(1))),
        "check" if matches!(given.first(), Some(Value::Asking(_))) => 350_000,
        "fieldSelector" | "labelSelector" => letters(size(1)).saturating_add(1),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => given.first().map_or(0, traversed),
        "url"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "jsonpatch.escapeKey"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver" => letters(size(0)),
        "ip" if text => letters(size(0)),
        "replace" | "split" | "ip.isCanonical" => twice(size(0)),
        "join" => twice(result.size()),
        "containsIP" => {
            twice(size(0)) + if matches!(given.get(1), Some(Value::Text(_))) { letters(size(1)) } else { 0 }
        }
        "containsCIDR" => {
            let parsed = if matches!(given.get(1), Some(Value::Text(_))) { letters(size(1)) } else { 0 };
            twice(size(0)) + letters(size(0)) + 1 + parsed
        }
        "validate" => match given.first() {
            Some(Value::Format(name)) => {
                letters(size(1) + 1).saturating_mul(named_formats::pattern_size(name).div_ceil(4))
            }
            _ => 1,
        },
        "sets.contains" | "sets.intersects" => size(0).saturating_mul(size(1)).saturating_add(1),
        "sets.equivalent" => size(0).saturating_mul(size(1)).saturating_mul(2).saturating_add(1),
        "slice" | "lists.range" | "reverse" => result.size().saturating_add(NEW),
        "flatten" => result.size().saturating_add(NEW),
        "distinct" => list_of(given).map_or(1, |list| square(list, (2, 1))),
        "sort" => list_of(given).map_or(1, |list| square(list, factor(list))),
        "@sortByAssociatedKeys" => {
            list_of(given.get(1..).unwrap_or(&[])).map_or(1, |list| square(list, factor(list)))
        }
        _ => 1,
    }
}

fn list_of(given: &[Value]) -> Option<&List> {
    match given.first() {
        Some(Value::List(list)) => Some(list),
        _ => None,
    }
}

fn factor(list: &List) -> (u64, u64) {
    match list.items.first() {
        Some(Value::Text(_) | Value::Bytes(_)) => (21, 10),
        _ => (2, 1),
    }
}
