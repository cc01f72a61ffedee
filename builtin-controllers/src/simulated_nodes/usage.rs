//! What pods on simulated nodes use, for `metrics.k8s.io` of the embedded super cluster.
//!
//! **It is simulated**: nothing runs. A pod uses what its annotations `sim.insula.dev/cpu-usage` and
//! `sim.insula.dev/memory-usage` say, shared among its containers in proportion to what they request; each is an
//! amount (`250m`, `1Gi`) or a share of what is requested (`80%`). Without them a container uses half of what it
//! requests, and 10m of CPU and 32Mi of memory where it requests nothing. Only pods that run are measured, and at the
//! moment when somebody asks.

use crate::access::{elements, text};
use crate::pod_facts;
use crate::resources::PODS;
use api_resources::amounts::is_sidecar;
use api_schema::quantity::Quantity;
use api_types::labels::{SIM_CPU_USAGE, SIM_MEMORY_USAGE};
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{
    ApiError, Interval, NodeUsage, ObjectName, PlaneClient, PodUsage, TenantId, Usage, UsageMeter,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Usage is known at once: a window that is shorter than any change that could be seen.
const WINDOW: Duration = Duration::from_secs(1);

/// A resource whose usage is simulated.
struct Simulated {
    resource: &'static str,
    annotation: &'static str,
    /// Used by a container that requests nothing, in billionths.
    least: i128,
}

const CPU: Simulated = Simulated { resource: "cpu", annotation: SIM_CPU_USAGE, least: 10_000_000 };
const MEMORY: Simulated =
    Simulated { resource: "memory", annotation: SIM_MEMORY_USAGE, least: (32 << 20) * BILLION };
const BILLION: i128 = 1_000_000_000;

/// What an annotation says of the usage of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// So many billionths.
    Amount(i128),
    /// So many percent of what is requested.
    Percent(i128),
}

/// The share of what is requested that is used unless an annotation says otherwise.
const HALF: Said = Said::Percent(50);

/// Reads an annotation; `None`: it says nothing that could be understood.
fn said(text: &str) -> Option<Said> {
    let text = text.trim();
    match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<u32>().ok().map(|percent| Said::Percent(percent.into())),
        None => Quantity::parse(text).ok().map(Quantity::billionths).filter(|n| *n >= 0).map(Said::Amount),
    }
}

impl Simulated {
    /// What each of the containers uses, in billionths.
    fn used(&self, pod: &Value, containers: &[&Value]) -> Vec<i128> {
        let annotation = pod["metadata"]["annotations"][self.annotation].as_str();
        // What cannot be understood counts as not said; the pod says so, and does not begin.
        let said = annotation.and_then(said).unwrap_or(HALF);
        let requested = |container: &&Value| {
            let request = container["resources"]["requests"][self.resource].as_str();
            request.and_then(|request| Quantity::parse(request).ok()).map_or(0, Quantity::billionths)
        };
        let requests: Vec<i128> = containers.iter().map(requested).collect();
        let all: i128 = requests.iter().sum();
        let count = i128::try_from(containers.len()).unwrap_or(1).max(1);
        let share = |request: &i128| match said {
            Said::Percent(percent) if *request > 0 => request.saturating_mul(percent) / 100,
            Said::Percent(percent) => self.least.saturating_mul(percent) / 50,
            Said::Amount(amount) if all > 0 => {
                amount.checked_mul(*request).map_or(amount / count, |n| n / all)
            }
            Said::Amount(amount) => amount / count,
        };
        requests.iter().map(share).collect()
    }
}

/// Says which annotation cannot be understood.
pub(super) fn check(pod: &Value) -> Result<(), String> {
    for (Simulated { annotation, .. }, amount) in [(CPU, "250m"), (MEMORY, "1Gi")] {
        let Some(text) = pod["metadata"]["annotations"][annotation].as_str() else { continue };
        if said(text).is_none() {
            return Err(format!(
                "annotation {annotation}: {text:?} is neither an amount such as {amount} nor a share such as 80%"
            ));
        }
    }
    Ok(())
}

