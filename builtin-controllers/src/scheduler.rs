//! The scheduler of the embedded super cluster: a node for every pod that has none.
//!
//! Guarantees: a pod is bound only to a node that has room for it beside all that is bound there, counting what
//! this scheduler bound a moment ago; a pod that fits nowhere says why (`PodScheduled=False`, `Unschedulable`,
//! event `FailedScheduling`) and is looked at again when nodes or pods change. Assumes that it is the only
//! scheduler named `default-scheduler` of its plane. Nodes are chosen one
//! pod at a time, bindings are written side by side. Caveats: no preemption and no
//! priorities; preferred rules are not weighed; required pod (anti-)affinity and hard topology spread are not
//! supported, and a pod that asks for them is not placed and told so by name.

mod fit;

use crate::access::{Access, elements, text};
use crate::conditions::{self, Condition};
use crate::events::Severity;
use crate::pod_facts;
use crate::resources::{NODES, PODS};
use async_trait::async_trait;
use fit::{Amounts, NodeState};
use jiff::Timestamp;
use plane_client::{
    ApiError, Next, Object, ObjectName, PlaneClient, Reconciler, Revision, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The name by which pods ask for it.
const NAME: &str = "default-scheduler";

/// A pod that fits nowhere is looked at this often without an event: one may have been missed.
const PATROL: Duration = Duration::from_secs(30);

/// What a pod asks for that is not supported; `None`: nothing.
fn unsupported(pod: &Value) -> Option<&'static str> {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let affinity = &pod["spec"]["affinity"];
    let asks = |kind: &str| affinity[kind][REQUIRED].as_array().is_some_and(|terms| !terms.is_empty());
    let hard_spread = elements(pod, "/spec/topologySpreadConstraints")
        .iter()
        .any(|constraint| constraint["whenUnsatisfiable"] == "DoNotSchedule");
    [
        (asks("podAffinity"), "required pod affinity"),
        (asks("podAntiAffinity"), "required pod anti-affinity"),
        (hard_spread, "hard topology spread"),
        (!elements(pod, "/spec/resourceClaims").is_empty(), "dynamic resource claims"),
    ]
    .into_iter()
    .find_map(|(asked, what)| asked.then_some(what))
}

/// What the scheduler reads of a pod, kept by version.
struct Known {
    revision: Revision,
    /// Empty: not bound.
    node: String,
    ended: bool,
    needs: Amounts,
    ports: Vec<(String, i64)>,
}

impl Known {
    fn of(object: &Object) -> Result<Self, ApiError> {
        let pod = object.value()?;
        Ok(Known {
            revision: object.revision,
            node: text(&pod, "/spec/nodeName").to_owned(),
            ended: pod_facts::has_ended(&pod),
            needs: fit::needs(&pod),
            ports: fit::host_ports(&pod),
        })
    }
}

#[derive(Default)]
struct Memory {
    /// Pods by UID.
    pods: HashMap<String, Known>,
    /// Pods that are being bound, or were and are not seen so yet: UID and node.
    bound: HashMap<String, String>,
}

