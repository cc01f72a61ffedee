//! Priorities on the way down: the tenant's number, cut to what the tenant may have, as a class of the super
//! cluster that is made when it is first needed.
//!
//! Kubernetes takes a pod's priority only from a class, so that each number needs one. They are shared by all
//! tenants, and stay.

use serde_json::{Value, json};

/// The highest priority that a class of ours can have (Kubernetes keeps what is above for itself).
const HIGHEST: i64 = 1_000_000_000;

/// The class that a super pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityWanted {
    /// Its name.
    pub class: String,
    /// Its number.
    pub value: i64,
    /// `PreemptLowerPriority` or `Never`.
    pub policy: &'static str,
}

/// The class for a tenant's pod, with the priority cut to `max`; `None` for a pod of no priority.
pub fn wanted(spec: &Value, max: i32) -> Option<PriorityWanted> {
    let value = spec["priority"].as_i64().unwrap_or(0).min(i64::from(max)).clamp(-HIGHEST, HIGHEST);
    if value == 0 {
        return None;
    }
    let sign = if value < 0 { "minus-" } else { "" };
    let (policy, suffix) =
        if spec["preemptionPolicy"] == "Never" { ("Never", "-never") } else { ("PreemptLowerPriority", "") };
    Some(PriorityWanted { class: format!("insula-{sign}{}{suffix}", value.abs()), value, policy })
}

/// The class as it is made in the super cluster.
pub fn class(wanted: &PriorityWanted) -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": wanted.class},
        "value": wanted.value,
        "globalDefault": false,
        "preemptionPolicy": wanted.policy,
        "description": "Pods of tenants of Insula with this priority.",
    })
}

/// True when a class of the name that is there already means the same.
pub fn agrees(there: &Value, wanted: &PriorityWanted) -> bool {
    there["value"].as_i64() == Some(wanted.value)
        && there["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority") == wanted.policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_cut_and_named_by_their_number() {
        for (spec, max, expected) in [
            (json!({}), 1000, None),
            (json!({"priority": 0}), 1000, None),
            (json!({"priority": 500}), 1000, Some(("insula-500", 500))),
            (json!({"priority": 2_000_001_000_i64}), 1000, Some(("insula-1000", 1000))),
            (json!({"priority": -5}), 1000, Some(("insula-minus-5", -5))),
            (json!({"priority": 5, "preemptionPolicy": "Never"}), 1000, Some(("insula-5-never", 5))),
            (json!({"priority": 5}), 0, None),
        ] {
            let got = wanted(&spec, max);
            assert_eq!(got.as_ref().map(|w| (w.class.as_str(), w.value)), expected, "{spec}");
            assert!(got.is_none_or(|w| agrees(&class(&w), &w)));
        }
    }
}
