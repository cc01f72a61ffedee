//! Taint based eviction in the embedded super cluster: pods go from nodes with `NoExecute` taints.
//!
//! Guarantees: a pod that does not tolerate each such taint of its node is deleted at once, and one that tolerates them
//! for a time after that time, counted from when the last of them came; it is marked with the condition
//! `DisruptionTarget` (KEP-3329) before. When the taint goes earlier, the pod stays.

use crate::access::{Access, elements, number, text};
use crate::conditions::{self, Condition};
use crate::events::Severity;
use crate::node_rules::covers;
use crate::pod_facts;
use crate::pods_by_node::PodsByNode;
use crate::resources::{NODES, PODS};
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};
use plane_client::{
    ApiError, Delete, Next, Object, ObjectName, PlaneClient, Reconciler, Scope, Seen, TenantId, Trigger,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What decides which pods are looked at.
struct Known {
    pods: Arc<PodsByNode>,
    /// The taints of nodes that have such ones.
    taints: HashMap<CompactString, Vec<Value>>,
}

impl Known {
    /// The pods on a node, when its taints are others than before.
    fn node(&mut self, node: &Object, seen: Seen) -> Vec<ObjectName> {
        let taints = match seen {
            Seen::There => no_execute(&node.value().unwrap_or_default()),
            Seen::Gone => vec![],
        };
        let name = &node.name.name;
        if self.taints.get(name).map_or(&[][..], Vec::as_slice) == taints {
            return vec![];
        }
        if taints.is_empty() {
            self.taints.remove(name);
        } else {
            self.taints.insert(name.clone(), taints);
        }
        self.pods.on(name)
    }

    /// The pod, when its node has such taints.
    fn pod(&mut self, pod: &Object, seen: Seen) -> Vec<ObjectName> {
        self.pods.see(pod, seen);
        let node = self.pods.node(&pod.name);
        node.filter(|node| self.taints.contains_key(node)).map(|_| pod.name.clone()).into_iter().collect()
    }
}

/// The taints of a node for which pods have to go.
fn no_execute(node: &Value) -> Vec<Value> {
    elements(node, "/spec/taints").iter().filter(|taint| taint["effect"] == "NoExecute").cloned().collect()
}

/// When a pod has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    Now,
    At(Timestamp),
    Never,
}

/// When a pod has to go from a node with these taints.
fn leaves(pod: &Value, taints: &[Value], now: Timestamp) -> Leaves {
    let tolerations = elements(pod, "/spec/tolerations");
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let mut covering = tolerations.iter().filter(|toleration| covers(toleration, taint)).peekable();
        if covering.peek().is_none() {
            return Leaves::Now;
        }
        let seconds = covering.filter_map(|toleration| number(toleration, "/tolerationSeconds")).min();
        shortest = shortest.into_iter().chain(seconds).min();
    }
    let Some(seconds) = shortest else { return Leaves::Never };
    if seconds <= 0 {
        return Leaves::Now;
    }
    let since = taints.iter().filter_map(|taint| conditions::time(&taint["timeAdded"])).max();
    match since.unwrap_or(now).checked_add(SignedDuration::from_secs(seconds)) {
        Ok(at) if at > now => Leaves::At(at),
        Ok(_) => Leaves::Now,
        // After the end of time.
        Err(_) => Leaves::Never,
    }
}

/// The reconciler of pods on nodes with such taints.
pub(crate) struct TaintEviction {
    access: Access,
    plane: TenantId,
    pods: Arc<PodsByNode>,
    known: Arc<Mutex<Known>>,
}

impl TaintEviction {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId, pods: Arc<PodsByNode>) -> Self {
        TaintEviction {
            access: Access::new(client, "taint-eviction-controller"),
            plane,
            known: Arc::new(Mutex::new(Known { pods: pods.clone(), taints: HashMap::new() })),
            pods,
        }
    }

    async fn evict(&self, tenant: TenantId, pod: &Value) -> Result<(), ApiError> {
        let name = format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let message = format!("Marking for deletion Pod {name}");
        self.access.event(tenant, pod, Severity::Normal, "TaintManagerEviction", &message);
        let mut status = pod["status"].clone();
        let mut list = elements(pod, "/status/conditions").to_vec();
        let condition = Condition {
            kind: "DisruptionTarget",
            status: "True",
            reason: "DeletionByTaintManager",
            message: "Taint manager: deleting due to NoExecute taint".to_owned(),
        };
        conditions::set(&mut list, &condition, &[], Timestamp::now());
        status["conditions"] = list.into();
        self.access.set_status(tenant, &PODS, pod, status).await?;
        self.access.delete(tenant, &PODS, pod, Delete::default()).await
    }
}

