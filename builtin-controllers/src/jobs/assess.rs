//! How a job stands: what its pods came to, and whether it ends.

use super::backoff::Backoff;
use super::facts::{Job, Pod, earlier_failures, finished_at};
use super::indexes::Indexes;
use super::{failure_policy, success_policy};
use crate::access::{elements, number, text};
use crate::conditions;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Why a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) success: bool,
    /// Its first condition (`SuccessCriteriaMet`, `FailureTarget`) is in the status already.
    pub(super) announced: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Ending {
    fn new(success: bool, reason: &str, message: impl Into<String>) -> Self {
        Ending { success, announced: false, reason: reason.to_owned(), message: message.into() }
    }

    fn failure(reason: &str, message: &str) -> Self {
        Self::new(false, reason, message)
    }

    /// All completions are there.
    pub(super) fn complete() -> Self {
        Self::new(true, "CompletionsReached", "Reached expected number of succeeded pods")
    }
}

/// How a job stands.
#[derive(Debug)]
pub(super) struct Assessment<'a> {
    pub(super) job: Job<'a>,
    pub(super) pods: Vec<Pod<'a>>,
    pub(super) succeeded: i64,
    /// Indexes that the status had as completed, and those that are now.
    pub(super) completed_before: Indexes,
    pub(super) completed: Indexes,
    /// With `backoffLimitPerIndex` only.
    pub(super) failed_indexes: Option<Indexes>,
    /// By index: the failed pod that is kept until its replacement has taken over its count of failures.
    pub(super) held: BTreeMap<i64, &'a Value>,
    pub(super) backoff: Backoff,
    pub(super) ending: Option<Ending>,
    /// When `activeDeadlineSeconds` passes.
    pub(super) deadline: Option<Duration>,
    pub(super) now: Timestamp,
}

/// Pods that are counted in the status but not in its numbers yet.
pub(super) fn uncounted<'a>(job: &'a Value, outcome: &str) -> HashSet<&'a str> {
    let list = job["status"]["uncountedTerminatedPods"][outcome].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Assesses a job by the pods that it owns. `released` are pods that lost their finalizer, whatever the list shows.
pub(super) fn assess<'a>(
    job: &'a Value,
    pods: &'a [Value],
    released: &HashSet<String>,
    backoff: Backoff,
    now: Timestamp,
) -> Assessment<'a> {
    let job = Job::new(job);
    let mut pods: Vec<Pod<'_>> = pods.iter().map(|pod| Pod::new(&job, pod, released)).collect();
    // Indexes are completed in order.
    pods.sort_by_key(|pod| pod.index);
    let (succeeded, failed) = (uncounted(job.value, "succeeded"), uncounted(job.value, "failed"));
    let is_new = |pod: &&Pod<'_>, known: &HashSet<&str>| {
        pod.tracked && !known.contains(pod.uid) && (!job.indexed || job.has_index(pod.index))
    };
    let new_succeeded: Vec<&Pod<'_>> =
        pods.iter().filter(|pod| pod.succeeded && is_new(pod, &succeeded)).collect();
    let new_failed: Vec<&Pod<'_>> = pods.iter().filter(|pod| pod.failed && is_new(pod, &failed)).collect();
    let count = |list: usize| i64::try_from(list).unwrap_or(i64::MAX);
    let status = |field: &str| number(job.value, &format!("/status/{field}")).unwrap_or(0);
    let all_failed = status("failed")
        + count(new_failed.iter().filter(|pod| job.counts(pod)).count())
        + count(failed.len());
    let backoff = backoff.after(&new_succeeded, &new_failed);
    let mut all_succeeded = status("succeeded") + count(new_succeeded.len()) + count(succeeded.len());

    let completions = job.completions.unwrap_or(0);
    let completed_before = Indexes::parse(text(job.value, "/status/completedIndexes"), completions);
    let valid = || pods.iter().filter(|pod| pod.tracked && job.has_index(pod.index));
    let completed = completed_before.with(valid().filter(|pod| pod.succeeded).filter_map(|pod| pod.index));
    let failed_indexes = job.backoff_limit_per_index.filter(|_| job.indexed).map(|limit| {
        let before = Indexes::parse(text(job.value, "/status/failedIndexes"), completions);
        before.with(valid().filter(|pod| is_last_try(&job, pod, limit)).filter_map(|pod| pod.index))
    });
    if job.indexed {
        all_succeeded = completed.count();
    }
    let mut assessment = Assessment {
        succeeded: all_succeeded,
        held: BTreeMap::new(),
        ending: None,
        deadline: None,
        job,
        completed_before,
        completed,
        failed_indexes,
        backoff,
        now,
        pods,
    };
    assessment.ending = assessment.ending(all_failed);
    assessment.deadline = assessment.until_deadline();
    assessment.hold();
    assessment
}

