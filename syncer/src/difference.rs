//! What must be patched to make one JSON value another.

use serde_json::{Map, Value};

/// The merge patch (RFC 7386) that makes `old` into `new`; `None` when they are equal. Objects are compared by
/// field, everything else as a whole.
pub fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut patch = Map::new();
            for (key, value) in new {
                match old.get(key) {
                    Some(before) => {
                        if let Some(inner) = merge_patch(before, value) {
                            patch.insert(key.clone(), inner);
                        }
                    }
                    None if value.is_null() => {}
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (old, new) if old == new => None,
        (_, new) => Some(new.clone()),
    }
}

/// True when everything that `wanted` says is so in `observed`: fields that `wanted` does not name are free, and
/// lists agree element by element.
pub fn contains(observed: &Value, wanted: &Value) -> bool {
    match (observed, wanted) {
        (Value::Object(observed), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match observed.get(key) {
                Some(found) => contains(found, value),
                None => is_empty(value),
            })
        }
        (Value::Array(observed), Value::Array(wanted)) => {
            observed.len() == wanted.len() && observed.iter().zip(wanted).all(|(o, w)| contains(o, w))
        }
        (observed, wanted) => observed == wanted,
    }
}

/// What a server may leave out: nothing, false, zero, the empty string, list and object.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn apply(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let fields = target.as_object_mut().unwrap();
        for (key, value) in patch {
            if value.is_null() {
                fields.remove(key);
            } else {
                apply(fields.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }

    proptest! {
        #[test]
        fn the_patch_makes_the_new_value(old in json_value(), new in json_value()) {
            match merge_patch(&old, &new) {
                None => prop_assert_eq!(old, new),
                Some(patch) => {
                    let mut patched = old.clone();
                    apply(&mut patched, &patch);
                    prop_assert_eq!(patched, new);
                }
            }
        }
    }

    #[test]
    fn containing_ignores_what_a_server_adds_or_leaves_out() {
        for (observed, wanted, expected) in [
            (json!({"a": 1, "b": 2}), json!({"a": 1}), true),
            (json!({"a": 1}), json!({"a": 1, "b": false, "c": {}, "d": ""}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({"a": [{"x": 1, "y": 2}]}), json!({"a": [{"x": 1}]}), true),
            (json!({"a": [1, 2]}), json!({"a": [1]}), false),
            (json!({}), json!({"b": true}), false),
        ] {
            assert_eq!(contains(&observed, &wanted), expected, "{observed} {wanted}");
        }
    }
}
