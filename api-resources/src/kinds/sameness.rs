//! When two values of an object mean the same, and what differs between them.

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

/// The values that differ, a line each: `- path: old` and `+ path: new`.
pub fn differences(new: &Value, old: &Value) -> String {
    let mut lines = Vec::new();
    collect(new, old, "spec", &mut lines);
    lines.join("\n")
}

fn collect(new: &Value, old: &Value, path: &str, lines: &mut Vec<String>) {
    if same(new, old) {
        return;
    }
    match (new, old) {
        (Value::Object(x), Value::Object(y)) => {
            let mut keys: Vec<&String> = x.keys().chain(y.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (x, y) = (x.get(key).unwrap_or(&Value::Null), y.get(key).unwrap_or(&Value::Null));
                collect(x, y, &format!("{path}.{key}"), lines);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                collect(x, y, &format!("{path}[{i}]"), lines);
            }
        }
        _ => lines.extend([format!("- {path}: {old}"), format!("+ {path}: {new}")]),
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

    #[test]
    fn differences_name_their_paths() {
        let (new, old) = (json!({"nodeName": "n", "c": [{"i": 1}]}), json!({"c": [{"i": 2}]}));
        assert_eq!(
            differences(&new, &old),
            "- spec.c[0].i: 2\n+ spec.c[0].i: 1\n- spec.nodeName: null\n+ spec.nodeName: \"n\""
        );
    }
}
