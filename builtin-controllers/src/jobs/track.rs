//! The status of a job, and which of its pods have been counted (KEP-2307).
//!
//! A pod that ended is counted in two steps, so that it counts once whatever fails between: its UID goes into
//! `status.uncountedTerminatedPods`, its finalizer goes, then the UID becomes a number.

use super::assess::{Assessment, Ending, uncounted};
use crate::events::Severity;
use api_types::condition::whole_seconds;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// How many pods are counted in one step: the status has their UIDs meanwhile.
const AT_ONCE: usize = 500;

/// An event about the job.
pub(super) type Told = (Severity, String, String);

/// The pods that there are after the step's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) active: i64,
    pub(super) ready: i64,
    pub(super) ending: i64,
}

/// A status in the making.
#[derive(Debug)]
pub(super) struct Tracking<'a> {
    status: Map<String, Value>,
    ending: Option<Ending>,
    counts: Counts,
    /// Pods whose finalizer goes once the status is written.
    pub(super) release: Vec<&'a Value>,
    /// There are more pods to count than fit in a step.
    is_partial: bool,
    /// Pods that are not counted yet.
    waiting: HashSet<&'a str>,
    pub(super) events: Vec<Told>,
    now: Timestamp,
}

fn set_count(status: &mut Map<String, Value>, field: &str, count: i64) {
    if count == 0 {
        status.remove(field);
    } else {
        status.insert(field.to_owned(), count.into());
    }
}

fn count_of(status: &Map<String, Value>, field: &str) -> i64 {
    status.get(field).and_then(Value::as_i64).unwrap_or(0)
}

/// Sets a condition; true when it changed. One that never was does not become false.
fn put(
    status: &mut Map<String, Value>,
    kind: &str,
    holds: bool,
    (reason, message): (&str, &str),
    now: Timestamp,
) -> bool {
    let word = if holds { "True" } else { "False" };
    let time = whole_seconds(now);
    let new = json!({"type": kind, "status": word, "reason": reason, "message": message,
        "lastProbeTime": time, "lastTransitionTime": time});
    let mut all = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    match all.iter_mut().find(|condition| condition["type"] == kind) {
        Some(old) if ["status", "reason", "message"].iter().all(|field| old[*field] == new[*field]) => {
            return false;
        }
        Some(old) => *old = new,
        None if !holds => return false,
        None => all.push(new),
    }
    status.insert("conditions".to_owned(), all.into());
    true
}

/// The first status of a step. `managed`: the step may say whether the job is suspended.
pub(super) fn track<'a>(
    state: &Assessment<'a>,
    ending: Option<Ending>,
    managed: bool,
    counts: Counts,
) -> Tracking<'a> {
    let job = &state.job;
    let mut status = job.value["status"].as_object().cloned().unwrap_or_default();
    status.retain(|_, value| !value.is_null());
    if job.start().is_none() && !job.suspended {
        status.insert("startTime".to_owned(), whole_seconds(state.now).into());
    }
    let waiting: HashSet<&str> = state.pods.iter().filter(|pod| pod.tracked).map(|pod| pod.uid).collect();
    let mut tracking = Tracking {
        status,
        ending,
        counts,
        release: Vec::new(),
        is_partial: false,
        waiting,
        events: Vec::new(),
        now: state.now,
    };
    if managed {
        tracking.suspension(job.suspended);
    }
    set_count(&mut tracking.status, "active", counts.active);
    tracking.status.insert("ready".to_owned(), counts.ready.into());
    tracking.status.insert("terminating".to_owned(), counts.ending.into());
    tracking.settle();
    tracking.count(state);
    tracking.announce();
    tracking
}

impl<'a> Tracking<'a> {
    /// The status to write.
    pub(super) fn status(&self) -> Value {
        Value::Object(self.status.clone())
    }

    fn suspension(&mut self, suspended: bool) {
        let (reason, message, event) = if suspended {
            ("JobSuspended", "Job suspended", "Suspended")
        } else {
            ("JobResumed", "Job resumed", "Resumed")
        };
        if !put(&mut self.status, "Suspended", suspended, (reason, message), self.now) {
            return;
        }
        self.events.push((Severity::Normal, event.to_owned(), message.to_owned()));
        // Time counts from the last start.
        if suspended {
            self.status.remove("startTime");
        } else {
            self.status.insert("startTime".to_owned(), whole_seconds(self.now).into());
        }
    }

