//! What controllers ask of a pod.

use crate::access::{elements, text};
use crate::conditions;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// It is being deleted.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// It has ended, with or without success.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// It counts as a replica: neither ended nor being deleted.
pub(crate) fn is_active(pod: &Value) -> bool {
    !has_ended(pod) && !is_deleting(pod)
}

/// Its condition `Ready` holds.
pub(crate) fn is_ready(pod: &Value) -> bool {
    conditions::holds(elements(pod, "/status/conditions"), "Ready")
}

/// Since when it is ready.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    let ready = conditions::find(elements(pod, "/status/conditions"), "Ready")?;
    (ready["status"] == "True").then(|| conditions::time(&ready["lastTransitionTime"])).flatten()
}

/// How a pod stands to availability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is not ready.
    NotReady,
    /// It is ready, and available after this time.
    In(SignedDuration),
    /// It was ready for long enough.
    Available,
}

/// Whether a pod is available: ready for `min_ready_seconds`.
pub(crate) fn availability(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::NotReady;
    }
    if min_ready_seconds <= 0 {
        return Availability::Available;
    }
    let Some(since) = ready_since(pod) else { return Availability::NotReady };
    let rest = SignedDuration::from_secs(min_ready_seconds) - now.duration_since(since);
    if rest.is_positive() { Availability::In(rest) } else { Availability::Available }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn availability_counts_from_readiness() {
        let pod = |status: &str| {
            json!({"status": {"conditions": [
                {"type": "Ready", "status": status, "lastTransitionTime": "1970-01-01T00:00:10Z"}]}})
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        for (status, min, now, expected) in [
            ("False", 0, 100, Availability::NotReady),
            ("True", 0, 10, Availability::Available),
            ("True", 5, 12, Availability::In(SignedDuration::from_secs(3))),
            ("True", 5, 15, Availability::Available),
        ] {
            assert_eq!(availability(&pod(status), min, at(now)), expected, "{status} {min} {now}");
        }
        assert_eq!(availability(&json!({}), 0, at(1)), Availability::NotReady);
    }
}
