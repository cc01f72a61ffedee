//! Which pods go first when there are too many.
//!
//! The order of Kubernetes: not placed, then pending, then not ready, then the lowest
//! `controller.kubernetes.io/pod-deletion-cost` (KEP-2255), then those on the node with most siblings, then the
//! ones ready for the shortest time (KEP-2185, by powers of two), then those that restarted most, then the newest.

use crate::access::{elements, number, text};
use crate::conditions;
use crate::pod_facts;
use jiff::Timestamp;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::HashMap;

const DELETION_COST: &str = "/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost";

/// The pods of `active` that go when `count` must.
pub(crate) fn to_delete(active: &[Value], count: usize, now: Timestamp) -> Vec<&Value> {
    ranked(&active.iter().collect::<Vec<_>>(), count, now)
}

/// The same, in the order in which they go.
pub(crate) fn ranked<'a>(active: &[&'a Value], count: usize, now: Timestamp) -> Vec<&'a Value> {
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in active {
        *on_node.entry(text(pod, "/spec/nodeName")).or_default() += 1;
    }
    let mut ranked: Vec<&Value> = active.to_vec();
    ranked.sort_by_cached_key(|pod| {
        let node = text(pod, "/spec/nodeName");
        let phase = match text(pod, "/status/phase") {
            "Pending" | "" => 0u8,
            "Unknown" => 1,
            _ => 2,
        };
        let cost = text(pod, DELETION_COST).parse::<i32>().unwrap_or(0);
        let restarts: i64 = elements(pod, "/status/containerStatuses")
            .iter()
            .map(|container| number(container, "/restartCount").unwrap_or(0))
            .max()
            .unwrap_or(0);
        let age = |since: Option<Timestamp>| -> u32 {
            let seconds = since.map_or(0, |since| now.duration_since(since).as_secs().max(0));
            u64::try_from(seconds).unwrap_or(0).checked_ilog2().map_or(0, |log| log + 1)
        };
        (
            !node.is_empty(),
            phase,
            pod_facts::is_ready(pod),
            cost,
            Reverse(on_node.get(node).copied().unwrap_or(0)),
            age(pod_facts::ready_since(pod)),
            Reverse(restarts),
            age(conditions::time(&pod["metadata"]["creationTimestamp"])),
            // For a fixed order of the rest.
            text(pod, "/metadata/uid").to_owned(),
        )
    });
    ranked.truncate(count);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, phase: &str, ready_at: Option<i64>) -> Value {
        let conditions: Vec<Value> = ready_at
            .map(|second| {
                let at = Timestamp::from_second(second).unwrap().to_string();
                json!({"type": "Ready", "status": "True", "lastTransitionTime": at})
            })
            .into_iter()
            .collect();
        json!({"metadata": {"name": name, "uid": name, "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"nodeName": node}, "status": {"phase": phase, "conditions": conditions}})
    }

    #[test]
    fn the_cheapest_goes_first() {
        let base = || pod("base", "n", "Running", Some(10));
        let mut costly = base();
        costly["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"] = "10".into();
        let mut restarted = base();
        restarted["status"]["containerStatuses"] = json!([{"restartCount": 3}]);
        let mut newer = base();
        newer["metadata"]["creationTimestamp"] = "1970-01-01T00:15:00Z".into();
        for (case, first, second) in [
            ("not placed", pod("x", "", "Pending", None), pod("y", "n", "Pending", None)),
            ("pending", pod("x", "n", "Pending", None), base()),
            ("not ready", pod("x", "n", "Running", None), base()),
            ("cheap", base(), costly),
            ("ready for less long", pod("x", "n", "Running", Some(900)), base()),
            ("restarted", restarted, base()),
            ("newer", newer, base()),
        ] {
            for pods in [[first.clone(), second.clone()], [second.clone(), first.clone()]] {
                let now = Timestamp::from_second(1000).unwrap();
                assert_eq!(to_delete(&pods, 1, now), [&first], "{case}");
            }
        }
        let crowded = [base(), pod("a", "m", "Running", Some(10)), pod("b", "m", "Running", Some(10))];
        let doomed = to_delete(&crowded, 1, Timestamp::from_second(1000).unwrap());
        assert_eq!(doomed[0]["spec"]["nodeName"], "m");
    }
}
