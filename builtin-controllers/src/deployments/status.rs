//! The status of a deployment.

use super::replica_sets::{counted, replicas};
use super::rollout::Bounds;
use crate::access::{elements, number, text};
use crate::conditions;
use api_types::condition::whole_seconds;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The reason of `Progressing` after a finished update.
const FINISHED: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// What was done in this step that `Progressing` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A replica set of this name was created.
    Created(String),
    /// The deployment only scaled, is paused, or is being deleted.
    Scaled,
    /// An update goes on, with this replica set if there is one.
    Rolled(Option<String>),
}

/// The status from the replica sets: `new` is the index of the new one.
pub(super) fn status(
    deployment: &Value,
    sets: &[Value],
    new: Option<usize>,
    bounds: Bounds,
    step: &Step,
    now: Timestamp,
) -> Value {
    let sum = |field: &str| sets.iter().map(|set| counted(set, field)).sum::<i64>();
    let available = sum("availableReplicas");
    let wanted_in_sets: i64 = sets.iter().map(replicas).sum();
    let mut status = deployment["status"].as_object().cloned().unwrap_or_default();
    status
        .insert("observedGeneration".into(), number(deployment, "/metadata/generation").unwrap_or(0).into());
    for (field, count) in [
        ("replicas", sum("replicas")),
        ("updatedReplicas", new.map_or(0, |new| counted(&sets[new], "replicas"))),
        ("readyReplicas", sum("readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (wanted_in_sets - available).max(0)),
    ] {
        // Zeros are left out, as Kubernetes leaves them.
        if count == 0 {
            status.remove(field);
        } else {
            status.insert(field.into(), count.into());
        }
    }
    status.insert("terminatingReplicas".into(), sum("terminatingReplicas").into());
    let mut list = elements(deployment, "/status/conditions").to_vec();
    if available >= replicas(deployment) - bounds.unavailable {
        let message = "Deployment has minimum availability.";
        set(&mut list, "Available", "True", "MinimumReplicasAvailable", message, now);
    } else {
        let message = "Deployment does not have minimum availability.";
        set(&mut list, "Available", "False", "MinimumReplicasUnavailable", message, now);
    }
    if deadline(deployment).is_some() {
        progress(deployment, &status, &mut list, step, now);
    }
    let failure = sets.iter().find_map(|set| {
        conditions::find(elements(set, "/status/conditions"), "ReplicaFailure")
            .filter(|failure| failure["status"] == "True")
    });
    match failure {
        Some(failure) => {
            let (reason, message) = (text(failure, "/reason"), text(failure, "/message"));
            set(&mut list, "ReplicaFailure", "True", reason, message, now);
        }
        None => drop(conditions::remove(&mut list, "ReplicaFailure")),
    }
    status.insert("conditions".into(), list.into());
    Value::Object(status)
}

/// Seconds that an update may stand still; `None`: for ever.
fn deadline(deployment: &Value) -> Option<i64> {
    Some(number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600))
        .filter(|seconds| *seconds < i64::from(i32::MAX))
}

/// True when every replica is of the new template and available.
pub(super) fn is_complete(deployment: &Value, status: &Map<String, Value>) -> bool {
    let wanted = replicas(deployment);
    ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|field| count_of(status, field) == wanted)
}

fn count_of(status: &Map<String, Value>, field: &str) -> i64 {
    status.get(field).and_then(Value::as_i64).unwrap_or(0)
}

