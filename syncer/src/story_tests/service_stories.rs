//! Services have the addresses of the super cluster.

use super::harness::*;
use api_types::TenantId;
use plane_client::ServiceReserver;
use serde_json::{Value, json};

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP"}]}})
}

/// Waits until the tenant is placed and the cluster is ready.
async fn placed(story: &Story) {
    let placed = |t: Option<&Value>| t.is_some_and(|t| t["status"]["superCluster"] == "local");
    story.planes.wait_for(TenantId::HOST, &tenants(), "", "acme", placed).await;
}

#[tokio::test]
async fn a_reserved_service_is_adopted_and_its_status_comes_up() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    placed(&story).await;
    let reservation = story.reserver.reserve(acme, &service("web")).await.unwrap().unwrap();
    let again = story.reserver.reserve(acme, &service("web")).await.unwrap().unwrap();
    assert_eq!(again, reservation, "a repeated write reserves the same");
    let mut object = service("web");
    object["spec"]["clusterIP"] = json!(reservation.cluster_ips[0]);
    object["spec"]["clusterIPs"] = json!(reservation.cluster_ips);
    story.planes.put(acme, object);
    let space = story.super_namespace(acme, "default").await;
    let adopted = |s: &Value| s["metadata"]["annotations"]["insula.dev/reserved-at"].is_null();
    let mut there = story.until(SUPER, "services", &space, "web", adopted).await;
    assert_eq!(there["spec"]["clusterIP"], reservation.cluster_ips[0]);
    there["status"] = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
    story.planes.put(SUPER, there);
    let has_ip = |s: &Value| s["status"]["loadBalancer"]["ingress"][0]["ip"] == "1.2.3.4";
    story.until(acme, "services", "default", "web", has_ip).await;
    story.planes.remove(acme, &core("services"), "default", "web");
    story.gone(SUPER, "services", &space, "web").await;
}

#[tokio::test]
async fn every_tenants_api_has_the_shared_address() {
    let story = Story::with_tenants(&["acme", "globex"]);
    placed(&story).await;
    let shared = story.until(SUPER, "services", "insula-system", "insula-api", |_| true).await;
    for index in [0, 1] {
        let got = story.reserver.reserve(id(index), &service("kubernetes")).await.unwrap().unwrap();
        assert_eq!(got.cluster_ips, [shared["spec"]["clusterIP"].as_str().unwrap()]);
    }
    assert_eq!(story.reserver.reserve(TenantId::HOST, &service("web")).await.unwrap(), None);
}

#[tokio::test]
async fn a_service_without_a_reservation_keeps_the_tenants_address() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    let mut object = service("web");
    object["spec"]["clusterIP"] = json!("10.96.9.9");
    story.planes.put(acme, object);
    let space = story.super_namespace(acme, "default").await;
    let there = story.in_super("services", &space, "web").await;
    assert_eq!(there["spec"]["clusterIP"], "10.96.9.9");
}

#[tokio::test]
async fn a_change_of_a_service_is_reserved_before_the_tenant_reads_it() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    placed(&story).await;
    let first = story.reserver.reserve(acme, &service("web")).await.unwrap().unwrap();
    let mut changed = service("web");
    changed["spec"]["clusterIP"] = json!(first.cluster_ips[0]);
    changed["spec"]["ports"] = json!([{"port": 8080, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}]);
    let second = story.reserver.reserve(acme, &changed).await.unwrap().unwrap();
    assert_eq!(second.cluster_ips, first.cluster_ips);
    assert_eq!(second.node_ports.len(), 2, "ports are told in the order of the change");
    let space = story.super_namespace(acme, "default").await;
    let there = story.planes.find(SUPER, &core("services"), &space, "web").unwrap();
    assert_eq!(there["spec"]["ports"][0]["port"], 8080);
    // A headless one of the same name cannot keep the address.
    let mut headless = service("web");
    headless["spec"]["clusterIP"] = json!("None");
    let third = story.reserver.reserve(acme, &headless).await.unwrap().unwrap();
    assert_eq!(third.cluster_ips, ["None"]);
}

#[tokio::test]
async fn the_patrol_does_not_miss_the_shared_service() {
    let story = Story::with_tenants(&["acme"]);
    placed(&story).await;
    story.planes.put(id(0), service("kubernetes"));
    story.planes.put(id(0), service("web"));
    let space = story.super_namespace(id(0), "default").await;
    story.in_super("services", &space, "web").await;
    story.patrolled().await;
    assert!(story.planes.find(SUPER, &core("services"), &space, "kubernetes").is_none());
}
