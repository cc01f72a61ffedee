//! Namespaces.

use super::generic::plain;
use super::place::{Causes, Place, invalid_all, list_at, lookup, map_at, set_default_text};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};

/// The label that carries a namespace's name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// How namespaces are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create,
        prepare_update: |new, old| {
            super::generic::keep_status(new, old);
            if let Some(spec) = map_at(new, "spec") {
                spec["finalizers"] = lookup(old, "spec.finalizers").clone();
            }
        },
        validate_create,
        validate_update: |new, _| validate_create(new),
        validate_status,
        validate_name: names::dns_label,
        ..plain()
    }
}

fn default(object: &mut Value) {
    if let Some(status) = map_at(object, "status") {
        set_default_text(status, "phase", "Active");
    }
    let name = lookup(object, "metadata.name").as_str().unwrap_or("").to_owned();
    if !name.is_empty()
        && let Some(labels) = map_at(object, "metadata").and_then(|m| map_at(m, "labels"))
    {
        labels[NAME_LABEL] = Value::from(name);
    }
}

fn prepare_create(object: &mut Value) {
    object["status"] = json!({"phase": "Active"});
    let Some(spec) = map_at(object, "spec") else { return };
    if let Some(finalizers) = list_at(spec, "finalizers")
        && !finalizers.iter().any(|f| f == "kubernetes")
    {
        finalizers.push(Value::from("kubernetes"));
    }
}

/// The rules of `spec.finalizers`, also for a change through `finalize`.
pub fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    for finalizer in Place::root(object).field("spec").list("finalizers") {
        let name = finalizer.as_text();
        invalid_all(&mut out, "spec.finalizers", name, names::qualified_name(name));
        if !name.contains('/') && !metadata::STANDARD_FINALIZERS.contains(&name) {
            out.push(Cause::invalid(
                "spec.finalizers",
                finalizer.value,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
    out
}

fn validate_status(new: &Value, _old: &Value) -> Causes {
    let deleting = lookup(new, "metadata.deletionTimestamp").is_string();
    let (only, when) = if deleting { ("Terminating", "is not empty") } else { ("Active", "is empty") };
    let phase = lookup(new, "status.phase");
    if phase == only {
        return Vec::new();
    }
    let message = format!("may only be '{only}' if `deletionTimestamp` {when}");
    vec![Cause::invalid("status.Phase", phase, &message)]
}