/// The reconciler that binds pods of one plane.
pub(crate) struct Scheduler {
    access: Access,
    plane: TenantId,
    memory: Mutex<Memory>,
    /// Held while a node is chosen: each choice counts the ones before it.
    turn: tokio::sync::Mutex<()>,
    /// Pods that fit nowhere.
    waiting: Arc<Mutex<HashSet<ObjectName>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId) -> Self {
        Scheduler {
            access: Access::new(client, NAME),
            plane,
            memory: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            waiting: Arc::default(),
        }
    }

    /// The nodes with what is bound to them.
    async fn nodes(&self, tenant: TenantId) -> Result<Vec<NodeState>, ApiError> {
        let nodes = self.access.list(tenant, &NODES, "").await?;
        let mut states =
            nodes.iter().map(|node| node.value().map(NodeState::new)).collect::<Result<Vec<_>, _>>()?;
        let index: HashMap<String, usize> =
            states.iter().enumerate().map(|(index, state)| (state.name().to_owned(), index)).collect();
        let pods = self.access.list(tenant, &PODS, "").await?;
        let mut memory = locked(&self.memory);
        let Memory { pods: known, bound } = &mut *memory;
        if known.len() > 2 * pods.len() + 64 {
            let live: HashSet<&str> = pods.iter().map(|pod| pod.meta.uid.as_str()).collect();
            known.retain(|uid, _| live.contains(uid.as_str()));
            bound.retain(|uid, _| live.contains(uid.as_str()));
        }
        for pod in &pods {
            let uid = pod.meta.uid.as_str();
            if known.get(uid).is_none_or(|known| known.revision != pod.revision) {
                known.insert(uid.to_owned(), Known::of(pod)?);
            }
            let Some(facts) = known.get(uid) else { continue };
            if !facts.node.is_empty() {
                bound.remove(uid);
            }
            let node = if facts.node.is_empty() { bound.get(uid) } else { Some(&facts.node) };
            if let Some(index) = node.and_then(|node| index.get(node)).filter(|_| !facts.ended) {
                states[*index].bind(&facts.needs, &facts.ports);
            }
        }
        Ok(states)
    }

    async fn bind(&self, tenant: TenantId, pod: &Value, node: &str) -> Result<(), ApiError> {
        let meta = &pod["metadata"];
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let target = self.access.target_of(tenant, &PODS, pod).subresource("binding");
        if let Err(error) = self.access.post(&target, body).await {
            locked(&self.memory).bound.remove(text(pod, "/metadata/uid"));
            // Deleted meanwhile, or bound by someone else: its event brings it again if there is more to do.
            let is_settled = error.is_not_found() || error.is_conflict();
            return if is_settled { Ok(()) } else { Err(error) };
        }
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        self.access.event(tenant, pod, Severity::Normal, "Scheduled", &message);
        Ok(())
    }

    /// Writes why the pod is not placed, unless that is what it says already.
    async fn refuse(
        &self,
        tenant: TenantId,
        pod: &Value,
        reason: &str,
        message: String,
    ) -> Result<(), ApiError> {
        let mut list = elements(pod, "/status/conditions").to_vec();
        let condition = Condition { kind: "PodScheduled", status: "False", reason, message: message.clone() };
        let observed = ("observedGeneration", pod["metadata"]["generation"].clone());
        let extra = if observed.1.is_null() { vec![] } else { vec![observed] };
        if !conditions::set(&mut list, &condition, &extra, Timestamp::now()) {
            return Ok(());
        }
        let mut status = pod["status"].clone();
        status["conditions"] = list.into();
        self.access.set_status(tenant, &PODS, pod, status).await?;
        if reason == "Unschedulable" {
            self.access.event(tenant, pod, Severity::Warning, "FailedScheduling", &message);
        }
        Ok(())
    }
}

