//! The jobs of a cron job: what its status says of them, which of the finished ones go, how a new one looks.

use super::decide::Told;
use crate::access::{elements, number, text};
use crate::claims::controller_reference;
use crate::conditions;
use crate::events::Severity;
use crate::jobs::finished;
use crate::pod_facts::is_deleting;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What refers to a job in `status.active`.
pub(super) fn reference(job: &Value) -> Value {
    let meta = &job["metadata"];
    json!({"apiVersion": "batch/v1", "kind": "Job", "namespace": meta["namespace"], "name": meta["name"],
        "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]})
}

/// Takes a job out of `status.active`; true when it was there.
pub(super) fn forget(status: &mut Value, uid: &str) -> bool {
    let Some(active) = status["active"].as_array_mut() else { return false };
    let before = active.len();
    active.retain(|job| job["uid"] != uid);
    let found = active.len() != before;
    if active.is_empty()
        && let Some(fields) = status.as_object_mut()
    {
        fields.remove("active");
    }
    found
}

fn is_complete(job: &Value) -> bool {
    conditions::holds(elements(job, "/status/conditions"), "Complete")
}

/// Takes what became of the jobs into the status; what there is to tell.
pub(super) fn observe(status: &mut Value, jobs: &[Value]) -> Vec<Told> {
    let mut told = Vec::new();
    for job in jobs {
        let (name, uid) = (text(job, "/metadata/name"), text(job, "/metadata/uid"));
        let Some((end, _)) = finished(job) else {
            if !elements(status, "/active").iter().any(|active| active["uid"] == uid) {
                let message = format!("Saw a job that the controller did not create or forgot: {name}");
                told.push((Severity::Warning, "UnexpectedJob", message));
            }
            continue;
        };
        if forget(status, uid) {
            let message = format!("Saw completed job: {name}, condition: {}", text(end, "/type"));
            told.push((Severity::Normal, "SawCompletedJob", message));
        }
        let ended = &job["status"]["completionTime"];
        let is_later = conditions::time(ended) > conditions::time(&status["lastSuccessfulTime"]);
        if is_complete(job) && is_later {
            status["lastSuccessfulTime"] = ended.clone();
        }
    }
    told
}

/// The finished jobs that are more than `spec.successfulJobsHistoryLimit` and `spec.failedJobsHistoryLimit`, the first
/// that started first.
pub(super) fn surplus<'a>(cron_job: &Value, jobs: &'a [Value]) -> Vec<&'a Value> {
    let mut surplus = Vec::new();
    for (limit, complete) in [("successfulJobsHistoryLimit", true), ("failedJobsHistoryLimit", false)] {
        let Some(limit) = number(cron_job, &format!("/spec/{limit}")) else { continue };
        let mut ended: Vec<&Value> = jobs
            .iter()
            .filter(|job| finished(job).is_some() && is_complete(job) == complete && !is_deleting(job))
            .collect();
        ended.sort_by_key(|job| {
            // One that never started goes last.
            let start = conditions::time(&job["status"]["startTime"]);
            (Reverse(start.is_some()), start, text(job, "/metadata/name"))
        });
        ended.truncate(ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0)));
        surplus.extend(ended);
    }
    surplus
}

/// The job of a time.
pub(super) fn job(cron_job: &Value, name: &str, at: Timestamp, zone: &TimeZone) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations: Map<String, Value> =
        template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    let local = at.to_zoned(zone.clone());
    let form = if local.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    annotations.insert(SCHEDULED.to_owned(), local.strftime(form).to_string().into());
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"],
        "metadata": {"name": name, "annotations": annotations, "ownerReferences": [controller_reference(cron_job)]}});
    if template["metadata"]["labels"].is_object() {
        job["metadata"]["labels"] = template["metadata"]["labels"].clone();
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(name: &str, condition: &str, second: u8) -> Value {
        let at = format!("2026-07-09T10:00:{second:02}Z");
        json!({"metadata": {"name": name, "uid": name}, "status": {"startTime": at, "completionTime": at,
            "conditions": [{"type": condition, "status": "True"}]}})
    }

    #[test]
    fn the_status_follows_the_jobs() {
        let jobs = [
            ended("late", "Complete", 9),
            ended("early", "Complete", 1),
            ended("bad", "Failed", 10),
            json!({"metadata": {"name": "runs", "uid": "runs"}}),
            json!({"metadata": {"name": "strange", "uid": "strange"}}),
        ];
        let mut status = json!({"active": [{"uid": "late"}, {"uid": "bad"}, {"uid": "runs"}]});
        let told: Vec<String> =
            observe(&mut status, &jobs).into_iter().map(|(_, _, message)| message).collect();
        let expected = [
            "Saw completed job: late, condition: Complete",
            "Saw completed job: bad, condition: Failed",
            "Saw a job that the controller did not create or forgot: strange",
        ];
        assert_eq!(told, expected);
        assert_eq!(
            status,
            json!({"active": [{"uid": "runs"}], "lastSuccessfulTime": "2026-07-09T10:00:09Z"})
        );
        assert!(forget(&mut status, "runs") && status["active"].is_null());
        assert!(!forget(&mut status, "runs"));
    }

    #[test]
    fn the_oldest_of_too_many_go() {
        let mut unstarted = ended("z", "Complete", 0);
        unstarted["status"]["startTime"] = Value::Null;
        let jobs = [
            unstarted,
            ended("b", "Complete", 2),
            ended("a", "Complete", 2),
            ended("c", "Complete", 1),
            ended("f", "Failed", 3),
            ended("g", "Failed", 4),
            json!({"metadata": {"name": "runs"}}),
        ];
        let names = |spec: Value| -> Vec<String> {
            let cron_job = json!({"spec": spec});
            surplus(&cron_job, &jobs).into_iter().map(|job| text(job, "/metadata/name").to_owned()).collect()
        };
        let limits = |complete: u8, failed: u8| json!({"successfulJobsHistoryLimit": complete, "failedJobsHistoryLimit": failed});
        assert_eq!(names(limits(2, 1)), ["c", "a", "f"]);
        assert_eq!(names(limits(0, 9)), ["c", "a", "b", "z"]);
        assert_eq!(names(json!({})), Vec::<String>::new());
    }

    #[test]
    fn a_job_tells_its_time_where_its_cron_job_lives() {
        let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "uid": "u"},
            "spec": {"jobTemplate": {"metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}, "finalizers": ["no/no"]},
                "spec": {"parallelism": 2}}}});
        let at: Timestamp = "2026-07-09T10:00:00Z".parse().unwrap();
        for (zone, told) in [("", "2026-07-09T10:00:00Z"), ("Asia/Kolkata", "2026-07-09T15:30:00+05:30")] {
            let made = job(&cron_job, "c-1", at, &api_resources::cron::zone(zone).unwrap());
            let expected = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 2}, "metadata": {
                "name": "c-1", "labels": {"a": "b"}, "annotations": {"x": "y", SCHEDULED: told},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": "u",
                    "controller": true, "blockOwnerDeletion": true}]}});
            assert_eq!(made, expected);
        }
    }
}
