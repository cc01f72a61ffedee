//! Ingresses, PodDisruptionBudgets and EndpointSlices.

use super::harness::*;
use crate::kinds::Kind;
use api_types::TenantId;
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};

fn service(name: &str, selector: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "selector": selector, "ports": [{"port": 80, "protocol": "TCP"}]}})
}

fn slice(name: &str, service: &str, address: &str) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": [address]}], "ports": [{"port": 80, "protocol": "TCP"}]})
}

fn ingress(host: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "default", "annotations": {"example.com/class": "fast"}},
        "spec": {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}})
}

fn budget() -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}})
}

/// Waits for an object of a kind.
async fn until(
    story: &Story,
    tenant: TenantId,
    kind: Kind,
    namespace: &str,
    name: &str,
    is_so: impl Fn(Option<&Value>) -> bool,
) -> Option<Value> {
    story.planes.wait_for(tenant, &kind.group_resource(), namespace, name, is_so).await
}

/// Waits until the tenant is told that an address is not for it.
async fn refused(story: &Story, tenant: TenantId, slice: &str) {
    let said =
        |event: &Value| event["reason"] == "AddressForbidden" && event["involvedObject"]["name"] == slice;
    let is_told = |_: &FakePlanes| story.planes.all(tenant, &core("events"), "default").iter().any(said);
    story.planes.wait_until("the event", is_told).await;
}

#[tokio::test]
async fn ingresses_and_budgets_go_down_with_their_namespace_and_come_back_with_addresses() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    // Before there is anything that needs the super namespace.
    story.planes.put(acme, ingress("a.example"));
    story.planes.put(acme, budget());
    story.planes.put(acme, service("web", json!({"app": "web"})));
    let space = story.super_namespace(acme, "default").await;
    let there = |o: Option<&Value>| o.is_some();
    let mut down = until(&story, SUPER, Kind::Ingress, &space, "web", there).await.unwrap();
    assert_eq!(down["spec"], ingress("a.example")["spec"]);
    assert_eq!(down["metadata"]["annotations"]["example.com/class"], "fast");
    let of_budget = until(&story, SUPER, Kind::DisruptionBudget, &space, "web", there).await.unwrap();
    assert_eq!(of_budget["spec"], budget()["spec"]);

    // What the super cluster's controllers say comes up, and is not what goes down.
    down["spec"]["ingressClassName"] = json!("theirs");
    down["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    story.planes.put(SUPER, down);
    let has_address =
        |o: Option<&Value>| o.is_some_and(|o| o["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1");
    let up = until(&story, acme, Kind::Ingress, "default", "web", has_address).await.unwrap();
    assert!(up["spec"]["ingressClassName"].is_null());

    story.planes.put(acme, ingress("b.example"));
    let changed = |o: Option<&Value>| o.is_some_and(|o| o["spec"]["rules"][0]["host"] == "b.example");
    let down = until(&story, SUPER, Kind::Ingress, &space, "web", changed).await.unwrap();
    assert_eq!(down["spec"]["ingressClassName"], "theirs");
    for kind in [Kind::Ingress, Kind::DisruptionBudget] {
        story.planes.remove(acme, &kind.group_resource(), "default", "web");
        until(&story, SUPER, kind, &space, "web", |o| o.is_none()).await;
    }
}

#[tokio::test]
async fn slices_of_services_without_a_selector_go_down_and_no_others() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.planes.put(acme, slice("chosen-1", "chosen", "10.2.0.7"));
    story.planes.put(acme, slice("db-1", "db", "8.8.8.8"));
    story.planes.put(acme, slice("inner-1", "inner", "10.96.0.1"));
    story.planes.put(acme, service("chosen", json!({"app": "web"})));
    story.planes.put(acme, service("inner", json!(null)));
    story.planes.put(acme, service("db", json!(null)));
    let space = story.super_namespace(acme, "default").await;
    let there = |o: Option<&Value>| o.is_some();
    let down = until(&story, SUPER, Kind::EndpointSlice, &space, "db-1", there).await.unwrap();
    assert_eq!(down["endpoints"][0]["addresses"][0], "8.8.8.8");
    assert_eq!(down["metadata"]["labels"]["kubernetes.io/service-name"], "db");

    // An address of the super cluster's own is refused with a reason, also when it comes later.
    story.planes.put(acme, slice("db-1", "db", "10.0.0.1"));
    until(&story, SUPER, Kind::EndpointSlice, &space, "db-1", |o| o.is_none()).await;
    refused(&story, acme, "db-1").await;
    refused(&story, acme, "inner-1").await;
    for name in ["inner-1", "chosen-1"] {
        let there = story.planes.find(SUPER, &Kind::EndpointSlice.group_resource(), &space, name);
        assert!(there.is_none(), "{there:?}");
    }

    // The cluster's own slices have the labels of their Service, and are left alone.
    let labels = json!({"insula.dev/tenant-uid": acme.to_string(), "kubernetes.io/service-name": "chosen",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
    let mut own = slice("chosen-x", "chosen", "10.2.0.7");
    (own["metadata"]["namespace"], own["metadata"]["labels"]) = (json!(space), labels);
    story.planes.put(SUPER, own);
    story.planes.put(acme, slice("db-2", "db", "8.8.4.4"));
    until(&story, SUPER, Kind::EndpointSlice, &space, "db-2", there).await;
    assert!(story.planes.find(SUPER, &Kind::EndpointSlice.group_resource(), &space, "chosen-x").is_some());
}
