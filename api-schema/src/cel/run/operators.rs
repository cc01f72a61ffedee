//! Operators, fields and indexes.

use super::times::{self, Time};
use super::values::{Given, Like, List, Stop, Value, compare_numbers, fail, find, no_overload};
use super::work::Work;
use std::cmp::Ordering;
use std::sync::Arc;

/// No such operator for values of these types, in the operator's own words.
fn none(operator: &str) -> Given {
    fail(format!("no such overload: {operator}"))
}

const INT: &str = "integer overflow";
const UINT: &str = "unsigned integer overflow";

fn int(value: Option<i64>) -> Given {
    value.map_or_else(|| fail(INT), |value| Ok(Value::Int(value)))
}

fn uint(value: Option<u64>) -> Given {
    value.map_or_else(|| fail(UINT), |value| Ok(Value::Uint(value)))
}

fn duration(value: Option<i64>) -> Given {
    value.map_or_else(|| fail(INT), |value| Ok(Value::Duration(value)))
}

fn time(value: Option<Time>) -> Given {
    value.map_or_else(|| fail("timestamp overflow"), |value| Ok(Value::Time(value)))
}

/// `+`, `-`, `*`, `/`, `%`.
pub(super) fn calculate(operator: &str, a: &Value, b: &Value, work: &mut Work) -> Given {
    match (operator, a, b) {
        ("_+_", Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        ("_-_", Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        ("_*_", Value::Int(a), Value::Int(b)) => int(a.checked_mul(*b)),
        ("_/_", Value::Int(_), Value::Int(0)) | ("_/_", Value::Uint(_), Value::Uint(0)) => {
            fail("division by zero")
        }
        ("_%_", Value::Int(_), Value::Int(0)) | ("_%_", Value::Uint(_), Value::Uint(0)) => {
            fail("modulus by zero")
        }
        ("_/_", Value::Int(a), Value::Int(b)) => int(a.checked_div(*b)),
        ("_%_", Value::Int(a), Value::Int(b)) => int(a.checked_rem(*b)),
        ("_+_", Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b)),
        ("_-_", Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b)),
        ("_*_", Value::Uint(a), Value::Uint(b)) => uint(a.checked_mul(*b)),
        ("_/_", Value::Uint(a), Value::Uint(b)) => uint(a.checked_div(*b)),
        ("_%_", Value::Uint(a), Value::Uint(b)) => uint(a.checked_rem(*b)),
        ("_+_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        ("_-_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        ("_*_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        ("_/_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        ("_+_", Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(*b)),
        ("_-_", Value::Duration(a), Value::Duration(b)) => duration(a.checked_sub(*b)),
        ("_+_", Value::Time(at), Value::Duration(by)) | ("_+_", Value::Duration(by), Value::Time(at)) => {
            time(times::later(at, i128::from(*by)))
        }
        ("_-_", Value::Time(at), Value::Duration(by)) => time(times::later(at, -i128::from(*by))),
        ("_-_", Value::Time(a), Value::Time(b)) => {
            let between = a.nanoseconds() - b.nanoseconds();
            duration(i64::try_from(between).ok())
        }
        ("_+_", Value::Text(a), Value::Text(b)) => {
            work.take((a.len() + b.len()) / 16)?;
            Ok(Value::Text([a.as_ref(), b.as_ref()].concat().into()))
        }
        ("_+_", Value::Bytes(a), Value::Bytes(b)) => {
            work.take((a.len() + b.len()) / 16)?;
            Ok(Value::Bytes([a.as_ref(), b.as_ref()].concat().into()))
        }
        ("_+_", Value::List(a), Value::List(b)) => joined(a, b, work),
        _ => none_of(operator, a),
    }
}

/// What is said of values that an operator does not know: by some types the operator is named.
fn none_of(operator: &str, on: &Value) -> Given {
    match on {
        Value::Null | Value::Map(_) | Value::Type(_) | Value::Bool(_) => none(operator),
        _ => no_overload(),
    }
}

/// Two lists after one another. Of sets and of lists with keys, elements that are in both are there once.
fn joined(a: &List, b: &List, work: &mut Work) -> Given {
    work.take(a.items.len() + b.items.len())?;
    let mut items = a.items.clone();
    match &a.like {
        Like::Ordered => items.extend(b.items.iter().cloned()),
        Like::Set => {
            for item in &b.items {
                if !contains(&items, item, work)? {
                    items.push(item.clone());
                }
            }
        }
        Like::ByKeys(keys) => {
            for item in &b.items {
                match same_keys(&items, item, keys, work)? {
                    Some(at) => {
                        if let Some(place) = items.get_mut(at) {
                            *place = item.clone();
                        }
                    }
                    None => items.push(item.clone()),
                }
            }
        }
    }
    Ok(Value::List(Arc::new(List { items, like: a.like.clone() })))
}

/// Where an element with the same keys is.
fn same_keys(items: &[Value], item: &Value, keys: &[String], work: &mut Work) -> Result<Option<usize>, Stop> {
    for (at, other) in items.iter().enumerate() {
        let mut same = true;
        for key in keys {
            let of = |value: &Value| match value {
                Value::Map(map) => find(map, &key.as_str().into()).cloned(),
                _ => None,
            };
            same = same
                && match (of(item), of(other)) {
                    (Some(a), Some(b)) => a.equals(&b, work)?,
                    (None, None) => true,
                    _ => false,
                };
        }
        if same {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// `-x`.
pub(super) fn negated(of: &Value) -> Given {
    match of {
        Value::Int(value) => int(value.checked_neg()),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Duration(value) => duration(value.checked_neg()),
        Value::Uint(_) => none("-_"),
        _ => no_overload(),
    }
}

/// `<`, `<=`, `>`, `>=`.
pub(super) fn compared(operator: &str, a: &Value, b: &Value) -> Given {
    let order = match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.nanoseconds().cmp(&b.nanoseconds()),
        _ => match compare_numbers(a, b) {
            Some(Some(order)) => order,
            Some(None) => return fail("NaN values cannot be ordered"),
            None => {
                return match a {
                    Value::Null | Value::List(_) | Value::Map(_) | Value::Type(_) => none(operator),
                    _ => no_overload(),
                };
            }
        },
    };
    Ok(Value::Bool(match operator {
        "_<_" => order == Ordering::Less,
        "_<=_" => order != Ordering::Greater,
        "_>_" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

/// How two elements of a list are ordered; `None`: they are not.
pub(super) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.nanoseconds().cmp(&b.nanoseconds())),
        _ => compare_numbers(a, b)?,
    }
}

pub(super) fn contains(items: &[Value], sought: &Value, work: &mut Work) -> Result<bool, Stop> {
    for item in items {
        if item.equals(sought, work)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `x in y`.
pub(super) fn within(sought: &Value, of: &Value, work: &mut Work) -> Given {
    match of {
        Value::List(list) => contains(&list.items, sought, work).map(Value::Bool),
        Value::Map(map) => Ok(Value::Bool(find(map, sought).is_some())),
        _ => no_overload(),
    }
}

/// `x[y]`.
pub(super) fn at(of: &Value, index: &Value) -> Given {
    match of {
        Value::List(list) => {
            let Some(at) = place(index) else {
                return match index {
                    Value::Double(double) => fail(format!(
                        "unsupported index value {} in list",
                        api_types::go_float::printed(*double)
                    )),
                    other => fail(format!("unsupported index type '{}' in list", other.type_name())),
                };
            };
            match usize::try_from(at).ok().and_then(|at| list.items.get(at)) {
                Some(item) => Ok(item.clone()),
                None => fail(format!("index out of bounds: {at}")),
            }
        }
        Value::Map(map) => match find(map, index) {
            Some(value) => Ok(value.clone()),
            None => missing(index),
        },
        _ => missing(index),
    }
}

/// The place that an index names; `None`: it names none.
pub(super) fn place(index: &Value) -> Option<i64> {
    match index {
        Value::Int(at) => Some(*at),
        Value::Uint(at) => Some(i64::try_from(*at).unwrap_or(i64::MAX)),
        Value::Double(at) => super::values::whole(*at),
        _ => None,
    }
}

fn missing(key: &Value) -> Given {
    fail(format!("no such key: {}", shown(key)))
}

/// A simple value in a message.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Uint(uint) => uint.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Double(double) => api_types::go_float::printed(*double),
        other => other.type_name().to_owned(),
    }
}

/// The name that messages call a type by.
pub(super) fn go_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Bool",
        Value::Int(_) => "Int",
        Value::Uint(_) => "Uint",
        Value::Double(_) => "Double",
        Value::Text(_) => "String",
        Value::Bytes(_) => "Bytes",
        Value::Duration(_) => "Duration",
        Value::Time(_) => "Timestamp",
        other => other.type_name(),
    }
}

/// `x.y`.
pub(super) fn field(of: &Value, name: &str) -> Given {
    match of {
        Value::Map(map) => match find(map, &name.into()) {
            Some(value) => Ok(value.clone()),
            None => fail(format!("no such key: {name}")),
        },
        Value::List(_) => fail("unsupported index type 'string' in list"),
        _ => fail(format!("no such key: {name}")),
    }
}

/// `has(x.y)`.
pub(super) fn has(of: &Value, name: &str) -> Result<bool, Stop> {
    match of {
        Value::Map(map) => Ok(find(map, &name.into()).is_some()),
        Value::Optional(Some(of)) => has(of, name),
        Value::List(_) => fail("unsupported index type 'string' in list"),
        _ => Ok(false),
    }
}
