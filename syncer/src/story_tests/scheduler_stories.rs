//! The super cluster's scheduler takes pods in the order in which they came: no tenant fills it for the others.

use super::harness::*;
use plane_client::fake::FakePlanes;
use plane_client::{PlaneClient, Scope, WatchItem};
use serde_json::{Value, json};

/// What a scheduler does, as long as it is awaited: every pod runs on `n1`.
pub async fn schedule(planes: FakePlanes) {
    let mut watch = planes.list_watch(&core("pods"), Scope::One(SUPER));
    while let Some(item) = watch.recv().await {
        let WatchItem::Applied(pod) = item else { continue };
        let mut pod = pod.value().unwrap();
        if pod["spec"]["nodeName"].is_null() && pod["metadata"]["deletionTimestamp"].is_null() {
            pod["spec"]["nodeName"] = json!("n1");
            planes.put(SUPER, pod);
        }
    }
}

fn waits(pod: &&Value) -> bool {
    pod["spec"]["nodeName"].is_null()
}

#[tokio::test]
async fn pods_of_one_tenant_do_not_stand_before_those_of_others() {
    let story = Story::with_tenants(&["acme", "globex"]);
    let state = story.reserver.state();
    let many = 300;
    for n in 0..many {
        story.planes.put(id(0), pod(&format!("greedy-{n}"), json!({})));
    }
    let waiting = |index: usize| {
        let clusters = state.super_clusters();
        let mut waiting = clusters.iter().flat_map(|cluster| cluster.unscheduled.line().lengths());
        waiting.any(|(tenant, _)| tenant == id(index))
    };
    comes("pods wait to be made", || waiting(0)).await;
    story.planes.put(id(1), pod("web", json!({})));
    comes("one of the other tenant does too", || waiting(1)).await;
    let there = || story.planes.all(SUPER, &core("pods"), "");
    let is_made = |pods: &[Value]| pods.iter().any(|pod| pod["metadata"]["name"] == "web");
    let before = there();
    assert!(before.len() < many && !is_made(&before), "{}", before.len());

    // The scheduler takes two of those that wait there, and all others still do.
    for mut scheduled in before.into_iter().filter(|pod| waits(&pod)).take(2) {
        scheduled["spec"]["nodeName"] = json!("n1");
        story.planes.put(SUPER, scheduled);
    }
    story
        .planes
        .wait_until("the other tenant's pod", |planes| is_made(&planes.all(SUPER, &core("pods"), "")))
        .await;
    assert!(there().len() < many / 2 && waiting(0), "its turn came before theirs");
    let gauge = |name: &str| story.metric(name, "");
    assert!(gauge("insula_sync_held_back_pods") > 0.0);
    let (taken, limit) = (gauge("insula_sync_unscheduled_pods"), gauge("insula_sync_unscheduled_pods_limit"));
    assert!(0.0 < taken && (2.0..=64.0).contains(&limit), "{taken} of {limit}");

    tokio::spawn(schedule(story.planes.clone()));
    comes("all are made, and run", || there().len() == many + 1 && !there().iter().any(|pod| waits(&pod)))
        .await;
    comes("nobody waits any more", || !waiting(0) && !waiting(1)).await;
}
