//! Pods bound to simulated nodes.
//!
//! Guarantees: a pod gets an address that no other live pod of the plane has; it is `Running` and ready once its
//! ConfigMaps and Secrets are there and the time has passed that its annotations name, and else waits and names what
//! it lacks, as a kubelet words it; it ends as its annotations say, when it uses more memory than it may, or when it
//! was active for too long, and is restarted or not as `restartPolicy` says; one that is deleted ends when its
//! containers have ended, at once or as its annotations say, and at the latest after its grace. Nothing is done for
//! pods of a node that has failed. Assumes one writer of these pods' status. Caveats: nothing runs: no probe is asked,
//! no image is pulled.

use super::addresses::Addresses;
use super::board::{Board, Site};
use super::pressure::{self, Pressure};
use super::references::{self, Kind, Reference, Use};
use super::status::{self, Lacks, Place, Stop};
use super::wishes::Wishes;
use crate::access::{Access, elements, number, text};
use crate::conditions;
use crate::events::Severity;
use crate::pod_facts;
use crate::pods_by_node::PodsByNode;
use crate::resources::{CONFIG_MAPS, NODES, PODS, SECRETS};
use api_types::labels::SIMULATED;
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Resource, Scope, TenantId, Trigger,
};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A pod that lacks something is looked at this often without an event.
const PATROL: Duration = Duration::from_secs(30);

/// Times are whole seconds: a moment later, they have passed.
const A_MOMENT: Duration = Duration::from_millis(20);
const DEADLINE_EXCEEDED: &str = "Pod was active on the node longer than the specified deadline";

type Waiting = Arc<Mutex<HashMap<CompactString, HashSet<CompactString>>>>;

/// True when each container of a pod runs: what they needed to begin is not looked for again.
fn all_run(pod: &Value) -> bool {
    let statuses = elements(pod, "/status/containerStatuses");
    statuses.len() == elements(pod, "/spec/containers").len()
        && statuses.iter().all(|status| status["state"]["running"].is_object())
}

/// How long the pod's containers have to end.
fn grace(pod: &Value) -> Duration {
    let seconds = number(pod, "/metadata/deletionGracePeriodSeconds");
    Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0))
}

/// When they were told to.
fn asked(pod: &Value, grace: Duration) -> Option<Timestamp> {
    conditions::time(&pod["metadata"]["deletionTimestamp"])?.checked_sub(grace).ok()
}

/// The reconciler of pods on simulated nodes.
pub(crate) struct Kubelets {
    access: Access,
    plane: TenantId,
    board: Arc<Board>,
    addresses: OnceCell<Mutex<Addresses>>,
    /// Pods that lack something, by namespace.
    waiting: Waiting,
    pressure: Arc<Pressure>,
}

impl Kubelets {
    pub(crate) fn new(
        client: Arc<dyn PlaneClient>,
        plane: TenantId,
        pods: Arc<PodsByNode>,
        pressure: Arc<Pressure>,
    ) -> Self {
        Kubelets {
            access: Access::new(client, "simulated-kubelet"),
            plane,
            board: Arc::new(Board::new(pods)),
            addresses: OnceCell::new(),
            waiting: Arc::default(),
            pressure,
        }
    }

    /// The addresses; at first those that live pods have already.
    async fn addresses(&self) -> Result<&Mutex<Addresses>, ApiError> {
        self.addresses
            .get_or_try_init(|| async {
                let mut addresses = Addresses::default();
                for object in self.access.list(self.plane, &PODS, "").await? {
                    let pod = object.value()?;
                    if !pod_facts::has_ended(&pod) {
                        addresses.note(&object.name, &object.meta.uid, text(&pod, "/status/podIP"));
                    }
                }
                Ok(Mutex::new(addresses))
            })
            .await
    }