/// True when the failure of this pod makes its index fail.
fn is_last_try(job: &Job<'_>, pod: &Pod<'_>, limit: i64) -> bool {
    if !pod.failed {
        return false;
    }
    let verdict = job.failure_policy.map(|policy| failure_policy::apply(policy, pod.value));
    let (fails, counts) = verdict.map_or((false, true), |verdict| (verdict.fails_index, verdict.counts));
    fails || (counts && earlier_failures(pod.value).0 >= limit)
}

impl Assessment<'_> {
    /// What has been decided before stays; then failures go before successes.
    fn ending(&self, failed: i64) -> Option<Ending> {
        self.announced()
            .or_else(|| self.failed_by_policy())
            .or_else(|| self.failed_by_limits(failed))
            .or_else(|| self.failed_by_indexes())
            .or_else(|| self.succeeded_by_policy())
    }

    fn announced(&self) -> Option<Ending> {
        let all = elements(self.job.value, "/status/conditions");
        [("SuccessCriteriaMet", true), ("FailureTarget", false)].into_iter().find_map(|(kind, success)| {
            let condition = conditions::find(all, kind).filter(|condition| condition["status"] == "True")?;
            let mut ending = Ending::new(success, text(condition, "/reason"), text(condition, "/message"));
            ending.announced = true;
            Some(ending)
        })
    }

    fn failed_by_policy(&self) -> Option<Ending> {
        let policy = self.job.failure_policy?;
        let mut failed = self.pods.iter().filter(|pod| pod.failed);
        let why = failed.find_map(|pod| failure_policy::apply(policy, pod.value).fails_job)?;
        Some(Ending::failure("PodFailurePolicy", &why))
    }

    fn failed_by_limits(&self, failed: i64) -> Option<Ending> {
        if failed > self.job.backoff_limit || self.restarted_too_often() {
            let message = "Job has reached the specified backoff limit";
            return Some(Ending::failure("BackoffLimitExceeded", message));
        }
        let is_past = self.until_deadline().is_some_and(|rest| rest.is_zero());
        let message = "Job was active longer than specified deadline";
        is_past.then(|| Ending::failure("DeadlineExceeded", message))
    }

    /// With `restartPolicy: OnFailure`, restarts count as failures.
    fn restarted_too_often(&self) -> bool {
        if text(self.job.value, "/spec/template/spec/restartPolicy") != "OnFailure" {
            return false;
        }
        let running =
            self.pods.iter().filter(|pod| matches!(text(pod.value, "/status/phase"), "Running" | "Pending"));
        let restarts: i64 = running
            .flat_map(|pod| {
                ["/status/initContainerStatuses", "/status/containerStatuses"]
                    .iter()
                    .flat_map(|list| elements(pod.value, list))
            })
            .filter_map(|status| number(status, "/restartCount"))
            .sum();
        restarts > 0 && restarts >= self.job.backoff_limit
    }

    /// How long the job may still be active; `None`: there is no limit now.
    fn until_deadline(&self) -> Option<Duration> {
        let seconds =
            number(self.job.value, "/spec/activeDeadlineSeconds").filter(|_| !self.job.suspended)?;
        let allowed = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        // A job that starts only now has all of its time.
        let start = self.job.start().unwrap_or(self.now);
        Some(allowed.saturating_sub(Duration::try_from(self.now.duration_since(start)).unwrap_or_default()))
    }

    fn failed_by_indexes(&self) -> Option<Ending> {
        let failed = self.failed_indexes.as_ref()?.count();
        let most = number(self.job.value, "/spec/maxFailedIndexes");
        if most.is_some_and(|most| failed > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(Ending::failure("MaxFailedIndexesExceeded", message));
        }
        let all_ended = failed + self.completed.count() >= self.job.completions.unwrap_or(0);
        (failed > 0 && all_ended).then(|| Ending::failure("FailedIndexes", "Job has failed indexes"))
    }

    fn succeeded_by_policy(&self) -> Option<Ending> {
        let policy = Some(&self.job.value["spec"]["successPolicy"]).filter(|_| self.job.indexed)?;
        let why = success_policy::met(policy, self.job.completions.unwrap_or(0), &self.completed)?;
        Some(Ending::new(true, "SuccessPolicy", why))
    }

    /// Finds the failed pods that wait for their replacement: the last of each index that is to be tried again.
    fn hold(&mut self) {
        let Some(failed_indexes) = &self.failed_indexes else { return };
        let active: HashSet<i64> =
            self.pods.iter().filter(|pod| pod.active).filter_map(|pod| pod.index).collect();
        for pod in self.pods.iter().filter(|pod| pod.tracked && pod.failed && self.job.has_index(pod.index)) {
            let Some(index) = pod.index else { continue };
            if self.completed.has(index) || failed_indexes.has(index) || active.contains(&index) {
                continue;
            }
            let age = |pod: &Value| {
                let (counted, ignored) = earlier_failures(pod);
                (counted + ignored, finished_at(pod))
            };
            let held = self.held.entry(index).or_insert(pod.value);
            if age(pod.value) >= age(held) {
                *held = pod.value;
            }
        }
    }
}