    /// UIDs of pods that lost their finalizer become numbers.
    fn settle(&mut self) {
        let mut lists = Map::new();
        for outcome in ["succeeded", "failed"] {
            let known = self.status.get("uncountedTerminatedPods").map(|all| &all[outcome]);
            let known = known.and_then(Value::as_array).cloned().unwrap_or_default();
            let before = known.len();
            let rest: Vec<Value> = known
                .into_iter()
                .filter(|uid| uid.as_str().is_some_and(|uid| self.waiting.contains(uid)))
                .collect();
            let counted = i64::try_from(before - rest.len()).unwrap_or(0);
            let total = count_of(&self.status, outcome) + counted;
            set_count(&mut self.status, outcome, total);
            if !rest.is_empty() {
                lists.insert(outcome.to_owned(), rest.into());
            }
        }
        self.status.insert("uncountedTerminatedPods".to_owned(), Value::Object(lists));
    }

    fn has_uncounted(&self) -> bool {
        self.status["uncountedTerminatedPods"].as_object().is_some_and(|lists| !lists.is_empty())
    }

    /// Counts pods that ended, up to [`AT_ONCE`].
    fn count(&mut self, state: &Assessment<'a>) {
        let job = &state.job;
        let known = [uncounted(job.value, "succeeded"), uncounted(job.value, "failed")];
        let fails_all = self.ending.as_ref().is_some_and(|ending| !ending.success);
        let (mut lists, mut new_indexes) = ([Vec::new(), Vec::new()], Vec::new());
        let earlier = self.status["uncountedTerminatedPods"].clone();
        let mut size: usize =
            ["succeeded", "failed"].iter().map(|list| earlier[*list].as_array().map_or(0, Vec::len)).sum();
        for pod in state.pods.iter().filter(|pod| pod.tracked) {
            let is_held = pod.index.and_then(|index| state.held.get(&index)).is_some_and(|held| {
                // The pod itself, not one that is like it.
                std::ptr::eq(*held, pod.value)
            });
            let may_go = job.deleting || self.ending.is_some() || pod.succeeded || (pod.failed && !is_held);
            if !may_go {
                continue;
            }
            self.release.push(pod.value);
            if pod.succeeded && !known[1].contains(pod.uid) {
                if job.indexed {
                    let is_new = job.has_index(pod.index)
                        && pod.index.is_some_and(|index| !state.completed_before.has(index));
                    if is_new {
                        new_indexes.extend(pod.index);
                        size += 1;
                    }
                } else if !known[0].contains(pod.uid) {
                    lists[0].push(Value::from(pod.uid));
                    size += 1;
                }
            } else if pod.failed || fails_all {
                let is_new = !known[1].contains(pod.uid)
                    && (!job.indexed || job.has_index(pod.index))
                    && job.counts(pod);
                if is_new {
                    lists[1].push(Value::from(pod.uid));
                    size += 1;
                }
            }
            if size >= AT_ONCE {
                // The rest comes with the events of this step's writes.
                self.is_partial = true;
                break;
            }
        }
        for (outcome, list) in ["succeeded", "failed"].iter().zip(lists) {
            if !list.is_empty() {
                let mut all = earlier[*outcome].as_array().cloned().unwrap_or_default();
                all.extend(list);
                self.status["uncountedTerminatedPods"][*outcome] = all.into();
            }
        }
        if job.indexed {
            let completed = state.completed_before.with(new_indexes);
            set_count(&mut self.status, "succeeded", completed.count());
            match completed.to_string() {
                none if none.is_empty() => self.status.remove("completedIndexes"),
                text => self.status.insert("completedIndexes".to_owned(), text.into()),
            };
            if let Some(failed) = &state.failed_indexes {
                self.status.insert("failedIndexes".to_owned(), failed.to_string().into());
            }
        }
    }

    /// That the job ends is said before its pods are let go.
    fn announce(&mut self) {
        let Some(ending) = self.ending.as_ref().filter(|ending| !ending.announced) else { return };
        let kind = if ending.success { "SuccessCriteriaMet" } else { "FailureTarget" };
        put(&mut self.status, kind, true, (&ending.reason, &ending.message), self.now);
    }

    /// After the finalizers of [`Tracking::release`] are gone: the last status of the step, and true when the job
    /// has ended with it.
    pub(super) fn finish(&mut self) -> bool {
        for pod in &self.release {
            self.waiting.remove(crate::access::text(pod, "/metadata/uid"));
        }
        self.settle();
        let Some(ending) = self.ending.clone() else { return false };
        if self.is_partial || self.has_uncounted() || self.counts.ending > 0 || self.counts.active > 0 {
            return false;
        }
        let kind = if ending.success { "Complete" } else { "Failed" };
        put(&mut self.status, kind, true, (&ending.reason, &ending.message), self.now);
        if ending.success {
            self.status.insert("completionTime".to_owned(), whole_seconds(self.now).into());
            self.events.push((Severity::Normal, "Completed".to_owned(), "Job completed".to_owned()));
        } else {
            self.events.push((Severity::Warning, ending.reason, ending.message));
        }
        true
    }
}
