//! Pods: defaults, the first status, and which rules apply when.

use super::generic::{self, plain};
use super::place::{Causes, Place, list_at, lookup, object_at};
use super::{pods_defaults, pods_spec, pods_status, pods_update, resources};
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Map, Value, json};

/// How pods are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: pods_defaults::pod,
        prepare_create,
        prepare_update: generic::keep_status,
        validate_create,
        validate_update: pods_update::validate_update,
        prepare_status: pods_status::prepare,
        validate_status: pods_status::validate,
        create_warnings: super::pods_warnings::pod,
        generation: true,
        grace,
        ..plain()
    }
}

/// Seconds that a pod has to stop; none when no kubelet runs it or it has ended.
fn grace(pod: &Value) -> Option<i64> {
    let unscheduled = lookup(pod, "spec.nodeName").as_str().unwrap_or("").is_empty();
    let ended = matches!(lookup(pod, "status.phase").as_str(), Some("Succeeded" | "Failed"));
    if unscheduled || ended {
        return Some(0);
    }
    lookup(pod, "spec.terminationGracePeriodSeconds").as_i64()
}

/// How pod templates are written.
pub fn template_strategy() -> Strategy {
    Strategy {
        warnings: |object| {
            super::pods_warnings::warnings(&Place::new("template", lookup(object, "template")))
        },
        default: pods_defaults::template,
        validate_create: |object| {
            let mut out = Vec::new();
            pods_spec::template(&mut out, &Place::root(object).field("template"));
            out
        },
        validate_update: |object, _| {
            let mut out = Vec::new();
            pods_spec::template(&mut out, &Place::root(object).field("template"));
            out
        },
        generation: true,
        ..plain()
    }
}

fn prepare_create(pod: &mut Value) {
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(lookup(pod, "spec"))});
    if lookup(pod, "spec.schedulingGates").as_array().is_some_and(|gates| !gates.is_empty()) {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            // The time of the creation: there is no clock here.
            "lastProbeTime": null, "lastTransitionTime": lookup(pod, "metadata.creationTimestamp"),
        }]);
    }
    pod["status"] = status;
    let labels = lookup(pod, "metadata.labels").as_object().cloned().unwrap_or_default();
    if let Some(spec) = object_at(pod, "spec") {
        merge_label_keys(spec, &labels);
    }
}

/// `matchLabelKeys` (KEP-3633, KEP-3243) become expressions of the selector with the pod's own labels.
fn merge_label_keys(spec: &mut Value, labels: &Map<String, Value>) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.get_mut("affinity").and_then(|a| a.get_mut(kind)) else { continue };
        super::place::each_mut(affinity, required).for_each(|term| merge_into(term, labels));
        for term in super::place::each_mut(affinity, preferred) {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                merge_into(term, labels);
            }
        }
    }
    super::place::each_mut(spec, "topologySpreadConstraints").for_each(|c| merge_into(c, labels));
}

fn merge_into(term: &mut Value, labels: &Map<String, Value>) {
    let mut added = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in lookup(term, field).as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if let Some(selector) = object_at(term, "labelSelector")
        && !added.is_empty()
        && let Some(list) = list_at(selector, "matchExpressions")
    {
        list.extend(added);
    }
}

fn validate_create(pod: &Value) -> Causes {
    let mut out = Vec::new();
    metadata_and_spec(&mut out, pod);
    let spec = Place::root(pod).field("spec");
    if !spec.lacks("ephemeralContainers") {
        out.push(Cause::forbidden(spec.of("ephemeralContainers"), "cannot be set on create"));
    }
    if !spec.lacks("nodeName") && !spec.lacks("schedulingGates") {
        out.push(Cause::forbidden(
            spec.of("nodeName"),
            "cannot be set until all schedulingGates have been cleared",
        ));
    }
    out
}

/// The rules of a pod whether it is new or not.
pub(super) fn metadata_and_spec(out: &mut Causes, pod: &Value) {
    let root = Place::root(pod);
    let (meta, spec) = (root.field("metadata"), root.field("spec"));
    annotations(out, &meta, &spec);
    pods_spec::spec(out, &spec, meta.text("name"), true);
    if spec.lacks("serviceAccountName") {
        for source in spec.list("volumes").flat_map(|v| v.field("projected").list("sources")) {
            if let Some(token) = source.present("serviceAccountToken") {
                out.push(Cause::forbidden(
                    token.path,
                    "must not be specified when serviceAccountName is not set",
                ));
            }
        }
    }
    for container in ["containers", "initContainers"].iter().flat_map(|list| spec.list(list)) {
        image_without_spaces(out, &container);
    }
}

/// An image has no spaces around it; templates may have.
pub(super) fn image_without_spaces(out: &mut Causes, container: &Place<'_>) {
    let image = container.text("image");
    if image.trim() != image {
        out.push(Cause::invalid(
            container.of("image"),
            &Value::from(image),
            "must not have leading or trailing whitespace",
        ));
    }
}

/// The rules of annotations that mean something on pods.
pub(super) fn annotations(out: &mut Causes, meta: &Place<'_>, spec: &Place<'_>) {
    let annotations = meta.field("annotations");
    let mirror = annotations.key("kubernetes.io/config.mirror");
    if !mirror.value.is_null() && spec.lacks("nodeName") {
        out.push(Cause::invalid(
            mirror.path,
            mirror.value,
            "must set spec.nodeName if mirror pod annotation is set",
        ));
    }
    let cost = annotations.key("controller.kubernetes.io/pod-deletion-cost");
    if let Some(text) = cost.value.as_str() {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let padded = digits.len() > 1 && digits.starts_with('0');
        if padded || text.starts_with('+') || text.parse::<i32>().is_err() {
            out.push(Cause::invalid(cost.path, cost.value, "must be a 32bit integer"));
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, by requests and limits of cpu and memory: of the pod when it has
/// any of its own (KEP-2837), else of its containers.
pub fn qos_class(spec: &Value) -> &'static str {
    let at = Place::new("", spec);
    let own = at.field("resources");
    let units: Vec<Place<'_>> = if at.has("resources") {
        vec![own]
    } else {
        ["containers", "initContainers"]
            .iter()
            .flat_map(|list| at.list(list))
            .map(|c| c.field("resources"))
            .collect()
    };
    let (mut any, mut guaranteed) = (false, true);
    for unit in &units {
        for name in ["cpu", "memory"] {
            let value =
                |field: &str| Some(lookup(unit.value, field).get(name)?).filter(|v| !resources::is_zero(v));
            let (request, limit) = (value("requests"), value("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some_and(|l| request.is_some_and(|r| resources::same(r, l)));
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
