//! Super namespaces have NetworkPolicies, whatever happens to them.

use super::harness::*;
use api_types::tenancy::TENANTS;
use api_types::{Resource, TenantId};
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};
use std::time::Duration;

const ISOLATION: &str = "insula-sync-isolation";
const SERVICES: Resource = Resource::new("", "v1", "services");

impl Story {
    async fn policy(&self, namespace: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let there = |o: Option<&Value>| o.is_some_and(&is_so);
        self.planes.wait_for(SUPER, &policies(), namespace, name, there).await.unwrap()
    }

    async fn no_policy(&self, namespace: &str, name: &str) {
        self.planes.wait_for(SUPER, &policies(), namespace, name, |o| o.is_none()).await;
    }
}

fn published(kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": kind, "clusterIP": "10.96.0.9", "selector": {"app": "web"},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]}})
}

#[tokio::test]
async fn every_namespace_is_isolated_before_its_first_pod() {
    let story = Story::with_tenants(&["acme", "globex"]);
    for tenant in [id(0), id(1)] {
        story.planes.put(tenant, pod("web", json!({})));
        story.planes.put(tenant, pod("second", json!({})));
    }
    for tenant in [id(0), id(1)] {
        let space = story.super_namespace(tenant, "default").await;
        story.in_super("pods", &space, "web").await;
        story.in_super("pods", &space, "second").await;
        let policy = story.policy(&space, "insula-sync-open-ingress", |_| true).await;
        let from = &policy["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"];
        assert_eq!(*from, json!({"insula.dev/tenant-uid": tenant.to_string()}));
    }
    assert_eq!(story.exposed(), 0);
}

#[tokio::test]
async fn what_is_changed_or_deleted_below_comes_back() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("web", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    let first = story.policy(&space, ISOLATION, |_| true).await;
    let mut opened = first.clone();
    opened["spec"]["ingress"] = json!([{}]);
    story.planes.put(SUPER, opened);
    story.policy(&space, ISOLATION, |p| p["spec"] == first["spec"]).await;
    story.planes.remove(SUPER, &policies(), &space, ISOLATION);
    story.policy(&space, ISOLATION, |p| p["spec"] == first["spec"]).await;
}

#[tokio::test]
async fn a_policy_of_someone_else_in_the_way_lets_no_pod_in() {
    let planes = FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
    for name in ["default", "other"] {
        namespace(&planes, id(0), name);
    }
    let taken = crate::names::super_namespace("acme", id(0), "default");
    planes.put(
        SUPER,
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": ISOLATION, "namespace": taken}, "spec": {"podSelector": {}, "ingress": [{}]}}),
    );
    let story = Story::on(planes, Duration::from_secs(60));
    story.planes.put(id(0), pod("web", json!({})));
    let mut free = pod("free", json!({}));
    free["metadata"]["namespace"] = json!("other");
    story.planes.put(id(0), free);
    let space = story.super_namespace(id(0), "other").await;
    story.in_super("pods", &space, "free").await;
    story.in_super("namespaces", "", &taken).await;
    assert!(story.planes.all(SUPER, &core("pods"), &taken).is_empty());
    // Once it is out of the way, the pod goes down.
    story.planes.remove(SUPER, &policies(), &taken, ISOLATION);
    story.in_super("pods", &taken, "web").await;
    assert_eq!(story.exposed(), 0);
}

#[tokio::test]
async fn a_policy_that_another_worker_made_first_is_taken_over() {
    let planes = FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
    namespace(&planes, id(0), "default");
    let story = Story::on(planes, Duration::from_secs(3600));
    story.planes.put(id(0), pod("web", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    story.in_super("pods", &space, "web").await;
    let mut made = story.policy(&space, ISOLATION, |_| true).await;
    story.silence();
    let other = crate::names::super_namespace("acme", id(0), "other");
    made["metadata"]["namespace"] = json!(other);
    made["metadata"]["uid"] = json!("00000000-0000-0000-0000-0000000000ff");
    made["metadata"]["annotations"]["insula.dev/name"] = json!("other");
    story.planes.put(SUPER, made);
    namespace(&story.planes, id(0), "other");
    for mut object in [config("unused", "1"), pod("web", json!({}))] {
        object["metadata"]["namespace"] = json!("other");
        story.planes.put(id(0), object);
    }
    // All that belongs to a new namespace comes along, without a patrol.
    story.in_super("pods", &other, "web").await;
    story.in_super("configmaps", &other, "unused").await;
}

#[tokio::test]
async fn a_service_opens_its_ports_for_as_long_as_it_is_published() {
    let story = Story::with_tenants(&["acme"]);
    let (acme, name) = (id(0), "insula-sync-published-web");
    story.planes.put(acme, published("LoadBalancer"));
    let space = story.super_namespace(acme, "default").await;
    let policy = story.policy(&space, name, |_| true).await;
    assert_eq!(
        policy["spec"]["podSelector"],
        json!({"matchLabels": {"app": "web", "insula.dev/ingress": "open"}})
    );
    assert_eq!(policy["spec"]["ingress"], json!([{"ports": [{"port": 8080, "protocol": "TCP"}]}]));
    let mut moved = published("LoadBalancer");
    moved["spec"]["ports"][0]["targetPort"] = json!(9090);
    story.planes.put(acme, moved);
    story.policy(&space, name, |p| p["spec"]["ingress"][0]["ports"][0]["port"] == 9090).await;
    story.planes.put(acme, published("ClusterIP"));
    story.no_policy(&space, name).await;
    story.planes.put(acme, published("NodePort"));
    story.policy(&space, name, |_| true).await;
    story.delete(acme, &SERVICES, "default", "web").await;
    story.no_policy(&space, name).await;
    story.gone(SUPER, "services", &space, "web").await;
    assert!(story.planes.find(SUPER, &policies(), &space, ISOLATION).is_some());
}

#[tokio::test]
async fn what_the_tenant_may_reach_follows_its_spec() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("web", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    let policy = story.policy(&space, "insula-sync-open-egress", |_| true).await;
    assert_eq!(policy["spec"]["egress"][3]["to"][0]["ipBlock"]["cidr"], "10.0.0.1/32");
    let mut changed = story.planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    changed["spec"]["egress"] = json!({"allowedCIDRs": ["10.9.0.0/16"]});
    story.planes.put(TenantId::HOST, changed);
    let is_allowed = |p: &Value| p["spec"]["egress"][2]["to"][2]["ipBlock"]["cidr"] == "10.9.0.0/16";
    story.policy(&space, "insula-sync-open-egress", is_allowed).await;
}

#[tokio::test]
async fn policies_go_with_the_tenant() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("web", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    story.in_super("pods", &space, "web").await;
    let there = story.planes.all(SUPER, &policies(), "");
    let names: Vec<&str> = there.iter().filter_map(|p| p["metadata"]["name"].as_str()).collect();
    assert_eq!(names, [ISOLATION, "insula-sync-open-egress", "insula-sync-open-ingress"]);
    story.delete(TenantId::HOST, &TENANTS, "", "acme").await;
    story.gone(SUPER, "namespaces", "", &space).await;
    story.no_policy(&space, ISOLATION).await;
}
