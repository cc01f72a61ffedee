//! Pods go down, run, come up, and go.

use super::harness::*;
use api_types::Resource;
use api_types::TenantId;
use api_types::tenancy::SUPER_CLUSTERS;
use plane_client::PlaneClient;
use serde_json::{Value, json};
use std::time::Duration;

const PODS: Resource = Resource::new("", "v1", "pods");

fn ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

#[tokio::test]
async fn a_pod_runs_and_its_status_and_node_come_back() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, config("settings", "1"));
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    let down = story.in_super("pods", &space, "web").await;
    assert_eq!(down["metadata"]["labels"]["insula.dev/tenant"], "acme");
    assert_eq!(down["spec"]["serviceAccountName"], "default");
    story.in_super("configmaps", &space, "settings").await;

    story.runs(&space, "web").await;
    let up = story.until(acme, "pods", "default", "web", ready).await;
    assert_eq!(up["spec"]["nodeName"], "n1");
    assert_eq!(up["status"]["podIP"], "10.2.0.7");
    assert_eq!(up["metadata"]["labels"]["insula.dev/simulated"], "true");
    for stage in ["queue-down", "down", "super", "queue-up", "up"] {
        comes(stage, || story.metric("insula_sync_pod_stage_seconds", stage) > 0.0).await;
    }
    let seen = story.until(acme, "nodes", "", "n1", |n| n["status"]["capacity"]["cpu"] == "4").await;
    assert!(seen["metadata"]["labels"].get("rack").is_none());

    // A later change of the image goes down.
    let mut changed = story.planes.find(acme, &core("pods"), "default", "web").unwrap();
    changed["spec"]["containers"][0]["image"] = json!("i:2");
    story.planes.put(acme, changed);
    story.until(SUPER, "pods", &space, "web", |p| p["spec"]["containers"][0]["image"] == "i:2").await;
}

#[tokio::test]
async fn a_pod_finds_what_it_refers_to_as_it_was_when_it_was_made() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, config("settings", "0"));
    story.planes.put(acme, pod("web-0", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web-0").await;
    for round in 1..20 {
        let (value, name) = (round.to_string(), format!("web-{round}"));
        story.planes.put(acme, config("settings", &value));
        story.planes.put(acme, pod(&name, json!({})));
        story.in_super("pods", &space, &name).await;
        let there = story.planes.find(SUPER, &core("configmaps"), &space, "settings").unwrap();
        assert_eq!(there["data"], config("settings", &value)["data"]);
    }
}

#[tokio::test]
async fn a_debug_container_that_is_refused_holds_up_nothing_else() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    let mut own = story.planes.find(acme, &core("pods"), "default", "web").unwrap();
    let traces = json!({"capabilities": {"add": ["SYS_PTRACE"]}});
    own["spec"]["ephemeralContainers"] = json!([{"name": "trace", "image": "i", "securityContext": traces},
        {"name": "look", "image": "i"}]);
    story.planes.put(acme, own);
    let looks = |p: &Value| p["spec"]["ephemeralContainers"][0]["name"] == "look";
    story.until(SUPER, "pods", &space, "web", looks).await;
    story
        .planes
        .wait_until("the tenant is told", |planes| {
            let events = planes.all(acme, &core("events"), "default");
            events.iter().any(|e| {
                e["reason"] == "SuperClusterRefused"
                    && e["message"].as_str().is_some_and(|m| m.contains("PodSecurity"))
            })
        })
        .await;
    story.runs(&space, "web").await;
    story.until(acme, "pods", "default", "web", ready).await;
}

#[tokio::test]
async fn a_deletion_ends_the_super_pod_first_and_then_the_tenants() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({"terminationGracePeriodSeconds": 20})));
    let space = story.super_namespace(acme, "default").await;
    story.runs(&space, "web").await;
    story.until(acme, "pods", "default", "web", ready).await;
    story.delete(acme, &PODS, "default", "web").await;
    story.until(SUPER, "pods", &space, "web", |p| p["metadata"]["deletionTimestamp"].is_string()).await;
    assert!(story.planes.find(acme, &core("pods"), "default", "web").is_some());
    // The kubelet is done.
    story.planes.remove(SUPER, &core("pods"), &space, "web");
    story.gone(acme, "pods", "default", "web").await;
    story.gone(acme, "nodes", "", "n1").await;
}

