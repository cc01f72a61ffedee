//! The nodes themselves: they are registered, say how they are, and renew their Leases.

use super::networks::{self, Networks};
use super::pressure::{self, Pressure};
use super::{LEASE_NAMESPACE, Template, VERSION, is_failed, is_simulated, node_name, number_of};
use crate::access::{Access, elements, text};
use crate::conditions::{self, Condition};
use crate::events::Severity;
use crate::pods_by_node::PodsByNode;
use crate::resources::{LEASES, NAMESPACES, NODES, PODS};
use api_schema::quantity::Quantity;
use api_types::condition::whole_seconds;
use api_types::labels::{SIM_CAPACITY, SIMULATED};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Map, Value, json};
use service_runtime::Shutdown;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How often Leases are renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How often the conditions are written though nothing changed.
const HEARTBEAT: SignedDuration = SignedDuration::from_mins(5);
/// After a failed registration.
const AGAIN: Duration = Duration::from_secs(1);
/// What a node has of which nothing else is said.
const CAPACITY: &[(&str, &str)] = &[
    ("cpu", "32"),
    ("memory", "128Gi"),
    ("ephemeral-storage", "512Gi"),
    ("pods", "110"),
    ("hugepages-2Mi", "0"),
];

/// The reconciler of simulated nodes.
pub(crate) struct Nodes {
    access: Access,
    plane: TenantId,
    networks: OnceCell<Mutex<Networks>>,
    pods: Arc<PodsByNode>,
    pressure: Arc<Pressure>,
}

impl Nodes {
    pub(crate) fn new(
        client: Arc<dyn PlaneClient>,
        plane: TenantId,
        pods: Arc<PodsByNode>,
        pressure: Arc<Pressure>,
    ) -> Self {
        let access = Access::new(client, "simulated-nodes");
        Nodes { access, plane, networks: OnceCell::new(), pods, pressure }
    }

    /// Whether the node is under pressure; evicts a pod where that is so.
    async fn relieve(&self, node: &Value, name: &str) -> Result<bool, ApiError> {
        let mut pods = Vec::new();
        if self.pressure.is_possible(name) {
            for pod in self.pods.on(name) {
                pods.extend(self.access.get(self.plane, &PODS, &pod.namespace, &pod.name).await?);
            }
        }
        let telling = pods.iter().any(pressure::tells);
        let shortage = if telling { pressure::shortage(node, &pods) } else { None };
        let holds = self.pressure.holds(name, telling, shortage.is_some(), Instant::now());
        let Some(shortage) = shortage else { return Ok(holds) };
        let message = "Attempting to reclaim memory";
        self.access.event(self.plane, node, Severity::Warning, "EvictionThresholdMet", message);
        if let Some(victim) = shortage.victim {
            let why = shortage.why(victim);
            let status = pressure::evicted(victim, &why, Timestamp::now());
            self.access.set_status(self.plane, &PODS, victim, status).await?;
            self.access.event(self.plane, victim, Severity::Warning, "Evicted", &why);
        }
        Ok(holds)
    }

    /// The networks; at first those that nodes have already.
    async fn networks(&self) -> Result<&Mutex<Networks>, ApiError> {
        self.networks
            .get_or_try_init(|| async {
                let mut known = Networks::default();
                for object in self.access.list(self.plane, &NODES, "").await? {
                    if let Some(number) = networks::number_of(text(&object.value()?, "/spec/podCIDR")) {
                        known.note(&object.name.name, number);
                    }
                }
                Ok(Mutex::new(known))
            })
            .await
    }

