//! Resource quotas.

use super::generic::plain;
use super::place::{Causes, Place, lookup, map_at, require_with};
use super::resources::{amount, is_standard_quota, quota_resource_name};
use crate::internal;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// Scopes, and the resources that each can be applied to; `None`: to any.
const SCOPES: &[(&str, Option<&[&str]>)] = &[
    ("Terminating", Some(POD_RESOURCES)),
    ("NotTerminating", Some(POD_RESOURCES)),
    ("BestEffort", Some(&["pods"])),
    ("NotBestEffort", Some(POD_RESOURCES)),
    ("PriorityClass", Some(POD_RESOURCES)),
    ("CrossNamespacePodAffinity", Some(POD_RESOURCES)),
    ("VolumeAttributesClass", Some(&["persistentvolumeclaims", "requests.storage"])),
];
const POD_RESOURCES: &[&str] =
    &["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const CONFLICTS: [(&str, &str); 2] = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];

/// How resource quotas are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            map_at(object, "spec");
        },
        prepare_create: |object| object["status"] = json!({}),
        validate_create: validate,
        validate_update: |new, old| {
            let mut out = validate(new);
            let set = |object: &Value| {
                let mut scopes = lookup(object, "spec.scopes").as_array().cloned().unwrap_or_default();
                scopes.sort_by_key(|s| s.as_str().unwrap_or("").to_owned());
                scopes.dedup();
                scopes
            };
            if set(new) != set(old) {
                let scopes = lookup(new, "spec.scopes");
                out.push(Cause::invalid("spec.scopes", scopes, "field is immutable"));
            }
            out
        },
        validate_status: |new, _| {
            let mut out = Vec::new();
            let status = Place::root(new).field("status");
            for list in ["hard", "used"] {
                named_amounts(&mut out, &status.field(list));
            }
            out
        },
        create_on_update: true,
        ..plain()
    }
}

fn named_amounts(out: &mut Causes, at: &Place<'_>) {
    for (name, value) in at.value.as_object().into_iter().flatten() {
        let path = at.key(name).path;
        quota_resource_name(out, &path, name);
        amount(out, &path, name, value);
    }
}

fn validate(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    named_amounts(&mut out, &spec.field("hard"));
    let scopes = spec.field("scopes");
    let names = spec.texts("scopes");
    for scope in &names {
        if !SCOPES.iter().any(|(known, _)| known == scope) {
            out.push(Cause::invalid(&scopes.path, scopes.value, "unsupported scope"));
        }
        for _ in unsuitable(&spec, scope) {
            let message = "unsupported scope applied to resource";
            out.push(Cause::invalid(&scopes.path, scopes.value, message));
        }
    }
    conflicts(&mut out, &scopes, &names);
    selector(&mut out, &spec);
    out
}

/// The resources of a quota that a scope cannot be applied to.
fn unsuitable<'a>(spec: &Place<'a>, scope: &str) -> impl Iterator<Item = &'a String> + use<'a> {
    let allowed = SCOPES.iter().find(|(known, _)| *known == scope).and_then(|(_, resources)| *resources);
    spec.map("hard").map(|(name, _)| name).filter(move |name| {
        is_standard_quota(name) && allowed.is_some_and(|allowed| !allowed.contains(&name.as_str()))
    })
}

fn conflicts(out: &mut Causes, at: &Place<'_>, scopes: &[&str]) {
    for (one, other) in CONFLICTS {
        if scopes.contains(&one) && scopes.contains(&other) {
            out.push(Cause::invalid(&at.path, at.value, "conflicting scopes"));
        }
    }
}

/// Defects are reported at the list, without an index, as Kubernetes does.
fn selector(out: &mut Causes, spec: &Place<'_>) {
    let selector = spec.field("scopeSelector");
    let list = selector.of("matchExpressions");
    let mut names: Vec<&str> = Vec::new();
    for requirement in selector.list("matchExpressions") {
        let at = Place::new(list.clone(), requirement.value);
        let (scope, operator) = (at.text("scopeName"), at.text("operator"));
        names.push(scope);
        if !SCOPES.iter().any(|(known, _)| *known == scope) {
            out.push(Cause::invalid(at.of("scopeName"), &Value::from(scope), "unsupported scope"));
        }
        for _ in unsuitable(spec, scope) {
            let message = "unsupported scope applied to resource";
            out.push(internal::told_as(
                "core.v1.ScopeSelector",
                Cause::invalid(&list, selector.value, message),
            ));
        }
        let by_presence = !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if by_presence && SCOPES.iter().any(|(known, _)| *known == scope) && operator != "Exists" {
            out.push(Cause::invalid(
                at.of("operator"),
                &Value::from(operator),
                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
            ));
        }
        match operator {
            "In" | "NotIn" => {
                let message =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                require_with(out, &at, "values", message);
            }
            "Exists" | "DoesNotExist" if !at.lacks("values") => out.push(Cause::invalid(
                at.of("values"),
                at.field("values").value,
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )),
            "Exists" | "DoesNotExist" => {}
            _ => {
                let message = "not a valid selector operator";
                out.push(Cause::invalid(at.of("operator"), &Value::from(operator), message));
            }
        }
    }
    conflicts(out, &spec.field("scopes"), &names);
}