#[tokio::test]
async fn a_lost_super_pod_takes_the_tenants_with_it() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.runs(&space, "web").await;
    story.until(acme, "pods", "default", "web", ready).await;
    story.planes.remove(SUPER, &core("pods"), &space, "web");
    story.gone(acme, "pods", "default", "web").await;
}

#[tokio::test]
async fn a_pod_that_ended_stays_unless_its_node_is_gone() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    for name in ["done", "lost"] {
        story.planes.put(acme, pod(name, json!({})));
    }
    let space = story.super_namespace(acme, "default").await;
    for (name, phase) in [("done", "Succeeded"), ("lost", "Failed")] {
        story.runs(&space, name).await;
        story.until(acme, "pods", "default", name, ready).await;
        let mut down = story.planes.find(SUPER, &core("pods"), &space, name).unwrap();
        down["status"]["phase"] = phase.into();
        if name == "lost" {
            let target = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"});
            down["status"]["conditions"].as_array_mut().unwrap().push(target);
        }
        story.planes.put(SUPER, down);
        story.until(acme, "pods", "default", name, |pod| pod["status"]["phase"] == phase).await;
    }
    for name in ["done", "lost"] {
        story.planes.remove(SUPER, &core("pods"), &space, name);
    }
    story.gone(acme, "pods", "default", "lost").await;
    assert!(story.planes.find(acme, &core("pods"), "default", "done").is_some());
    // Nor does the patrol miss what went with its node.
    story.patrolled().await;
    assert!(story.planes.find(acme, &core("pods"), "default", "done").is_some());
}

#[tokio::test]
async fn a_pod_that_is_gone_in_the_tenant_goes_in_the_super_cluster() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    story.planes.remove(acme, &core("pods"), "default", "web");
    story.gone(SUPER, "pods", &space, "web").await;
}

#[tokio::test]
async fn a_name_made_again_is_another_pod() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    let first = story.in_super("pods", &space, "web").await;
    story.planes.remove(acme, &core("pods"), "default", "web");
    story.planes.put(acme, pod("web", json!({})));
    let uid = |p: &Value| p["metadata"]["annotations"]["insula.dev/uid"].clone();
    story.until(SUPER, "pods", &space, "web", |p| uid(p) != uid(&first)).await;
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let planes = plane_client::fake::FakePlanes::new();
    let spec = json!({"runtime": {"className": "kata", "enforce": true}});
    planes.put(TenantId::HOST, tenant("acme", 0, spec));
    namespace(&planes, id(0), "default");
    let story = Story::on(planes, Duration::from_secs(60));
    story.planes.put(id(0), pod("odd", json!({"runtimeClassName": "gvisor"})));
    story.planes.put(id(0), pod("placed", json!({"nodeName": "n1"})));
    story.planes.put(id(0), pod("fine", json!({})));
    for (name, reason) in [("odd", "RuntimeClassForbidden"), ("placed", "NodeNameForbidden")] {
        let refused = |p: &Value| p["status"]["conditions"][0]["reason"] == reason;
        let pod = story.until(id(0), "pods", "default", name, refused).await;
        assert_eq!(pod["status"]["phase"], "Pending");
        story
            .planes
            .wait_until("an event", |planes| {
                let events = planes.all(id(0), &core("events"), "default");
                events.iter().any(|e| e["reason"] == reason && e["involvedObject"]["name"] == name)
            })
            .await;
    }
    let space = story.super_namespace(id(0), "default").await;
    let fine = story.in_super("pods", &space, "fine").await;
    assert_eq!(fine["spec"]["runtimeClassName"], "kata");
    assert_eq!(story.planes.all(SUPER, &core("pods"), "").len(), 1);
}