#[async_trait]
impl Reconciler for TaintEviction {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let scope = Scope::One(self.plane);
        let (of_pods, of_nodes) = (self.known.clone(), self.known.clone());
        vec![
            Trigger::seen(PODS.group_resource(), scope, move |pod, seen| {
                of_pods.lock().unwrap_or_else(PoisonError::into_inner).pod(pod, seen)
            }),
            Trigger::seen(NODES.group_resource(), scope, move |node, seen| {
                of_nodes.lock().unwrap_or_else(PoisonError::into_inner).node(node, seen)
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(pod) = self.access.get(tenant, &PODS, &key.namespace, &key.name).await? else {
            self.pods.forget(key);
            return Ok(Next::OnEvent);
        };
        if pod_facts::is_deleting(&pod) || pod_facts::has_ended(&pod) {
            return Ok(Next::OnEvent);
        }
        let node = self.access.get(tenant, &NODES, "", text(&pod, "/spec/nodeName")).await?;
        let taints = node.as_ref().map(no_execute).unwrap_or_default();
        let now = Timestamp::now();
        match leaves(&pod, &taints, now) {
            Leaves::Never => Ok(Next::OnEvent),
            Leaves::At(at) => Ok(Next::After(Duration::try_from(at.duration_since(now)).unwrap_or_default())),
            Leaves::Now => self.evict(tenant, &pod).await.map(|()| Next::OnEvent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use serde_json::json;
    use service_runtime::Shutdown;

    #[test]
    fn when_pods_have_to_go() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let tolerate = |key: &str, seconds: Value| json!({"key": key, "operator": "Exists", "tolerationSeconds": seconds});
        let (a, b) = (
            json!({"key": "a", "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:10Z"}),
            json!({"key": "b", "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:20Z"}),
        );
        let both = vec![a.clone(), b];
        for (tolerations, taints, expected) in [
            (json!([]), vec![], Leaves::Never),
            (json!([]), vec![a.clone()], Leaves::Now),
            (json!([tolerate("a", json!(null))]), vec![a.clone()], Leaves::Never),
            (json!([tolerate("a", json!(60))]), vec![a.clone()], Leaves::At(at(70))),
            (json!([tolerate("a", json!(20))]), vec![a.clone()], Leaves::Now),
            (json!([tolerate("a", json!(0))]), vec![a.clone()], Leaves::Now),
            (json!([tolerate("a", json!(-1))]), vec![a.clone()], Leaves::Now),
            (json!([tolerate("a", json!(60))]), both.clone(), Leaves::Now),
            (json!([tolerate("a", json!(60)), tolerate("b", json!(null))]), both.clone(), Leaves::At(at(80))),
            (json!([tolerate("", json!(null))]), both, Leaves::Never),
            (json!([tolerate("a", json!(i64::MAX))]), vec![a], Leaves::Never),
        ] {
            let pod = json!({"spec": {"tolerations": tolerations}});
            assert_eq!(leaves(&pod, &taints, at(30)), expected, "{tolerations} {taints:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pods_go_when_their_node_is_tainted_and_stay_when_the_taint_goes() {
        let (planes, plane) = (FakePlanes::new(), TenantId::LOCAL_SUPER);
        let node = |taints: Value| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": taints}});
        let pod = |name: &str, tolerations: Value| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {"nodeName": "n", "tolerations": tolerations}})
        };
        let for_an_hour = json!([{"key": "x", "operator": "Exists", "tolerationSeconds": 3_600}]);
        planes.put(plane, node(json!([])));
        planes.put(plane, pod("goes", json!([])));
        planes.put(plane, pod("waits", for_an_hour));
        let eviction = Arc::new(TaintEviction::new(planes.client(), plane, Arc::default()));
        tokio::spawn(Controller::new(planes.client(), eviction, 2).run(Shutdown::new()));
        let tainted = |since: Timestamp| {
            node(json!([{"key": "x", "effect": "NoExecute", "timeAdded": since.to_string()}]))
        };
        planes.put(plane, tainted(Timestamp::now()));
        let pods = PODS.group_resource();
        let is_leaving = |pod: Option<&Value>| pod.is_none_or(pod_facts::is_deleting);
        let goes = planes.wait_for(plane, &pods, "default", "goes", is_leaving).await;
        let marked = |pod: &Value| conditions::holds(elements(pod, "/status/conditions"), "DisruptionTarget");
        assert!(goes.is_none_or(|pod| marked(&pod)));
        assert!(!is_leaving(planes.find(plane, &pods, "default", "waits").as_ref()));
        planes.put(plane, tainted(Timestamp::now() - SignedDuration::from_hours(2)));
        planes.wait_for(plane, &pods, "default", "waits", is_leaving).await;
        planes.put(plane, node(json!([])));
        planes.put(plane, pod("stays", json!([])));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!is_leaving(planes.find(plane, &pods, "default", "stays").as_ref()));
    }
}
