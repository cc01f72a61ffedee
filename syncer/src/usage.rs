//! What tenants' pods use, read from the metrics API of the super clusters that run them.
//!
//! Guarantees: the usage of all tenants of a super cluster is read at once, at most every few seconds and only when
//! somebody asks; a tenant is told of its own pods, by its own names. What a tenant reads of a node is what its own pods
//! use there, never what others do. Errors are in words for the tenant, and name nothing of the super cluster. Caveat:
//! of a super cluster with more pods of tenants than [`MOST`], the rest has no usage.

use crate::kinds::Kind;
use crate::state::{State, SuperCluster};
use crate::super_api::SuperApi;
use crate::tenants::TenantView;
use crate::translation::{list, text};
use api_schema::quantity::Quantity;
use api_types::{ApiError, ObjectName, Reason, Resource, TenantId, labels};
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};
use plane_client::{Interval, NodeUsage, PodUsage, Usage, UsageMeter};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

const POD_METRICS: Resource = Resource::new("metrics.k8s.io", "v1beta1", "pods");
const PODS: Resource = Resource::new("", "v1", "pods");
/// How long what was read is told; usage is measured less often.
const FRESH: Duration = Duration::from_secs(5);
/// How long a super cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most pods of a super cluster whose usage is kept.
pub const MOST: usize = 200_000;

/// What pods of a super cluster use, by their names there.
pub(crate) type Known = HashMap<ObjectName, Sample>;

/// What one of them uses.
pub(crate) struct Sample {
    interval: Interval,
    containers: Vec<(CompactString, Usage)>,
}

/// The same, or why nothing is known.
type Answer = Result<Arc<Known>, &'static str>;

/// What was read of a super cluster last, and when.
#[derive(Default)]
pub struct LastUsage(Mutex<Option<(Instant, Answer)>>);

impl LastUsage {
    /// What is known, read anew when it is too old. Who comes meanwhile waits for the same answer.
    pub(crate) async fn known(&self, api: &dyn SuperApi) -> Answer {
        let mut last = self.0.lock().await;
        if let Some((_, known)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return known.clone();
        }
        let answered = tokio::time::timeout(PATIENCE, api.list(&POD_METRICS, "", labels::TENANT_UID)).await;
        let known = match answered {
            Ok(Ok(pods)) => Ok(Arc::new(pods.iter().filter_map(sample).take(MOST).collect())),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the usage of pods cannot be read");
                Err(why(error.reason()))
            }
            Err(_) => Err(why(Reason::Timeout)),
        };
        *last = Some((Instant::now(), known.clone()));
        known
    }
}

/// Why nothing is known, for tenants.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::NotFound => "the cluster that runs the pods has no metrics API (metrics.k8s.io)",
        Reason::Forbidden => "the cluster that runs the pods does not let the platform read its metrics API",
        _ => "the metrics API of the cluster that runs the pods does not answer",
    }
}

/// Reads a `PodMetrics`; `None` when it is none.
fn sample(pod: &Value) -> Option<(ObjectName, Sample)> {
    let meta = &pod["metadata"];
    let end: Timestamp = pod["timestamp"].as_str()?.parse().ok()?;
    let interval = Interval { end, window: window(text(pod, "window")).unwrap_or_default() };
    let containers = list(pod, "containers").iter().map(|container| {
        let amount = |name: &str| Quantity::parse(text(&container["usage"], name)).ok();
        let usage = Usage {
            cpu: amount("cpu").map_or(0, |cpu| u64::try_from(cpu.billionths()).unwrap_or(0)),
            memory: amount("memory").map_or(0, |memory| u64::try_from(memory.value()).unwrap_or(0)),
        };
        (text(container, "name").into(), usage)
    });
    let name = ObjectName::new(text(meta, "namespace"), meta["name"].as_str()?);
    Some((name, Sample { interval, containers: containers.collect() }))
}

/// A duration as Go writes it: `1m15.5s`.
fn window(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok().and_then(|window| Duration::try_from(window).ok())
}