#[tokio::test]
async fn tokens_are_the_tenants_own_and_go_with_the_pod() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "default"}});
    story.planes.put(acme, account);
    let volumes = json!([{"name": "access", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}}]);
    story.planes.put(acme, pod("web", json!({"volumes": volumes})));
    let space = story.super_namespace(acme, "default").await;
    let down = story.in_super("pods", &space, "web").await;
    let secret = down["spec"]["volumes"][0]["projected"]["sources"][0]["secret"]["name"].as_str().unwrap();
    let held = story.in_super("secrets", &space, secret).await;
    assert!(held["data"]["token-0"].as_str().is_some_and(|t| !t.is_empty()));
    // Whoever changes it there does not keep the change.
    let mut changed = held.clone();
    changed["data"]["token-0"] = json!("Zm9yZWlnbg==");
    story.planes.put(SUPER, changed.clone());
    let is_new = |s: &Value| ![&held, &changed].iter().any(|known| known["data"] == s["data"]);
    story.until(SUPER, "secrets", &space, secret, is_new).await;
    story.planes.remove(acme, &core("pods"), "default", "web");
    story.gone(SUPER, "secrets", &space, secret).await;
    story.gone(SUPER, "pods", &space, "web").await;
}

#[tokio::test]
async fn events_come_up_in_the_tenants_names() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    story.planes.put(
        SUPER,
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.1", "namespace": space},
            "involvedObject": {"kind": "Pod", "namespace": space, "name": "web"}, "reason": "Scheduled",
            "message": format!("Successfully assigned {space}/web to n1"), "type": "Normal", "count": 1}),
    );
    let event = story.until(acme, "events", "default", "web.1", |_| true).await;
    assert_eq!(event["message"], "Successfully assigned default/web to n1");
    let own = story.planes.find(acme, &core("pods"), "default", "web").unwrap();
    assert_eq!(event["involvedObject"]["uid"], own["metadata"]["uid"]);
}

#[tokio::test]
async fn a_suspended_tenant_runs_nothing() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    let mut suspended = story.planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    suspended["spec"]["suspended"] = json!(true);
    story.planes.put(TenantId::HOST, suspended);
    story.gone(SUPER, "pods", &space, "web").await;
    let pod = story
        .until(acme, "pods", "default", "web", |p| p["status"]["conditions"][0]["reason"] == "Suspended");
    assert_eq!(pod.await["status"]["phase"], "Pending");
}

#[tokio::test]
async fn what_drifts_is_repaired() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, config("settings", "1"));
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    let mut config = story.in_super("configmaps", &space, "settings").await;
    config["data"]["key"] = json!("tampered");
    story.planes.put(SUPER, config);
    story.until(SUPER, "configmaps", &space, "settings", |c| c["data"]["key"] == "1").await;
    story.planes.remove(SUPER, &core("configmaps"), &space, "settings");
    story.in_super("configmaps", &space, "settings").await;
    let found = story.planes.get(SUPER, &core("configmaps"), &at(&space, "settings")).await.unwrap();
    assert!(found.is_some());
}

#[tokio::test]
async fn a_priority_has_a_class_of_its_own_there() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.register(
        plane_client::fake::FakeKind::custom("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass")
            .cluster_scoped(),
    );
    story.planes.put(id(0), pod("web", json!({"priority": 7, "priorityClassName": "mine"})));
    let space = story.super_namespace(id(0), "default").await;
    let down = story.in_super("pods", &space, "web").await;
    assert_eq!(down["spec"]["priorityClassName"], "insula-7");
    let classes = api_types::GroupResource::new("scheduling.k8s.io", "priorityclasses");
    let class = story.planes.find(SUPER, &classes, "", "insula-7").unwrap();
    assert_eq!(class["value"], 7);
}

#[tokio::test]
async fn pods_ask_the_dns_server_by_the_address_that_it_has_in_their_super_cluster() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("early", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    let early = story.in_super("pods", &space, "early").await;
    assert!(early["spec"]["dnsConfig"].is_null(), "no DNS is served here");
    let clusters = SUPER_CLUSTERS.group_resource();
    let mut local = story.planes.find(TenantId::HOST, &clusters, "", "local").unwrap();
    local["spec"]["dnsAddresses"] = json!(["10.7.0.53", "fd00::53"]);
    story.planes.put(TenantId::HOST, local);
    let state = story.reserver.state();
    comes("the address is known", || state.super_cluster("local").unwrap().dns.read().is_some()).await;
    story.planes.put(id(0), pod("late", json!({})));
    let late = story.in_super("pods", &space, "late").await;
    assert_eq!(late["spec"]["dnsConfig"]["nameservers"], json!(["10.7.0.53", "fd00::53"]));
    assert_eq!(late["spec"]["dnsPolicy"], "None");
}
