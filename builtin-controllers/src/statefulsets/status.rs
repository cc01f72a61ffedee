//! The status of a stateful set.

use super::identity::{self, revision};
use super::plan::State;
use crate::access::{number, text};
use crate::pod_facts::{Availability, availability, is_deleting, is_ready};
use serde_json::Value;

/// Counts of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) all: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    /// Of the revision before the update.
    pub(super) current: i64,
    pub(super) updated: i64,
}

impl Tally {
    pub(super) fn of(state: State<'_>, min_ready: i64) -> Self {
        let mut tally = Tally::default();
        for pod in state.pods {
            let ready = text(pod, "/status/phase") == "Running" && is_ready(pod);
            let available = ready && availability(pod, min_ready, state.now) == Availability::Available;
            let has = |wanted: &str| !is_deleting(pod) && revision(pod) == wanted;
            tally.all += 1;
            tally.ready += i64::from(ready);
            tally.available += i64::from(available);
            tally.current += i64::from(has(&state.current.name));
            tally.updated += i64::from(has(&state.update.name));
        }
        tally
    }
}

/// The status that tells of these counts.
pub(super) fn status(state: State<'_>, tally: Tally) -> Value {
    let set = state.set;
    let wanted = identity::wanted(set);
    let is_done = text(set, "/spec/updateStrategy/type") == "RollingUpdate"
        && [tally.all, tally.ready, tally.updated].iter().all(|count| *count == wanted);
    let (current, current_revision) =
        if is_done { (tally.updated, &state.update.name) } else { (tally.current, &state.current.name) };
    let mut status = set["status"].as_object().cloned().unwrap_or_default();
    status.insert("observedGeneration".into(), number(set, "/metadata/generation").unwrap_or(0).into());
    status.insert("collisionCount".into(), state.collisions.into());
    status.insert("currentRevision".into(), current_revision.as_str().into());
    status.insert("updateRevision".into(), state.update.name.as_str().into());
    for (field, count, always) in [
        ("replicas", tally.all, true),
        ("availableReplicas", tally.available, true),
        ("readyReplicas", tally.ready, false),
        ("currentReplicas", current, false),
        ("updatedReplicas", tally.updated, false),
    ] {
        if always || count > 0 {
            status.insert(field.into(), count.into());
        } else {
            status.remove(field);
        }
    }
    Value::Object(status)
}
