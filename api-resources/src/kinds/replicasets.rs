//! Replica sets.

use super::generic::plain;
use super::place::{Causes, Place, lookup, map_at, not_negative, set_default};
use super::pods_defaults;
use super::workloads::{
    replica_counts, runs_for_good, selector_and_template, selector_stays, warnings_of_new,
};
use crate::resource::Strategy;
use serde_json::{Value, json};

/// How replica sets are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(spec) = map_at(object, "spec") {
                set_default(spec, "replicas", 1);
                pods_defaults::template(spec);
            }
        },
        prepare_create: |object| object["status"] = json!({"replicas": 0}),
        validate_create,
        validate_update: |new, old| {
            let mut out = validate_create(new);
            selector_stays(&mut out, new, old);
            out
        },
        validate_status,
        warnings: warnings_of_new,
        generation: true,
        ..plain()
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    not_negative(&mut out, &spec, "replicas");
    not_negative(&mut out, &spec, "minReadySeconds");
    let template = spec.field("template");
    // Kubernetes says "deployment" here too.
    if selector_and_template(&mut out, &spec, &template, "deployment", "invalid label selector") {
        runs_for_good(&mut out, &template, "ReplicaSet");
    }
    out
}

/// The rules of the status; replication controllers have the same.
pub(super) fn validate_status(new: &Value, _old: &Value) -> Causes {
    let mut out = Vec::new();
    replica_counts(
        &mut out,
        &Place::new("status", lookup(new, "status")),
        &[
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "observedGeneration",
            "terminatingReplicas",
        ],
        &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        "readyReplicas",
    );
    out
}
