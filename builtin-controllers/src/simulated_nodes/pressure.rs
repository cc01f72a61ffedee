//! Nodes whose pods use more memory than there is, and the pods that go.
//!
//! As a kubelet with its default thresholds: a node is under pressure while less than 100Mi of its memory is available,
//! and for five minutes after; one pod at a time is evicted, looked for whenever the node says how it is. First go those
//! that use more than they requested, then the less important ones, then those that use most beyond their request;
//! pods that keep a cluster running stay. Only pods that say what they use can bring a node there: what is supposed of
//! the others is no more than a guess.

use super::usage;
use crate::access::{elements, number, text};
use crate::conditions::{self, Condition};
use crate::pod_facts;
use api_schema::quantity::Quantity;
use compact_str::CompactString;
use jiff::Timestamp;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The memory that has to be available.
const THRESHOLD: i128 = 100 << 20;
/// For how long a node says that it was under pressure.
const TRANSITION: Duration = Duration::from_secs(300);
/// From this priority on, pods keep a cluster running.
const CRITICAL: i64 = 2_000_000_000;

#[derive(Default)]
struct Known {
    /// The nodes with pods that say how much memory they use.
    telling: HashSet<CompactString>,
    /// When nodes were under pressure last.
    met: HashMap<CompactString, Instant>,
}

/// What is known of nodes.
#[derive(Default)]
pub(crate) struct Pressure(Mutex<Known>);

/// Too little memory is available.
#[derive(Debug, PartialEq)]
pub(super) struct Shortage<'a> {
    /// Bytes; less than nothing when more is used than there is.
    available: i128,
    /// The pod that goes.
    pub(super) victim: Option<&'a Value>,
}

impl Pressure {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pod on the node says how much memory it uses.
    pub(super) fn note(&self, node: &str) {
        self.known().telling.insert(node.into());
    }

    /// Whether the pods of the node are to be looked at.
    pub(super) fn is_possible(&self, node: &str) -> bool {
        self.known().telling.contains(node)
    }

    /// Takes in what came of looking, and whether the node says that it is under pressure.
    pub(super) fn holds(&self, node: &str, telling: bool, shortage: bool, now: Instant) -> bool {
        let mut known = self.known();
        if !telling {
            known.telling.remove(node);
        }
        if shortage {
            known.met.insert(node.into(), now);
        }
        let holds = known.met.get(node).is_some_and(|met| now.duration_since(*met) < TRANSITION);
        if !holds {
            known.met.remove(node);
        }
        holds
    }
}

fn bytes(quantity: &Value) -> i128 {
    quantity
        .as_str()
        .and_then(|text| Quantity::parse(text).ok())
        .map_or(0, |q| q.billionths() / 1_000_000_000)
}

/// What a pod uses of memory, and what it requests, in bytes.
fn used_and_requested(pod: &Value) -> Option<(i128, i128)> {
    let containers = usage::usage(pod)?;
    let used = containers.iter().map(|(_, usage)| i128::from(usage.memory)).sum();
    let specs = ["/spec/containers", "/spec/initContainers"].into_iter().flat_map(|list| elements(pod, list));
    let counted = specs.filter(|spec| containers.iter().any(|(name, _)| text(spec, "/name") == name));
    Some((used, counted.map(|spec| bytes(&spec["resources"]["requests"]["memory"])).sum()))
}

/// Whether the pods of a node leave too little of its memory.
pub(super) fn shortage<'a>(node: &Value, pods: &'a [Value]) -> Option<Shortage<'a>> {
    let using: Vec<(&Value, (i128, i128))> =
        pods.iter().filter_map(|pod| Some((pod, used_and_requested(pod)?))).collect();
    let used: i128 = using.iter().map(|(_, (used, _))| used).sum();
    let available = bytes(&node["status"]["allocatable"]["memory"]) - used;
    if available >= THRESHOLD {
        return None;
    }
    let priority = |pod: &Value| number(pod, "/spec/priority").unwrap_or(0);
    let may_go = using.into_iter().filter(|(pod, _)| priority(pod) < CRITICAL);
    let first = may_go.min_by_key(|(pod, (used, requested))| {
        (used <= requested, priority(pod), Reverse(used - requested), text(pod, "/metadata/uid").to_owned())
    });
    Some(Shortage { available, victim: first.map(|(pod, _)| pod) })
}

fn shown(bytes: i128) -> String {
    if bytes <= 0 { "0".to_owned() } else { format!("{}Ki", bytes >> 10) }
}

