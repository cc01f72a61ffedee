//! What may change of a job's template (KEP-2926, KEP-5440): nothing, but of a suspended job without pods where and with
//! what its pods run.

use super::jobs_status;
use super::place::{Causes, each_mut, lookup};
use super::sameness::same;
use api_types::Cause;
use serde_json::{Value, json};

/// Adds what is wrong with a change of the template.
pub(super) fn change(out: &mut Causes, new: &Value, old: &Value) {
    let path = if waits(old) { "spec.template.spec" } else { "spec.template" };
    let (now, mut before) = (lookup(new, path), lookup(old, path).clone());
    if waits(old) {
        take_directives(&mut before, now);
        for list in ["containers", "initContainers"] {
            take_resources(&mut before, now, list);
        }
    }
    if !same(now, &before) {
        out.push(Cause::invalid(path, now, "field is immutable"));
    }
}

/// Suspended, without pods: never started, or stopped again.
fn waits(job: &Value) -> bool {
    let stopped = || lookup(job, "status.startTime").is_null() || jobs_status::is_true(job, "Suspended");
    lookup(job, "spec.suspend") == true
        && lookup(job, "status.active").as_i64().unwrap_or(0) == 0
        && stopped()
}

/// What decides where pods run.
fn take_directives(pod: &mut Value, now: &Value) {
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        take(pod, now, field);
    }
    match now.get("affinity") {
        Some(affinity) => {
            if !pod["affinity"].is_object() {
                pod["affinity"] = json!({});
            }
            take(&mut pod["affinity"], affinity, "nodeAffinity");
        }
        None => {
            let others = lookup(pod, "affinity")
                .as_object()
                .is_some_and(|all| all.keys().any(|k| k != "nodeAffinity"));
            let Some(fields) = pod.as_object_mut().filter(|_| !others) else { return };
            fields.remove("affinity");
        }
    }
}

fn take_resources(pod: &mut Value, now: &Value, list: &str) {
    let now = lookup(now, list).as_array().map(Vec::as_slice).unwrap_or_default();
    if lookup(pod, list).as_array().is_some_and(|containers| containers.len() == now.len()) {
        let pairs = each_mut(pod, list).zip(now).filter(|(before, now)| before["name"] == now["name"]);
        pairs.for_each(|(before, now)| take(before, now, "resources"));
    }
}

/// Makes a field that of another object: its value, or its absence.
fn take(object: &mut Value, from: &Value, field: &str) {
    let Some(fields) = object.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(status: &Value, suspend: bool, new: &Value) -> Vec<String> {
        let old = json!({
            "spec": {"suspend": suspend, "template": {"metadata": {"labels": {"a": "b"}},
                "spec": {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "i"}]}}},
            "status": status,
        });
        let mut out = Vec::new();
        change(&mut out, &json!({"spec": {"template": new}}), &old);
        out.into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn a_suspended_job_may_be_told_where_it_runs() {
        let elsewhere = json!({"metadata": {"labels": {"a": "c"}}, "spec": {
            "affinity": {"nodeAffinity": {"x": 1}}, "tolerations": [{"key": "a"}],
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}});
        let other_image = json!({"spec": {"nodeSelector": {"disk": "ssd"},
            "containers": [{"name": "c", "image": "j"}]}});
        let other_affinity = json!({"spec": {"affinity": {"podAffinity": {"x": 1}},
            "containers": [{"name": "c", "image": "i"}]}});
        let (fresh, busy) = (json!({}), json!({"startTime": "2026-01-01T00:00:00Z", "active": 1}));
        let stopped = json!({"startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Suspended", "status": "True"}]});
        for (status, suspend, template, wrong) in [
            (&fresh, true, &elsewhere, vec![]),
            (&stopped, true, &elsewhere, vec![]),
            (&busy, true, &elsewhere, vec!["spec.template"]),
            (&fresh, false, &elsewhere, vec!["spec.template"]),
            (&fresh, true, &other_image, vec!["spec.template.spec"]),
            (&fresh, true, &other_affinity, vec!["spec.template.spec"]),
        ] {
            assert_eq!(changes(status, suspend, template), wrong, "{status} {suspend} {template}");
        }
    }
}