/// The main containers and sidecars, which run for as long as the pod does.
fn running(pod: &Value) -> Vec<&Value> {
    let sidecars = elements(pod, "/spec/initContainers").iter().filter(|container| is_sidecar(container));
    elements(pod, "/spec/containers").iter().chain(sidecars).collect()
}

/// True when a pod says how much memory it uses.
pub(super) fn says_memory(pod: &Value) -> bool {
    pod["metadata"]["annotations"][SIM_MEMORY_USAGE].is_string()
}

/// The containers that use more memory than their limit.
pub(super) fn out_of_memory(pod: &Value) -> Vec<&str> {
    // A share is one of the request, which is no more than the limit, unless somebody asks for it.
    if !says_memory(pod) {
        return vec![];
    }
    let containers = running(pod);
    let used = MEMORY.used(pod, &containers);
    let is_over = |(container, used): &(&Value, i128)| {
        let limit = container["resources"]["limits"][MEMORY.resource].as_str();
        limit.and_then(|limit| Quantity::parse(limit).ok()).is_some_and(|limit| *used > limit.billionths())
    };
    containers.into_iter().zip(used).filter(is_over).map(|(container, _)| text(container, "/name")).collect()
}

/// What each container of a pod uses; `None` when it does not run.
pub(super) fn usage(pod: &Value) -> Option<Vec<(CompactString, Usage)>> {
    let runs = text(pod, "/status/phase") == "Running" && !pod_facts::is_deleting(pod);
    if !runs {
        return None;
    }
    let containers = running(pod);
    let (cpu, memory) = (CPU.used(pod, &containers), MEMORY.used(pod, &containers));
    let each = containers.iter().zip(cpu.into_iter().zip(memory));
    let whole = |number: i128| u64::try_from(number).unwrap_or(u64::MAX);
    let of = |(container, (cpu, memory)): (&&Value, (i128, i128))| {
        (text(container, "/name").into(), Usage { cpu: whole(cpu), memory: whole(memory / BILLION) })
    };
    Some(each.map(of).collect())
}

fn now() -> Interval {
    Interval { end: Timestamp::now(), window: WINDOW }
}

/// The usage of the embedded super cluster.
pub struct SimulatedUsage {
    client: Arc<dyn PlaneClient>,
    plane: TenantId,
}

impl SimulatedUsage {
    /// Of the pods of this plane.
    pub fn new(client: Arc<dyn PlaneClient>, plane: TenantId) -> Self {
        SimulatedUsage { client, plane }
    }
}

#[async_trait]
impl UsageMeter for SimulatedUsage {
    fn measures(&self, plane: TenantId) -> bool {
        plane == self.plane
    }

    async fn pods(&self, plane: TenantId, wanted: &[ObjectName]) -> Result<Vec<PodUsage>, ApiError> {
        let mut told = Vec::new();
        for name in wanted {
            let Some(found) = self.client.get(plane, &PODS.group_resource(), name).await? else { continue };
            if let Some(containers) = usage(&found.value()?) {
                told.push(PodUsage { pod: name.clone(), interval: now(), containers });
            }
        }
        Ok(told)
    }

