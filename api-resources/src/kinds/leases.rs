//! Leases.

use super::generic::plain;
use super::place::{Causes, Place, invalid_all, lookup, map_at, not_negative};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// How leases are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            map_at(object, "spec");
        },
        prepare_create: drop_coordination,
        prepare_update: |new, old| {
            if COORDINATION.iter().all(|field| lookup(old, "spec").get(field).is_none()) {
                drop_coordination(new);
            }
        },
        validate_create,
        validate_update: |new, _| validate_create(new),
        create_on_update: true,
        unconditional_update: false,
        ..plain()
    }
}

/// Coordinated election of leaders (KEP-4355) is off by default: dropped from what is written.
const COORDINATION: &[&str] = &["strategy", "preferredHolder"];

fn drop_coordination(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|field, _| !COORDINATION.contains(&field.as_str()));
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    if let Some(seconds) = spec.int("leaseDurationSeconds").filter(|s| *s <= 0) {
        let path = spec.of("leaseDurationSeconds");
        out.push(Cause::invalid(path, &Value::from(seconds), "must be greater than 0"));
    }
    not_negative(&mut out, &spec, "leaseTransitions");
    if let Some(strategy) = spec.present("strategy") {
        let text = strategy.as_text();
        if text.contains('/') {
            invalid_all(&mut out, &strategy.of("strategy"), text, names::qualified_name(text));
        } else if text != "OldestEmulationVersion" {
            let supported = ["OldestEmulationVersion"];
            out.push(Cause::not_supported(strategy.of("strategy"), strategy.value, &supported));
        }
    }
    if !spec.lacks("preferredHolder") && spec.lacks("strategy") {
        out.push(Cause::forbidden(
            spec.of("preferredHolder"),
            "may only be specified if `strategy` is defined",
        ));
    }
    out
}
