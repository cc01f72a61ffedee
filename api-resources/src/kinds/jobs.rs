//! Jobs. The rules of a job's spec are also those of a cron job's template.

use super::generic::plain;
use super::place::{
    Causes, Place, each_mut, immutable, invalid_all, lookup, map_at, not_negative, object_at, one_of,
    required_one_of, set_default, set_default_text,
};
use super::sameness::same;
use super::workloads::selects;
use super::{jobs_policies, jobs_status, pods_defaults, pods_spec};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";
const MAX_INDEXES: i64 = 100_000;
const MAX_WITH_MANY_COMPLETIONS: i64 = 10_000;

/// How jobs are written. The uid must be there before `prepare_create`: selector and labels are made of it.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| {
            object["status"] = json!({});
            generate_selector(object);
        },
        validate_create,
        validate_update,
        validate_status: jobs_status::validate,
        warnings: |object| {
            let name = lookup(object, "metadata.name").as_str().unwrap_or("");
            let mut all = Vec::new();
            let wrong = names::dns_label(name);
            if !wrong.is_empty() {
                all.push(format!(
                    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
                    wrong.join(" ")
                ));
            }
            all.extend(super::pods_warnings::template(object));
            all
        },
        generation: true,
        ..plain()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    let several = lookup(spec, "completions").is_null() && !lookup(spec, "parallelism").is_null();
    if !several {
        set_default(spec, "completions", 1);
    }
    // A given count of completions alone leaves parallelism at one as well.
    set_default(spec, "parallelism", 1);
    let backoff = if lookup(spec, "backoffLimitPerIndex").is_null() { 6 } else { i32::MAX };
    set_default(spec, "backoffLimit", backoff);
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    set_default(spec, "manualSelector", false);
    template(spec);
    let replacement =
        if lookup(spec, "podFailurePolicy").is_null() { "TerminatingOrFailed" } else { "Failed" };
    set_default(spec, "podReplacementPolicy", replacement);
    labels_of_template(object);
}

/// The defaults of what a cron job's template has too.
pub(super) fn template(spec: &mut Value) {
    pods_defaults::template(spec);
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        for condition in each_mut(policy, "rules").flat_map(|rule| each_mut(rule, "onPodConditions")) {
            set_default_text(condition, "status", "True");
        }
    }
}

fn labels_of_template(object: &mut Value) {
    let labels = lookup(object, "spec.template.metadata.labels").clone();
    let has_own = lookup(object, "metadata.labels").as_object().is_some_and(|map| !map.is_empty());
    if labels.is_object()
        && !has_own
        && let Some(meta) = map_at(object, "metadata")
    {
        meta["labels"] = labels;
    }
}

fn generate_selector(object: &mut Value) {
    let meta = lookup(object, "metadata");
    let text = |field: &str| lookup(meta, field).as_str().unwrap_or("").to_owned();
    let (uid, name) = (text("uid"), text("name"));
    if lookup(object, "spec.manualSelector") == true || uid.is_empty() {
        return;
    }
    let Some(spec) = map_at(object, "spec") else { return };
    let labels =
        map_at(spec, "template").and_then(|t| map_at(t, "metadata")).and_then(|m| map_at(m, "labels"));
    if let Some(labels) = labels {
        for (label, value) in
            [(OLD_UID_LABEL, &uid), (UID_LABEL, &uid), (OLD_NAME_LABEL, &name), (NAME_LABEL, &name)]
        {
            labels[label] = Value::from(value.as_str());
        }
    }
    if let Some(selector) = map_at(spec, "selector").and_then(|s| map_at(s, "matchLabels")) {
        selector[UID_LABEL] = Value::from(uid);
    }
    labels_of_template(object);
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    generated_selector(&mut out, object);
    let spec = Place::root(object).field("spec");
    selector(&mut out, &spec);
    let name = lookup(object, "metadata.name").as_str().unwrap_or("");
    let completions = spec.int("completions").unwrap_or(0);
    if spec.text("completionMode") == "Indexed" && completions > 0 {
        let host = format!("{name}-{}", completions - 1);
        if !names::dns_label(&host).is_empty() {
            let message = format!("will not able to create pod with invalid DNS label: {host}");
            out.push(Cause::invalid("metadata.name", &Value::from(name), &message));
        }
    }
    out
}

fn generated_selector(out: &mut Causes, object: &Value) {
    let spec = Place::root(object).field("spec");
    if spec.flag("manualSelector") || !spec.has("selector") {
        return;
    }
    let text = |field: &str| lookup(object, field).as_str().unwrap_or("");
    let (uid, name) = (text("metadata.uid"), text("metadata.name"));
    let expected = [(OLD_UID_LABEL, uid), (OLD_NAME_LABEL, name), (UID_LABEL, uid), (NAME_LABEL, name)];
    let labels = spec.field("template").field("metadata").field("labels");
    for (label, value) in expected {
        let own = labels.key(label);
        if own.value.is_null() {
            out.push(Cause::required(own.path, &format!("must be '{value}'")));
        } else if own.as_text() != value {
            let message = format!("must be '{value}'");
            out.push(Cause::invalid(own.path, labels.value, &message));
        }
    }
    let expected: Value = expected.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
    let selector = spec.field("selector");
    if !selects(selector.value, &expected) {
        out.push(Cause::invalid(selector.path, selector.value, "`selector` not auto-generated"));
    }
}

fn selector(out: &mut Causes, spec: &Place<'_>) {
    validate_spec(out, spec);
    let selector = spec.field("selector");
    if spec.has("selector") {
        metadata::label_selector(out, &selector);
    } else {
        out.push(Cause::required(&selector.path, ""));
    }
    let labels = spec.field("template").field("metadata").field("labels");
    if !spec.has("selector") || !selects(selector.value, labels.value) {
        let message = "`selector` does not match template `labels`";
        out.push(Cause::invalid(labels.path, labels.value, message));
    }
}

