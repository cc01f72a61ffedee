//! What tenants' pods use.

use super::harness::*;
use crate::super_api::{At, Head, SuperApi, SuperItem};
use crate::usage::LastUsage;
use api_types::{ApiError, Resource, TenantId};
use async_trait::async_trait;
use plane_client::{Delete, Duplex, Patch, PodAnswer, PodRequest, UsageMeter};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

fn pod_metrics(namespace: &str, name: &str, tenant: TenantId, cpu: &str) -> Value {
    json!({"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
        "metadata": {"name": name, "namespace": namespace, "labels": {"insula.dev/tenant-uid": tenant.to_string()}},
        "timestamp": "2026-07-09T10:00:00Z", "window": "15s",
        "containers": [{"name": "c", "usage": {"cpu": cpu, "memory": "1Mi"}}]})
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_told_of_its_own_pods_and_of_what_they_use_on_nodes() {
    let story = Story::with_tenants(&["acme", "globex"]);
    story.planes.register(plane_client::fake::FakeKind {
        status: false,
        ..plane_client::fake::FakeKind::custom("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
    });
    let meter = story.reserver.tenant_usage();
    let ids = [id(0), id(1)];
    for (index, tenant) in ids.into_iter().enumerate() {
        story.planes.put(tenant, config("settings", "1"));
        story.planes.put(tenant, pod("web", json!({})));
        let space = story.super_namespace(tenant, "default").await;
        story.runs(&space, "web").await;
        let runs = |pod: &Value| pod["status"]["phase"] == "Running";
        story.until(tenant, "pods", "default", "web", runs).await;
        story.planes.put(SUPER, pod_metrics(&space, "web", tenant, ["100m", "2"][index]));
    }
    assert!(meter.measures(ids[0]) && !meter.measures(TenantId::HOST));
    let wanted = [at("default", "web"), at("default", "other")];
    let milli = |usage: &plane_client::Usage| usage.cpu / 1_000_000;
    for (tenant, expected) in [(ids[0], 100), (ids[1], 2000)] {
        let pods = meter.pods(tenant, &wanted).await.unwrap();
        assert_eq!((pods.len(), &pods[0].pod, milli(&pods[0].containers[0].1)), (1, &wanted[0], expected));
        let nodes = meter.nodes(tenant, &["n1".into(), "n2".into()]).await.unwrap();
        let used: Vec<u64> = nodes.iter().map(|node| milli(&node.usage)).collect();
        assert_eq!(used, [expected, 0], "what others use there is not told");
    }
    let refused = meter.pods(TenantId::HOST, &wanted).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.retry_after_seconds()),
        (503, None),
        "kubectl would wait and say nothing"
    );
}

/// A super cluster that can only be asked for a list, counts that, and answers what it is told.
struct Counting {
    asked: AtomicUsize,
    answer: Result<Vec<Value>, ApiError>,
}

#[async_trait]
impl SuperApi for Counting {
    async fn version(&self) -> Result<String, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn get(&self, _: &Resource, _: &At) -> Result<Option<Value>, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn list(&self, resource: &Resource, _: &str, selector: &str) -> Result<Vec<Value>, ApiError> {
        assert_eq!((resource.group.as_str(), selector), ("metrics.k8s.io", "insula.dev/tenant-uid"));
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.answer.clone()
    }

    async fn heads(&self, _: &Resource, _: &str) -> Result<Vec<Head>, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn create(&self, _: &Resource, _: &At, _: &Value) -> Result<Value, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn patch(&self, _: &Resource, _: &At, _: &Patch) -> Result<Value, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn delete(&self, _: &Resource, _: &At, _: &Delete) -> Result<(), ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn connect(&self, _: &At, _: u16) -> Result<Box<dyn Duplex>, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn open(&self, _: &At, _: PodRequest) -> Result<PodAnswer, ApiError> {
        Err(ApiError::no_such_path())
    }

    async fn user(&self) -> Result<String, ApiError> {
        Err(ApiError::no_such_path())
    }

    fn list_watch(&self, _: &Resource, _: &str) -> mpsc::Receiver<SuperItem> {
        mpsc::channel(1).1
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_within_some_seconds_share_one_answer() {
    let answer = Ok(vec![pod_metrics("s", "p", id(0), "1")]);
    let api = Counting { asked: AtomicUsize::new(0), answer };
    let last = LastUsage::default();
    let all = futures::future::join_all((0..50).map(|_| last.known(&api))).await;
    assert!(all.iter().all(|known| known.as_ref().is_ok_and(|known| known.len() == 1)));
    assert_eq!(api.asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(last.known(&api).await.is_ok());
    assert_eq!(api.asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(last.known(&api).await.is_ok());
    assert_eq!(api.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn why_nothing_is_known_is_said_without_naming_the_super_cluster() {
    let missing = ApiError::no_such_path();
    let forbidden = ApiError::forbidden(&core("pods"), "", "user super-admin of cluster-7");
    let down = ApiError::unavailable("https://cluster-7 cannot be reached", 1);
    for (error, expected) in [
        (missing, "the cluster that runs the pods has no metrics API (metrics.k8s.io)"),
        (forbidden, "the cluster that runs the pods does not let the platform read its metrics API"),
        (down, "the metrics API of the cluster that runs the pods does not answer"),
    ] {
        let api = Counting { asked: AtomicUsize::new(0), answer: Err(error) };
        let last = LastUsage::default();
        assert_eq!(last.known(&api).await.err(), Some(expected));
        // Also that is not asked for again and again.
        assert_eq!(last.known(&api).await.err(), Some(expected));
        assert_eq!(api.asked.load(Ordering::SeqCst), 1);
    }
}
