//! Pod disruption budgets.

use super::conditions::conditions;
use super::generic::plain;
use super::place::{Causes, Place, lookup, map_at, not_negative, one_of};
use super::workloads::{at_most_100_percent, int_or_percent};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};

/// How pod disruption budgets are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            map_at(object, "spec");
        },
        prepare_create: |object| {
            object["status"] = json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0,
                "expectedPods": 0});
        },
        validate_create: validate,
        validate_update: |new, _| validate(new),
        validate_status: |new, _| {
            let mut out = Vec::new();
            let status = Place::new("status", lookup(new, "status"));
            conditions(&mut out, &status.field("conditions"));
            for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                not_negative(&mut out, &status, field);
            }
            out
        },
        validate_name: names::path_segment,
        generation: true,
        unconditional_update: false,
        ..plain()
    }
}

fn validate(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        let message = "minAvailable and maxUnavailable cannot be both set";
        out.push(Cause::invalid(&spec.path, spec.value, message));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if let Some(number) = spec.present(field) {
            int_or_percent(&mut out, &number);
            at_most_100_percent(&mut out, &number);
        }
    }
    metadata::label_selector(&mut out, &spec.field("selector"));
    one_of(&mut out, &spec, "unhealthyPodEvictionPolicy", &["AlwaysAllow", "IfHealthyBudget"]);
    out
}