/// The rules of a job's spec, but those of its selector.
pub(super) fn validate_spec(out: &mut Causes, spec: &Place<'_>) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(out, spec, field);
    }
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        let path = spec.of("backoffLimitPerIndex");
        out.push(Cause::required(path, "when maxFailedIndexes is specified"));
    }
    if let Some(manager) = spec.present("managedBy") {
        invalid_all(out, &manager.path, manager.as_text(), names::domain_prefixed_path(manager.as_text()));
        if manager.as_text().len() > names::LABEL_MAX {
            out.push(Cause::too_long(manager.path, names::LABEL_MAX));
        }
    }
    one_of(out, spec, "completionMode", &["NonIndexed", "Indexed"]);
    indexes(out, spec);
    jobs_policies::failure(out, spec);
    jobs_policies::success(out, spec);
    let supported: &[&str] =
        if spec.has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    one_of(out, spec, "podReplacementPolicy", supported);
    let template = spec.field("template");
    pods_spec::template(out, &template);
    let pod = template.field("spec");
    match pod.text("restartPolicy") {
        "Always" | "" => {
            let message = "valid values: \"OnFailure\", \"Never\"";
            out.push(Cause::required(pod.of("restartPolicy"), message));
        }
        "OnFailure" if spec.has("podFailurePolicy") => out.push(Cause::invalid(
            pod.of("restartPolicy"),
            &Value::from("OnFailure"),
            "only \"Never\" is supported when podFailurePolicy is specified",
        )),
        "OnFailure" | "Never" => {}
        _ => required_one_of(out, &pod, "restartPolicy", &["OnFailure", "Never"]),
    }
}

fn indexes(out: &mut Causes, spec: &Place<'_>) {
    if spec.text("completionMode") != "Indexed" {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.present(field) {
                out.push(Cause::invalid(number.path, number.value, "requires indexed completion mode"));
            }
        }
        return;
    }
    let completions = spec.int("completions");
    if completions.is_none() {
        out.push(Cause::required(spec.of("completions"), "when completion mode is Indexed"));
    }
    let mut at_most = |field: &str, limit: i64, detail: &str| {
        if let Some(number) = spec.int(field).filter(|n| *n > limit) {
            let message = format!("must be less than or equal to {detail}");
            out.push(Cause::invalid(spec.of(field), &Value::from(number), &message));
        }
    };
    at_most("parallelism", MAX_INDEXES, "100000 when completion mode is Indexed");
    at_most("maxFailedIndexes", completions.unwrap_or(i64::MAX), "completions");
    at_most("maxFailedIndexes", MAX_INDEXES, "100000");
    if completions.is_some_and(|c| c > MAX_INDEXES) && spec.has("backoffLimitPerIndex") {
        let detail = "10000 when completions are above 100000 and used with backoff limit per index";
        at_most("parallelism", MAX_WITH_MANY_COMPLETIONS, detail);
        at_most("maxFailedIndexes", MAX_WITH_MANY_COMPLETIONS, detail);
        if !spec.has("maxFailedIndexes") {
            let message = "must be specified when completions is above 100000";
            out.push(Cause::required(spec.of("maxFailedIndexes"), message));
        }
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(new).field("spec");
    selector(&mut out, &spec);
    let indexed = spec.text("completionMode") == "Indexed";
    if !indexed {
        immutable(&mut out, new, old, "spec.completions");
    } else if let Some(completions) = spec.int("completions")
        && lookup(old, "spec.completions") != spec.field("completions").value
        && spec.int("parallelism") != Some(completions)
    {
        out.push(Cause::invalid(
            spec.of("completions"),
            &Value::from(completions),
            "can only be modified in tandem with spec.parallelism",
        ));
    }
    immutable(&mut out, new, old, "spec.selector");
    template_change(&mut out, new, old);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        immutable(&mut out, new, old, &format!("spec.{field}"));
    }
    out
}

/// A suspended job without pods may still be told where and with what its pods run (KEP-2926).
fn template_change(out: &mut Causes, new: &Value, old: &Value) {
    let template = lookup(new, "spec.template");
    let mut before = lookup(old, "spec.template").clone();
    let waits = lookup(old, "spec.suspend") == true
        && lookup(old, "status.active").as_i64().unwrap_or(0) == 0
        && (lookup(old, "status.startTime").is_null() || jobs_status::is_true(old, "Suspended"));
    if waits && before.is_object() && template.is_object() {
        if let Some(meta) = map_at(&mut before, "metadata") {
            for field in ["labels", "annotations"] {
                meta[field] = lookup(template, "metadata")[field].clone();
            }
        }
        if let Some(pod) = map_at(&mut before, "spec") {
            for field in ["nodeSelector", "tolerations", "schedulingGates"] {
                pod[field] = lookup(template, "spec")[field].clone();
            }
            if let Some(affinity) = map_at(pod, "affinity") {
                affinity["nodeAffinity"] = lookup(template, "spec.affinity.nodeAffinity").clone();
            }
        }
        for list in ["containers", "initContainers"] {
            let now = lookup(template, "spec")[list].as_array().cloned().unwrap_or_default();
            let Some(pod) = object_at(&mut before, "spec") else { continue };
            for (container, now) in each_mut(pod, list).zip(now).filter(|(c, now)| c["name"] == now["name"]) {
                container["resources"] = now["resources"].clone();
            }
        }
    }
    if !same(template, &before) {
        out.push(Cause::invalid("spec.template", template, "field is immutable"));
    }
}