    async fn nodes(&self, plane: TenantId, wanted: &[CompactString]) -> Result<Vec<NodeUsage>, ApiError> {
        let mut used: HashMap<CompactString, Usage> = HashMap::new();
        for found in self.client.list(plane, &PODS.group_resource(), "").await? {
            let pod = found.value()?;
            for (_, one) in usage(&pod).into_iter().flatten() {
                let node = used.entry(text(&pod, "/spec/nodeName").into()).or_default();
                *node = node.plus(one);
            }
        }
        let told = |node: &CompactString| {
            let usage = used.get(node).copied().unwrap_or_default();
            NodeUsage { node: node.clone(), interval: now(), usage }
        };
        Ok(wanted.iter().map(told).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;
    use serde_json::json;

    fn pod(name: &str, annotations: Value, requests: &[Value]) -> Value {
        let containers: Vec<Value> = requests
            .iter()
            .enumerate()
            .map(
                |(index, requests)| json!({"name": format!("c{index}"), "resources": {"requests": requests}}),
            )
            .collect();
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": {"nodeName": "sim-0", "containers": containers}, "status": {"phase": "Running"}})
    }

    #[test]
    fn usage_is_a_share_of_requests_or_what_annotations_say() {
        let milli = |usage: &Usage| (usage.cpu / 1_000_000, usage.memory >> 20);
        let request = json!({"cpu": "200m", "memory": "64Mi"});
        let large = json!({"cpu": "600m", "memory": "64Mi"});
        for (annotations, requests, expected) in [
            (json!({}), vec![request.clone()], vec![(100, 32)]),
            (json!({}), vec![json!({})], vec![(10, 32)]),
            (json!({SIM_CPU_USAGE: "300m"}), vec![request.clone()], vec![(300, 32)]),
            (
                json!({SIM_CPU_USAGE: "80%", SIM_MEMORY_USAGE: "1Gi"}),
                vec![request.clone()],
                vec![(160, 1024)],
            ),
            (json!({SIM_CPU_USAGE: "1"}), vec![request.clone(), large], vec![(250, 32), (750, 32)]),
            (json!({SIM_CPU_USAGE: "1"}), vec![json!({}), json!({})], vec![(500, 32), (500, 32)]),
            (json!({SIM_CPU_USAGE: "100%"}), vec![json!({})], vec![(20, 32)]),
            (json!({SIM_CPU_USAGE: "a lot", SIM_MEMORY_USAGE: "-1"}), vec![request], vec![(100, 32)]),
        ] {
            let found = usage(&pod("p", annotations.clone(), &requests)).unwrap();
            let found: Vec<(u64, u64)> = found.iter().map(|(_, usage)| milli(usage)).collect();
            assert_eq!(found, expected, "{annotations} {requests:?}");
        }
    }

    #[test]
    fn who_uses_more_memory_than_the_limit() {
        let mut of_two = pod(
            "p",
            json!({SIM_MEMORY_USAGE: "300Mi"}),
            &[json!({"memory": "100Mi"}), json!({"memory": "200Mi"})],
        );
        assert_eq!(out_of_memory(&of_two), Vec::<&str>::new(), "no limits");
        for (index, limit) in [(0, "100Mi"), (1, "199Mi")] {
            of_two["spec"]["containers"][index]["resources"]["limits"] = json!({"memory": limit});
        }
        assert_eq!(out_of_memory(&of_two), ["c1"], "the one that has just its limit goes on");
        of_two["metadata"]["annotations"] = json!({});
        assert_eq!(out_of_memory(&of_two), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn only_what_runs_is_measured_and_nodes_add_it_up() {
        let (planes, plane) = (FakePlanes::new(), TenantId::LOCAL_SUPER);
        for name in ["a", "b"] {
            planes.put(plane, pod(name, json!({SIM_CPU_USAGE: "1"}), &[json!({})]));
        }
        let mut waits = pod("waits", json!({}), &[json!({})]);
        waits["status"]["phase"] = "Pending".into();
        planes.put(plane, waits);
        let meter = SimulatedUsage::new(planes.client(), plane);
        assert!(meter.measures(plane) && !meter.measures(TenantId::HOST));
        let wanted = ["a", "waits", "none"].map(|name| ObjectName::new("default", name));
        let pods = meter.pods(plane, &wanted).await.unwrap();
        assert_eq!(pods.iter().map(|usage| usage.pod.name.as_str()).collect::<Vec<_>>(), ["a"]);
        let nodes = meter.nodes(plane, &["sim-0".into(), "sim-1".into()]).await.unwrap();
        let cpus: Vec<u64> = nodes.iter().map(|node| node.usage.cpu / 1_000_000_000).collect();
        assert_eq!(cpus, [2, 0]);
    }
}
