//! Jobs. The rules of a job's spec are also those of a cron job's template.

use super::generic::plain;
use super::place::{
    Causes, Place, domain_prefixed_path, each_mut, immutable, lookup, map_at, not_negative, one_of,
    required_one_of, set_default, set_default_text,
};
use super::workloads::{
    invalid_selector, name_of_pods, selector_stays, selects, selects_template, usable_selector,
};
use super::{jobs_policies, jobs_status, jobs_template, pods_defaults, pods_spec, pods_warnings};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";
/// Where a job notes that its labels are those of its template.
const SHARES_LABELS: &str = "labelsOfTemplate";
const MAX_INDEXES: i64 = 100_000;
const MAX_WITH_MANY_COMPLETIONS: i64 = 10_000;

/// How jobs are written. The uid must be there before `prepare_create`: selector and labels are made of it.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| {
            let shares_labels = lookup(object, "status")[SHARES_LABELS] == true;
            object["status"] = json!({});
            generate_selector(object);
            let labels = lookup(object, "spec.template.metadata.labels").clone();
            if shares_labels && labels.is_object() {
                object["metadata"]["labels"] = labels;
            }
        },
        validate_create: |object| validate_new(object, true),
        validate_update,
        validate_status: jobs_status::validate,
        warnings: |object| {
            let mut all = name_of_pods(object);
            all.extend(warnings(&Place::root(object).field("spec")));
            all
        },
        generation: true,
        ..plain()
    }
}

/// The warnings of a job's spec.
pub(super) fn warnings(spec: &Place<'_>) -> Vec<String> {
    let above = |field: &str, limit: i64| spec.int(field).is_some_and(|n| n > limit);
    let mut all = Vec::new();
    if spec.text("completionMode") == "Indexed"
        && above("completions", MAX_INDEXES)
        && above("parallelism", MAX_WITH_MANY_COMPLETIONS)
    {
        let what = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail";
        all.push(format!("{}: {what}", spec.path));
    }
    all.extend(pods_warnings::warnings(&spec.field("template")));
    all
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
    share_labels(object);
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

/// A job without labels has those of its template, also those that are generated later. That is noted in the status,
/// where it is nobody's and gone before the job is written.
fn share_labels(object: &mut Value) {
    let has_labels =
        |object: &Value, path: &str| lookup(object, path).as_object().is_some_and(|map| !map.is_empty());
    if has_labels(object, "metadata.labels") {
        return;
    }
    let template = "spec.template.metadata.labels";
    if has_labels(object, template) {
        object["metadata"]["labels"] = lookup(object, template).clone();
    }
    let has_uid = !lookup(object, "metadata.uid").is_null();
    if has_uid && lookup(object, "spec.selector").is_null() && lookup(object, "spec.manualSelector") == false
    {
        object["status"] = json!({SHARES_LABELS: true});
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
            set_default(labels, label, value.as_str());
        }
    }
    if let Some(selector) = map_at(spec, "selector").and_then(|s| map_at(s, "matchLabels")) {
        set_default(selector, UID_LABEL, uid);
    }
}

/// `prefixed`: the generated labels with a prefix must be there too; older jobs lack them.
fn validate_new(object: &Value, prefixed: bool) -> Causes {
    let mut out = Vec::new();
    generated_selector(&mut out, object, prefixed);
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

fn generated_selector(out: &mut Causes, object: &Value, prefixed: bool) {
    let spec = Place::root(object).field("spec");
    if spec.flag("manualSelector") || !spec.has("selector") {
        return;
    }
    let text = |field: &str| lookup(object, field).as_str().unwrap_or("");
    let (uid, name) = (text("metadata.uid"), text("metadata.name"));
    let mut expected = vec![(OLD_UID_LABEL, uid), (OLD_NAME_LABEL, name)];
    if prefixed {
        expected.extend([(UID_LABEL, uid), (NAME_LABEL, name)]);
    }
    let labels = spec.field("template").field("metadata").field("labels");
    for (label, value) in &expected {
        let own = labels.key(label);
        if own.value.is_null() {
            out.push(Cause::required(own.path, &format!("must be '{value}'")));
        } else if own.as_text() != *value {
            let message = format!("must be '{value}'");
            out.push(Cause::invalid(own.path, labels.value, &message));
        }
    }
    let expected: Value = expected.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
    let selector = spec.field("selector");
    if usable_selector(&mut Vec::new(), &selector) && !selects(selector.value, &expected) {
        out.push(invalid_selector(&selector, "`selector` not auto-generated"));
    }
}

fn selector(out: &mut Causes, spec: &Place<'_>) {
    validate_spec(out, spec);
    let selector = spec.field("selector");
    if !spec.has("selector") {
        out.push(Cause::required(&selector.path, ""));
    }
    if usable_selector(out, &selector) {
        selects_template(out, spec);
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
        domain_prefixed_path(out, &manager);
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
    let mode = spec.field("completionMode");
    if mode.value.is_null() || mode.as_text() == "NonIndexed" {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.present(field) {
                out.push(Cause::invalid(number.path, number.value, "requires indexed completion mode"));
            }
        }
    }
    if mode.as_text() != "Indexed" {
        return;
    }
    let completions = spec.int("completions");
    if completions.is_none() {
        out.push(Cause::required(spec.of("completions"), "when completion mode is Indexed"));
    }
    let at_most = |out: &mut Causes, field: &str, limit: i64, detail: &str| {
        if let Some(number) = spec.int(field).filter(|n| *n > limit) {
            let message = format!("must be less than or equal to {detail}");
            out.push(Cause::invalid(spec.of(field), &Value::from(number), &message));
        }
    };
    at_most(out, "parallelism", MAX_INDEXES, "100000 when completion mode is Indexed");
    at_most(out, "maxFailedIndexes", completions.unwrap_or(i64::MAX), "completions");
    at_most(out, "maxFailedIndexes", MAX_INDEXES, "100000");
    if completions.is_some_and(|c| c > MAX_INDEXES) && spec.has("backoffLimitPerIndex") {
        if !spec.has("maxFailedIndexes") {
            let message = "must be specified when completions is above 100000";
            out.push(Cause::required(spec.of("maxFailedIndexes"), message));
        }
        let detail = "10000 when completions are above 100000 and used with backoff limit per index";
        at_most(out, "parallelism", MAX_WITH_MANY_COMPLETIONS, detail);
        at_most(out, "maxFailedIndexes", MAX_WITH_MANY_COMPLETIONS, detail);
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    // Kubernetes tells the defects of a new job, and then those of a change, which has the same ones again.
    let mut out = Vec::new();
    let labels = lookup(old, "spec.template.metadata.labels");
    let prefixed = [UID_LABEL, NAME_LABEL].iter().all(|label| labels.get(label).is_some());
    out.extend(validate_new(new, prefixed));
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
    selector_stays(&mut out, new, old);
    jobs_template::change(&mut out, new, old);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        immutable(&mut out, new, old, &format!("spec.{field}"));
    }
    out
}
