//! Nodes.

use super::generic::plain;
use super::place::{Causes, Place, invalid_all, lookup, map_at, one_of, require, set_default};
use super::resources;
use crate::resource::Strategy;
use crate::{internal, names};
use api_types::Cause;
use serde_json::{Value, json};

/// How nodes are written. A new node may bring its status.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        // A new node may bring its status; what kubelets were once configured by is gone.
        prepare_create: |object| {
            for (of, field) in [("spec", "configSource"), ("status", "config")] {
                remove(object, of, field);
            }
        },
        prepare_update: |new, old| {
            super::generic::keep_status(new, old);
            if lookup(old, "spec.configSource").is_null() {
                remove(new, "spec", "configSource");
            }
        },
        validate_create,
        validate_update,
        warnings: |object| {
            let old = lookup(object, "spec.externalID").as_str().is_some_and(|id| !id.is_empty());
            let message = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
            old.then(|| message.to_owned()).into_iter().collect()
        },
        validate_status: |new, old| {
            let mut out = Vec::new();
            status(&mut out, new);
            unchanged(&mut out, new, old);
            out
        },
        ..plain()
    }
}

fn remove(object: &mut Value, of: &str, field: &str) {
    if let Some(fields) = object.get_mut(of).and_then(Value::as_object_mut) {
        fields.remove(field);
    }
}

/// The first of `podCIDRs` is also `podCIDR`; where they differ, the older field wins, and stands alone.
fn same_networks(spec: &mut Value) {
    let (one, first) = (spec["podCIDR"].clone(), lookup(spec, "podCIDRs").get(0).cloned());
    match (one.as_str().filter(|one| !one.is_empty()), first) {
        (Some(one), first) if first.as_ref().and_then(Value::as_str) != Some(one) => {
            spec["podCIDRs"] = json!([one]);
        }
        (None, Some(first)) => spec["podCIDR"] = first,
        _ => {}
    }
}

fn default(object: &mut Value) {
    if let Some(spec) = map_at(object, "spec") {
        same_networks(spec);
    }
    let Some(status) = map_at(object, "status") else { return };
    if status["allocatable"].is_null() && !status["capacity"].is_null() {
        status["allocatable"] = status["capacity"].clone();
    }
    set_default(status, "daemonEndpoints", json!({"kubeletEndpoint": {"Port": 0}}));
    if let Some(info) = map_at(status, "nodeInfo") {
        let fields = [
            "machineID",
            "systemUUID",
            "bootID",
            "kernelVersion",
            "osImage",
            "containerRuntimeVersion",
            "kubeletVersion",
            "kubeProxyVersion",
            "operatingSystem",
            "architecture",
        ];
        fields.iter().for_each(|field| set_default(info, field, ""));
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    taints(&mut out, &spec);
    status(&mut out, object);
    let networks = spec.field("podCIDRs");
    for network in networks.elements() {
        invalid_all(&mut out, &network.path, network.as_text(), names::cidr(network.as_text()));
    }
    let all = spec.texts("podCIDRs");
    let six = all.iter().filter(|network| network.contains(':')).count();
    if six > 1 || all.len() - six > 1 {
        let message = "may specify no more than one CIDR for each IP family";
        out.push(Cause::invalid(&networks.path, networks.value, message));
    }
    out
}

fn status(out: &mut Causes, object: &Value) {
    for list in ["capacity", "allocatable"] {
        for (name, value) in Place::new("status", lookup(object, "status")).map(list) {
            resources::amount(out, &format!("status.{list}.{name}"), name, value);
        }
    }
}

/// Kubernetes reports taints below `metadata`.
fn taints(out: &mut Causes, spec: &Place<'_>) {
    let taints = Place::new("metadata.taints", spec.field("taints").value);
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in taints.elements() {
        let (key, value, effect) = (taint.text("key"), taint.text("value"), taint.text("effect"));
        invalid_all(out, &taint.of("key"), key, names::qualified_name(key));
        let wrong = names::label_value(value);
        if !wrong.is_empty() {
            out.push(Cause::invalid(taint.of("value"), &Value::from(value), &wrong.join(";")));
        }
        if require(out, &taint, "effect") {
            one_of(out, &taint, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
        if seen.contains(&(key, effect)) {
            let mut cause = Cause::duplicate(&taint.path, taint.value);
            cause.message.push_str(": taints must be unique by key and effect pair");
            out.push(internal::told_as("core.v1.Taint", cause));
        }
        seen.push((key, effect));
    }
}

/// Kubernetes applies the rules of a new node and those of a change, so that it tells most defects twice.
fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = validate_create(new);
    status(&mut out, new);
    unchanged(&mut out, new, old);
    taints(&mut out, &Place::root(new).field("spec"));
    out
}

fn unchanged(out: &mut Causes, new: &Value, old: &Value) {
    for (field, shown, is_set) in [
        ("podCIDRs", "podCIDR", lookup(old, "spec.podCIDRs").as_array().is_some_and(|c| !c.is_empty())),
        ("providerID", "providerID", !lookup(old, "spec.providerID").as_str().unwrap_or("").is_empty()),
    ] {
        let path = format!("spec.{field}");
        if is_set && lookup(new, &path) != lookup(old, &path) {
            let message = format!("node updates may not change {shown} except from \"\" to valid");
            out.push(Cause::forbidden(path, &message));
        }
    }
    let mut addresses: Vec<&Value> = Vec::new();
    for address in Place::root(new).field("status").list("addresses") {
        if addresses.contains(&address.value) {
            out.push(Cause::duplicate(&address.path, address.value));
        }
        addresses.push(address.value);
    }
    if lookup(new, "spec.externalID") != lookup(old, "spec.externalID") {
        out.push(Cause::forbidden("spec.externalID", "may not be updated"));
    }
}
