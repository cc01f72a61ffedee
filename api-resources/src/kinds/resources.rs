//! The rules of requests and limits, and of names of resources.

use super::place::{Causes, Place, invalid_all};
use crate::names;
use api_schema::quantity::Quantity;
use api_types::{Cause, CauseReason};
use serde_json::Value;
use std::cmp::Ordering;

const CONTAINER_RESOURCES: &[&str] = &["cpu", "memory", "ephemeral-storage"];

const QUOTA_RESOURCES: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

const COUNTED_RESOURCES: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// The quantity of a value; `None` for what is none.
pub fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

/// True when a quantity is less than nothing.
pub fn is_negative(value: &Value) -> bool {
    quantity(value).is_some_and(Quantity::is_negative)
}

/// True when a quantity is nothing.
pub fn is_zero(value: &Value) -> bool {
    quantity(value).is_some_and(Quantity::is_zero)
}

/// True when two quantities are the same amount.
pub fn same(a: &Value, b: &Value) -> bool {
    compare(a, b) == Some(Ordering::Equal)
}

/// Which of two quantities is more; `None` when one of them is none.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    Some(quantity(a)?.cmp(&quantity(b)?))
}

pub(crate) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Of Kubernetes itself: without a prefix, or one within `kubernetes.io`.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Native and no huge pages: requests may be less than limits.
fn is_overcommittable(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// A name with a domain that is not Kubernetes'.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Counted in whole ones: objects and extended resources.
fn is_whole(name: &str) -> bool {
    COUNTED_RESOURCES.contains(&name) || is_extended(name)
}

/// A resource's name anywhere: known, or with a prefix.
pub fn resource_name(out: &mut Causes, path: &str, name: &str) -> bool {
    let wrong = names::qualified_name(name);
    let good = wrong.is_empty();
    invalid_all(out, path, name, wrong);
    if !good || name.contains('/') {
        return good;
    }
    let known = QUOTA_RESOURCES.contains(&name)
        || name == "storage"
        || is_huge_page(name)
        || name.starts_with("requests.hugepages-");
    if !known {
        let message = "must be a standard resource type or fully qualified";
        out.push(Cause::invalid(path, &Value::from(name), message));
    }
    known
}

/// A resource's name in a container: of compute, or with a prefix.
pub(super) fn container_resource_name(out: &mut Causes, path: &str, name: &str) {
    resource_name(out, path, name);
    if !name.contains('/') {
        if !CONTAINER_RESOURCES.contains(&name) && !is_huge_page(name) {
            let message = "must be a standard resource for containers";
            out.push(Cause::invalid(path, &Value::from(name), message));
        }
    } else if !is_native(name) && !is_extended(name) {
        let message = "doesn't follow extended resource name standard";
        out.push(Cause::invalid(path, &Value::from(name), message));
    }
}

fn pod_resource_name(out: &mut Causes, path: &str, name: &str) {
    if resource_name(out, path, name) && !matches!(name, "cpu" | "memory") && !is_huge_page(name) {
        out.push(Cause::not_supported(path, &Value::from(name), &["cpu", "hugepages-", "memory"]));
    }
}

/// True for what a quota can limit without a prefix.
pub(super) fn is_standard_quota(name: &str) -> bool {
    QUOTA_RESOURCES.contains(&name) || is_huge_page(name) || name.starts_with("requests.hugepages-")
}

/// A resource's name in a quota: known, counted (`count/…`), or with a prefix.
pub(super) fn quota_resource_name(out: &mut Causes, path: &str, name: &str) {
    resource_name(out, path, name);
    if !name.contains('/') && !is_standard_quota(name) {
        out.push(Cause::invalid(path, &Value::from(name), "must be a standard resource for quota"));
    }
}

/// An amount of a resource: not negative, and whole for what is counted.
pub(super) fn amount(out: &mut Causes, path: &str, name: &str, value: &Value) {
    let Some(amount) = quantity(value) else { return };
    if amount.is_negative() {
        out.push(Cause::invalid(path, &Value::from(amount.to_string()), names::NOT_NEGATIVE));
    }
    if is_whole(name) && amount.milli_value() % 1000 != 0 {
        out.push(Cause::invalid(path, &Value::from(amount.to_string()), "must be an integer"));
    }
}

/// The rules of a container's `resources`; `claims` are the pod's resource claims.
pub(super) fn container(out: &mut Causes, at: &Place<'_>, claims: &[&str]) {
    requirements(out, at, container_resource_name);
    claimed(out, at, claims);
}

fn claimed(out: &mut Causes, at: &Place<'_>, claims: &[&str]) {
    let list = at.field("claims");
    let mut seen: Vec<String> = Vec::new();
    for claim in list.elements() {
        let name = claim.text("name");
        if name.is_empty() {
            out.push(Cause::required(&claim.path, ""));
            continue;
        }
        let request = claim.text("request");
        let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
        if !request.is_empty() {
            invalid_all(out, &claim.of("request"), request, names::dns_label(request));
        }
        let whole = format!("{name}/");
        let overlaps = seen.contains(&key)
            || seen.iter().any(|s| s == name)
            || (request.is_empty() && seen.iter().any(|s| s.starts_with(&whole)));
        if overlaps {
            out.push(Cause::duplicate(&claim.path, &Value::from(key.as_str())));
        }
        seen.push(key);
        if !claims.contains(&name) {
            let known = if claims.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", claims.join(", "))
            };
            let message = format!(
                "Not found: {}: must be one of the names in pod.spec.resourceClaims{known}",
                Value::from(name)
            );
            out.push(Cause::new(CauseReason::FieldValueNotFound, &claim.path, message));
        }
    }
}