    async fn with_addresses<R>(&self, act: impl FnOnce(&mut Addresses) -> R) -> Result<R, ApiError> {
        Ok(act(&mut self.addresses().await?.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn note_waiting(&self, key: &ObjectName, waits: bool) {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            all.entry(key.namespace.clone()).or_default().insert(key.name.clone());
        } else if let Some(pods) = all.get_mut(&key.namespace) {
            pods.remove(&key.name);
            if pods.is_empty() {
                all.remove(&key.namespace);
            }
        }
    }

    /// What the pod lacks, with an event for each thing.
    async fn lacks(&self, tenant: TenantId, pod: &Value) -> Result<Lacks, ApiError> {
        let namespace = text(pod, "/metadata/namespace");
        let mut lacks = Lacks::default();
        let mut found: HashMap<(Kind, String), Option<Value>> = HashMap::new();
        for reference in references::of(pod) {
            let Reference { kind, name, .. } = &reference;
            let key = (*kind, name.clone());
            if !found.contains_key(&key) {
                let resource: &Resource = if *kind == Kind::ConfigMap { &CONFIG_MAPS } else { &SECRETS };
                found.insert(key.clone(), self.access.get(tenant, resource, namespace, name).await?);
            }
            let object = found.get(&key).and_then(Option::as_ref);
            let Some(why) = references::missing(&reference, namespace, object) else { continue };
            match reference.used_by {
                Use::Volume(volume) => {
                    lacks.volumes = true;
                    let message = format!("MountVolume.SetUp failed for volume {volume:?} : {why}");
                    self.access.event(tenant, pod, Severity::Warning, "FailedMount", &message);
                }
                Use::Environment(container) => {
                    let message = format!("Error: {why}");
                    self.access.event(tenant, pod, Severity::Warning, "Failed", &message);
                    lacks.containers.entry(container).or_insert(why);
                }
            }
        }
        Ok(lacks)
    }

    /// Ends a pod that is being deleted: its containers first, then itself.
    async fn end(&self, tenant: TenantId, pod: &Value) -> Result<Next, ApiError> {
        let now = Timestamp::now();
        if !pod_facts::has_ended(pod) {
            let wishes = Wishes::of(pod).unwrap_or(Wishes::NONE);
            let grace = grace(pod);
            let rest = asked(pod, grace).map(|asked| status::elapsed(asked, now));
            let rest = wishes.stop_after.min(grace).saturating_sub(rest.unwrap_or(grace));
            if !rest.is_zero() {
                return Ok(Next::After(rest + A_MOMENT));
            }
            let how = if wishes.stop_after > grace { Stop::Killed } else { Stop::Told };
            self.access.set_status(tenant, &PODS, pod, status::ended(pod, how, now)).await?;
        }
        let is_removed = pod["metadata"]["deletionGracePeriodSeconds"] == 0;
        if is_removed && !elements(pod, "/metadata/finalizers").is_empty() {
            // Nothing is left to do here; whoever holds the finalizer ends it.
            return Ok(Next::OnEvent);
        }
        let now = Delete { grace_period_seconds: Some(0), ..Delete::default() };
        self.access.delete(tenant, &PODS, pod, now).await.map(|()| Next::OnEvent)
    }

    /// Writes the status, and that it is simulated.
    async fn tell(&self, tenant: TenantId, pod: &Value, status: Value) -> Result<bool, ApiError> {
        self.access.set_status_labelled(tenant, &PODS, pod, status, &[(SIMULATED, "true")]).await
    }
}

#[async_trait]
impl Reconciler for Kubelets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let scope = Scope::One(self.plane);
        let waiting = |resource: &Resource| {
            let waiting = self.waiting.clone();
            Trigger::mapped(resource.group_resource(), scope, move |object| {
                let all = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let pods = all.get(&object.name.namespace).into_iter().flatten();
                pods.map(|pod| ObjectName::new(&object.name.namespace, pod)).collect()
            })
        };
        let (of_pods, of_nodes) = (self.board.clone(), self.board.clone());
        vec![
            Trigger::seen(PODS.group_resource(), scope, move |pod, seen| of_pods.pod(pod, seen)),
            Trigger::seen(NODES.group_resource(), scope, move |node, seen| of_nodes.node(node, seen)),
            waiting(&CONFIG_MAPS),
            waiting(&SECRETS),
        ]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(pod) = self.access.get(tenant, &PODS, &key.namespace, &key.name).await? else {
            self.note_waiting(key, false);
            self.board.forget(key);
            self.with_addresses(|addresses| addresses.release(key)).await?;
            return Ok(Next::OnEvent);
        };
        let node = text(&pod, "/spec/nodeName");
        let Some(Site { network, host_ip, failed: false }) = self.board.site(node) else {
            return Ok(Next::OnEvent);
        };
        if pod_facts::is_deleting(&pod) {
            self.note_waiting(key, false);
            return self.end(tenant, &pod).await;
        }
        if pod_facts::has_ended(&pod) {
            self.with_addresses(|addresses| addresses.release(key)).await?;
            return Ok(Next::OnEvent);
        }
        if pressure::tells(&pod) {
            self.pressure.note(node);
        }
        let uid = text(&pod, "/metadata/uid");
        let known = text(&pod, "/status/podIP");
        let address = self.with_addresses(|addresses| {
            if !known.is_empty() {
                addresses.note(key, uid, known);
            }
            addresses.allocate(key, uid, network)
        });
        let Some(address) = address.await? else {
            return Err(ApiError::internal(format_args!("{node} has no free pod address")));
        };
        let on_host = pod["spec"]["hostNetwork"].as_bool().unwrap_or(false);
        let pod_ip = if on_host { host_ip.clone() } else { address.to_string() };
        if status::is_past_deadline(&pod, Timestamp::now()) {
            let status = status::failed(&pod, "DeadlineExceeded", DEADLINE_EXCEEDED, Timestamp::now());
            self.tell(tenant, &pod, status).await?;
            return Ok(Next::OnEvent);
        }
        // Noted before it is looked: what comes after is an event for it.
        self.note_waiting(key, true);
        let lacks = if all_run(&pod) { Lacks::default() } else { self.lacks(tenant, &pod).await? };
        let is_complete = lacks == Lacks::default();
        if is_complete {
            self.note_waiting(key, false);
        }
        let (status, again) = status::next(&pod, &Place { pod_ip, host_ip }, &lacks, Timestamp::now());
        let began_to_wait = status::crash_loops(&pod, &status);
        self.tell(tenant, &pod, status).await?;
        for container in began_to_wait {
            let message = format!(
                "Back-off restarting failed container {container} in pod {}_{}({uid})",
                key.name, key.namespace
            );
            self.access.event(tenant, &pod, Severity::Warning, "BackOff", &message);
        }
        Ok(match (again, is_complete) {
            (Some(delay), _) => Next::After(delay + A_MOMENT),
            (None, false) => Next::After(PATROL),
            (None, true) => Next::OnEvent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;
    use plane_client::{Actor, Controller, Target, Write};
    use serde_json::json;
    use service_runtime::Shutdown;

    const TENANT: TenantId = TenantId::LOCAL_SUPER;

    fn node(index: u32) -> Value {
        json!({"apiVersion": "v1", "kind": "Node", "spec": {"podCIDR": format!("10.244.{index}.0/24")},
            "metadata": {"name": format!("sim-{index}"), "labels": {SIMULATED: "true"}}})
    }

    fn start(nodes: u32) -> FakePlanes {
        let planes = FakePlanes::new();
        for index in 0..nodes {
            planes.put(TENANT, node(index));
        }
        let kubelets = Arc::new(Kubelets::new(planes.client(), TENANT, Arc::default(), Arc::default()));
        tokio::spawn(Controller::new(planes.client(), kubelets, 4).run(Shutdown::new()));
        planes
    }

    fn pod(name: &str, node: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {"phase": "Pending"},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "x"}]}})
    }

    fn is(phase: &'static str) -> impl Fn(Option<&Value>) -> bool {
        move |pod| pod.is_some_and(|pod| pod["status"]["phase"] == phase)
    }

    #[tokio::test(start_paused = true)]
    async fn pods_run_with_addresses_of_their_own_and_end_when_deleted() {
        let planes = start(2);
        let pods = PODS.group_resource();
        let mut addresses = HashSet::new();
        for (name, node) in [("a", "sim-0"), ("b", "sim-0"), ("c", "sim-1")] {
            planes.put(TENANT, pod(name, node));
            let found = planes.wait_for(TENANT, &pods, "default", name, is("Running")).await.unwrap();
            assert_eq!(found["metadata"]["labels"][SIMULATED], "true");
            addresses.insert(text(&found, "/status/podIP").to_owned());
        }
        assert_eq!(addresses.len(), 3);
        planes.put(TENANT, pod("elsewhere", "sim-2"));
        let delete = Write::Delete(Delete::default());
        planes
            .client()
            .write(&Actor::Platform("admin"), &Target::new(TENANT, &PODS, "default", "a"), delete)
            .await
            .unwrap();
        planes.wait_for(TENANT, &pods, "default", "a", |found| found.is_none()).await;
        let elsewhere = planes.find(TENANT, &pods, "default", "elsewhere").unwrap();
        assert_eq!(elsewhere["status"]["phase"], "Pending", "not one of these nodes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_fails_leaves_its_pods_alone_until_it_is_healed() {
        let planes = start(1);
        let pods = PODS.group_resource();
        planes.put(TENANT, pod("a", "sim-0"));
        let found = planes.wait_for(TENANT, &pods, "default", "a", is("Running")).await.unwrap();
        let mut failed = node(0);
        failed["metadata"]["annotations"] = json!({"sim.insula.dev/failed": "true"});
        planes.put(TENANT, failed);
        let mut unready = found.clone();
        unready["status"]["phase"] = "Unknown".into();
        planes.put(TENANT, unready);
        planes.put(TENANT, pod("b", "sim-0"));
        tokio::time::advance(Duration::from_secs(60)).await;
        let phase =
            |name: &str| planes.find(TENANT, &pods, "default", name).unwrap()["status"]["phase"].clone();
        assert_eq!((phase("a"), phase("b")), (json!("Unknown"), json!("Pending")));
        planes.put(TENANT, node(0));
        for name in ["a", "b"] {
            planes.wait_for(TENANT, &pods, "default", name, is("Running")).await;
        }
    }

    #[tokio::test]
    async fn a_pod_that_is_deleted_has_time_to_end() {
        let planes = start(1);
        let pods = PODS.group_resource();
        let mut slow = pod("a", "sim-0");
        slow["metadata"]["annotations"] = json!({"sim.insula.dev/stop-after": "1h"});
        slow["spec"]["terminationGracePeriodSeconds"] = 3_600.into();
        planes.put(TENANT, slow);
        planes.wait_for(TENANT, &pods, "default", "a", is("Running")).await;
        let target = Target::new(TENANT, &PODS, "default", "a");
        let delete =
            |grace: u32| Write::Delete(Delete { grace_period_seconds: Some(grace), ..Delete::default() });
        let admin = Actor::Platform("admin");
        planes.client().write(&admin, &target, delete(3_600)).await.unwrap();
        planes.put(TENANT, pod("b", "sim-0"));
        planes.wait_for(TENANT, &pods, "default", "b", is("Running")).await;
        assert!(planes.find(TENANT, &pods, "default", "a").is_some_and(|pod| pod_facts::is_deleting(&pod)));
        // Less time than it wants: it is killed.
        planes.client().write(&admin, &target, delete(1)).await.unwrap();
        planes.wait_for(TENANT, &pods, "default", "a", |found| found.is_none()).await;
        let killed = planes.writes().into_iter().any(|write| {
            matches!(&write.write, Write::Patch(plane_client::Patch::Merge(patch))
                if patch["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137)
        });
        assert!(killed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_waits_for_its_secret() {
        let planes = start(1);
        let pods = PODS.group_resource();
        let mut waiting = pod("a", "sim-0");
        waiting["spec"]["containers"][0]["env"] =
            json!([{"name": "U", "valueFrom": {"secretKeyRef": {"name": "db", "key": "uri"}}}]);
        planes.put(TENANT, waiting);
        let says = |what: &'static str| {
            move |pod: Option<&Value>| {
                let waiting = &pod.unwrap()["status"]["containerStatuses"][0]["state"]["waiting"];
                waiting["reason"] == "CreateContainerConfigError" && waiting["message"] == what
            }
        };
        planes.wait_for(TENANT, &pods, "default", "a", says("secret \"db\" not found")).await;
        let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": data});
        planes.put(TENANT, secret(json!({})));
        planes
            .wait_for(TENANT, &pods, "default", "a", says("couldn't find key uri in Secret default/db"))
            .await;
        planes.put(TENANT, secret(json!({"uri": "eA=="})));
        let mut running = planes.wait_for(TENANT, &pods, "default", "a", is("Running")).await.unwrap();
        // What runs goes on without it.
        planes.remove(TENANT, &SECRETS.group_resource(), "default", "db");
        running["spec"]["containers"][0]["image"] = "another".into();
        planes.put(TENANT, running);
        let taken = |pod: Option<&Value>| {
            let status = &pod.unwrap()["status"];
            status["phase"] == "Running" && status["containerStatuses"][0]["image"] == "another"
        };
        planes.wait_for(TENANT, &pods, "default", "a", taken).await;
    }
}