impl Shortage<'_> {
    /// What is told of the pod that goes.
    pub(super) fn why(&self, pod: &Value) -> String {
        let available = shown(self.available);
        let mut why = format!(
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: {available}. "
        );
        for (name, usage) in usage::usage(pod).into_iter().flatten() {
            let spec = elements(pod, "/spec/containers").iter().find(|spec| text(spec, "/name") == name);
            let requested = spec.map_or(0, |spec| bytes(&spec["resources"]["requests"]["memory"]));
            let used = i128::from(usage.memory);
            if used > requested {
                let (used, requested) = (shown(used), shown(requested));
                why.push_str(&format!(
                    "Container {name} was using {used}, request is {requested}, has larger consumption of memory. "
                ));
            }
        }
        why
    }
}

/// The status of a pod that is evicted.
pub(super) fn evicted(pod: &Value, why: &str, now: Timestamp) -> Value {
    let mut status = super::status::failed(pod, "Evicted", why, now);
    let mut list = elements(&status, "/conditions").to_vec();
    let message = why.to_owned();
    let condition =
        Condition { kind: "DisruptionTarget", status: "True", reason: "TerminationByKubelet", message };
    conditions::set(&mut list, &condition, &[], now);
    status["conditions"] = list.into();
    status
}

/// True for a pod that says how much memory it uses, and runs.
pub(super) fn tells(pod: &Value) -> bool {
    usage::says_memory(pod) && !pod_facts::has_ended(pod) && !pod_facts::is_deleting(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, uses: &str, requests: &str, priority: i64) -> Value {
        json!({"metadata": {"name": name, "uid": name, "annotations": {"sim.insula.dev/memory-usage": uses}},
            "spec": {"priority": priority, "containers": [{"name": "c", "resources": {"requests": {"memory": requests}}}]},
            "status": {"phase": "Running"}})
    }

    #[test]
    fn who_goes_first() {
        let node = json!({"status": {"allocatable": {"memory": "1Gi"}}});
        for (pods, expected) in [
            (vec![pod("a", "900Mi", "900Mi", 0)], None),
            (vec![pod("a", "930Mi", "930Mi", 0)], Some("a")),
            (vec![pod("a", "600Mi", "600Mi", 0), pod("over", "500Mi", "400Mi", 9)], Some("over")),
            (vec![pod("a", "600Mi", "100Mi", 5), pod("less", "500Mi", "400Mi", 1)], Some("less")),
            (vec![pod("more", "600Mi", "100Mi", 1), pod("b", "500Mi", "400Mi", 1)], Some("more")),
            (vec![pod("vital", "900Mi", "1Mi", CRITICAL), pod("b", "200Mi", "200Mi", 1)], Some("b")),
        ] {
            let found = shortage(&node, &pods).and_then(|shortage| shortage.victim);
            assert_eq!(found.map(|pod| text(pod, "/metadata/name")), expected, "{pods:?}");
        }
        let vital = [pod("vital", "2Gi", "1Mi", CRITICAL)];
        let shortage = shortage(&node, &vital).unwrap();
        assert_eq!((shortage.victim, shortage.available), (None, -(1 << 30)));
    }

    #[test]
    fn pods_are_told_why() {
        let node = json!({"status": {"allocatable": {"memory": "256Mi"}}});
        let pods = [pod("a", "200Mi", "64Mi", 0)];
        let shortage = shortage(&node, &pods).unwrap();
        let why = shortage.why(&pods[0]);
        assert_eq!(
            why,
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 57344Ki. Container c was \
             using 204800Ki, request is 65536Ki, has larger consumption of memory. "
        );
        let status = evicted(&pods[0], &why, Timestamp::UNIX_EPOCH);
        assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("Evicted")));
        assert!(conditions::holds(elements(&status, "/conditions"), "DisruptionTarget"));
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_holds_for_a_while() {
        let pressure = Pressure::default();
        assert!(!pressure.is_possible("n"));
        pressure.note("n");
        assert!(pressure.is_possible("n"));
        let start = Instant::now();
        for (after, telling, shortage, expected) in [
            (0, true, false, false),
            (10, true, true, true),
            (309, false, false, true),
            (310, false, false, false),
        ] {
            let now = start + Duration::from_secs(after);
            assert_eq!(pressure.holds("n", telling, shortage, now), expected, "{after}");
        }
        assert!(!pressure.is_possible("n"));
    }
}
