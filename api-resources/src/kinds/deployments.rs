//! Deployments.

use super::generic::{self, plain};
use super::place::{Causes, Place, lookup, map_at, not_negative, same, set_default, set_default_text};
use super::pods_defaults;
use super::workloads::{
    at_most_100_percent, int_or_percent, int_or_percent_value, not_decremented, replica_counts,
    runs_for_good, selector_and_template, selector_stays, warnings_of_new,
};
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// How deployments are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| object["status"] = json!({}),
        validate_create,
        validate_update,
        validate_status,
        warnings: warnings_of_new,
        generation: true,
        status_keeps: &["labels"],
        // Annotations are passed on to replica sets.
        counted: |new, old| generic::counted(new, old) || !same(new, old, "metadata.annotations"),
        ..plain()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    let Some(strategy) = map_at(spec, "strategy") else { return };
    set_default_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate"
        && let Some(rolling) = map_at(strategy, "rollingUpdate")
    {
        set_default(rolling, "maxUnavailable", "25%");
        set_default(rolling, "maxSurge", "25%");
    }
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    pods_defaults::template(spec);
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    not_negative(&mut out, &spec, "replicas");
    let template = spec.field("template");
    if selector_and_template(&mut out, &spec, &template, "deployment", "invalid label selector") {
        runs_for_good(&mut out, &template, "ReplicaSet");
    }
    rollout(&mut out, &spec.field("strategy"));
    not_negative(&mut out, &spec, "minReadySeconds");
    not_negative(&mut out, &spec, "revisionHistoryLimit");
    not_negative(&mut out, &spec, "progressDeadlineSeconds");
    if let Some(deadline) = spec.int("progressDeadlineSeconds")
        && deadline <= spec.int("minReadySeconds").unwrap_or(0)
    {
        out.push(Cause::invalid(
            spec.of("progressDeadlineSeconds"),
            &Value::from(deadline),
            "must be greater than minReadySeconds",
        ));
    }
    out
}

fn rollout(out: &mut Causes, strategy: &Place<'_>) {
    let rolling = strategy.field("rollingUpdate");
    match strategy.text("type") {
        "Recreate" if strategy.has("rollingUpdate") => out
            .push(Cause::forbidden(rolling.path, "may not be specified when strategy `type` is 'Recreate'")),
        "Recreate" => {}
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.field("maxUnavailable"), rolling.field("maxSurge"));
            int_or_percent(out, &unavailable);
            int_or_percent(out, &surge);
            if int_or_percent_value(unavailable.value) == 0 && int_or_percent_value(surge.value) == 0 {
                out.push(Cause::invalid(
                    &unavailable.path,
                    unavailable.value,
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
            at_most_100_percent(out, &unavailable);
        }
        _ => {
            out.push(Cause::not_supported(&strategy.path, strategy.value, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = validate_create(new);
    selector_stays(&mut out, new, old);
    out
}

fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let status = Place::new("status", lookup(new, "status"));
    replica_counts(
        &mut out,
        &status,
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ],
        &["updatedReplicas", "readyReplicas", "availableReplicas"],
        "readyReplicas",
    );
    not_decremented(&mut out, new, old, "status.collisionCount");
    out
}
