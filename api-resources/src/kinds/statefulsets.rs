//! Stateful sets.

use super::generic::{keep_status, plain};
use super::persistentvolumeclaims;
use super::place::{
    Causes, Place, each_mut, invalid_all, lookup, map_at, not_negative, object_at, one_of, set_default,
    set_default_text,
};
use super::sameness::same;
use super::workloads::{
    at_most_100_percent, int_or_percent, int_or_percent_value, not_decremented, replica_counts,
    runs_for_good, selector_and_template, warnings_of_change,
};
use super::{pods_defaults, resources};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};

/// What may change of a spec.
const MUTABLE: &[&str] = &[
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];

/// Off by default in Kubernetes 1.36: dropped from what is written, kept where it is already.
const MAX_UNAVAILABLE: &str = "spec.updateStrategy.rollingUpdate.maxUnavailable";

/// How stateful sets are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| {
            object["status"] = json!({"replicas": 0, "availableReplicas": 0});
            drop_max_unavailable(object);
        },
        prepare_update: |new, old| {
            keep_status(new, old);
            if lookup(old, MAX_UNAVAILABLE).is_null() {
                drop_max_unavailable(new);
            }
        },
        validate_create: |object| validate(object, true),
        validate_update,
        validate_status,
        validate_name: names::dns_label,
        warnings: |object| {
            let mut all = super::pods_warnings::template(object);
            all.extend(warnings(object));
            all
        },
        update_warnings: Some(|new, old| {
            let mut all = warnings_of_change(new, old);
            all.extend(warnings(new));
            all
        }),
        generation: true,
        ..plain()
    }
}

fn drop_max_unavailable(object: &mut Value) {
    let rolling = object.pointer_mut("/spec/updateStrategy/rollingUpdate").and_then(Value::as_object_mut);
    if let Some(rolling) = rolling {
        rolling.remove("maxUnavailable");
    }
}

fn warnings(object: &Value) -> Vec<String> {
    let spec = Place::root(object).field("spec");
    let mut all = Vec::new();
    for claim in spec.list("volumeClaimTemplates") {
        all.extend(fractions_of_a_byte(&claim));
    }
    if spec.int("revisionHistoryLimit").is_some_and(|limit| limit < 0) {
        let what = "a negative value retains all historical revisions; a value >= 0 is recommended";
        all.push(format!("{}: {what}", spec.of("revisionHistoryLimit")));
    }
    all
}

/// The warnings of a claim for less than whole bytes. Their path lacks `spec`, as Kubernetes tells it.
fn fractions_of_a_byte(claim: &Place<'_>) -> Vec<String> {
    let resources = Place::new(claim.of("resources"), lookup(claim.value, "spec.resources"));
    let storage = ["requests", "limits"].map(|list| resources.field(list).key("storage"));
    let fractions = storage.iter().filter_map(|at| {
        let amount = resources::quantity(at.value).filter(|amount| amount.milli_value() % 1000 != 0)?;
        let amount = amount.to_string();
        Some(format!("{}: fractional byte value {amount:?} is invalid, must be an integer", at.path))
    });
    fractions.collect()
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default_text(spec, "podManagementPolicy", "OrderedReady");
    // The service may be left out since 1.34; it is always written.
    set_default(spec, "serviceName", "");
    if let Some(update) = map_at(spec, "updateStrategy") {
        if lookup(update, "type").as_str().unwrap_or("").is_empty() {
            update["type"] = json!("RollingUpdate");
            map_at(update, "rollingUpdate");
        }
        if update["type"] == "RollingUpdate" && update["rollingUpdate"].is_object() {
            set_default(&mut update["rollingUpdate"], "partition", 0);
        }
    }
    if let Some(policy) = map_at(spec, "persistentVolumeClaimRetentionPolicy") {
        set_default_text(policy, "whenDeleted", "Retain");
        set_default_text(policy, "whenScaled", "Retain");
    }
    set_default(spec, "revisionHistoryLimit", 10);
    for claim in each_mut(spec, "volumeClaimTemplates") {
        claim["apiVersion"] = json!("v1");
        claim["kind"] = json!("PersistentVolumeClaim");
        map_at(claim, "metadata");
        if let Some(spec) = map_at(claim, "spec") {
            persistentvolumeclaims::claim_spec(spec);
        }
        persistentvolumeclaims::default_status(claim);
    }
    pods_defaults::template(spec);
}

