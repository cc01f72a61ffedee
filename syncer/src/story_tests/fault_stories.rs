//! Super clusters that are away, slow, full, or say no: nothing is lost, and tenants read what is about them.

use super::faults::Call;
use super::harness::*;
use api_types::{ApiError, GroupResource, TenantId};
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};
use std::time::Duration;

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "selector": {"app": "web"},
            "ports": [{"port": 80, "protocol": "TCP"}]}})
}

fn claim(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
}

fn policy(name: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"podSelector": {}}})
}

/// One of each kind that goes down in a way of its own.
fn one_of_each(planes: &FakePlanes) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "builder", "namespace": "default"}});
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"}, "spec": {"minAvailable": 1}});
    let all = [config("settings", "1"), account, service("web"), claim("data"), policy("web"), budget];
    for object in all.into_iter().chain([pod("web", json!({}))]) {
        planes.put(id(0), object);
    }
}

async fn all_there(story: &Story) -> String {
    let space = story.super_namespace(id(0), "default").await;
    for (group, plural, name) in [
        ("", "configmaps", "settings"),
        ("", "serviceaccounts", "builder"),
        ("", "services", "web"),
        ("", "persistentvolumeclaims", "data"),
        ("networking.k8s.io", "networkpolicies", "web"),
        ("networking.k8s.io", "networkpolicies", "insula-sync-isolation"),
        ("policy", "poddisruptionbudgets", "web"),
        ("", "pods", "web"),
    ] {
        let resource = GroupResource::new(group, plural);
        story.planes.wait_for(SUPER, &resource, &space, name, |o| o.is_some()).await;
    }
    assert_eq!(story.exposed(), 0, "a pod was there before its policy");
    space
}

/// What an API server may answer to anything, and goes over.
fn passing(call: &Call<'_>) -> [ApiError; 6] {
    let resource = GroupResource::new("", call.resource);
    let name = call.at.name.as_str();
    [
        ApiError::forbidden(&resource, name, "exceeded quota: all, requested: one more"),
        ApiError::conflict(&resource, name, "the object has been modified"),
        ApiError::too_many_requests("the server has too much to do", 1),
        ApiError::internal("etcdserver: leader changed"),
        ApiError::unavailable("the server is shutting down", 1),
        ApiError::bad_request("admission webhook \"a.example.com\" denied the request: not yet"),
    ]
}

#[tokio::test]
async fn whatever_fails_for_a_while_is_done_in_the_end() {
    let fails_with = async |index: usize| {
        let story = Story::with_tenants(&["acme"]);
        story.faults.answer(move |call| {
            let is_first = call.before == 0 && call.verb != "watch";
            is_first.then(|| passing(call).into_iter().nth(index)).flatten()
        });
        one_of_each(&story.planes);
        let space = all_there(&story).await;
        let mut changed = config("settings", "2");
        changed["metadata"]["labels"] = json!({"new": "yes"});
        story.planes.put(id(0), changed);
        story.until(SUPER, "configmaps", &space, "settings", |c| c["data"]["key"] == "2").await;
        story.runs(&space, "web").await;
        story.until(id(0), "pods", "default", "web", |p| p["status"]["phase"] == "Running").await;
        story.planes.remove(id(0), &core("pods"), "default", "web");
        story.until(SUPER, "pods", &space, "web", |p| p["metadata"]["deletionTimestamp"].is_string()).await;
        story.planes.remove(id(0), &core("persistentvolumeclaims"), "default", "data");
        story.gone(SUPER, "persistentvolumeclaims", &space, "data").await;
    };
    futures::future::join_all((0..6).map(fails_with)).await;
}

#[tokio::test]
async fn a_super_cluster_that_comes_back_is_caught_up_with() {
    let story = Story::with_tenants(&["acme"]);
    one_of_each(&story.planes);
    let space = all_there(&story).await;
    story.patrolled().await;
    story.faults.answer(|_| Some(ApiError::unavailable("connection refused", 1)));
    story.faults.cut_watches();
    let says = |reason: &'static str| {
        move |t: Option<&Value>| t.is_some_and(|t| t["status"]["conditions"][0]["reason"] == reason)
    };
    story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", says("Unreachable")).await;

    // On both sides life goes on.
    story.planes.put(id(0), pod("later", json!({})));
    story.planes.put(id(0), config("settings", "2"));
    story.planes.remove(id(0), &GroupResource::new("policy", "poddisruptionbudgets"), "default", "web");
    story.planes.remove(id(0), &core("services"), "default", "web");
    let mut below = story.in_super("pods", &space, "web").await;
    below["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    story.planes.put(SUPER, below);
    comes("work fails", || story.metric("insula_sync_failing", "") > 0.0).await;
    assert!(story.planes.find(SUPER, &core("pods"), &space, "later").is_none());

    story.faults.none();
    story.in_super("pods", &space, "later").await;
    story.until(SUPER, "configmaps", &space, "settings", |c| c["data"]["key"] == "2").await;
    story.gone(SUPER, "services", &space, "web").await;
    let budgets = GroupResource::new("policy", "poddisruptionbudgets");
    story.planes.wait_for(SUPER, &budgets, &space, "web", |o| o.is_none()).await;
    story.until(id(0), "pods", "default", "web", |p| p["status"]["phase"] == "Running").await;
    story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", says("Synced")).await;
    story.patrolled().await;
}

