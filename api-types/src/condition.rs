//! Conditions, as the Kubernetes API conventions define them (`metav1.Condition`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One condition of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about: `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one CamelCase word that `docs/reasons.md` explains.
    #[serde(default)]
    pub reason: String,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
    /// The `metadata.generation` that it was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last changed: RFC 3339 in UTC, whole seconds.
    #[serde(default)]
    pub last_transition_time: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { ConditionStatus::True } else { ConditionStatus::False }
    }
}

impl Condition {
    /// A condition as of `now`.
    pub fn new(
        kind: &str,
        status: impl Into<ConditionStatus>,
        reason: &str,
        message: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        Condition {
            kind: kind.to_owned(),
            status: status.into(),
            reason: reason.to_owned(),
            message: message.into(),
            observed_generation: None,
            last_transition_time: whole_seconds(now),
        }
    }

    /// Says from which `metadata.generation` it was computed.
    #[must_use]
    pub fn observed(mut self, generation: i64) -> Self {
        self.observed_generation = Some(generation);
        self
    }

    /// True when the status is `True`.
    pub fn holds(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Puts a condition into a list, in the place of the one of the same type. Its `lastTransitionTime` is kept
/// while the status stays. True when the list changed.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) -> bool {
    let Some(old) = conditions.iter_mut().find(|c| c.kind == new.kind) else {
        conditions.push(new);
        return true;
    };
    if old.status == new.status {
        new.last_transition_time.clone_from(&old.last_transition_time);
    }
    if *old == new {
        return false;
    }
    *old = new;
    true
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.kind == kind)
}

/// A time as Kubernetes writes it (`metav1.Time`): RFC 3339 in UTC, whole seconds.
pub fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_is_that_of_the_status() {
        let mut list = Vec::new();
        assert!(set(&mut list, Condition::new("Ready", false, "Starting", "", at(1))));
        assert!(!set(&mut list, Condition::new("Ready", false, "Starting", "", at(2))));
        assert!(set(&mut list, Condition::new("Ready", false, "Waiting", "", at(3))));
        assert_eq!(list[0].last_transition_time, "1970-01-01T00:00:01Z");
        assert!(set(&mut list, Condition::new("Ready", true, "Ready", "", at(4))));
        assert_eq!(list[0].last_transition_time, "1970-01-01T00:00:04Z");
        assert!(list[0].holds() && list.len() == 1);
    }

    #[test]
    fn reads_and_writes_the_convention() {
        let json = serde_json::json!({"type": "Ready", "status": "True", "reason": "R", "message": "m",
            "observedGeneration": 2, "lastTransitionTime": "1970-01-01T00:00:04Z"});
        let condition: Condition = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(condition).unwrap(), json);
    }
}
