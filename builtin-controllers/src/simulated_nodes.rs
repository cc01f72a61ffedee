//! Nodes of the embedded super cluster that run nothing.
//!
//! **They are simulated**, and say so: the label `insula.dev/simulated: "true"` on nodes and their pods, container
//! IDs `simulated://…`, kubelet and runtime versions that name the simulation. Each has 32 CPUs, 128Gi of memory,
//! 512Gi of ephemeral storage, room for 110 pods, the pod addresses `10.244.N.0/24` and the host address
//! `198.18.0.N+1` (a range for benchmarks that no network routes).
//!
//! Guarantees: nodes `sim-0` to `sim-<count - 1>` are there and `Ready` while this runs, with a Lease in
//! `kube-node-lease` renewed every 10 s; what a pod bound to them says of itself is what a kubelet would say
//! ([`pods`]). Assumes one writer: one process runs the nodes of a plane. Caveats: a node is not marked unready
//! when the process ends; a node beyond the count is deleted at start, and pod garbage collection takes its pods.

pub(crate) mod pods;

mod addresses;
mod durations;
mod references;
mod status;
mod usage;

pub use usage::SimulatedUsage;

use crate::access::{Access, text};
use crate::conditions::{self, Condition};
use crate::resources::{LEASES, NAMESPACES, NODES};
use api_types::condition::whole_seconds;
use api_types::labels::SIMULATED;
use jiff::Timestamp;
use plane_client::{ApiError, Delete, PlaneClient, TenantId};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// How often Leases are renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How often the condition `Ready` is written though nothing changed, in renewals: every 5 minutes.
const HEARTBEAT: u64 = 30;
/// As many as `10.244.0.0/16` has networks for.
pub(crate) const MAX_NODES: u32 = 256;
/// The version that nodes say they run.
const VERSION: &str = "v1.36.0-insula.simulated";
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The name of a node.
pub(crate) fn node_name(index: u32) -> String {
    format!("sim-{index}")
}

/// The index of a simulated node by its name.
pub(crate) fn index_of(name: &str) -> Option<u32> {
    let index = name.strip_prefix("sim-")?.parse().ok()?;
    (node_name(index) == name).then_some(index)
}

/// The host address of a node.
pub(crate) fn host_ip(index: u32) -> String {
    let [.., high, low] = (index + 1).to_be_bytes();
    format!("198.18.{high}.{low}")
}

/// Registers nodes and keeps them alive.
pub(crate) struct Nodes {
    access: Access,
    plane: TenantId,
    count: u32,
}

impl Nodes {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, plane: TenantId, count: u32) -> Self {
        Nodes { access: Access::new(client, "simulated-nodes"), plane, count: count.min(MAX_NODES) }
    }

    /// Until shutdown. What fails is logged and tried again with the next renewal.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut round = 0;
        loop {
            let mut delay = RENEWAL;
            for index in 0..self.count {
                if let Err(error) = self.renew(index, round % HEARTBEAT == 0).await {
                    tracing::warn!(node = node_name(index), %error, "a simulated node could not be renewed");
                    delay = Duration::from_secs(1);
                }
            }
            if round == 0
                && let Err(error) = self.remove_surplus().await
            {
                tracing::warn!(%error, "surplus simulated nodes could not be removed");
            }
            round += 1;
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = shutdown.requested() => return,
            }
        }
    }

    async fn renew(&self, index: u32, heartbeat: bool) -> Result<(), ApiError> {
        let name = node_name(index);
        let now = Timestamp::now();
        let node = match self.access.get(self.plane, &NODES, "", &name).await? {
            Some(node) => node,
            None => {
                self.access.ensure(self.plane, &NODES, "", node(index)).await?;
                match self.access.get(self.plane, &NODES, "", &name).await? {
                    Some(node) => node,
                    // The cache lags; the next round goes on.
                    None => return Ok(()),
                }
            }
        };
        let wanted = node_status(index, &node, heartbeat, now);
        self.access.set_status(self.plane, &NODES, &node, wanted).await?;
        self.renew_lease(&node, now).await
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

    /// Deletes simulated nodes beyond the count.
    async fn remove_surplus(&self) -> Result<(), ApiError> {
        for object in self.access.list(self.plane, &NODES, "").await? {
            let is_surplus = object.meta.label(SIMULATED) == Some("true")
                && index_of(&object.name.name).is_some_and(|index| index >= self.count);
            if is_surplus {
                self.access.delete(self.plane, &NODES, &object.value()?, Delete::default()).await?;
            }
        }
        Ok(())
    }
}