    async fn with_networks<R>(&self, act: impl FnOnce(&mut Networks) -> R) -> Result<R, ApiError> {
        Ok(act(&mut self.networks().await?.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Gives a node the network for its pods; the change of the node brings it again.
    async fn connect(&self, node: &Value) -> Result<Next, ApiError> {
        let name = text(node, "/metadata/name");
        let number = self.with_networks(|networks| networks.choose(name, number_of(name))).await?;
        let Some(number) = number else {
            return Err(ApiError::internal(format_args!(
                "there is no network left for the simulated node {name}"
            )));
        };
        let cidr = format!("{}/24", networks::network(number));
        let mut next = node.clone();
        next["spec"]["podCIDR"] = cidr.as_str().into();
        next["spec"]["podCIDRs"] = json!([cidr]);
        // As a kubelet does it, also of a node that somebody else has made.
        for (key, value) in labels(name) {
            if next["metadata"]["labels"][key].is_null() {
                next["metadata"]["labels"][key] = value.into();
            }
        }
        self.access.change(self.plane, &NODES, "", node, &next).await?;
        Ok(Next::OnEvent)
    }

    async fn renew_lease(&self, node: &Value, now: Timestamp) -> Result<(), ApiError> {
        let name = text(node, "/metadata/name");
        let renewed = now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        if let Some(lease) = self.access.get(self.plane, &LEASES, LEASE_NAMESPACE, name).await? {
            let mut next = lease.clone();
            next["spec"]["renewTime"] = renewed.into();
            return self.access.change(self.plane, &LEASES, "", &lease, &next).await.map(|_| ());
        }
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASE_NAMESPACE}});
        self.access.ensure(self.plane, &NAMESPACES, "", namespace).await?;
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]});
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed},
        });
        self.access.ensure(self.plane, &LEASES, LEASE_NAMESPACE, lease).await.map(|_| ())
    }
}

#[async_trait]
impl Reconciler for Nodes {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(NODES.group_resource(), Scope::One(self.plane))]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(node) = self.access.get(tenant, &NODES, "", &key.name).await? else {
            self.with_networks(|networks| networks.release(&key.name)).await?;
            return Ok(Next::OnEvent);
        };
        // The kubelet of a node that has failed does not speak.
        if !is_simulated(&node) || is_failed(&node) {
            return Ok(Next::OnEvent);
        }
        let Some(number) = networks::number_of(text(&node, "/spec/podCIDR")) else {
            if !text(&node, "/spec/podCIDR").is_empty() {
                let message = "spec.podCIDR is not one of the networks of simulated nodes: leave it out";
                self.access.event(tenant, &node, Severity::Warning, "NoNetwork", message);
                return Ok(Next::OnEvent);
            }
            return self.connect(&node).await;
        };
        self.with_networks(|networks| networks.note(&key.name, number)).await?;
        let now = Timestamp::now();
        let capacity = match capacity(&node) {
            Ok(capacity) => capacity,
            Err(why) => {
                self.access.event(tenant, &node, Severity::Warning, "InvalidCapacity", &why);
                return Ok(Next::OnEvent);
            }
        };
        let under_pressure = self.relieve(&node, &key.name).await?;
        let wanted = node_status(&node, number, capacity, under_pressure, now);
        self.access.set_status(tenant, &NODES, &node, wanted).await?;
        self.renew_lease(&node, now).await?;
        Ok(Next::After(RENEWAL))
    }
}

/// Registers `sim-0` to `sim-<count - 1>`, and removes those beyond the count that were registered before. Nodes that
/// are there stay as they are. What fails is logged and tried again, until shutdown.
pub(crate) async fn register(
    client: Arc<dyn PlaneClient>,
    plane: TenantId,
    count: u32,
    templates: Vec<Template>,
    shutdown: Shutdown,
) {
    let access = Access::new(client, "simulated-nodes");
    while let Err(error) = register_once(&access, plane, count, &templates).await {
        tracing::warn!(%error, "simulated nodes could not be registered");
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = shutdown.requested() => return,
        }
    }
}

async fn register_once(
    access: &Access,
    plane: TenantId,
    count: u32,
    templates: &[Template],
) -> Result<(), ApiError> {
    let mut failed = Ok(());
    for (number, template) in (0..count).zip(templates.iter().cycle()) {
        // One that is refused holds up no other.
        let made = access.ensure(plane, &NODES, "", node(number, template)).await;
        failed = failed.and(made.map(drop));
    }
    for object in access.list(plane, &NODES, "").await? {
        let name = &object.name.name;
        let is_surplus = number_of(name).is_some_and(|number| number >= count);
        if is_surplus && text(&object.value()?, "/spec/providerID") == provider_id(name) {
            access.delete(plane, &NODES, &object.value()?, Delete::default()).await?;
        }
    }
    failed
}