#[async_trait]
impl Reconciler for Scheduler {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let scope = Scope::One(self.plane);
        let (for_nodes, for_pods) = (self.waiting.clone(), self.waiting.clone());
        vec![
            Trigger::mapped(PODS.group_resource(), scope, move |pod| {
                let value = pod.value().unwrap_or_default();
                let is_placed = !text(&value, "/spec/nodeName").is_empty();
                let mut due = if is_placed { vec![] } else { vec![pod.name.clone()] };
                // Room may have become free.
                if is_placed && (pod.meta.deleting || pod_facts::has_ended(&value)) {
                    due.extend(locked(&for_pods).iter().cloned());
                }
                due
            }),
            Trigger::mapped(NODES.group_resource(), scope, move |_| {
                locked(&for_nodes).iter().cloned().collect()
            }),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let pod = self.access.get(tenant, &PODS, &key.namespace, &key.name).await?;
        let Some(pod) = pod.filter(|pod| {
            let scheduler = text(pod, "/spec/schedulerName");
            text(pod, "/spec/nodeName").is_empty()
                && pod_facts::is_active(pod)
                && (scheduler.is_empty() || scheduler == NAME)
        }) else {
            locked(&self.waiting).remove(key);
            return Ok(Next::OnEvent);
        };
        if !elements(&pod, "/spec/schedulingGates").is_empty() {
            let message = "Scheduling is blocked due to non-empty scheduling gates".to_owned();
            self.refuse(tenant, &pod, "SchedulingGated", message).await?;
            return Ok(Next::OnEvent);
        }
        // Noted before nodes are read: what changes after is an event for it.
        locked(&self.waiting).insert(key.clone());
        let choice = {
            let _turn = self.turn.lock().await;
            let nodes = self.nodes(tenant).await?;
            let choice = fit::choose(&pod, &fit::needs(&pod), &nodes).map(str::to_owned);
            if let Ok(node) = &choice {
                let uid = text(&pod, "/metadata/uid").to_owned();
                locked(&self.memory).bound.insert(uid, node.clone());
            }
            choice
        };
        match choice {
            Ok(node) => {
                self.bind(tenant, &pod, &node).await?;
                locked(&self.waiting).remove(key);
            }
            Err(why) => {
                self.refuse(tenant, &pod, "Unschedulable", why).await?;
                return Ok(Next::After(PATROL));
            }
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::EVENTS;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;

    const TENANT: TenantId = TenantId::LOCAL_SUPER;

    fn pod(name: &str, cpu: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {"phase": "Pending"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
    }

    fn node(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"}}})
    }

    fn on(node: &'static str) -> impl Fn(Option<&Value>) -> bool {
        move |pod| pod.is_some_and(|pod| pod["spec"]["nodeName"] == node)
    }

    #[tokio::test(start_paused = true)]
    async fn pods_are_placed_side_by_side_and_wait_for_room() {
        let planes = FakePlanes::new();
        let scheduler = Arc::new(Scheduler::new(planes.client(), TENANT));
        tokio::spawn(Controller::new(planes.client(), scheduler, 1).run(Shutdown::new()));
        planes.put(TENANT, pod("a", "2"));
        let pods = PODS.group_resource();
        let says = |what: &'static str| {
            move |pod: Option<&Value>| {
                let found = conditions::find(elements(pod.unwrap(), "/status/conditions"), "PodScheduled");
                found.is_some_and(|found| found["reason"] == "Unschedulable" && found["message"] == what)
            }
        };
        planes.wait_for(TENANT, &pods, "default", "a", says("no nodes available to schedule pods")).await;
        planes.put(TENANT, node("n"));
        planes.wait_for(TENANT, &pods, "default", "a", on("n")).await;
        planes.put(TENANT, pod("b", "1"));
        planes
            .wait_for(TENANT, &pods, "default", "b", says("0/1 nodes are available: 1 Insufficient cpu."))
            .await;
        let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
        assert!(events.iter().any(|event| event["reason"] == "FailedScheduling"));
        let mut ended = planes.find(TENANT, &pods, "default", "a").unwrap();
        ended["status"]["phase"] = "Succeeded".into();
        planes.put(TENANT, ended);
        planes.wait_for(TENANT, &pods, "default", "b", on("n")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_scheduler_or_a_gate_holds_is_left_alone() {
        let planes = FakePlanes::new();
        planes.put(TENANT, node("n"));
        let (mut gated, mut other) = (pod("gated", "1"), pod("other", "1"));
        gated["spec"]["schedulingGates"] = json!([{"name": "x.dev/wait"}]);
        other["spec"]["schedulerName"] = "other".into();
        planes.put(TENANT, other);
        planes.put(TENANT, gated.clone());
        let scheduler = Arc::new(Scheduler::new(planes.client(), TENANT));
        tokio::spawn(Controller::new(planes.client(), scheduler, 1).run(Shutdown::new()));
        let pods = PODS.group_resource();
        let is_gated =
            |pod: Option<&Value>| pod.unwrap()["status"]["conditions"][0]["reason"] == "SchedulingGated";
        planes.wait_for(TENANT, &pods, "default", "gated", is_gated).await;
        gated["spec"]["schedulingGates"] = json!([]);
        planes.put(TENANT, gated);
        planes.wait_for(TENANT, &pods, "default", "gated", on("n")).await;
        let other = planes.find(TENANT, &pods, "default", "other").unwrap();
        assert!(other["spec"]["nodeName"].is_null());
    }
}
