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
        (count(status, "ready") > count(status, "active"), "ready", "cannot set more ready pods than active"),
    ];
    for (field, message) in [
        ("failed", "cannot decrease the failed counter"),
        ("succeeded", "cannot decrease the succeeded counter"),
    ] {
        // Indexed jobs may lose successes when they are scaled down.
        let may = field == "succeeded" && lookup(job, "spec.completionMode") == "Indexed";
        rules.push((!may && count(status, field) < count(before, field), field, message));
    }
    for (_, field, message) in rules.iter().filter(|(broken, _, _)| *broken) {
        out.push(Cause::invalid(status.of(field), &Value::from(count(status, field)), message));
    }
    let indexed = lookup(job, "spec.completionMode") == "Indexed";
    let completions = lookup(job, "spec.completions").as_i64().unwrap_or(0);
    for field in ["completedIndexes", "failedIndexes"] {
        let Some(indexes) = status.present(field) else { continue };
        if field == "completedIndexes" && !indexed && !indexes.as_text().is_empty() {
            out.push(Cause::invalid(
                &indexes.path,
                indexes.value,
                "cannot set non-empty completedIndexes when non-indexed completion mode",
            ));
        } else if let Err(why) = count_indexes(indexes.as_text(), completions) {
            let message = format!("error parsing {field}: {why}");
            out.push(Cause::invalid(&indexes.path, indexes.value, &message));
        }
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
