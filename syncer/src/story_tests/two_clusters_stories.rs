//! A super cluster that does not answer holds up no tenants of another.

use super::faults::Faults;
use super::harness::*;
use super::scheduler_stories::schedule;
use crate::state::SuperCluster;
use crate::{Options, cluster_watch};
use api_types::{ApiError, TenantId};
use plane_client::ServiceReserver;
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};
use service_runtime::ShutdownOnDrop;
use std::sync::Arc;
use std::time::Duration;

/// A story of two super clusters: of `acme`, which can be made to fail, and of `globex`.
struct Two {
    story: Story,
    of_acme: FakePlanes,
    faults: Arc<Faults>,
    _stop: ShutdownOnDrop,
}

impl Two {
    async fn begin() -> Two {
        let planes = FakePlanes::new();
        for (index, name) in ["acme", "globex"].into_iter().enumerate() {
            let mut tenant = tenant(name, index, json!({}));
            tenant["status"]["superCluster"] = json!(format!("of-{name}"));
            planes.put(TenantId::HOST, tenant);
            namespace(&planes, id(index), "default");
        }
        let (story, stop) = (Story::without_embedded(planes.clone()), ShutdownOnDrop::default());
        let (of_acme, faults) = (FakePlanes::new(), Arc::new(Faults::default()));
        let clusters = [
            cluster_on("of-acme", of_acme.clone(), faults.clone()),
            cluster_on("of-globex", planes.clone(), Arc::default()),
        ];
        for cluster in clusters {
            run(&story, cluster, &stop);
        }
        for planes in [&planes, &of_acme] {
            tokio::spawn(schedule(planes.clone()));
        }
        let two = Two { story, of_acme, faults, _stop: stop };
        two.story.planes.put(id(0), pod("first", json!({})));
        two.story.planes.put(id(1), pod("first", json!({})));
        two.is_in(&two.of_acme, "first").await;
        two.is_in(&two.story.planes, "first").await;
        two
    }

    /// Waits for a pod in a super cluster.
    async fn is_in(&self, planes: &FakePlanes, name: &str) {
        let named = |p: &Value| p["metadata"]["name"] == name;
        planes.wait_until(name, |planes| planes.all(SUPER, &core("pods"), "").iter().any(named)).await;
    }
}

fn run(story: &Story, cluster: Arc<SuperCluster>, stop: &ShutdownOnDrop) {
    let state = story.reserver.state();
    state.put_super_cluster(cluster.clone());
    let options = Options { workers: WORKERS, health: Duration::from_millis(100), ..Options::default() };
    tokio::spawn(cluster_watch::run(state, story.planes.client(), cluster, options, stop.signal()));
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}})
}

#[tokio::test]
async fn a_super_cluster_that_does_not_answer_holds_up_no_other() {
    let two = Two::begin().await;
    two.faults.slow(Duration::from_secs(100_000));
    // More than there are workers, for both clusters together.
    for n in 0..5 * WORKERS {
        two.story.planes.put(id(0), pod(&format!("stuck-{n}"), json!({})));
    }
    let state = two.story.reserver.state();
    let cluster = state.super_cluster("of-acme").unwrap();
    comes("work waits for the cluster", || !cluster.seats.line().is_empty()).await;
    assert!(two.story.metric("insula_sync_queue_length", "") > 0.0);
    for n in 0..5 * WORKERS {
        two.story.planes.put(id(1), pod(&format!("web-{n}"), json!({})));
    }
    for n in 0..5 * WORKERS {
        two.is_in(&two.story.planes, &format!("web-{n}")).await;
    }
    assert!(two.story.reserver.reserve(id(1), &service()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_waits_for_a_super_cluster_is_done_when_it_answers() {
    let two = Two::begin().await;
    two.faults.slow(Duration::from_millis(20));
    for n in 0..5 * WORKERS {
        two.story.planes.put(id(0), pod(&format!("slow-{n}"), json!({})));
    }
    two.is_in(&two.of_acme, "slow-3").await;
    two.faults.answer(|_| Some(ApiError::unavailable("connection refused", 1)));
    two.faults.cut_watches();
    two.story.planes.put(id(1), pod("web", json!({})));
    two.is_in(&two.story.planes, "web").await;
    two.faults.none();
    for n in 0..5 * WORKERS {
        two.is_in(&two.of_acme, &format!("slow-{n}")).await;
    }
    let cluster = two.story.reserver.state().super_cluster("of-acme").unwrap();
    comes("nothing waits any more", || cluster.seats.line().is_empty()).await;
}