/// What tells the nodes that are registered here from those that somebody else made.
fn provider_id(name: &str) -> String {
    format!("simulated://{name}")
}

/// The labels that a node has unless it says others.
fn labels(name: &str) -> [(&'static str, &str); 5] {
    [
        (SIMULATED, "true"),
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("node.kubernetes.io/instance-type", "simulated"),
    ]
}

/// A node as it is registered.
pub(super) fn node(number: u32, template: &Template) -> Value {
    let name = node_name(number);
    let mut labels = template.labels.clone();
    for (key, value) in self::labels(&name) {
        labels.entry(key).or_insert_with(|| value.into());
    }
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": provider_id(&name)},
    });
    let mut annotations = template.annotations.clone();
    let capacity: Vec<String> =
        template.capacity.iter().map(|(key, value)| format!("{key}={}", text(value, ""))).collect();
    if !capacity.is_empty() {
        annotations.insert(SIM_CAPACITY.to_owned(), capacity.join(",").into());
    }
    if !annotations.is_empty() {
        node["metadata"]["annotations"] = annotations.into();
    }
    if !template.taints.is_empty() {
        node["spec"]["taints"] = template.taints.clone().into();
    }
    node
}

/// What a node has: what its annotation says, else what it was made with, else what all have.
fn capacity(node: &Value) -> Result<Map<String, Value>, String> {
    let mut capacity: Map<String, Value> =
        CAPACITY.iter().map(|(resource, amount)| ((*resource).to_owned(), (*amount).into())).collect();
    capacity.extend(node["status"]["capacity"].as_object().cloned().unwrap_or_default());
    let said = node["metadata"]["annotations"][SIM_CAPACITY].as_str().unwrap_or("");
    for pair in said.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let wrong =
            || format!("annotation {SIM_CAPACITY}: {pair:?} is not a resource and an amount such as cpu=4");
        let (resource, amount) = pair.split_once('=').ok_or_else(wrong)?;
        let is_amount = Quantity::parse(amount).is_ok_and(|amount| amount.billionths() >= 0);
        if resource.is_empty() || !is_amount {
            return Err(wrong());
        }
        capacity.insert(resource.to_owned(), amount.into());
    }
    Ok(capacity)
}