fn requirements(out: &mut Causes, at: &Place<'_>, name_rule: fn(&mut Causes, &str, &str)) {
    let (limits, requests) = (at.field("limits"), at.field("requests"));
    let (mut huge, mut compute) = (false, false);
    for (name, limit) in at.map("limits") {
        huge |= is_huge_page(name);
        compute |= matches!(name.as_str(), "cpu" | "memory");
        let path = limits.key(name).path;
        name_rule(out, &path, name);
        amount(out, &path, name, limit);
        huge_page(out, &path, name, limit);
    }
    for (name, request) in at.map("requests") {
        huge |= is_huge_page(name);
        compute |= matches!(name.as_str(), "cpu" | "memory");
        let path = requests.key(name).path;
        name_rule(out, &path, name);
        amount(out, &path, name, request);
        match limits.value.get(name) {
            Some(limit) => {
                let relation = match compare(request, limit) {
                    Some(Ordering::Less | Ordering::Greater) if !is_overcommittable(name) => "equal to",
                    Some(Ordering::Greater) => "less than or equal to",
                    _ => "",
                };
                if let Some(limit) = quantity(limit).filter(|_| !relation.is_empty()) {
                    let shown = quantity(request).map(|q| q.to_string());
                    out.push(Cause::invalid(
                        &requests.path,
                        &Value::from(shown),
                        &format!("must be {relation} {name} limit of {limit}"),
                    ));
                }
            }
            None if !is_overcommittable(name) => {
                out.push(Cause::required(&limits.path, "Limit must be set for non overcommitable resources"))
            }
            None => {}
        }
        huge_page(out, &path, name, request);
    }
    if huge && !compute {
        out.push(Cause::forbidden(&at.path, "HugePages require cpu or memory"));
    }
}

/// Huge pages come in whole pages.
fn huge_page(out: &mut Causes, path: &str, name: &str, value: &Value) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let Some(amount) = quantity(value) else { return };
    let divides = Quantity::parse(size).is_ok_and(|page| {
        page.value() > 0 && page.milli_value() % 1000 == 0 && amount.value() % page.value() == 0
    });
    if !divides {
        let message = format!("{amount} is not positive integer multiple of {name}");
        out.push(Cause::invalid(path, &Value::from(amount.to_string()), &message));
    }
}

/// The rules of what a pod says as a whole; `claims` are its resource claims.
pub(super) fn pod(out: &mut Causes, at: &Place<'_>, claims: &[&str]) {
    requirements(out, at, pod_resource_name);
    claimed(out, at, claims);
}

/// The rules of a pod's overhead.
pub(super) fn overhead(out: &mut Causes, at: &Place<'_>) {
    for (name, value) in at.value.as_object().into_iter().flatten() {
        let path = at.of("limits");
        let path = format!("{path}[{name}]");
        container_resource_name(out, &path, name);
        amount(out, &path, name, value);
    }
}
