//! Whether a cron job makes a job now, and when it is looked at again.

use super::times::Times;
use crate::access::{elements, number, text};
use crate::conditions;
use crate::events::Severity;
use crate::pod_facts::is_deleting;
use api_resources::cron::{self, Schedule};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// Something to tell: how serious, reason, message.
pub(super) type Told = (Severity, &'static str, String);

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// Make the job of this time.
    pub(super) start: Option<Timestamp>,
    /// Delete the jobs that are still active first.
    pub(super) replace: bool,
    /// Look again after this time; `None`: when the cron job changes.
    pub(super) wait: Option<Duration>,
    pub(super) told: Vec<Told>,
}

impl Decision {
    fn telling(told: Told) -> Self {
        Decision { told: vec![told], ..Decision::default() }
    }
}

/// The name of the job of a time: minutes since 1970.
pub(super) fn job_name(cron_job: &Value, at: Timestamp) -> String {
    format!("{}-{}", text(cron_job, "/metadata/name"), at.as_second() / 60)
}

/// The time zone of a cron job.
pub(super) fn zone_of(cron_job: &Value) -> Result<TimeZone, String> {
    cron::zone(text(cron_job, "/spec/timeZone"))
}

/// Decides, by a status whose active jobs are those of now.
pub(super) fn decide(cron_job: &Value, status: &Value, now: Timestamp) -> Decision {
    if is_deleting(cron_job) {
        return Decision::default();
    }
    let zone = match zone_of(cron_job) {
        Ok(zone) => zone,
        Err(why) => {
            let message = format!("invalid timeZone: {:?}: {why}", text(cron_job, "/spec/timeZone"));
            return Decision::telling((Severity::Warning, "UnknownTimeZone", message));
        }
    };
    if cron_job["spec"]["suspend"] == true {
        return Decision::default();
    }
    let written = text(cron_job, "/spec/schedule");
    let mut told = Vec::new();
    if written.contains("TZ") {
        told.push((Severity::Warning, "UnsupportedSchedule", format!("CRON_TZ or TZ used in schedule {written:?} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")));
    }
    let schedule = match Schedule::parse(written) {
        Ok(schedule) => schedule,
        Err(why) => {
            let message = format!("unparseable schedule: {written:?} : {why}");
            told.push((Severity::Warning, "UnparseableSchedule", message));
            return Decision { told, ..Decision::default() };
        }
    };
    let last = conditions::time(&status["lastScheduleTime"]);
    let created = || conditions::time(&cron_job["metadata"]["creationTimestamp"]);
    let times = Times {
        schedule: &schedule,
        zone: &zone,
        since: last.or_else(created).unwrap_or(now),
        deadline: number(cron_job, "/spec/startingDeadlineSeconds").map(SignedDuration::from_secs),
    };
    let missed = match times.missed(now) {
        Ok(missed) => missed,
        Err(why) => {
            let message = format!("invalid schedule: {written} : {why}");
            told.push((Severity::Warning, "InvalidSchedule", message));
            return Decision { told, ..Decision::default() };
        }
    };
    let mut decision = Decision { told, ..Decision::default() };
    if let Some(due) = missed.latest {
        if missed.too_many() {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            decision.told.push((Severity::Warning, "TooManyMissedTimes", message.to_owned()));
        }
        start(&mut decision, cron_job, status, &times, due, now);
    }
    // What has been started counts as done.
    let since = decision.start.unwrap_or(times.since);
    decision.wait = Times { since, ..times }.wait(now);
    decision
}

