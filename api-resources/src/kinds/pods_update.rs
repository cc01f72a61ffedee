//! What of a pod may change: images, deadlines, new tolerations, fewer scheduling gates.

use super::place::{Causes, Place, lookup, require};
use super::pods::{image_without_spaces, metadata_and_spec};
use super::pods_spec;
use super::sameness::same;
use crate::{internal, names};
use api_types::Cause;
use serde_json::{Map, Value};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    metadata_and_spec(&mut out, new);
    annotations(&mut out, new, old);
    let (spec, old_spec) = (Place::root(new).field("spec"), Place::root(old).field("spec"));
    for list in ["containers", "initContainers"] {
        if spec.list(list).count() != old_spec.list(list).count() {
            out.push(Cause::forbidden(spec.of(list), "pod updates may not add or remove containers"));
            return out;
        }
        for container in spec.list(list) {
            require(&mut out, &container, "image");
            image_without_spaces(&mut out, &container);
        }
    }
    let deadline = "activeDeadlineSeconds";
    match (spec.int(deadline), old_spec.int(deadline)) {
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            let message = names::range_message(0, i64::from(i32::MAX));
            out.push(Cause::invalid(spec.of(deadline), &Value::from(now), &message));
            return out;
        }
        (Some(now), Some(before)) if before < now => {
            let message = "must be less than or equal to previous value";
            out.push(Cause::invalid(spec.of(deadline), &Value::from(now), message));
            return out;
        }
        (None, Some(_)) => out.push(Cause::invalid(
            spec.of(deadline),
            &Value::Null,
            "must not update from a positive integer to nil value",
        )),
        _ => {}
    }
    only_added_tolerations(&mut out, &spec, &old_spec);
    only_fewer_gates(&mut out, &spec, &old_spec);
    if same(spec.value, old_spec.value) {
        return out;
    }
    let allowed = with_allowed_changes_undone(&mut out, &spec, &old_spec);
    if !same(&allowed, old_spec.value) {
        let changes = internal::difference("core.v1.PodSpec", old_spec.value, &allowed);
        let message = format!("pod updates may not change fields other than {UPDATABLE}\n{changes}");
        out.push(Cause::forbidden("spec", &message));
    }
    out
}

fn with_allowed_changes_undone(out: &mut Causes, spec: &Place<'_>, old: &Place<'_>) -> Value {
    let mut allowed = if spec.value.is_object() { spec.value.clone() } else { Value::Object(Map::new()) };
    for list in ["containers", "initContainers"] {
        for (container, before) in super::place::each_mut(&mut allowed, list).zip(old.list(list)) {
            container["image"] = before.field("image").value.clone();
        }
    }
    let grace = "terminationGracePeriodSeconds";
    let mut fields = vec!["activeDeadlineSeconds", "schedulingGates", "tolerations"];
    if old.int(grace).is_some_and(|g| g < 0) && spec.int(grace) == Some(1) {
        fields.push(grace);
    }
    for field in fields {
        allowed[field] = old.field(field).value.clone();
    }
    if !old.lacks("schedulingGates") {
        gated(out, spec, old, &mut allowed);
    }
    allowed
}

/// A gated pod's placement may still be narrowed (KEP-3838).
fn gated(out: &mut Causes, spec: &Place<'_>, old: &Place<'_>, allowed: &mut Value) {
    let selector = spec.field("nodeSelector");
    let kept = |(key, value): (&String, &Value)| selector.value.get(key) == Some(value);
    if !old.map("nodeSelector").all(kept) {
        out.push(Cause::invalid(
            &selector.path,
            selector.value,
            "only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        ));
    }
    allowed["nodeSelector"] = old.field("nodeSelector").value.clone();
    let (now, before) =
        (spec.field("affinity").field("nodeAffinity"), old.field("affinity").field("nodeAffinity"));
    if same(now.value, before.value) {
        return;
    }
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    if let Some(before) = before.present(required) {
        let path = now.field(required).of("nodeSelectorTerms");
        let (terms, old_terms): (Vec<_>, Vec<_>) = (
            now.field(required).list("nodeSelectorTerms").collect(),
            before.list("nodeSelectorTerms").collect(),
        );
        if terms.len() != old_terms.len() {
            let message = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
            out.push(Cause::invalid(&path, now.field(required).field("nodeSelectorTerms").value, message));
        }
        for (term, old_term) in terms.iter().zip(&old_terms) {
            let only_more = ["matchExpressions", "matchFields"].iter().all(|field| {
                let now: Vec<&Value> = term.list(field).map(|e| e.value).collect();
                old_term.list(field).all(|e| now.contains(&e.value))
            });
            if !only_more {
                out.push(Cause::invalid(
                    &term.path,
                    term.value,
                    "only additions are allowed (no mutations or deletions)",
                ));
            }
        }
    }
    let others = ["podAffinity", "podAntiAffinity"].iter().any(|field| spec.field("affinity").has(field));
    if !old.has("affinity") && !others {
        allowed["affinity"] = Value::Null;
    } else if let Some(affinity) = super::place::map_at(allowed, "affinity") {
        affinity["nodeAffinity"] = before.value.clone();
    }
}

fn only_added_tolerations(out: &mut Causes, spec: &Place<'_>, old: &Place<'_>) {
    let but_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(map) = toleration.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        toleration
    };
    let now: Vec<Value> = spec.list("tolerations").map(|t| but_seconds(t.value)).collect();
    if old.list("tolerations").any(|t| !now.contains(&but_seconds(t.value))) {
        out.push(Cause::forbidden(
            spec.of("tolerations"),
            "existing toleration can not be modified except its tolerationSeconds",
        ));
        return;
    }
    pods_spec::tolerations(out, spec);
}

fn only_fewer_gates(out: &mut Causes, spec: &Place<'_>, old: &Place<'_>) {
    let known: Vec<&str> = old.list("schedulingGates").map(|g| g.text("name")).collect();
    for gate in spec.list("schedulingGates").filter(|g| !known.contains(&g.text("name"))) {
        let message =
            format!("only deletion is allowed, but found new scheduling gate '{}'", gate.text("name"));
        out.push(Cause::forbidden(gate.of("name"), &message));
    }
}

/// The annotation of a mirror pod stays.
pub(super) fn annotations(out: &mut Causes, new: &Value, old: &Value) {
    let mirror = "kubernetes.io/config.mirror";
    let at = Place::new("metadata.annotations", lookup(new, "metadata.annotations"));
    let (now, before) = (at.key(mirror), lookup(old, "metadata.annotations").get(mirror));
    match before {
        Some(before) if before != now.value => {
            out.push(Cause::forbidden(now.path, "may not remove or update mirror pod annotation"));
        }
        None if !now.value.is_null() => {
            out.push(Cause::forbidden(now.path, "may not add mirror pod annotation"));
        }
        _ => {}
    }
}
