//! Tenants are placed, kept apart, and leave nothing.

use super::harness::*;
use crate::Reserver;
use crate::names::super_namespace;
use api_types::tenancy::{self, SUPER_CLUSTERS, TENANTS};
use api_types::{TenantId, labels};
use plane_client::TenantPlacer;
use serde_json::{Value, json};

#[tokio::test]
async fn a_tenant_is_placed_and_the_super_cluster_tells_its_health() {
    let story = Story::with_tenants(&["acme"]);
    let placed = |t: Option<&Value>| t.is_some_and(|t| t["status"]["superCluster"] == "local");
    let tenant = story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", placed).await.unwrap();
    assert_eq!(tenant["status"]["conditions"][0]["reason"], "Synced");
    assert_eq!(tenant["status"]["endpoint"], "https://127.0.0.1:7443/tenants/acme");
    let clusters = SUPER_CLUSTERS.group_resource();
    let ready = |c: Option<&Value>| c.is_some_and(|c| c["status"]["conditions"][0]["reason"] == "Connected");
    let cluster = story.planes.wait_for(TenantId::HOST, &clusters, "", "local", ready).await.unwrap();
    assert_eq!(cluster["status"]["version"], "v1.36.0");
}

#[tokio::test]
async fn a_tenant_that_is_being_made_is_told_where_it_will_be() {
    let story = Story::with_tenants(&["acme"]);
    let placed = |t: Option<&Value>| t.is_some_and(|t| t["status"]["superCluster"] == "local");
    story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", placed).await.unwrap();
    let asked = async |spec: Value| story.reserver.place(&tenant("new", 7, spec)).await;
    let told = asked(json!({})).await.unwrap();
    assert_eq!((told.super_cluster.as_str(), told.condition.reason.as_str()), ("local", "Synced"));
    // A profile counts from its making on, before any watch has told of it.
    for (name, region) in [("here", json!({})), ("moon", json!({"matchLabels": {"region": "moon"}}))] {
        let placement = json!({"placement": {"superClusterSelector": region}});
        story.planes.put(
            TenantId::HOST,
            json!({"apiVersion": tenancy::API_VERSION, "kind": "TenantProfile",
            "metadata": {"name": name}, "spec": {"defaults": placement}}),
        );
        assert_eq!(asked(json!({"profile": name})).await.is_some(), name == "here");
    }
    for later in [
        json!({"profile": "nobody-knows-it"}),
        json!({"sync": {"disabled": true}}),
        json!({"network": {"driver": "Template"}}),
        json!({"placement": {"superClusterSelector": {"matchLabels": {"region": "moon"}}}}),
    ] {
        assert_eq!(asked(later.clone()).await, None, "{later}");
    }
    assert_eq!(Reserver::new().place(&tenant("new", 7, json!({}))).await, None, "no syncer runs");
}

#[tokio::test]
async fn nothing_goes_down_before_the_first_pod() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    namespace(&story.planes, acme, "quiet");
    let mut quiet = config("settings", "1");
    quiet["metadata"]["namespace"] = json!("quiet");
    story.planes.put(acme, quiet);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    let quiet_space = super_namespace("acme", acme, "quiet");
    assert!(story.planes.find(SUPER, &core("namespaces"), "", &quiet_space).is_none());
    let held = story.planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    let finalizers = held["metadata"]["finalizers"].as_array().unwrap();
    assert!(finalizers.contains(&json!(labels::SUPER_FINALIZER)) && finalizers.len() == 2);
}

#[tokio::test]
async fn two_tenants_with_the_same_names_never_meet() {
    let story = Story::with_tenants(&["acme", "globex"]);
    for (index, value) in [(0, "a"), (1, "b")] {
        story.planes.put(id(index), config("settings", value));
        story.planes.put(id(index), pod("web", json!({})));
    }
    let mut spaces = Vec::new();
    for (index, value) in [(0, "a"), (1, "b")] {
        let space = story.super_namespace(id(index), "default").await;
        let config = story.in_super("configmaps", &space, "settings").await;
        assert_eq!(config["data"]["key"], value);
        spaces.push(space);
    }
    assert_ne!(spaces[0], spaces[1]);
    story.runs(&spaces[0], "web").await;
    story.until(id(0), "pods", "default", "web", |p| p["spec"]["nodeName"] == "n1").await;
    let other = story.planes.find(id(1), &core("pods"), "default", "web").unwrap();
    assert!(other["spec"].get("nodeName").is_none());
    assert!(story.planes.all(id(1), &core("nodes"), "").is_empty());
}

#[tokio::test]
async fn a_deleted_tenant_leaves_nothing() {
    let story = Story::with_tenants(&["acme", "globex"]);
    for index in [0, 1] {
        story.planes.put(id(index), config("settings", "1"));
        story.planes.put(id(index), pod("web", json!({})));
        let space = story.super_namespace(id(index), "default").await;
        story.in_super("pods", &space, "web").await;
    }
    story.delete(TenantId::HOST, &TENANTS, "", "acme").await;
    let released = |t: Option<&Value>| {
        t.is_some_and(|t| t["metadata"]["finalizers"] == json!(["tenancy.insula.dev/plane"]))
    };
    story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", released).await;
    for plural in ["namespaces", "pods", "configmaps", "secrets", "services"] {
        let left = story.planes.all(SUPER, &core(plural), "");
        let of_acme = left.iter().filter(|o| o["metadata"]["labels"]["insula.dev/tenant"] == "acme").count();
        assert_eq!(of_acme, 0, "{plural}");
    }
    let space = story.super_namespace(id(1), "default").await;
    assert!(story.planes.find(SUPER, &core("pods"), &space, "web").is_some());
}

