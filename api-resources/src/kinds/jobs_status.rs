//! The rules of a job's status: counters that only grow, conditions that only come.

use super::jobs_policies::count_indexes;
use super::place::{Causes, Place, lookup, not_negative};
use api_types::{Cause, CauseReason};
use serde_json::Value;

/// True when a job has a condition of this type with the status `True`.
pub(super) fn is_true(job: &Value, kind: &str) -> bool {
    let conditions = lookup(job, "status.conditions").as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|c| c["type"] == kind && c["status"] == "True")
}

/// Defects of a change of the status: `(new, old)`.
pub(super) fn validate(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let (status, before) = (Place::root(new).field("status"), Place::root(old).field("status"));
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        not_negative(&mut out, &status, field);
    }
    uncounted(&mut out, &status);
    conditions(&mut out, new, old);
    counters(&mut out, new, &status, &before);
    times(&mut out, new, &status, &before);
    out
}

fn conditions(out: &mut Causes, new: &Value, old: &Value) {
    let (complete, failed) = (is_true(new, "Complete"), is_true(new, "Failed"));
    let (target, met) = (is_true(new, "FailureTarget"), is_true(new, "SuccessCriteriaMet"));
    let rules = [
        (complete && failed, "cannot set Complete=True and Failed=true conditions"),
        (complete && target, "cannot set Complete=True and FailureTarget=true conditions"),
        (failed && !target, "cannot set Failed=True condition without the FailureTarget=true condition"),
        (
            complete && !met,
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (met && failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        (met && target, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
    ];
    let broken = rules.iter().filter(|(broken, _)| *broken).map(|(_, text)| (*text).to_owned());
    let disabled = ["Failed", "Complete", "FailureTarget"]
        .iter()
        .filter(|kind| is_true(old, kind) && !is_true(new, kind))
        .map(|kind| format!("cannot disable the terminal {kind}=True condition"));
    let met_gone = (is_true(old, "SuccessCriteriaMet") && !met)
        .then(|| "cannot disable the SuccessCriteriaMet=True condition".to_owned());
    out.extend(broken.chain(disabled).chain(met_gone).map(|text| {
        Cause::new(CauseReason::FieldValueInvalid, "status.conditions", format!("Invalid value: {text}"))
    }));
}

fn counters(out: &mut Causes, job: &Value, status: &Place<'_>, before: &Place<'_>) {
    let count = |at: &Place<'_>, field: &str| at.int(field).unwrap_or(0);
    let finished = is_true(job, "Complete") || is_true(job, "Failed");
    let mut rules = vec![
        (finished && count(status, "active") > 0, "active", "active>0 is invalid for finished job"),
        (
            finished && count(status, "terminating") > 0,
            "terminating",
            "terminating>0 is invalid for finished job",
        ),
        (
            status.has("ready") && count(status, "ready") > count(status, "active"),
            "ready",
            "cannot set more ready pods than active",
        ),
    ];
    let indexed = lookup(job, "spec.completionMode") == "Indexed";
    let elastic = indexed && lookup(job, "spec.completions") == lookup(job, "spec.parallelism");
    for (field, message) in [
        ("failed", "cannot decrease the failed counter"),
        ("succeeded", "cannot decrease the succeeded counter"),
    ] {
        // Jobs whose completions and parallelism go together may lose successes when they are scaled down.
        let may = field == "succeeded" && elastic;
        rules.push((!may && count(status, field) < count(before, field), field, message));
    }
    for (_, field, message) in rules.iter().filter(|(broken, _, _)| *broken) {
        out.push(Cause::invalid(status.of(field), &Value::from(count(status, field)), message));
    }
    indexes(out, job, status, before, indexed);
}

/// Indexes that changed: those of a job that was scaled down may be too large until it is looked at again.
fn indexes(out: &mut Causes, job: &Value, status: &Place<'_>, before: &Place<'_>, indexed: bool) {
    let completions = lookup(job, "spec.completions").as_i64();
    let per_index = !lookup(job, "spec.backoffLimitPerIndex").is_null();
    let (completed, failed) = (status.field("completedIndexes"), status.field("failedIndexes"));
    let changed = |field: &str| status.field(field).value != before.field(field).value;
    let (new_completed, new_failed) = (changed("completedIndexes"), changed("failedIndexes"));
    let parsed = |out: &mut Causes, at: &Place<'_>, name: &str| {
        let Some(Err(why)) = completions.map(|completions| count_indexes(at.as_text(), completions)) else {
            return;
        };
        out.push(Cause::invalid(&at.path, at.value, &format!("error parsing {name}: {why}")));
    };
    if new_completed && !completed.value.is_null() {
        parsed(out, &completed, "completedIndexes");
    }
    if new_failed && per_index && !failed.value.is_null() {
        parsed(out, &failed, "failedIndexes");
    }
    if new_completed && !indexed && !completed.as_text().is_empty() {
        let message = "cannot set non-empty completedIndexes when non-indexed completion mode";
        out.push(Cause::invalid(&completed.path, completed.value, message));
    }
    if new_failed && !per_index && !failed.value.is_null() {
        let message = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        out.push(Cause::invalid(&failed.path, failed.value, message));
    }
    if let Some(both) = overlap(completed.as_text(), failed.as_text())
        && (new_completed || new_failed)
    {
        let message = format!("failedIndexes and completedIndexes overlap at index: {both}");
        out.push(Cause::invalid(&failed.path, failed.value, &message));
    }
}

/// The first index that two texts such as `1,3-5` both name. What cannot be read names none.
fn overlap(a: &str, b: &str) -> Option<i64> {
    let ranges = |text: &str| -> Vec<(i64, i64)> {
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some((from.parse().ok()?, to.parse().ok()?))
        };
        text.split(',').filter_map(range).collect()
    };
    let (a, b) = (ranges(a), ranges(b));
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a.0 <= b.1 && b.0 <= a.1).map(|(a, b)| a.0.max(b.0)).min()
}

