//! What is asked of a job and of its pods.

use super::failure_policy;
use crate::access::{elements, number, text};
use crate::conditions;
use crate::pod_facts;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashSet;

/// On pods that their job has not counted yet.
pub(crate) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Label and annotation of a pod of an indexed job.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often a pod's index failed before it, and how often that did not count (KEP-3850).
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// The value of `spec.managedBy` that names this controller.
const THIS_CONTROLLER: &str = "kubernetes.io/job-controller";

/// True when another controller looks after the job (KEP-4368).
pub(super) fn is_managed_elsewhere(job: &Value) -> bool {
    !matches!(text(job, "/spec/managedBy"), "" | THIS_CONTROLLER)
}

/// The condition that ended the job, and since when.
pub(crate) fn finished(job: &Value) -> Option<(&Value, Option<Timestamp>)> {
    let mut all = elements(job, "/status/conditions").iter();
    let end = all.find(|c| matches!(text(c, "/type"), "Complete" | "Failed") && c["status"] == "True")?;
    Some((end, conditions::time(&end["lastTransitionTime"])))
}

/// A job as it is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub(super) value: &'a Value,
    pub(super) parallelism: i64,
    pub(super) completions: Option<i64>,
    pub(super) backoff_limit: i64,
    pub(super) backoff_limit_per_index: Option<i64>,
    pub(super) indexed: bool,
    pub(super) suspended: bool,
    pub(super) deleting: bool,
    pub(super) failure_policy: Option<&'a Value>,
    /// A pod is replaced when it has failed, not already while it is ending.
    pub(super) replaces_failed_only: bool,
}

impl<'a> Job<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        let failure_policy = Some(&value["spec"]["podFailurePolicy"]).filter(|policy| policy.is_object());
        Job {
            value,
            parallelism: number(value, "/spec/parallelism").unwrap_or(1),
            completions: number(value, "/spec/completions"),
            backoff_limit: number(value, "/spec/backoffLimit").unwrap_or(6),
            backoff_limit_per_index: number(value, "/spec/backoffLimitPerIndex"),
            indexed: text(value, "/spec/completionMode") == "Indexed",
            suspended: value["spec"]["suspend"] == true,
            deleting: pod_facts::is_deleting(value),
            failure_policy,
            replaces_failed_only: failure_policy.is_some()
                || text(value, "/spec/podReplacementPolicy") == "Failed",
        }
    }

    pub(super) fn start(&self) -> Option<Timestamp> {
        conditions::time(&self.value["status"]["startTime"])
    }

    /// True for an index that the job has.
    pub(super) fn has_index(&self, index: Option<i64>) -> bool {
        index.is_some_and(|index| index < self.completions.unwrap_or(0))
    }

    /// A failed pod counts against the limits.
    pub(super) fn counts(&self, pod: &Pod<'_>) -> bool {
        self.failure_policy.is_none_or(|policy| failure_policy::apply(policy, pod.value).counts)
    }
}

/// One pod of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'a> {
    pub(super) value: &'a Value,
    pub(super) uid: &'a str,
    pub(super) index: Option<i64>,
    /// It still waits to be counted.
    pub(super) tracked: bool,
    pub(super) succeeded: bool,
    /// It failed, or is going without ever having ended.
    pub(super) failed: bool,
    pub(super) active: bool,
    /// It was told to end, and has not yet.
    pub(super) ending: bool,
    pub(super) ready: bool,
}

impl<'a> Pod<'a> {
    /// `released`: pods whose finalizer was taken away already, though the list may not show it.
    pub(super) fn new(job: &Job<'_>, value: &'a Value, released: &HashSet<String>) -> Self {
        let uid = text(value, "/metadata/uid");
        let phase = text(value, "/status/phase");
        let deleting = pod_facts::is_deleting(value);
        let succeeded = phase == "Succeeded";
        Pod {
            value,
            uid,
            index: completion_index(value),
            tracked: has_finalizer(value) && !released.contains(uid),
            succeeded,
            failed: phase == "Failed" || (deleting && !succeeded && !job.replaces_failed_only),
            active: pod_facts::is_active(value),
            ending: deleting && !pod_facts::has_ended(value),
            ready: pod_facts::is_ready(value),
        }
    }
}

/// True for a pod that its job has not counted yet.
pub(super) fn has_finalizer(pod: &Value) -> bool {
    elements(pod, "/metadata/finalizers").iter().any(|finalizer| finalizer == FINALIZER)
}

fn annotation<'a>(pod: &'a Value, key: &str) -> &'a str {
    pod["metadata"]["annotations"][key].as_str().unwrap_or("")
}

fn completion_index(pod: &Value) -> Option<i64> {
    annotation(pod, INDEX).parse().ok().filter(|index| *index >= 0)
}

/// How often the index had failed before this pod: failures that count, and others.
pub(super) fn earlier_failures(pod: &Value) -> (i64, i64) {
    let count = |key| i64::from(annotation(pod, key).parse::<i32>().unwrap_or(0).max(0));
    (count(FAILURES), count(IGNORED_FAILURES))
}

/// When a pod ended: its last container, else when it stopped being ready, else when it was told to end, else when
/// it was created.
pub(super) fn finished_at(pod: &Value) -> Option<Timestamp> {
    by_containers(pod)
        .or_else(|| {
            let ready = conditions::find(elements(pod, "/status/conditions"), "Ready")?;
            (ready["status"] == "False").then(|| conditions::time(&ready["lastTransitionTime"])).flatten()
        })
        .or_else(|| {
            let deletion = conditions::time(&pod["metadata"]["deletionTimestamp"])?;
            let grace = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
            deletion.checked_sub(SignedDuration::from_secs(grace)).ok()
        })
        .or_else(|| conditions::time(&pod["metadata"]["creationTimestamp"]))
}

/// The end of the last container, when all have ended. Sidecars end later than the others.
fn by_containers(pod: &Value) -> Option<Timestamp> {
    let is_sidecar = |status: &&Value| {
        elements(pod, "/spec/initContainers")
            .iter()
            .any(|spec| spec["name"] == status["name"] && spec["restartPolicy"] == "Always")
    };
    let sidecars = elements(pod, "/status/initContainerStatuses").iter().filter(is_sidecar);
    let all = elements(pod, "/status/containerStatuses").iter().chain(sidecars);
    let ends: Option<Vec<Timestamp>> =
        all.map(|status| conditions::time(&status["state"]["terminated"]["finishedAt"])).collect();
    ends?.into_iter().max()
}