/// A node as it is registered.
fn node(index: u32) -> Value {
    let name = node_name(index);
    let cidr = format!("10.244.{index}.0/24");
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            SIMULATED: "true",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": "simulated",
        }},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr], "providerID": format!("simulated://{name}")},
    })
}

/// The status of a node; a heartbeat renews the times of its conditions.
fn node_status(index: u32, node: &Value, heartbeat: bool, now: Timestamp) -> Value {
    let size = json!({"cpu": "32", "memory": "128Gi", "ephemeral-storage": "512Gi", "pods": "110", "hugepages-2Mi": "0"});
    let mut status = node["status"].clone();
    status["capacity"] = size.clone();
    status["allocatable"] = size;
    status["declaredFeatures"] =
        json!(["InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"]);
    status["addresses"] = json!([
        {"type": "InternalIP", "address": host_ip(index)},
        {"type": "Hostname", "address": node_name(index)},
    ]);
    status["nodeInfo"] = json!({
        "machineID": node_name(index), "systemUUID": node_name(index), "bootID": node_name(index),
        "kernelVersion": "simulated", "osImage": "Insula simulated node", "operatingSystem": "linux",
        "architecture": "amd64", "containerRuntimeVersion": "simulated://1.0",
        "kubeletVersion": VERSION, "kubeProxyVersion": "",
    });
    let mut list = crate::access::elements(node, "/status/conditions").to_vec();
    for (kind, holds, reason, message) in [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "a simulated node uses no memory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "a simulated node uses no disk"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "a simulated node runs no processes"),
        ("Ready", "True", "KubeletReady", "simulated: pods are marked as running, and nothing runs"),
    ] {
        let known = conditions::find(&list, kind).map(|condition| condition["lastHeartbeatTime"].clone());
        let beat = match known {
            Some(known) if !heartbeat && !known.is_null() => known,
            _ => whole_seconds(now).into(),
        };
        let condition = Condition { kind, status: holds, reason, message: message.to_owned() };
        conditions::set(&mut list, &condition, &[("lastHeartbeatTime", beat)], now);
    }
    status["conditions"] = list.into();
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;

    #[test]
    fn names_and_addresses() {
        assert_eq!(index_of("sim-12"), Some(12));
        for other in ["sim-", "sim-01", "sim-x", "node-1"] {
            assert_eq!(index_of(other), None, "{other}");
        }
        assert_eq!((host_ip(0), host_ip(255)), ("198.18.0.1".into(), "198.18.1.0".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_registered_renewed_and_those_beyond_the_count_removed() {
        let planes = FakePlanes::new();
        let plane = TenantId::LOCAL_SUPER;
        let mut surplus = node(7);
        surplus["metadata"]["labels"]["x"] = "y".into();
        planes.put(plane, surplus);
        planes.put(plane, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sim-9"}}));
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Nodes::new(planes.client(), plane, 2).run(shutdown.clone()));
        let (nodes, leases) = (NODES.group_resource(), LEASES.group_resource());
        let lease = |name: &'static str| planes.find(plane, &leases, LEASE_NAMESPACE, name);
        planes.wait_until("leases", |_| lease("sim-0").is_some() && lease("sim-1").is_some()).await;
        planes.wait_for(plane, &nodes, "", "sim-7", |found| found.is_none()).await;
        assert!(planes.find(plane, &nodes, "", "sim-9").is_some(), "not ours");
        let found = planes.find(plane, &nodes, "", "sim-1").unwrap();
        assert!(conditions::holds(crate::access::elements(&found, "/status/conditions"), "Ready"));
        assert_eq!(
            (&found["spec"]["podCIDR"], &found["status"]["allocatable"]["cpu"]),
            (&json!("10.244.1.0/24"), &json!("32"))
        );
        let before = lease("sim-0").unwrap()["metadata"]["resourceVersion"].clone();
        planes
            .wait_until("renewal", |_| lease("sim-0").unwrap()["metadata"]["resourceVersion"] != before)
            .await;
        shutdown.trigger();
        running.await.unwrap();
    }
}
