//! The patrol, on a cluster whose watches fell silent: what is changed, deleted and added there, and what is not.

use super::harness::*;
use crate::kinds::{Key, Kind};
use crate::patrol::{Whose, pass};
use crate::settled::Stand;
use api_types::{Revision, TenantId};
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};
use std::time::Duration;

const ISOLATION: &str = "insula-sync-isolation";
const PUBLISHED: &str = "insula-sync-published-web";

async fn running(patrol: Duration) -> Story {
    let planes = FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
    namespace(&planes, id(0), "default");
    let story = Story::on(planes, patrol);
    story.planes.put(id(0), config("settings", "1"));
    story.planes.put(
        id(0),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "selector": {"app": "web"},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]}}),
    );
    for name in ["lost", "kept", "reborn"] {
        story.planes.put(id(0), pod(name, json!({})));
    }
    story
}

async fn policy(story: &Story, space: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let is_so = |o: Option<&Value>| o.is_some_and(&is_so);
    story.planes.wait_for(SUPER, &policies(), space, name, is_so).await.unwrap()
}

#[tokio::test]
async fn what_is_done_behind_our_back_is_found_told_and_repaired() {
    let story = running(Duration::from_millis(50)).await;
    let space = story.super_namespace(id(0), "default").await;
    for name in ["lost", "kept", "reborn"] {
        story.in_super("pods", &space, name).await;
    }
    let kept = story.in_super("pods", &space, "kept").await;
    let service = story.in_super("services", &space, "web").await;
    let mut settings = story.in_super("configmaps", &space, "settings").await;
    let own = policy(&story, &space, ISOLATION, |_| true).await;
    let open = policy(&story, &space, PUBLISHED, |_| true).await;
    story.patrolled().await;
    story.silence();

    // Deleted.
    story.planes.remove(SUPER, &core("pods"), &space, "lost");
    story.planes.remove(SUPER, &policies(), &space, ISOLATION);
    // Added.
    let mut stray = kept.clone();
    stray["metadata"]["name"] = json!("stray");
    stray["metadata"]["annotations"]["insula.dev/name"] = json!("stray");
    stray["metadata"]["uid"] = json!("00000000-0000-0000-0000-0000000000ff");
    story.planes.put(SUPER, stray);
    // Changed.
    let mut relabelled = kept.clone();
    relabelled["metadata"]["labels"]["app"] = json!("another");
    story.planes.put(SUPER, relabelled);
    let mut diverted = service.clone();
    diverted["spec"]["selector"] = json!({"app": "another"});
    story.planes.put(SUPER, diverted);
    settings["data"]["key"] = json!("tampered");
    story.planes.put(SUPER, settings);
    let mut wider = open.clone();
    wider["spec"]["podSelector"] = json!({});
    story.planes.put(SUPER, wider);
    // In the place of another one, and no pod of this tenant's life.
    let mut reborn = story.in_super("pods", &space, "reborn").await;
    reborn["metadata"]["uid"] = json!("00000000-0000-0000-0000-0000000000fe");
    reborn["metadata"]["annotations"]["insula.dev/uid"] = json!("of-a-former-life");
    story.planes.put(SUPER, reborn);

    story.in_super("pods", &space, "lost").await;
    story.gone(SUPER, "pods", &space, "stray").await;
    story.until(SUPER, "pods", &space, "kept", |p| p["metadata"]["labels"]["app"] == "kept").await;
    story.until(SUPER, "services", &space, "web", |s| s["spec"]["selector"]["app"] == "web").await;
    story.until(SUPER, "configmaps", &space, "settings", |c| c["data"]["key"] == "1").await;
    policy(&story, &space, ISOLATION, |p| p["spec"] == own["spec"]).await;
    policy(&story, &space, PUBLISHED, |p| p["spec"] == open["spec"]).await;
    let lives = |p: &Value| p["metadata"]["annotations"]["insula.dev/uid"] != "of-a-former-life";
    story.until(SUPER, "pods", &space, "reborn", lives).await;

    for finding in ["missing", "orphaned", "changed", "replaced"] {
        assert!(story.metric("insula_sync_drift_found_total", finding) >= 1.0, "{finding}");
        let is_repaired = |_: &FakePlanes| story.metric("insula_sync_drift_repaired_total", finding) >= 1.0;
        comes(finding, || is_repaired(&story.planes)).await;
    }
    let said = |planes: &FakePlanes| {
        let events = planes.all(TenantId::HOST, &core("events"), "default");
        events.iter().any(|event| {
            event["reason"] == "DriftFound"
                && event["involvedObject"]["name"] == "acme"
                && event["message"].as_str().unwrap().contains("Pod default/lost (missing)")
        })
    };
    story.planes.wait_until("the event", said).await;
}

#[tokio::test]
async fn what_a_worker_did_not_see_of_the_tenant_is_stale() {
    let story = running(Duration::from_secs(3600)).await;
    let space = story.super_namespace(id(0), "default").await;
    story.in_super("pods", &space, "kept").await;
    story.patrolled().await;
    let state = story.reserver.state();
    let cluster = state.super_cluster("local").unwrap();
    let key = Key::object(Kind::ConfigMap, "default", "settings");
    let now = cluster.settled.get(id(0), &key).expect("it was worked on");
    // As if the watch had not told of the tenant's last change.
    cluster.settled.note(id(0), &key, Stand { above: Some(Revision(1)), ..now });
    let client = story.planes.client();
    let pass = pass(&state, &client, &cluster, Whose::Held, Duration::ZERO).await.unwrap();
    assert_eq!(pass.found[&id(0)][&key], crate::patrol::Finding::Stale);
    story.patrolled().await;
}

#[tokio::test]
async fn nothing_is_found_where_nothing_is_wrong_and_nothing_is_read_for_it() {
    let story = running(Duration::from_secs(3600)).await;
    let acme = id(0);
    // What stays in the tenant for good is no finding either.
    namespace(&story.planes, acme, "quiet");
    let mut quiet = config("settings", "1");
    quiet["metadata"]["namespace"] = json!("quiet");
    story.planes.put(acme, quiet);
    story.planes.put(acme, pod("refused", json!({"nodeName": "mine"})));
    let space = story.super_namespace(acme, "default").await;
    for name in ["lost", "kept", "reborn"] {
        story.in_super("pods", &space, name).await;
    }
    story.patrolled().await;
    let before = story.reads();
    story.patrolled().await;
    assert_eq!(story.reads(), before, "all was known from its version");
}