/// The status of a node. The times of its conditions are renewed when something changes, and now and then.
fn node_status(
    node: &Value,
    number: u32,
    capacity: Map<String, Value>,
    under_pressure: bool,
    now: Timestamp,
) -> Value {
    let mut status = node["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let name = text(node, "/metadata/name");
    status["capacity"] = capacity.clone().into();
    status["allocatable"] = capacity.into();
    status["declaredFeatures"] =
        json!(["InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"]);
    status["addresses"] = json!([
        {"type": "InternalIP", "address": networks::host_ip(number)},
        {"type": "Hostname", "address": name},
    ]);
    status["nodeInfo"] = json!({
        "machineID": name, "systemUUID": name, "bootID": name,
        "kernelVersion": "simulated", "osImage": "Insula simulated node", "operatingSystem": "linux",
        "architecture": "amd64", "containerRuntimeVersion": "simulated://1.0",
        "kubeletVersion": VERSION, "kubeProxyVersion": "",
    });
    let mut list = elements(node, "/status/conditions").to_vec();
    let beats = |status: &str, known: Option<&Value>| {
        let same = known.filter(|known| known["status"] == status)?;
        let last = conditions::time(&same["lastHeartbeatTime"])?;
        (now.duration_since(last) < HEARTBEAT).then(|| same["lastHeartbeatTime"].clone())
    };
    let memory = match under_pressure {
        true => (
            "MemoryPressure",
            "True",
            "KubeletHasInsufficientMemory",
            "kubelet has insufficient memory available",
        ),
        false => (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
    };
    for (kind, holds, reason, message) in [
        memory,
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "a simulated node uses no disk"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "a simulated node runs no processes"),
        ("Ready", "True", "KubeletReady", "simulated: pods are marked as running, and nothing runs"),
    ] {
        let beat = beats(holds, conditions::find(&list, kind)).unwrap_or_else(|| whole_seconds(now).into());
        let condition = Condition { kind, status: holds, reason, message: message.to_owned() };
        conditions::set(&mut list, &condition, &[("lastHeartbeatTime", beat)], now);
    }
    status["conditions"] = list.into();
    status
}

#[cfg(test)]
mod tests {
    use super::super::pods::Kubelets;
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;

    const PLANE: TenantId = TenantId::LOCAL_SUPER;

    fn start(planes: &FakePlanes, count: u32, templates: Vec<Template>) -> Shutdown {
        let shutdown = Shutdown::new();
        tokio::spawn(register(planes.client(), PLANE, count, templates, shutdown.clone()));
        let pods = Arc::<PodsByNode>::default();
        let pressure = Arc::<Pressure>::default();
        let nodes = Arc::new(Nodes::new(planes.client(), PLANE, pods, pressure));
        tokio::spawn(Controller::new(planes.client(), nodes, 2).run(shutdown.clone()));
        shutdown
    }

    fn is_ready(node: Option<&Value>) -> bool {
        node.is_some_and(|node| conditions::holds(elements(node, "/status/conditions"), "Ready"))
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_registered_renewed_and_those_beyond_the_count_removed() {
        let planes = FakePlanes::new();
        planes.put(PLANE, node(7, &Template::default()));
        planes.put(PLANE, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sim-9"}}));
        let _shutdown = start(&planes, 2, vec![Template::default()]);
        let (nodes, leases) = (NODES.group_resource(), LEASES.group_resource());
        let lease = |name: &'static str| planes.find(PLANE, &leases, LEASE_NAMESPACE, name);
        planes.wait_until("leases", |_| lease("sim-0").is_some() && lease("sim-1").is_some()).await;
        planes.wait_for(PLANE, &nodes, "", "sim-7", |found| found.is_none()).await;
        assert!(planes.find(PLANE, &nodes, "", "sim-9").is_some(), "not ours");
        let found = planes.wait_for(PLANE, &nodes, "", "sim-1", is_ready).await.unwrap();
        assert_eq!(
            (&found["spec"]["podCIDR"], &found["status"]["allocatable"]["cpu"]),
            (&json!("10.244.1.0/24"), &json!("32"))
        );
        let before = lease("sim-0").unwrap()["metadata"]["resourceVersion"].clone();
        planes
            .wait_until("renewal", |_| lease("sim-0").unwrap()["metadata"]["resourceVersion"] != before)
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn templates_take_turns_and_nodes_of_others_live_too() {
        let planes = FakePlanes::new();
        let zones = ["a", "b"].map(|zone| Template {
            labels: json!({"topology.kubernetes.io/zone": zone}).as_object().unwrap().clone(),
            taints: vec![json!({"key": "only", "effect": "NoSchedule"})],
            capacity: json!({"cpu": "4"}).as_object().unwrap().clone(),
            ..Template::default()
        });
        let _shutdown = start(&planes, 3, zones.to_vec());
        let nodes = NODES.group_resource();
        for (name, zone) in [("sim-0", "a"), ("sim-1", "b"), ("sim-2", "a")] {
            let found = planes.wait_for(PLANE, &nodes, "", name, is_ready).await.unwrap();
            assert_eq!(found["metadata"]["labels"]["topology.kubernetes.io/zone"], zone);
            let capacity = &found["status"]["capacity"];
            assert_eq!((&capacity["cpu"], &capacity["pods"]), (&json!("4"), &json!("110")));
            assert_eq!(found["spec"]["taints"][0]["key"], "only");
        }
        let mut mine = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "mine",
            "labels": {SIMULATED: "true", "kubernetes.io/os": "other"}, "annotations": {SIM_CAPACITY: "cpu=2, example.com/gpu=1"}}});
        planes.put(PLANE, mine.clone());
        let found = planes.wait_for(PLANE, &nodes, "", "mine", is_ready).await.unwrap();
        assert_eq!(found["spec"]["podCIDR"], "10.244.3.0/24");
        let labels = &found["metadata"]["labels"];
        assert_eq!(
            (&labels["kubernetes.io/hostname"], &labels["kubernetes.io/os"]),
            (&json!("mine"), &json!("other"))
        );
        assert_eq!(
            (&found["status"]["allocatable"]["cpu"], &found["status"]["capacity"]["example.com/gpu"]),
            (&json!("2"), &json!("1"))
        );
        mine["metadata"]["annotations"] = json!({"sim.insula.dev/failed": "yes"});
        mine["metadata"]["name"] = "broken".into();
        planes.put(PLANE, mine);
        tokio::time::advance(Duration::from_secs(60)).await;
        let broken = planes.find(PLANE, &nodes, "", "broken").unwrap();
        assert!(broken["status"]["conditions"].is_null(), "it never spoke: {broken:#}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_uses_too_much_is_evicted() {
        let planes = FakePlanes::new();
        let (pods, nodes) = (PODS.group_resource(), NODES.group_resource());
        let template = Template {
            capacity: json!({"memory": "1Gi"}).as_object().unwrap().clone(),
            ..Template::default()
        };
        planes.put(PLANE, node(0, &template));
        let (known, pressure) = (Arc::<PodsByNode>::default(), Arc::<Pressure>::default());
        let node = Arc::new(Nodes::new(planes.client(), PLANE, known.clone(), pressure.clone()));
        tokio::spawn(Controller::new(planes.client(), node, 2).run(Shutdown::new()));
        let kubelets = Arc::new(Kubelets::new(planes.client(), PLANE, known, pressure));
        tokio::spawn(Controller::new(planes.client(), kubelets, 2).run(Shutdown::new()));
        for (name, uses) in [("modest", "100Mi"), ("greedy", "900Mi")] {
            planes.put(
                PLANE,
                json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Pending"},
                    "metadata": {"name": name, "annotations": {"sim.insula.dev/memory-usage": uses}},
                    "spec": {"nodeName": "sim-0", "containers": [{"name": "c", "image": "x"}]}}),
            );
        }
        let has_failed = |pod: Option<&Value>| pod.is_some_and(|pod| pod["status"]["reason"] == "Evicted");
        planes.wait_for(PLANE, &pods, "default", "greedy", has_failed).await;
        let is_short = |node: Option<&Value>| {
            node.is_some_and(|node| conditions::holds(elements(node, "/status/conditions"), "MemoryPressure"))
        };
        planes.wait_for(PLANE, &nodes, "", "sim-0", is_short).await;
        tokio::time::advance(Duration::from_secs(300)).await;
        planes.wait_for(PLANE, &nodes, "", "sim-0", |node| !is_short(node)).await;
        assert_eq!(planes.find(PLANE, &pods, "default", "modest").unwrap()["status"]["phase"], "Running");
    }

    #[test]
    fn capacities_that_cannot_be_read_are_told() {
        for (said, why) in
            [("cpu", "\"cpu\""), ("cpu=much", "\"cpu=much\""), ("=1", "\"=1\""), ("cpu=-1", "\"cpu=-1\"")]
        {
            let node = json!({"metadata": {"annotations": {SIM_CAPACITY: said}}});
            let told = capacity(&node).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn heartbeats_are_few() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut node = json!({"metadata": {"name": "n"}});
        node["status"] = node_status(&node, 0, Map::new(), false, at(0));
        assert_eq!(node_status(&node, 0, Map::new(), false, at(299)), node["status"]);
        assert_ne!(node_status(&node, 0, Map::new(), false, at(300)), node["status"]);
        node["status"]["conditions"][3]["status"] = "Unknown".into();
        let healed = node_status(&node, 0, Map::new(), false, at(10));
        assert_eq!(healed["conditions"][3]["status"], "True");
        assert_eq!(healed["conditions"][3]["lastHeartbeatTime"], "1970-01-01T00:00:10Z");
    }
}
