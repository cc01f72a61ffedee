//! When two values of an object mean the same.

use serde_json::Value;

/// True when two values mean the same: an absent field, null, and an empty list are one. An empty
/// object is something: it chooses, while objects that choose nothing and empty maps are not written at all.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(key, value)| same(value, y.get(key).unwrap_or(&Value::Null)))
                && y.iter().all(|(key, value)| x.contains_key(key) || is_nothing(value))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        _ => a == b || (is_nothing(a) && is_nothing(b)),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_the_same_in_all_its_forms() {
        assert!(same(&json!({"a": [], "b": null}), &json!({})));
        assert!(!same(&json!({"emptyDir": {}}), &json!({})));
        assert!(same(&json!([{"a": null}]), &json!([{}])));
        assert!(!same(&json!({"a": false}), &json!({})));
        assert!(!same(&json!({"a": ""}), &json!({"a": "x"})));
    }
}