fn validate(object: &Value, is_new: bool) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let policy = spec.text("podManagementPolicy");
    if !matches!(policy, "OrderedReady" | "Parallel") {
        out.push(Cause::invalid(
            spec.of("podManagementPolicy"),
            &Value::from(policy),
            "must be 'OrderedReady' or 'Parallel'",
        ));
    }
    update_strategy(&mut out, &spec.field("updateStrategy"));
    let retention = spec.field("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        one_of(&mut out, &retention, field, &["Retain", "Delete"]);
    }
    if is_new {
        for claim in spec.list("volumeClaimTemplates") {
            persistentvolumeclaims::validate_spec(&mut out, &claim.field("spec"), false);
        }
    }
    not_negative(&mut out, &spec, "replicas");
    not_negative(&mut out, &spec, "minReadySeconds");
    not_negative(&mut out, &spec.field("ordinals"), "start");
    let service = spec.text("serviceName");
    if is_new && !service.is_empty() {
        invalid_all(&mut out, &spec.of("serviceName"), service, names::dns_label(service));
    }
    let template = template_with_claims(&spec);
    let template = Place::new("spec.template", &template);
    if selector_and_template(&mut out, &spec, &template, "statefulset", "") {
        // Kubernetes looks at them twice.
        let meta = Place::new(template.path.clone(), template.field("metadata").value);
        metadata::labels(&mut out, &meta.field("labels"));
        metadata::annotations(&mut out, &meta.field("annotations"));
        super::pods::annotations(&mut out, &meta, &template.field("spec"));
    }
    runs_for_good(&mut out, &spec.field("template"), "StatefulSet");
    out
}

/// The template as its pods get it: claims are volumes, names are the controller's.
fn template_with_claims(spec: &Place<'_>) -> Value {
    let mut template = spec.field("template").value.clone();
    let mut claims: Vec<&str> = Vec::new();
    for claim in spec.list("volumeClaimTemplates") {
        let name = claim.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("");
        if !claims.contains(&name) {
            claims.push(name);
        }
    }
    let Some(pod) = object_at(&mut template, "spec") else { return template };
    if let Some(map) = pod.as_object_mut() {
        map.remove("hostname");
        map.remove("subdomain");
    }
    if !claims.is_empty() {
        let mut volumes: Vec<Value> =
            claims.iter().map(|c| json!({"name": c, "persistentVolumeClaim": {"claimName": c}})).collect();
        let own = lookup(pod, "volumes").as_array().cloned().unwrap_or_default();
        volumes.extend(own.into_iter().filter(|v| !claims.contains(&v["name"].as_str().unwrap_or(""))));
        pod["volumes"] = Value::Array(volumes);
    }
    template
}

fn update_strategy(out: &mut Causes, at: &Place<'_>) {
    let rolling = at.field("rollingUpdate");
    match at.text("type") {
        "OnDelete" if at.has("rollingUpdate") => out.push(Cause::invalid(
            &rolling.path,
            rolling.value,
            "only allowed for updateStrategy 'RollingUpdate'",
        )),
        "OnDelete" => {}
        "RollingUpdate" => {
            not_negative(out, &rolling, "partition");
            if let Some(unavailable) = rolling.present("maxUnavailable") {
                int_or_percent(out, &unavailable);
                if int_or_percent_value(unavailable.value) == 0 {
                    out.push(Cause::invalid(&unavailable.path, unavailable.value, "cannot be 0"));
                }
                at_most_100_percent(out, &unavailable);
            }
        }
        "" => out.push(Cause::required(&at.path, "")),
        _ => {
            out.push(Cause::invalid(&at.path, at.value, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = validate(new, false);
    let fixed = |object: &Value| {
        let mut spec = lookup(object, "spec").clone();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if !same(&fixed(new), &fixed(old)) {
        out.push(Cause::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
    out
}

fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let counts = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    let status = Place::new("status", lookup(new, "status"));
    let mut all = counts.to_vec();
    all.extend(["observedGeneration", "collisionCount"]);
    replica_counts(&mut out, &status, &all, &counts[1..], "status.readyReplicas");
    not_decremented(&mut out, new, old, "status.collisionCount");
    out
}