/// The syncer's side of [`UsageMeter`].
pub struct TenantUsage {
    state: Arc<State>,
}

impl TenantUsage {
    pub(crate) fn new(state: Arc<State>) -> Self {
        TenantUsage { state }
    }

    /// A tenant, where its pods run, and what all pods there use.
    async fn known(
        &self,
        tenant: TenantId,
    ) -> Result<(Arc<TenantView>, Arc<SuperCluster>, Arc<Known>), ApiError> {
        let no = |why: &str| {
            let message = format!("the usage of pods and nodes is not known: {why}");
            // With a time to ask again after, kubectl would ask ten times before it says anything.
            ApiError::given(503, Some("ServiceUnavailable"), message, &Value::Null)
        };
        let view = self.state.tenants.get(tenant).filter(|view| view.synced());
        let view = view.ok_or_else(|| no("the tenant is not synced"))?;
        let cluster = self.state.placed_on(&view).filter(|cluster| cluster.is_known());
        let cluster = cluster.ok_or_else(|| no("the tenant is not placed on a cluster yet"))?;
        let known = cluster.usage.known(&*cluster.api).await.map_err(no)?;
        Ok((view, cluster, known))
    }
}

#[async_trait]
impl UsageMeter for TenantUsage {
    fn measures(&self, plane: TenantId) -> bool {
        self.state.tenants.get(plane).is_some_and(|view| view.synced())
    }

    async fn pods(&self, plane: TenantId, wanted: &[ObjectName]) -> Result<Vec<PodUsage>, ApiError> {
        let (view, cluster, known) = self.known(plane).await?;
        let usage = |pod: &ObjectName| {
            let sample = known.get(&cluster.stands_for(&view, Kind::Pod, pod)?.at)?;
            let containers = sample.containers.clone();
            Some(PodUsage { pod: pod.clone(), interval: sample.interval, containers })
        };
        Ok(wanted.iter().filter_map(usage).collect())
    }

    async fn nodes(&self, plane: TenantId, wanted: &[CompactString]) -> Result<Vec<NodeUsage>, ApiError> {
        let (view, cluster, known) = self.known(plane).await?;
        let mut used: HashMap<CompactString, (Interval, Usage)> = HashMap::new();
        for pod in self.state.client()?.list(plane, &PODS.group_resource(), "").await? {
            let Some(cached) = cluster.stands_for(&view, Kind::Pod, &pod.name) else { continue };
            let Some(sample) = known.get(&cached.at) else { continue };
            let all = sample.containers.iter().fold(Usage::default(), |sum, (_, usage)| sum.plus(*usage));
            let node = used.entry(cached.node.clone()).or_insert((sample.interval, Usage::default()));
            if sample.interval.end < node.0.end {
                node.0 = sample.interval;
            }
            node.1 = node.1.plus(all);
        }
        let nothing = (Interval { end: Timestamp::now(), window: FRESH }, Usage::default());
        let told = |node: &CompactString| {
            let (interval, usage) = used.get(node).copied().unwrap_or(nothing);
            NodeUsage { node: node.clone(), interval, usage }
        };
        Ok(wanted.iter().map(told).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn windows_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("15s", Some(15_000)),
            ("1m0s", Some(60_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("20.25ms", Some(20)),
            ("x", None),
            ("5", None),
        ] {
            assert_eq!(window(text).map(|window| window.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn samples_are_read() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}, "timestamp": "2026-01-01T00:00:00Z",
            "window": "15s", "containers": [{"name": "c", "usage": {"cpu": "1500u", "memory": "2Mi"}}]});
        let (name, found) = sample(&pod).unwrap();
        assert_eq!((name, found.interval.window), (ObjectName::new("n", "p"), Duration::from_secs(15)));
        assert_eq!(found.containers, [("c".into(), Usage { cpu: 1_500_000, memory: 2 << 20 })]);
        assert!(sample(&json!({"metadata": {"name": "p"}})).is_none());
    }
}