/// Sets the condition `Progressing`.
fn progress(
    deployment: &Value,
    status: &Map<String, Value>,
    list: &mut Vec<Value>,
    step: &Step,
    now: Timestamp,
) {
    let paused = deployment["spec"]["paused"].as_bool().unwrap_or(false);
    let reason = conditions::find(list, "Progressing").map(|c| text(c, "/reason").to_owned());
    let reason = reason.as_deref();
    if paused && reason != Some(PAUSED) && reason != Some(TIMED_OUT) {
        return set(list, "Progressing", "Unknown", PAUSED, "Deployment is paused", now);
    }
    if !paused && reason == Some(PAUSED) {
        return set(list, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now);
    }
    let new = match step {
        Step::Scaled => return,
        Step::Created(name) => {
            let message = format!("Created new replica set {name:?}");
            return set(list, "Progressing", "True", "NewReplicaSetCreated", &message, now);
        }
        Step::Rolled(new) => new.as_deref(),
    };
    let what = match new {
        Some(new) => format!("ReplicaSet {new:?}"),
        None => format!("Deployment {:?}", text(deployment, "/metadata/name")),
    };
    let finished =
        reason == Some(FINISHED) && count_of(status, "replicas") == count_of(status, "updatedReplicas");
    if finished {
        return;
    }
    if is_complete(deployment, status) {
        set(list, "Progressing", "True", FINISHED, &format!("{what} has successfully progressed."), now);
    } else if has_moved(&deployment["status"], status) || reason.is_none() {
        // Each movement sets `lastUpdateTime`, from which the deadline counts.
        let before = elements(deployment, "/status/conditions").to_vec();
        conditions::remove(list, "Progressing");
        set(list, "Progressing", "True", "ReplicaSetUpdated", &format!("{what} is progressing."), now);
        keep_transition(list, &before, "Progressing");
    } else if is_timed_out(deployment, list, now) {
        set(list, "Progressing", "False", TIMED_OUT, &format!("{what} has timed out progressing."), now);
    }
}

/// True when pods were made, removed, or became ready or available since the last status.
fn has_moved(before: &Value, status: &Map<String, Value>) -> bool {
    let empty = Map::new();
    let before = before.as_object().unwrap_or(&empty);
    let old =
        |status: &Map<String, Value>| count_of(status, "replicas") - count_of(status, "updatedReplicas");
    let grew = |field: &str| count_of(status, field) > count_of(before, field);
    grew("updatedReplicas") || grew("readyReplicas") || grew("availableReplicas") || old(status) < old(before)
}

fn is_timed_out(deployment: &Value, list: &[Value], now: Timestamp) -> bool {
    until_timeout(deployment, list, now).is_some_and(|rest| !rest.is_positive())
}

/// How long until an update that stands still is reported as timed out; `None`: never.
pub(super) fn until_timeout(deployment: &Value, list: &[Value], now: Timestamp) -> Option<SignedDuration> {
    let seconds = deadline(deployment)?;
    let condition = conditions::find(list, "Progressing")?;
    if [FINISHED, TIMED_OUT, PAUSED].contains(&text(condition, "/reason")) {
        return None;
    }
    let since = conditions::time(&condition["lastUpdateTime"])?;
    Some(SignedDuration::from_secs(seconds) - now.duration_since(since))
}

/// Sets a condition, unless status and reason are what they were. What changed last is the last of the list.
fn set(list: &mut Vec<Value>, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let before = conditions::find(list, kind).cloned();
    let same = |field: &str, value: &str| before.as_ref().is_some_and(|before| before[field] == value);
    if same("status", status) && same("reason", reason) {
        return;
    }
    let time = Value::from(whole_seconds(now));
    let transition = match &before {
        Some(before) if same("status", status) => before["lastTransitionTime"].clone(),
        _ => time.clone(),
    };
    let condition = json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastUpdateTime": time, "lastTransitionTime": transition});
    conditions::remove(list, kind);
    list.push(condition);
}

/// Keeps the transition time of a condition that was set anew with the status that it had.
fn keep_transition(list: &mut [Value], before: &[Value], kind: &str) {
    let Some(old) = conditions::find(before, kind) else { return };
    if let Some(new) = list.iter_mut().find(|condition| condition["type"] == kind)
        && new["status"] == old["status"]
    {
        new["lastTransitionTime"] = old["lastTransitionTime"].clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_last_is_last() {
        let mut list = vec![];
        let mut say = |kind: &str, status: &str| {
            set(&mut list, kind, status, "Reason", "", Timestamp::UNIX_EPOCH);
            list.iter().map(|c| text(c, "/type").to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(say("Available", "False"), "Available");
        assert_eq!(say("Progressing", "True"), "Available Progressing");
        assert_eq!(say("Available", "False"), "Available Progressing");
        assert_eq!(say("Available", "True"), "Progressing Available");
    }
}
