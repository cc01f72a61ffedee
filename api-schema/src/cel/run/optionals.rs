//! Optional values.

use super::operators;
use super::values::{Given, Value, fail, find};

fn found(value: Option<&Value>) -> Value {
    value.map_or(Value::Optional(None), |value| Value::some(value.clone()))
}

/// A field of what is perhaps there.
pub(super) fn field(of: Option<&Value>, name: &str) -> Value {
    match of {
        Some(Value::Map(map)) => found(find(map, &name.into())),
        _ => Value::Optional(None),
    }
}

/// `x.?field`.
pub(super) fn select(of: &Value, name: &str) -> Given {
    Ok(match of {
        Value::Optional(value) => field(value.as_deref(), name),
        other => field(Some(other), name),
    })
}

/// `x[?index]`, and `x[index]` of what is perhaps there.
pub(super) fn at(of: &Value, index: &Value) -> Given {
    Ok(match of {
        Value::Optional(Some(of)) => return at(of, index),
        Value::Map(map) => found(find(map, index)),
        Value::List(_) if matches!(index, Value::Text(_) | Value::Bool(_)) => {
            return operators::at(of, index);
        }
        Value::List(list) => {
            let place = operators::place(index).and_then(|at| usize::try_from(at).ok());
            found(place.and_then(|at| list.items.get(at)))
        }
        _ => Value::Optional(None),
    })
}

/// True for what nobody would say: zero, an empty text, an empty list.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(bool) => !bool,
        Value::Int(int) => *int == 0,
        Value::Uint(uint) => *uint == 0,
        Value::Double(double) => *double == 0.0,
        Value::Duration(nanoseconds) => *nanoseconds == 0,
        Value::Text(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Time(time) => time.is_zero(),
        _ => false,
    }
}

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    Some(match (name, given) {
        ("optional.none", []) => Ok(Value::Optional(None)),
        ("optional.of", [value]) => Ok(Value::some(value.clone())),
        ("optional.ofNonZeroValue", [value]) if is_zero(value) => Ok(Value::Optional(None)),
        ("optional.ofNonZeroValue", [value]) => Ok(Value::some(value.clone())),
        ("value", [Value::Optional(Some(value))]) => Ok((**value).clone()),
        ("value", [Value::Optional(None)]) => fail("optional.none() dereference"),
        ("hasValue", [Value::Optional(value)]) => Ok(Value::Bool(value.is_some())),
        ("optional.unwrap" | "unwrapOpt", [Value::List(list)]) => {
            let mut out = Vec::with_capacity(list.items.len());
            for item in &list.items {
                match item {
                    Value::Optional(value) => out.extend(value.as_deref().cloned()),
                    _ => return Some(fail(format!("no such overload: {name}(list)"))),
                }
            }
            Ok(Value::list(out))
        }
        _ => return None,
    })
}
