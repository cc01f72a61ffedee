//! What ConfigMaps and Secrets have in common: content that goes down, and nothing that comes up.

use crate::difference::merge_patch;
use crate::ownership;
use crate::super_cache::{CONTENT, content_digest};
use serde_json::{Map, Value};

/// How the super cluster's object becomes the wanted one.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is as it should be.
    None,
    /// By this merge patch.
    Patch(Value),
    /// Only by deleting it and making it anew: a field cannot be changed.
    Recreate,
}

/// True when the cached object (content as a digest) is as wanted.
pub fn in_step(cached: &Value, wanted: &Value) -> bool {
    cached[CONTENT].as_str() == Some(&content_digest(wanted)) && envelope(cached, wanted) == Change::None
}

/// What must be done to `observed`, as the super cluster answered it with its data.
pub fn change(observed: &Value, wanted: &Value) -> Change {
    let mut patch = match envelope(observed, wanted) {
        Change::Recreate => return Change::Recreate,
        Change::Patch(Value::Object(patch)) => patch,
        Change::Patch(_) | Change::None => Map::new(),
    };
    for field in ["data", "binaryData"] {
        if let Some(content) = merge_patch(&observed[field], &wanted[field]) {
            if observed["immutable"] == true {
                return Change::Recreate;
            }
            patch.insert(field.into(), content);
        }
    }
    if patch.is_empty() { Change::None } else { Change::Patch(patch.into()) }
}

/// Everything but the content.
fn envelope(observed: &Value, wanted: &Value) -> Change {
    let is_immutable = observed["immutable"] == true;
    let wants_immutable = wanted["immutable"] == true;
    let same_type = wanted["type"].is_null() || observed["type"] == wanted["type"];
    if !same_type || (is_immutable && !wants_immutable) {
        return Change::Recreate;
    }
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    if wants_immutable && !is_immutable {
        patch.insert("immutable".into(), true.into());
    }
    if patch.is_empty() { Change::None } else { Change::Patch(patch.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_is_patched_key_by_key_and_immutable_objects_are_made_anew() {
        let object = |data: Value| json!({"metadata": {}, "data": data});
        let with = |mut value: Value, field: &str, to: Value| {
            value[field] = to;
            value
        };
        let old = object(json!({"a": "1", "b": "2"}));
        for (observed, wanted, expected) in [
            (old.clone(), old.clone(), Change::None),
            (old.clone(), object(json!({"a": "3"})), Change::Patch(json!({"data": {"a": "3", "b": null}}))),
            (with(old.clone(), "immutable", json!(true)), object(json!({"a": "3"})), Change::Recreate),
            (with(old.clone(), "immutable", json!(true)), old.clone(), Change::Recreate),
            (
                old.clone(),
                with(old.clone(), "immutable", json!(true)),
                Change::Patch(json!({"immutable": true})),
            ),
            (with(old.clone(), "type", json!("a")), with(old.clone(), "type", json!("b")), Change::Recreate),
            (old.clone(), json!({"metadata": {}}), Change::Patch(json!({"data": null}))),
        ] {
            assert_eq!(change(&observed, &wanted), expected, "{observed} {wanted}");
        }
    }

    #[test]
    fn the_digest_tells_whether_to_look_closer() {
        let wanted = json!({"metadata": {}, "data": {"a": "1"}});
        let cached = json!({"metadata": {}, "contentDigest": content_digest(&wanted)});
        assert!(in_step(&cached, &wanted));
        assert!(!in_step(&cached, &json!({"metadata": {}, "data": {"a": "2"}})));
    }
}
