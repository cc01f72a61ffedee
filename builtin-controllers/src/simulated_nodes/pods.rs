//! Pods bound to simulated nodes.
//!
//! Guarantees: a pod gets an address that no other live pod of the plane has; it is `Running` and ready once its
//! ConfigMaps and Secrets are there, and else waits and names what it lacks, as a kubelet words it; with the
//! annotations `sim.insula.dev/run-for` and `sim.insula.dev/exit-code` it ends, and is restarted or not as
//! `restartPolicy` says; one that is deleted ends and is removed at once, whatever its grace. Assumes one writer
//! of these pods' status. Caveats: nothing runs: no probe is asked, no image is pulled, every
//! PersistentVolumeClaim counts as mounted, `activeDeadlineSeconds` and ephemeral containers are ignored.

use super::addresses::Addresses;
use super::references::{self, Kind, Reference, Use};
use super::status::{self, Lacks, Place};
use crate::access::{Access, elements, text};
use crate::events::Severity;
use crate::pod_facts;
use crate::resources::{CONFIG_MAPS, PODS, SECRETS};
use api_types::labels::SIMULATED;
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Resource, Scope, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A pod that lacks something is looked at this often without an event.
const PATROL: Duration = Duration::from_secs(30);

type Waiting = Arc<Mutex<HashMap<CompactString, HashSet<CompactString>>>>;

/// The reconciler of pods on simulated nodes.
pub(crate) struct Kubelets {
    access: Access,
    plane: TenantId,
    nodes: u32,
    addresses: OnceCell<Mutex<Addresses>>,
    /// Pods that lack something, by namespace.
    waiting: Waiting,
}

impl Kubelets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId, nodes: u32) -> Self {
        Kubelets {
            access: Access::new(client, "simulated-kubelet"),
            plane,
            nodes: nodes.min(super::MAX_NODES),
            addresses: OnceCell::new(),
            waiting: Arc::default(),
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
    async fn end(&self, tenant: TenantId, pod: &Value) -> Result<(), ApiError> {
        if !pod_facts::has_ended(pod) {
            self.access.set_status(tenant, &PODS, pod, status::ended(pod, Timestamp::now())).await?;
        }
        let is_removed = pod["metadata"]["deletionGracePeriodSeconds"] == 0;
        if is_removed && !elements(pod, "/metadata/finalizers").is_empty() {
            // Nothing is left to do here; whoever holds the finalizer ends it.
            return Ok(());
        }
        let now = Delete { grace_period_seconds: Some(0), ..Delete::default() };
        self.access.delete(tenant, &PODS, pod, now).await
    }

    async fn label(&self, tenant: TenantId, pod: &Value) -> Result<(), ApiError> {
        let target = self.access.target_of(tenant, &PODS, pod);
        let patch = json!({"metadata": {"uid": pod["metadata"]["uid"], "labels": {SIMULATED: "true"}}});
        self.access.patch(&target, patch).await.map(|_| ())
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
        vec![Trigger::own(PODS.group_resource(), scope), waiting(&CONFIG_MAPS), waiting(&SECRETS)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(pod) = self.access.get(tenant, &PODS, &key.namespace, &key.name).await? else {
            self.note_waiting(key, false);
            self.with_addresses(|addresses| addresses.release(key)).await?;
            return Ok(Next::OnEvent);
        };
        let node = super::index_of(text(&pod, "/spec/nodeName")).filter(|index| *index < self.nodes);
        let Some((node, network)) = node.and_then(|node| Some((node, u8::try_from(node).ok()?))) else {
            return Ok(Next::OnEvent);
        };
        if pod_facts::is_deleting(&pod) {
            self.note_waiting(key, false);
            self.end(tenant, &pod).await?;
            return Ok(Next::OnEvent);
        }
        if pod_facts::has_ended(&pod) {
            self.with_addresses(|addresses| addresses.release(key)).await?;
            return Ok(Next::OnEvent);
        }
        if pod["metadata"]["labels"][SIMULATED] != "true" {
            // The label is an event, and brings the pod again.
            self.label(tenant, &pod).await?;
            return Ok(Next::OnEvent);
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
            return Err(ApiError::internal(format_args!(
                "{} has no free pod address",
                super::node_name(node)
            )));
        };
        let on_host = pod["spec"]["hostNetwork"].as_bool().unwrap_or(false);
        let host_ip = super::host_ip(node);
        let pod_ip = if on_host { host_ip.clone() } else { address.to_string() };
        // Noted before it is looked: what comes after is an event for it.
        self.note_waiting(key, true);
        let lacks = self.lacks(tenant, &pod).await?;
        let is_complete = lacks == Lacks::default();
        if is_complete {
            self.note_waiting(key, false);
        }
        let (status, again) = status::next(&pod, &Place { pod_ip, host_ip }, &lacks, Timestamp::now());
        self.access.set_status(tenant, &PODS, &pod, status).await?;
        Ok(match (again, is_complete) {
            // Times are whole seconds: a moment later, they have passed.
            (Some(delay), _) => Next::After(delay + Duration::from_millis(20)),
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
    use service_runtime::Shutdown;

    const TENANT: TenantId = TenantId::LOCAL_SUPER;

    fn start(nodes: u32) -> FakePlanes {
        let planes = FakePlanes::new();
        let kubelets = Arc::new(Kubelets::new(planes.client(), TENANT, nodes));
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
        planes.wait_for(TENANT, &pods, "default", "a", is("Running")).await;
    }
}
