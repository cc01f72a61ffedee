//! The life of the nodes of the embedded super cluster, as kube-controller-manager sees it.
//!
//! Guarantees: a node whose Lease was not renewed for 50 s is not known to be ready (`Ready` and the pressures are
//! `Unknown`), one that is marked as failed at once; the taints of a node say what its conditions and
//! `spec.unschedulable` say; the pods of a node that is not ready are not ready either. Pods are not deleted here:
//! [`crate::taint_eviction`] does that. Caveat: zones that fail as a whole are not treated otherwise than nodes.

use crate::access::{Access, elements, text};
use crate::conditions::{self, Condition};
use crate::events::Severity;
use crate::pods_by_node::PodsByNode;
use crate::resources::{LEASES, NODES, PODS};
use crate::simulated_nodes::{LEASE_NAMESPACE, is_failed, is_simulated};
use api_types::condition::whole_seconds;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a node may be silent.
const GRACE: SignedDuration = SignedDuration::from_secs(50);
/// How long a new one may, until it says something for the first time.
const FIRST_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// How often nodes are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// The taint of a condition that has this status.
struct Rule {
    condition: &'static str,
    status: &'static str,
    taint: &'static str,
    /// Pods have to go too.
    evicts: bool,
}

const fn rule(condition: &'static str, status: &'static str, taint: &'static str, evicts: bool) -> Rule {
    Rule { condition, status, taint, evicts }
}