#[tokio::test]
async fn watches_that_are_cut_miss_nothing() {
    let story = Story::with_tenants(&["acme"]);
    one_of_each(&story.planes);
    let space = all_there(&story).await;
    for round in 0..5 {
        story.faults.cut_watches();
        let mut settings = story.in_super("configmaps", &space, "settings").await;
        settings["data"]["key"] = json!(format!("tampered {round}"));
        story.planes.put(SUPER, settings);
        story.planes.remove(SUPER, &core("pods"), &space, "web");
        story.faults.cut_watches();
        story.until(SUPER, "configmaps", &space, "settings", |c| c["data"]["key"] == "1").await;
        // A pod that its super cluster lost goes in the tenant too, whose controllers make another.
        let there = |p: Option<&Value>| p.is_some();
        story.planes.put(id(0), pod("web", json!({})));
        story.planes.wait_for(SUPER, &core("pods"), &space, "web", there).await;
    }
}

#[tokio::test]
async fn a_slow_super_cluster_is_only_slow() {
    let story = Story::with_tenants(&["acme"]);
    story.faults.slow(Duration::from_millis(50));
    one_of_each(&story.planes);
    let space = all_there(&story).await;
    story.runs(&space, "web").await;
    story.until(id(0), "pods", "default", "web", |p| p["status"]["phase"] == "Running").await;
    story.planes.remove(id(0), &core("persistentvolumeclaims"), "default", "data");
    story.gone(SUPER, "persistentvolumeclaims", &space, "data").await;
}

#[tokio::test]
async fn tenants_read_why_an_object_is_refused_and_nothing_of_the_super_cluster() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("first", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    story.in_super("pods", &space, "first").await;
    story.faults.answer(|call| {
        let is_write = matches!(call.verb, "create" | "patch");
        let of = GroupResource::new("", call.resource);
        let why = format!("exceeded quota: all in {}", call.at.namespace);
        is_write.then(|| ApiError::forbidden(&of, "x", &why))
    });
    one_of_each(&story.planes);
    for kind in [
        "ConfigMap",
        "ServiceAccount",
        "Service",
        "PersistentVolumeClaim",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Pod",
    ] {
        let told = |planes: &FakePlanes| {
            planes.all(id(0), &core("events"), "default").iter().any(|event| {
                event["reason"] == "SuperClusterRefused"
                    && event["involvedObject"]["kind"] == kind
                    && event["message"].as_str().unwrap().contains("exceeded quota: all in default")
            })
        };
        story.planes.wait_until(kind, told).await;
    }
    let events = story.planes.all(id(0), &core("events"), "");
    for event in &events {
        assert!(!event.to_string().contains(&space), "{event:#}");
    }
    let count = events.len();
    story.faults.answer(|call| {
        let why = "User \"system:serviceaccount:insula-system:insula-syncer\" cannot do that";
        matches!(call.verb, "create" | "patch")
            .then(|| ApiError::forbidden(&GroupResource::new("", call.resource), "x", why))
    });
    story.planes.put(id(0), service("second"));
    let tried = || story.metric("insula_sync_errors_total", "Forbidden");
    let before = tried();
    story.planes.put(id(0), claim("second"));
    comes("it is tried again", || tried() >= before + 5.0).await;
    let more = story.planes.all(id(0), &core("events"), "");
    let about_second = more.iter().filter(|e| e["involvedObject"]["name"] == "second").count();
    assert_eq!(about_second, 0, "rights that the platform lacks are not the tenant's: {count} {more:#?}");
    story.faults.none();
    all_there(&story).await;
    story.in_super("services", &space, "second").await;
}

#[tokio::test]
async fn tokens_that_are_refused_for_a_while_are_told_and_come_in_the_end() {
    let story = Story::with_tenants(&["acme"]);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "default"}});
    story.planes.put(id(0), account);
    let refuse = |verb: &'static str, why: &'static str| {
        story.faults.answer(move |call| {
            (call.verb == verb && call.resource == "secrets")
                .then(|| ApiError::forbidden(&GroupResource::new("", "secrets"), "x", why))
        });
    };
    let told = |why: &'static str| {
        let is_it = move |event: &Value| event["message"].as_str().is_some_and(|said| said.contains(why));
        let told = move |planes: &FakePlanes| planes.all(id(0), &core("events"), "default").iter().any(is_it);
        story.planes.wait_until(why, told)
    };
    refuse("create", "exceeded quota: secrets");
    let volumes =
        json!([{"name": "access", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]);
    story.planes.put(id(0), pod("web", json!({"volumes": volumes})));
    told("exceeded quota: secrets").await;
    assert!(story.planes.all(SUPER, &core("pods"), "").is_empty(), "no pod is there without its tokens");
    story.faults.none();
    let space = story.super_namespace(id(0), "default").await;
    let down = story.in_super("pods", &space, "web").await;
    let secret = down["spec"]["volumes"][0]["projected"]["sources"][0]["secret"]["name"].as_str().unwrap();
    let held = story.in_super("secrets", &space, secret).await;

    // The pod runs, and its tokens are renewed.
    refuse("patch", "no Secrets any more");
    let mut changed = held.clone();
    changed["data"]["token-0"] = json!("Zm9yZWlnbg==");
    story.planes.put(SUPER, changed.clone());
    told("no Secrets any more").await;
    story.faults.none();
    story.until(SUPER, "secrets", &space, secret, |now| now["data"] != changed["data"]).await;
}