/// Decides on a time that is due.
fn start(
    decision: &mut Decision,
    cron_job: &Value,
    status: &Value,
    times: &Times<'_>,
    due: Timestamp,
    now: Timestamp,
) {
    let too_late =
        times.deadline.and_then(|deadline| due.checked_add(deadline).ok()).is_some_and(|end| end < now);
    if too_late {
        let due = due.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
        let message = format!("Missed scheduled time to start a job: {due}");
        decision.told.push((Severity::Warning, "MissSchedule", message));
        return;
    }
    let active = elements(status, "/active");
    let name = job_name(cron_job, due);
    let done = active.iter().any(|job| job["name"] == name.as_str())
        || conditions::time(&status["lastScheduleTime"]) == Some(due);
    if done {
        return;
    }
    match text(cron_job, "/spec/concurrencyPolicy") {
        "Forbid" if !active.is_empty() => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            decision.told.push((Severity::Normal, "JobAlreadyActive", message.to_owned()));
            return;
        }
        "Replace" => decision.replace = true,
        _ => {}
    }
    decision.start = Some(due);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-07-09T10:00:30Z";

    /// Reasons, what is started (and `!` when others are replaced), seconds to wait.
    fn decided(changes: Value, status: Value) -> (Vec<&'static str>, String, Option<u64>) {
        let mut cron_job = json!({"metadata": {"name": "c", "creationTimestamp": "2026-07-09T09:30:00Z"},
            "spec": {"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "suspend": false}});
        for (pointer, value) in changes.as_object().unwrap() {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            cron_job.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        let decision = decide(&cron_job, &status, NOW.parse().unwrap());
        let mark = if decision.replace { "!" } else { "" };
        let start = decision.start.map(|at| format!("{}{mark}", job_name(&cron_job, at))).unwrap_or_default();
        (
            decision.told.iter().map(|(_, reason, _)| *reason).collect(),
            start,
            decision.wait.map(|wait| wait.as_secs()),
        )
    }

    #[test]
    fn what_is_started() {
        let (started, nothing) = ("c-29726520", "");
        let active = json!({"active": [{"name": "c-1"}]});
        let next = Some(59 * 60 + 30);
        for (changes, status, told, start, wait) in [
            (json!({}), json!({}), vec![], started, next),
            (json!({}), json!({"lastScheduleTime": "2026-07-09T10:00:00Z"}), vec![], nothing, next),
            (json!({}), json!({"active": [{"name": started}]}), vec![], nothing, next),
            (json!({}), active.clone(), vec![], started, next),
            (json!({"/spec/concurrencyPolicy": "Forbid"}), json!({}), vec![], started, next),
            (
                json!({"/spec/concurrencyPolicy": "Forbid"}),
                active.clone(),
                vec!["JobAlreadyActive"],
                nothing,
                next,
            ),
            (json!({"/spec/concurrencyPolicy": "Replace"}), active, vec![], "c-29726520!", next),
            (json!({"/spec/startingDeadlineSeconds": 31}), json!({}), vec![], started, next),
            (json!({"/spec/startingDeadlineSeconds": 30}), json!({}), vec![], nothing, next),
            (json!({"/spec/suspend": true}), json!({}), vec![], nothing, None),
            (json!({"/metadata/deletionTimestamp": NOW}), json!({}), vec![], nothing, None),
            (json!({"/spec/timeZone": "Mars/Base"}), json!({}), vec!["UnknownTimeZone"], nothing, None),
            // Half past in India is the full hour of UTC.
            (json!({"/spec/timeZone": "Asia/Kolkata"}), json!({}), vec![], nothing, Some(29 * 60 + 30)),
            (json!({"/spec/schedule": "every day"}), json!({}), vec!["UnparseableSchedule"], nothing, None),
            (json!({"/spec/schedule": "0 0 31 2 *"}), json!({}), vec!["InvalidSchedule"], nothing, None),
            (
                json!({"/spec/schedule": "TZ=UTC 0 * * * *"}),
                json!({}),
                vec!["UnsupportedSchedule"],
                started,
                next,
            ),
            (
                json!({"/metadata/creationTimestamp": "2026-07-01T09:30:00Z"}),
                json!({}),
                vec!["TooManyMissedTimes"],
                started,
                next,
            ),
        ] {
            assert_eq!(
                decided(changes.clone(), status.clone()),
                (told, start.to_owned(), wait),
                "{changes} {status}"
            );
        }
    }

    #[test]
    fn a_start_that_is_too_late_is_told_of() {
        let mut decision = Decision::default();
        let schedule = Schedule::parse("0 * * * *").unwrap();
        let due: Timestamp = "2026-07-09T10:00:00Z".parse().unwrap();
        let deadline = Some(SignedDuration::from_secs(10));
        let times = Times { schedule: &schedule, zone: &TimeZone::UTC, since: due, deadline };
        start(&mut decision, &json!({}), &json!({}), &times, due, NOW.parse().unwrap());
        let message = "Missed scheduled time to start a job: Thu, 09 Jul 2026 10:00:00 +0000";
        assert_eq!(decision, Decision::telling((Severity::Warning, "MissSchedule", message.to_owned())));
    }
}