/// Pods that are gone and not counted yet: each is there once.
fn uncounted(out: &mut Causes, status: &Place<'_>) {
    let pods = status.field("uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for pod in ["succeeded", "failed"].into_iter().flat_map(|list| pods.list(list)) {
        let uid = pod.as_text();
        if uid.is_empty() {
            out.push(Cause::invalid(&pod.path, &Value::from(""), "must not be empty"));
        } else if seen.contains(&uid) {
            out.push(Cause::duplicate(&pod.path, pod.value));
        }
        seen.push(uid);
    }
}

fn times(out: &mut Causes, job: &Value, status: &Place<'_>, before: &Place<'_>) {
    let complete = is_true(job, "Complete");
    let (start, end) = (status.field("startTime"), status.field("completionTime"));
    if !end.value.is_null() && !complete {
        let message = "cannot set completionTime when there is no Complete=True condition";
        out.push(Cause::invalid(&end.path, end.value, message));
    }
    if end.value.is_null() && complete {
        out.push(Cause::required(&end.path, "completionTime is required for Complete jobs"));
    }
    // Who is suspended and has nothing to do is finished without having started.
    let never_started = lookup(job, "spec.suspend") == true && lookup(job, "spec.completions") == 0;
    if start.value.is_null() && (complete || is_true(job, "Failed")) && !never_started {
        out.push(Cause::required(&start.path, "startTime is required for finished job"));
    }
    let time = |at: &Place<'_>| at.as_text().parse::<jiff::Timestamp>().ok();
    if let (Some(start), Some(ended)) = (time(&start), time(&end))
        && ended < start
    {
        out.push(Cause::invalid(&end.path, end.value, "must be equal to or after `startTime`"));
    }
    let (old_start, old_end) = (before.field("startTime"), before.field("completionTime"));
    if !old_end.value.is_null() && !end.value.is_null() && time(&old_end) != time(&end) {
        out.push(Cause::invalid(&end.path, end.value, "field is immutable"));
    }
    let suspended = lookup(job, "spec.suspend") == true;
    if !old_start.value.is_null() && time(&old_start) != time(&start) && !suspended {
        let message = "field is immutable for unsuspended job once set";
        out.push(Cause::invalid(&start.path, start.value, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(spec: &Value, status: &Value, before: &Value) -> Vec<String> {
        let (new, old) = (json!({"spec": spec, "status": status}), json!({"spec": spec, "status": before}));
        validate(&new, &old).into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn indexes_that_changed_are_checked() {
        let indexed = json!({"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 1});
        let plain = json!({"completions": 3});
        let none = json!({});
        for (spec, status, before, wrong) in [
            (&indexed, json!({"completedIndexes": "0-1", "failedIndexes": "2"}), &none, vec![]),
            (&indexed, json!({"completedIndexes": "0-5"}), &none, vec!["status.completedIndexes"]),
            (&indexed, json!({"completedIndexes": "0-5"}), &json!({"completedIndexes": "0-5"}), vec![]),
            (
                &indexed,
                json!({"completedIndexes": "0-1", "failedIndexes": "1"}),
                &none,
                vec!["status.failedIndexes"],
            ),
            (&plain, json!({"completedIndexes": "0"}), &none, vec!["status.completedIndexes"]),
            (&plain, json!({"failedIndexes": ""}), &none, vec!["status.failedIndexes"]),
        ] {
            assert_eq!(fields(spec, &status, before), wrong, "{spec} {status}");
        }
    }

    #[test]
    fn counts_only_grow_unless_a_job_is_elastic() {
        let elastic = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2});
        let fixed = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 1});
        let before = json!({"succeeded": 2});
        assert_eq!(fields(&elastic, &json!({"succeeded": 1}), &before), [""; 0]);
        assert_eq!(fields(&fixed, &json!({"succeeded": 1}), &before), ["status.succeeded"]);
        let gone =
            json!({"succeeded": 2, "uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}});
        assert_eq!(
            fields(&fixed, &gone, &before),
            ["status.uncountedTerminatedPods.succeeded[1]", "status.uncountedTerminatedPods.failed[0]"]
        );
    }
}
