//! What an autoscaler tells of itself.

use crate::access::{elements, number};
use crate::conditions::{self, Condition};
use api_types::condition::whole_seconds;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The status of an autoscaler while it is worked out.
pub(super) struct Status {
    value: Value,
    conditions: Vec<Value>,
    now: Timestamp,
}

impl Status {
    /// As it is told now.
    pub(super) fn of(autoscaler: &Value, now: Timestamp) -> Self {
        let mut value = autoscaler["status"].clone();
        if value.is_null() {
            value = json!({});
        }
        Status { conditions: elements(&value, "/conditions").to_vec(), value, now }
    }

    /// Sets a condition.
    pub(super) fn set(&mut self, kind: &str, holds: bool, reason: &str, message: impl Into<String>) {
        let status = if holds { "True" } else { "False" };
        let condition = Condition { kind, status, reason, message: message.into() };
        conditions::set(&mut self.conditions, &condition, &[], self.now);
    }

    /// Takes a condition away.
    pub(super) fn remove(&mut self, kind: &str) {
        conditions::remove(&mut self.conditions, kind);
    }

    /// Sets the replicas and the metrics; `desired`: unless they stay as they are told.
    pub(super) fn count(&mut self, current: i64, desired: Option<i64>, metrics: Vec<Value>) {
        let desired = desired.or_else(|| number(&self.value, "/desiredReplicas")).unwrap_or(0);
        self.value["currentReplicas"] = current.into();
        self.value["desiredReplicas"] = desired.into();
        self.value["currentMetrics"] = if metrics.is_empty() { Value::Null } else { metrics.into() };
    }

    /// The scale was changed now.
    pub(super) fn scaled(&mut self) {
        self.value["lastScaleTime"] = whole_seconds(self.now).into();
    }

    /// As it is to be told.
    pub(super) fn done(mut self) -> Value {
        self.value["conditions"] = self.conditions.into();
        self.value
    }
}
