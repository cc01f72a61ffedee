//! Horizontal pod autoscalers, `autoscaling/v2`.

use super::generic::plain;
use super::place::{
    Causes, Place, invalid_all, lookup, map_at, not_negative, object_at, one_of, require, require_with, same,
    set_default,
};
use super::resources;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

const MAX_WINDOW_SECONDS: i64 = 3600;
const MAX_PERIOD_SECONDS: i64 = 1800;
const METRIC_TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];
/// The field of each type of metric, in the order in which Kubernetes looks at them.
const SOURCES: &[(&str, &str)] = &[
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

/// How autoscalers are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| {
            object["status"] = json!({"desiredReplicas": 0, "currentMetrics": null});
        },
        validate_create: |object| validate(object, &Value::Null),
        validate_update: validate,
        validate_status: |new, _| {
            let mut out = Vec::new();
            let status = Place::new("status", lookup(new, "status"));
            not_negative(&mut out, &status, "currentReplicas");
            not_negative(&mut out, &status, "desiredReplicas");
            out
        },
        ..plain()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default(spec, "minReplicas", 1);
    if lookup(spec, "metrics").as_array().is_none_or(Vec::is_empty) {
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    }
    let Some(behavior) = object_at(spec, "behavior") else { return };
    if let Some(up) = map_at(behavior, "scaleUp") {
        set_default(up, "stabilizationWindowSeconds", 0);
        set_default(up, "selectPolicy", "Max");
        set_default(
            up,
            "policies",
            json!([{"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}]),
        );
    }
    if let Some(down) = map_at(behavior, "scaleDown") {
        set_default(down, "selectPolicy", "Max");
        set_default(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
}

/// What may stand in an object reference's `apiVersion`.
#[derive(Clone, Copy, PartialEq)]
enum Version {
    /// Anything: it was accepted before.
    Any,
    /// A version with or without a group.
    Good,
    /// A version with a group.
    Grouped,
}

/// Why a text is no such version.
fn wrong_version(text: &str, expected: Version) -> Option<String> {
    let slashes = text.matches('/').count();
    match expected {
        Version::Any => None,
        _ if slashes > 1 => Some(format!("unexpected GroupVersion string: {text}")),
        Version::Grouped if slashes == 0 || text.starts_with('/') => {
            Some("apiVersion must specify API group".to_owned())
        }
        _ => None,
    }
}

/// A target that is not changed stays accepted; of the core group only replication controllers can be scaled.
fn version_of_target(spec: &Value, old: &Value) -> Version {
    let (now, before) = (lookup(spec, "scaleTargetRef"), lookup(old, "spec.scaleTargetRef"));
    if !old.is_null() && ["apiVersion", "kind"].iter().all(|field| same(now, before, field)) {
        Version::Any
    } else if now["kind"] == "ReplicationController" {
        Version::Good
    } else {
        Version::Grouped
    }
}

fn version_of_metrics(old: &Value) -> Version {
    let metrics = lookup(old, "spec.metrics").as_array().map(Vec::as_slice).unwrap_or_default();
    let wrong = metrics.iter().filter(|metric| metric["type"] == "Object").any(|metric| {
        let version = lookup(metric, "object.describedObject.apiVersion").as_str().unwrap_or("");
        wrong_version(version, Version::Good).is_some()
    });
    if wrong { Version::Any } else { Version::Good }
}

fn validate(object: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let (least, most) = (spec.int("minReplicas"), spec.int("maxReplicas").unwrap_or(0));
    if let Some(least) = least.filter(|n| *n < 1) {
        let message = "must be greater than or equal to 1";
        out.push(Cause::invalid(spec.of("minReplicas"), &Value::from(least), message));
    }
    if most == 0 {
        out.push(Cause::required(spec.of("maxReplicas"), "must be set and greater than 0"));
    } else if most < 0 {
        let message = "must be greater than or equal to 1";
        out.push(Cause::invalid(spec.of("maxReplicas"), &Value::from(most), message));
    }
    if least.is_some_and(|least| most < least) {
        let message = "must be greater than or equal to `minReplicas`";
        out.push(Cause::invalid(spec.of("maxReplicas"), &Value::from(most), message));
    }
    reference(&mut out, &spec.field("scaleTargetRef"), version_of_target(spec.value, old));
    let version = version_of_metrics(old);
    spec.list("metrics").for_each(|at| metric(&mut out, &at, version));
    let scales_from_zero =
        spec.list("metrics").any(|metric| matches!(metric.text("type"), "Object" | "External"));
    if least == Some(0) && !scales_from_zero {
        let message =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        out.push(Cause::forbidden(spec.of("metrics"), message));
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = spec.field("behavior").present(direction) {
            scaling_rules(&mut out, &rules);
        }
    }
    out
}

fn reference(out: &mut Causes, at: &Place<'_>, version: Version) {
    for field in ["kind", "name"] {
        if require(out, at, field) {
            invalid_all(out, &at.of(field), at.text(field), names::path_segment(at.text(field)));
        }
    }
    if let Some(why) = wrong_version(at.text("apiVersion"), version) {
        out.push(Cause::invalid(at.of("apiVersion"), &Value::from(at.text("apiVersion")), &why));
    }
}

fn metric(out: &mut Causes, at: &Place<'_>, version: Version) {
    let kind = at.text("type");
    let expected = SOURCES.iter().find(|(of, _)| *of == kind).map(|(_, field)| *field);
    let not_supported = || Cause::not_supported(at.of("type"), &Value::from(kind), METRIC_TYPES);
    require_with(out, at, "type", "must specify a metric source type");
    if expected.is_none() {
        out.push(not_supported());
    }
    let present: Vec<&str> = SOURCES.iter().map(|(_, field)| *field).filter(|f| at.has(f)).collect();
    if let Some(first) = present.first() {
        source(out, &at.field(first), first, version);
    }
    match expected {
        Some(field) if !present.contains(&field) => {
            let message = "must populate information for the given metric source";
            out.push(Cause::required(at.of(field), message));
        }
        Some(_) => {}
        // Kubernetes says so twice.
        None => out.push(not_supported()),
    }
    if present.len() > 1 || expected.is_some() {
        for other in present.iter().filter(|field| Some(**field) != expected) {
            out.push(Cause::forbidden(at.of(other), "must populate the given metric source only"));
        }
    }
}

fn source(out: &mut Causes, at: &Place<'_>, kind: &str, version: Version) {
    let target = at.field("target");
    let named = |out: &mut Causes| {
        let metric = at.field("metric");
        if require_with(out, &metric, "name", "must specify a metric name") {
            let name = metric.text("name");
            invalid_all(out, &metric.of("name"), name, names::path_segment(name));
        }
    };
    match kind {
        "resource" | "containerResource" => {
            let named = require_with(out, at, "name", "must specify a resource name");
            if named && kind == "containerResource" {
                resources::container_resource_name(out, &at.of("name"), at.text("name"));
            }
            if kind == "containerResource" && require_with(out, at, "container", "must specify a container") {
                let name = at.text("container");
                invalid_all(out, &at.of("container"), name, names::dns_label(name));
            }
        }
        "object" => {
            reference(out, &at.field("describedObject"), version);
            named(out);
        }
        _ => named(out),
    }
    metric_target(out, &target);
    let has = |field: &str| target.has(field);
    let (missing, field, message) = match kind {
        "object" => (
            !has("value") && !has("averageValue"),
            "averageValue",
            "must set either a target value or averageValue",
        ),
        "external" => (
            !has("value") && !has("averageValue"),
            "averageValue",
            "must set either a target value for metric or a per-pod target",
        ),
        "pods" => (!has("averageValue"), "averageValue", "must specify a positive target averageValue"),
        _ => (
            !has("averageUtilization") && !has("averageValue"),
            "averageUtilization",
            "must set either a target raw value or a target utilization",
        ),
    };
    if missing {
        out.push(Cause::required(target.of(field), message));
    }
    let (both, field, message) = match kind {
        "external" => (
            has("value") && has("averageValue"),
            "value",
            "may not set both a target value for metric and a per-pod target",
        ),
        "resource" | "containerResource" => (
            has("averageUtilization") && has("averageValue"),
            "averageValue",
            "may not set both a target raw value and a target utilization",
        ),
        _ => return,
    };
    if both {
        out.push(Cause::forbidden(target.of(field), message));
    }
}

fn metric_target(out: &mut Causes, at: &Place<'_>) {
    let kind = at.text("type");
    require_with(out, at, "type", "must specify a metric target type");
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let message = "must be either Utilization, Value, or AverageValue";
        out.push(Cause::invalid(at.of("type"), &Value::from(kind), message));
    }
    for field in ["value", "averageValue"] {
        if let Some(value) = at.present(field)
            && (resources::is_negative(value.value) || resources::is_zero(value.value))
        {
            out.push(Cause::invalid(value.path, value.value, "must be positive"));
        }
    }
    if let Some(percent) = at.int("averageUtilization").filter(|p| *p < 1) {
        let path = at.of("averageUtilization");
        out.push(Cause::invalid(path, &Value::from(percent), "must be greater than 0"));
    }
}

fn scaling_rules(out: &mut Causes, at: &Place<'_>) {
    if let Some(window) = at.int("stabilizationWindowSeconds") {
        let path = at.of("stabilizationWindowSeconds");
        if window < 0 {
            let message = "must be greater than or equal to zero";
            out.push(Cause::invalid(path, &Value::from(window), message));
        } else if window > MAX_WINDOW_SECONDS {
            let message = format!("must be less than or equal to {MAX_WINDOW_SECONDS}");
            out.push(Cause::invalid(path, &Value::from(window), &message));
        }
    }
    one_of(out, at, "selectPolicy", &["Disabled", "Max", "Min"]);
    require_with(out, at, "policies", "must specify at least one Policy");
    for policy in at.list("policies") {
        let kind = policy.text("type");
        if !matches!(kind, "Percent" | "Pods") {
            out.push(Cause::not_supported(policy.of("type"), &Value::from(kind), &["Percent", "Pods"]));
        }
        for field in ["value", "periodSeconds"] {
            let number = policy.int(field).unwrap_or(0);
            if number <= 0 {
                let message = "must be greater than zero";
                out.push(Cause::invalid(policy.of(field), &Value::from(number), message));
            }
        }
        if let Some(period) = policy.int("periodSeconds").filter(|p| *p > MAX_PERIOD_SECONDS) {
            let message = format!("must be less than or equal to {MAX_PERIOD_SECONDS}");
            out.push(Cause::invalid(policy.of("periodSeconds"), &Value::from(period), &message));
        }
    }
    if let Some(tolerance) = at.present("tolerance").filter(|t| resources::is_negative(t.value)) {
        out.push(Cause::invalid(tolerance.path, tolerance.value, names::NOT_NEGATIVE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: fn(&mut Value), old: &Value) -> Vec<String> {
        let mut object = json!({"spec": {"minReplicas": 1, "maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 50}}}]}});
        change(&mut object["spec"]);
        validate(&object, old).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn targets_have_a_group() {
        let none = Value::Null;
        let wrong =
            "spec.scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group";
        assert_eq!(told(|_| {}, &none), [""; 0]);
        assert_eq!(told(|spec| spec["scaleTargetRef"]["apiVersion"] = json!("v1"), &none), [wrong]);
        let old = json!({"spec": {"scaleTargetRef": {"apiVersion": "v1", "kind": "Deployment"}}});
        assert_eq!(told(|spec| spec["scaleTargetRef"]["apiVersion"] = json!("v1"), &old), [""; 0]);
        let controller = |spec: &mut Value| {
            spec["scaleTargetRef"] =
                json!({"apiVersion": "v1", "kind": "ReplicationController", "name": "r"});
        };
        assert_eq!(told(controller, &none), [""; 0]);
        let odd = told(|spec| spec["scaleTargetRef"]["apiVersion"] = json!("a/b/c"), &none);
        assert!(odd[0].ends_with("unexpected GroupVersion string: a/b/c"));
    }

    #[test]
    fn counts_and_metrics() {
        let none = Value::Null;
        assert_eq!(
            told(|spec| spec["maxReplicas"] = json!(0), &none)[0],
            "spec.maxReplicas: Required value: must be set and greater than 0"
        );
        assert!(told(|spec| spec["minReplicas"] = json!(0), &none)[1].starts_with("spec.metrics: Forbidden"));
        let twice = told(|spec| spec["metrics"][0]["type"] = json!("Odd"), &none);
        assert_eq!(twice.len(), 2);
        assert_eq!(twice[0], twice[1]);
        let two = told(
            |spec| spec["metrics"][0]["pods"] = json!({"metric": {"name": "m"}, "target": {"type": "Value"}}),
            &none,
        );
        assert!(two.iter().any(|t| t.ends_with("must populate the given metric source only")), "{two:?}");
        let tolerance = told(
            |spec| {
                spec["behavior"] = json!({"scaleUp": {"tolerance": "-1",
                    "policies": [{"value": 1, "periodSeconds": 1}]}});
            },
            &none,
        );
        assert_eq!(tolerance.len(), 2, "{tolerance:?}");
    }
}