#[tokio::test]
async fn a_deleted_namespace_goes_in_the_super_cluster() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    story.planes.remove(acme, &core("pods"), "default", "web");
    story.planes.remove(acme, &core("namespaces"), "", "default");
    story.gone(SUPER, "namespaces", "", &space).await;
}

#[tokio::test]
async fn a_namespace_of_someone_else_is_not_touched() {
    let planes = plane_client::fake::FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
    namespace(&planes, id(0), "default");
    namespace(&planes, id(0), "other");
    let taken = super_namespace("acme", id(0), "default");
    namespace(&planes, SUPER, &taken);
    let before = planes.find(SUPER, &core("namespaces"), "", &taken);
    let story = Story::on(planes, std::time::Duration::from_secs(60));
    story.planes.put(id(0), pod("web", json!({})));
    let mut free = pod("free", json!({}));
    free["metadata"]["namespace"] = json!("other");
    story.planes.put(id(0), free);
    let space = story.super_namespace(id(0), "other").await;
    story.in_super("pods", &space, "free").await;
    assert_eq!(story.planes.find(SUPER, &core("namespaces"), "", &taken), before);
    assert!(story.planes.all(SUPER, &core("pods"), &taken).is_empty());
}

#[tokio::test]
async fn a_tenant_is_kept_until_its_super_cluster_can_be_looked_at() {
    let planes = plane_client::fake::FakePlanes::new();
    let mut leaving = tenant("acme", 0, json!({}));
    leaving["metadata"]["finalizers"] = json!([labels::SUPER_FINALIZER]);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    leaving["status"]["superCluster"] = json!("far");
    planes.put(TenantId::HOST, leaving);
    // Another one's super cluster was taken away by the admin.
    let mut orphaned = tenant("globex", 1, json!({}));
    orphaned["metadata"]["finalizers"] = json!([labels::SUPER_FINALIZER]);
    orphaned["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    orphaned["status"]["superCluster"] = json!("gone");
    planes.put(TenantId::HOST, orphaned);
    planes.put(TenantId::HOST, super_cluster("far", json!({})));
    let story = Story::without_embedded(planes);
    story.planes.wait_for(TenantId::HOST, &tenants(), "", "globex", |t| t.is_none()).await;
    assert!(story.planes.find(TenantId::HOST, &tenants(), "", "acme").is_some());
}

fn super_cluster(name: &str, spec: Value) -> Value {
    json!({"apiVersion": api_types::tenancy::API_VERSION, "kind": "SuperCluster", "metadata": {"name": name},
        "spec": spec})
}

#[tokio::test]
async fn a_super_cluster_says_why_it_cannot_be_used() {
    let planes = plane_client::fake::FakePlanes::new();
    let secret = |name: &str, text: &str| {
        use base64::Engine;
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "insula-system"},
            "data": {"value": data}})
    };
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: c, \
        contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {}}], \
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}";
    planes.put(TenantId::HOST, secret("broken", "{nonsense"));
    planes.put(TenantId::HOST, secret("dead", kubeconfig));
    let cases = [
        ("plain", json!({}), "KubeconfigMissing"),
        ("absent", json!({"kubeconfigSecret": {"name": "absent"}}), "KubeconfigMissing"),
        ("broken", json!({"kubeconfigSecret": {"name": "broken"}}), "KubeconfigInvalid"),
        ("dead", json!({"kubeconfigSecret": {"name": "dead"}}), "Unreachable"),
    ];
    for (name, spec, _) in &cases {
        planes.put(TenantId::HOST, super_cluster(name, spec.clone()));
    }
    let story = Story::without_embedded(planes);
    for (name, _, reason) in &cases {
        let says = |c: Option<&Value>| c.is_some_and(|c| c["status"]["conditions"][0]["reason"] == *reason);
        let clusters = SUPER_CLUSTERS.group_resource();
        story.planes.wait_for(TenantId::HOST, &clusters, "", name, says).await;
    }
}

#[tokio::test]
async fn service_accounts_follow_the_first_pod() {
    let story = Story::with_tenants(&["acme"]);
    for name in ["default", "builder"] {
        story.planes.put(
            id(0),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}),
        );
    }
    story.planes.put(id(0), pod("web", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    let account = story.in_super("serviceaccounts", &space, "builder").await;
    assert_eq!(account["automountServiceAccountToken"], false);
    assert!(story.planes.find(SUPER, &core("serviceaccounts"), &space, "default").is_none());
}

#[tokio::test]
async fn what_is_not_supported_is_refused_by_name() {
    let planes = plane_client::fake::FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({"network": {"driver": "kubeOvn"}})));
    planes.put(
        TenantId::HOST,
        json!({"apiVersion": api_types::tenancy::API_VERSION, "kind": "SyncRule", "metadata": {"name": "certificates"},
            "spec": {"resource": {"version": "v1", "plural": "certificates"}}}),
    );
    let story = Story::on(planes, std::time::Duration::from_secs(60));
    let says = |reason: &'static str| {
        move |o: Option<&Value>| o.is_some_and(|o| o["status"]["conditions"][0]["reason"] == reason)
    };
    let refused = says("NetworkDriverNotSupported");
    let acme = story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", refused).await.unwrap();
    assert!(acme["status"]["superCluster"].is_null());
    let rules = api_types::tenancy::SYNC_RULES.group_resource();
    story.planes.wait_for(TenantId::HOST, &rules, "", "certificates", says("NotSupported")).await;
}
