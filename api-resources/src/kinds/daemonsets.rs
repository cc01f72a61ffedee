//! Daemon sets.

use super::generic::plain;
use super::place::{Causes, Place, lookup, map_at, not_negative, same, set_default, set_default_text};
use super::workloads::{
    at_most_100_percent, int_or_percent, int_or_percent_value, invalid_selector, is_empty_selector,
    not_decremented, runs_for_good, selector_stays, selects_template, usable_selector,
};
use super::{pods_defaults, pods_spec, pods_warnings};
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// Counts the changes of the template, for clients of the first version.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// How daemon sets are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| {
            object["status"] = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0,
                "desiredNumberScheduled": 0, "numberReady": 0});
            set_template_generation(object, 1);
        },
        prepare_update: |new, old| {
            super::generic::keep_status(new, old);
            let before = template_generation(old);
            let changed = !same(new, old, "spec.template");
            set_template_generation(new, before + i64::from(changed));
        },
        prepare_status: |new, old| set_template_generation(new, template_generation(old)),
        validate_create,
        validate_update: |new, old| {
            let mut out = Vec::new();
            selector_stays(&mut out, new, old);
            out.extend(validate_create(new));
            out
        },
        validate_status,
        warnings: pods_warnings::template,
        generation: true,
        ..plain()
    }
}

fn template_generation(object: &Value) -> i64 {
    let annotation = lookup(object, "metadata.annotations").get(TEMPLATE_GENERATION);
    annotation.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    if let Some(annotations) = map_at(object, "metadata").and_then(|m| map_at(m, "annotations")) {
        annotations[TEMPLATE_GENERATION] = Value::from(generation.to_string());
    }
}

fn default(object: &mut Value) {
    // There from the beginning, so that it belongs to who writes the object; its value is the server's.
    if lookup(object, "metadata.annotations").get(TEMPLATE_GENERATION).is_none() {
        set_template_generation(object, 0);
    }
    let Some(spec) = map_at(object, "spec") else { return };
    if let Some(update) = map_at(spec, "updateStrategy") {
        set_default_text(update, "type", "RollingUpdate");
        if update["type"] == "RollingUpdate"
            && let Some(rolling) = map_at(update, "rollingUpdate")
        {
            set_default(rolling, "maxUnavailable", 1);
            set_default(rolling, "maxSurge", 0);
        }
    }
    set_default(spec, "revisionHistoryLimit", 10);
    pods_defaults::template(spec);
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let template = spec.field("template");
    let selector = spec.field("selector");
    if usable_selector(&mut out, &selector) {
        selects_template(&mut out, &spec);
    }
    if spec.has("selector") && is_empty_selector(&selector) {
        out.push(invalid_selector(&selector, "empty selector is invalid for daemonset"));
    }
    pods_spec::template(&mut out, &template);
    runs_for_good(&mut out, &template, "DaemonSet");
    not_negative(&mut out, &spec, "minReadySeconds");
    let update = spec.field("updateStrategy");
    match update.text("type") {
        "OnDelete" => {}
        "RollingUpdate" if !update.has("rollingUpdate") => {
            out.push(Cause::required(update.of("rollingUpdate"), ""));
        }
        "RollingUpdate" => rolling(&mut out, &update.field("rollingUpdate")),
        _ => {
            out.push(Cause::not_supported(&update.path, update.value, &["RollingUpdate", "OnDelete"]));
        }
    }
    not_negative(&mut out, &spec, "revisionHistoryLimit");
    out
}

fn rolling(out: &mut Causes, at: &Place<'_>) {
    let (unavailable, surge) = (at.field("maxUnavailable"), at.field("maxSurge"));
    for number in [&unavailable, &surge] {
        int_or_percent(out, number);
    }
    for number in [&unavailable, &surge] {
        at_most_100_percent(out, number);
    }
    match (int_or_percent_value(unavailable.value) != 0, int_or_percent_value(surge.value) != 0) {
        (true, true) => out.push(Cause::invalid(
            surge.path,
            surge.value,
            "may not be set when maxUnavailable is non-zero",
        )),
        (false, false) => {
            out.push(Cause::required(unavailable.path, "cannot be 0 when maxSurge is 0"));
        }
        _ => {}
    }
}

fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let status = Place::new("status", lookup(new, "status"));
    let counts = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    counts.iter().for_each(|count| not_negative(&mut out, &status, count));
    not_decremented(&mut out, new, old, "status.collisionCount");
    out
}