const RULES: &[Rule] = &[
    rule("Ready", "False", "node.kubernetes.io/not-ready", true),
    rule("Ready", "Unknown", "node.kubernetes.io/unreachable", true),
    rule("MemoryPressure", "True", "node.kubernetes.io/memory-pressure", false),
    rule("DiskPressure", "True", "node.kubernetes.io/disk-pressure", false),
    rule("PIDPressure", "True", "node.kubernetes.io/pid-pressure", false),
    rule("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable", false),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The reconciler of nodes.
pub(crate) struct NodeLifecycle {
    access: Access,
    plane: TenantId,
    pods: Arc<PodsByNode>,
}

impl NodeLifecycle {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId, pods: Arc<PodsByNode>) -> Self {
        NodeLifecycle { access: Access::new(client, "node-controller"), plane, pods }
    }

    /// When a node spoke last: its Lease, else its first moment.
    async fn is_silent(&self, node: &Value, now: Timestamp) -> Result<bool, ApiError> {
        if is_simulated(node) && is_failed(node) {
            return Ok(true);
        }
        let name = text(node, "/metadata/name");
        let lease = self.access.get(self.plane, &LEASES, LEASE_NAMESPACE, name).await?;
        let renewed = lease.as_ref().and_then(|lease| conditions::time(&lease["spec"]["renewTime"]));
        let made = conditions::time(&node["metadata"]["creationTimestamp"]);
        let (since, grace) = match renewed {
            Some(renewed) => (renewed, GRACE),
            None => (made.unwrap_or(now), FIRST_GRACE),
        };
        Ok(now.duration_since(since) > grace)
    }

    async fn mark_pods(&self, tenant: TenantId, node: &str, now: Timestamp) -> Result<(), ApiError> {
        for name in self.pods.on(node) {
            let Some(pod) = self.access.get(tenant, &PODS, &name.namespace, &name.name).await? else {
                continue;
            };
            let mut list = elements(&pod, "/status/conditions").to_vec();
            if !conditions::holds(&list, "Ready") || text(&pod, "/spec/nodeName") != node {
                continue;
            }
            let message = String::new();
            let condition = Condition { kind: "Ready", status: "False", reason: "", message };
            conditions::set(&mut list, &condition, &[], now);
            let mut status = pod["status"].clone();
            status["conditions"] = list.into();
            self.access.set_status(tenant, &PODS, &pod, status).await?;
            self.access.event(tenant, &pod, Severity::Warning, "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for NodeLifecycle {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let scope = Scope::One(self.plane);
        let pods = self.pods.clone();
        let note = Trigger::seen(PODS.group_resource(), scope, move |pod, seen| {
            pods.see(pod, seen);
            vec![]
        });
        vec![Trigger::own(NODES.group_resource(), scope), note]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(mut node) = self.access.get(tenant, &NODES, "", &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let now = Timestamp::now();
        if self.is_silent(&node, now).await? {
            let status = unknown(&node, now);
            let was_ready = conditions::holds(elements(&node, "/status/conditions"), "Ready");
            if self.access.set_status(tenant, &NODES, &node, status).await? && was_ready {
                let message = format!("Node {} status is now: NodeNotReady", key.name);
                self.access.event(tenant, &node, Severity::Normal, "NodeNotReady", &message);
            }
            match self.access.get(tenant, &NODES, "", &key.name).await? {
                Some(written) => node = written,
                None => return Ok(Next::OnEvent),
            }
        }
        let mut next = node.clone();
        next["spec"]["taints"] = taints(&node, now).into();
        if next["spec"]["taints"] != json!(elements(&node, "/spec/taints")) {
            self.access.change(tenant, &NODES, "", &node, &next).await?;
        }
        let ready = conditions::find(elements(&node, "/status/conditions"), "Ready");
        if ready.is_some_and(|ready| ready["status"] != "True") {
            self.mark_pods(tenant, &key.name, now).await?;
        }
        Ok(Next::After(PERIOD))
    }
}

/// The status of a node that is silent.
fn unknown(node: &Value, now: Timestamp) -> Value {
    let mut status = node["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let mut list = elements(node, "/status/conditions").to_vec();
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let known = conditions::find(&list, kind);
        let (reason, message) = match known {
            Some(known) if known["status"] == "Unknown" => continue,
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let beat = known.map_or_else(
            || {
                json!(
                    node["metadata"]["creationTimestamp"]
                        .as_str()
                        .map_or_else(|| whole_seconds(now), str::to_owned)
                )
            },
            |known| known["lastHeartbeatTime"].clone(),
        );
        let condition = Condition { kind, status: "Unknown", reason, message: message.to_owned() };
        conditions::set(&mut list, &condition, &[("lastHeartbeatTime", beat)], now);
    }
    status["conditions"] = list.into();
    status
}

/// The taints of a node: those of others, and those that follow from what it says.
fn taints(node: &Value, now: Timestamp) -> Vec<Value> {
    let list = elements(node, "/status/conditions");
    let holds = |rule: &Rule| {
        conditions::find(list, rule.condition).is_some_and(|condition| condition["status"] == rule.status)
    };
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for rule in RULES.iter().filter(|rule| holds(rule)) {
        wanted.push((rule.taint, "NoSchedule"));
        if rule.evicts {
            wanted.push((rule.taint, "NoExecute"));
        }
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let says = |taint: &Value, (key, effect): (&str, &str)| taint["key"] == key && taint["effect"] == effect;
    let is_ours = |taint: &Value| {
        let key = text(taint, "/key");
        key == UNSCHEDULABLE || RULES.iter().any(|rule| rule.taint == key)
    };
    let known = elements(node, "/spec/taints");
    let kept = known.iter().filter(|taint| !is_ours(taint) || wanted.iter().any(|one| says(taint, *one)));
    let mut all: Vec<Value> = kept.cloned().collect();
    for (key, effect) in wanted {
        if !all.iter().any(|taint| says(taint, (key, effect))) {
            all.push(json!({"key": key, "effect": effect, "timeAdded": whole_seconds(now)}));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;

    const PLANE: TenantId = TenantId::LOCAL_SUPER;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn taints_follow_from_conditions() {
        let said = |kind: &str, status: &str| json!([{"type": kind, "status": status}]);
        for (conditions, unschedulable, expected) in [
            (said("Ready", "True"), false, vec!["mine:NoSchedule"]),
            (said("Ready", "True"), true, vec!["mine:NoSchedule", "unschedulable:NoSchedule"]),
            (
                said("Ready", "False"),
                false,
                vec!["mine:NoSchedule", "not-ready:NoSchedule", "not-ready:NoExecute"],
            ),
            (
                said("Ready", "Unknown"),
                false,
                vec!["mine:NoSchedule", "unreachable:NoExecute", "unreachable:NoSchedule"],
            ),
            (said("DiskPressure", "True"), false, vec!["mine:NoSchedule", "disk-pressure:NoSchedule"]),
        ] {
            let node = json!({"status": {"conditions": conditions}, "spec": {"unschedulable": unschedulable, "taints": [
                {"key": "mine", "effect": "NoSchedule"},
                {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:01Z"}]}});
            let found = taints(&node, at(5));
            let names: Vec<String> = found
                .iter()
                .map(|taint| {
                    format!(
                        "{}:{}",
                        text(taint, "/key").trim_start_matches("node.kubernetes.io/"),
                        text(taint, "/effect")
                    )
                })
                .collect();
            assert_eq!(names, expected);
            if names.contains(&"unreachable:NoExecute".to_owned()) {
                assert_eq!(found[1]["timeAdded"], "1970-01-01T00:00:01Z", "since when it is unreachable");
            }
        }
    }

    fn status_of(
        planes: &FakePlanes,
        resource: &plane_client::GroupResource,
        namespace: &str,
        name: &str,
    ) -> String {
        let found = planes.find(PLANE, resource, namespace, name).unwrap();
        let list = elements(&found, "/status/conditions").to_vec();
        text(conditions::find(&list, "Ready").unwrap(), "/status").to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn silent_and_failed_nodes_are_not_ready_and_neither_are_their_pods() {
        let planes = FakePlanes::new();
        let ready = json!({"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]});
        let node = |name: &str, annotations: Value| {
            json!({"apiVersion": "v1", "kind": "Node", "status": ready, "metadata": {"name": name,
                "labels": {"insula.dev/simulated": "true"}, "annotations": annotations}})
        };
        let lease = |name: &str, renewed: Timestamp| {
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": {"renewTime": renewed.to_string()}})
        };
        let now = Timestamp::now();
        for (name, annotations, renewed) in [
            ("fine", json!({}), now),
            ("silent", json!({}), now - GRACE - SignedDuration::from_secs(1)),
            ("failed", json!({"sim.insula.dev/failed": "true"}), now),
        ] {
            planes.put(PLANE, node(name, annotations));
            planes.put(PLANE, lease(name, renewed));
            planes.put(
                PLANE,
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {"nodeName": name}, "status": ready}),
            );
        }
        let lifecycle = Arc::new(NodeLifecycle::new(planes.client(), PLANE, Arc::default()));
        tokio::spawn(Controller::new(planes.client(), lifecycle, 1).run(Shutdown::new()));
        let (nodes, pods) = (NODES.group_resource(), PODS.group_resource());
        for name in ["silent", "failed"] {
            planes.wait_until(name, |planes| status_of(planes, &nodes, "", name) == "Unknown").await;
            planes.wait_until("its pod", |planes| status_of(planes, &pods, "default", name) == "False").await;
            let found = planes.find(PLANE, &nodes, "", name).unwrap();
            let taints = elements(&found, "/spec/taints");
            assert_eq!(
                taints.iter().filter(|taint| taint["key"] == "node.kubernetes.io/unreachable").count(),
                2
            );
            assert_eq!(elements(&found, "/status/conditions").len(), 4, "pressures are unknown too");
        }
        assert_eq!(status_of(&planes, &nodes, "", "fine"), "True");
        assert_eq!(status_of(&planes, &pods, "default", "fine"), "True");
        let mut healed = node("failed", json!({}));
        healed["spec"] = planes.find(PLANE, &nodes, "", "failed").unwrap()["spec"].clone();
        planes.put(PLANE, healed);
        let is_clean =
            |node: Option<&Value>| node.is_some_and(|node| elements(node, "/spec/taints").is_empty());
        planes.wait_for(PLANE, &nodes, "", "failed", is_clean).await;
    }
}
