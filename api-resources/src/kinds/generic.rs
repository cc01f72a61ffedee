//! The strategy that kinds start from, and the steps that many share.

use super::place::{list_at, lookup, map_at};
use super::sameness::same;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// No defaults, no rules but those of the name; the status is cleared at creation and kept by updates.
pub fn plain() -> Strategy {
    Strategy {
        default: |_| {},
        prepare_create: clear_status,
        prepare_update: keep_status,
        prepare_status: |_, _| {},
        validate_create: |_| Vec::new(),
        validate_update: |_, _| Vec::new(),
        validate_status: |_, _| Vec::new(),
        validate_name: names::dns_subdomain,
        create_warnings: |_| Vec::new(),
        warnings: |_| Vec::new(),
        named_by_server: false,
        update_warnings: None,
        generation: false,
        status_keeps: &[],
        counted,
        grace: |_| None,
        create_on_update: false,
        unconditional_update: true,
    }
}

/// True when anything but metadata and status differs.
pub fn counted(new: &Value, old: &Value) -> bool {
    let (Value::Object(new), Value::Object(old)) = (new, old) else { return false };
    let desired = |key: &str| !matches!(key, "metadata" | "status" | "kind" | "apiVersion");
    new.iter().any(|(key, value)| desired(key) && old.get(key) != Some(value))
        || old.keys().any(|key| desired(key) && !new.contains_key(key))
}

/// True when anything but metadata differs.
pub fn counted_whole(new: &Value, old: &Value) -> bool {
    counted(new, old) || lookup(new, "status") != lookup(old, "status")
}

/// Removes what a client sent as status.
pub fn clear_status(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
}

/// Puts the old status back: the main resource cannot change it.
pub fn keep_status(new: &mut Value, old: &Value) {
    let Some(map) = new.as_object_mut() else { return };
    match old.get("status") {
        Some(status) => {
            map.insert("status".to_owned(), status.clone());
        }
        None => {
            map.remove("status");
        }
    }
}

/// What of the metadata a subresource does not write.
pub const METADATA: &[&str] = &["labels", "annotations", "finalizers", "ownerReferences"];

/// Puts back what of the old metadata a subresource does not write.
pub fn keep_metadata(new: &mut Value, old: &Value) {
    let Some(meta) = map_at(new, "metadata").and_then(Value::as_object_mut) else { return };
    for field in METADATA {
        match lookup(old, "metadata").get(field) {
            Some(value) => meta.insert((*field).to_owned(), value.clone()),
            None => meta.remove(*field),
        };
    }
}

/// Defects of a change of an object that says `immutable: true`: these fields stay as they are.
pub fn kept_when_immutable(new: &Value, old: &Value, fields: &[&str]) -> Vec<Cause> {
    if lookup(old, "immutable") != true {
        return Vec::new();
    }
    let message = "field is immutable when `immutable` is set";
    let mut out = Vec::new();
    if lookup(new, "immutable") != true {
        out.push(Cause::forbidden("immutable", message));
    }
    let changed = fields.iter().filter(|field| !same(lookup(new, field), lookup(old, field)));
    out.extend(changed.map(|field| Cause::forbidden(*field, message)));
    out
}

/// Adds a finalizer of metadata that is not there yet.
pub fn add_finalizer(object: &mut Value, finalizer: &str) {
    let Some(meta) = map_at(object, "metadata") else { return };
    if let Some(list) = list_at(meta, "finalizers")
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(Value::from(finalizer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_desired_counts() {
        let old = json!({"metadata": {"generation": 3}, "spec": {"a": 1}, "status": {"b": 1}});
        for (new, counts) in [
            (json!({"metadata": {"labels": {"x": "y"}}, "spec": {"a": 1}, "status": {}}), false),
            (json!({"metadata": {}, "spec": {"a": 2}, "status": {"b": 1}}), true),
            (json!({"metadata": {}, "status": {"b": 1}}), true),
            (json!({"metadata": {}, "spec": {"a": 1}, "data": {}}), true),
        ] {
            assert_eq!(counted(&new, &old), counts, "{new}");
        }
        let status = json!({"metadata": {}, "spec": {"a": 1}, "status": {"b": 2}});
        assert!(!counted(&status, &old) && counted_whole(&status, &old));
        assert!(!counted_whole(&old, &old));
    }
}
