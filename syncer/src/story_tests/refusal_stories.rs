//! What stands in a tenant's way in a super cluster and is not the tenant's stays, and the tenant reads of it.

use super::harness::*;
use crate::names;
use api_types::{ApiError, GroupResource, Resource, TenantId};
use plane_client::ServiceReserver;
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};

fn bare(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

fn service(name: &str) -> Value {
    bare(
        "v1",
        "Service",
        name,
        json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"port": 80}]}),
    )
}

fn claim(name: &str) -> Value {
    bare("v1", "PersistentVolumeClaim", name, json!({"resources": {"requests": {"storage": "1Gi"}}}))
}

fn ingress(name: &str) -> Value {
    bare("networking.k8s.io/v1", "Ingress", name, json!({"rules": [{"host": "a.example"}]}))
}

/// The events of the first tenant about objects of a kind, with a reason.
fn told(planes: &FakePlanes, kind: &str, reason: &str) -> Vec<String> {
    let events = planes.all(id(0), &core("events"), "");
    let of_kind = events.iter().filter(|e| e["involvedObject"]["kind"] == kind && e["reason"] == reason);
    of_kind.map(|e| e["message"].as_str().unwrap().to_owned()).collect()
}

async fn is_told(story: &Story, kind: &str, reason: &str) -> String {
    story.planes.wait_until(kind, |planes| !told(planes, kind, reason).is_empty()).await;
    told(&story.planes, kind, reason).remove(0)
}

/// Puts an object of nobody's into the super cluster.
fn put_foreign(story: &Story, space: &str, mut object: Value) {
    object["metadata"]["namespace"] = json!(space);
    object["metadata"]["labels"] = json!({"mine": "yes"});
    story.planes.put(SUPER, object);
}

#[tokio::test]
async fn a_name_that_another_has_in_the_super_cluster_is_told_and_left_alone() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("first", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    story.in_super("pods", &space, "first").await;
    let policy = bare("networking.k8s.io/v1", "NetworkPolicy", "web", json!({"podSelector": {}}));
    let all = [
        ("Pod", "", "pods", pod("web", json!({}))),
        ("ConfigMap", "", "configmaps", config("web", "1")),
        ("Service", "", "services", service("web")),
        ("PersistentVolumeClaim", "", "persistentvolumeclaims", claim("web")),
        ("NetworkPolicy", "networking.k8s.io", "networkpolicies", policy),
        ("Ingress", "networking.k8s.io", "ingresses", ingress("web")),
    ];
    for (.., object) in &all {
        put_foreign(&story, &space, object.clone());
    }
    for (.., object) in &all {
        story.planes.put(id(0), object.clone());
    }
    for (kind, ..) in &all {
        let message = is_told(&story, kind, "NameTaken").await;
        assert!(message.contains(&format!("the {kind} \"web\"")) && !message.contains(&space), "{message}");
    }
    let is_refused = |p: &Value| {
        let mut conditions = p["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|c| c["type"] == "insula.dev/Synced" && c["reason"] == "NameTaken")
    };
    story.until(id(0), "pods", "default", "web", is_refused).await;
    for (kind, group, plural, _) in &all {
        let there = story.planes.find(SUPER, &GroupResource::new(*group, *plural), &space, "web").unwrap();
        assert_eq!(there["metadata"]["labels"], json!({"mine": "yes"}), "{kind}");
    }

    // When the admin of the super cluster has removed it, the tenant's comes.
    for (_, group, plural, _) in &all {
        story.planes.remove(SUPER, &GroupResource::new(*group, *plural), &space, "web");
    }
    for (_, group, plural, _) in &all {
        let is_ours = |o: Option<&Value>| o.is_some_and(|o| o["metadata"]["labels"]["mine"].is_null());
        story.planes.wait_for(SUPER, &GroupResource::new(*group, *plural), &space, "web", is_ours).await;
    }
    story.runs(&space, "web").await;
    let is_fine = |p: &Value| p["status"]["phase"] == "Running" && !is_refused(p);
    story.until(id(0), "pods", "default", "web", is_fine).await;
}

#[tokio::test]
async fn what_pods_need_beside_them_and_is_anothers_is_told_on_the_pod() {
    let space = names::super_namespace("acme", id(0), "default");
    let isolation = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "insula-sync-isolation", "namespace": space}, "spec": {"podSelector": {}}});
    let namespace_of = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}});
    let ours = json!({"insula.dev/tenant-uid": id(0).to_string()});
    for (in_the_way, expected) in [
        (vec![namespace_of(json!({}))], "the place of this namespace"),
        (vec![namespace_of(ours), isolation], "a NetworkPolicy that the platform needs"),
    ] {
        let planes = FakePlanes::new();
        planes.put(TenantId::HOST, tenant("acme", 0, json!({})));
        namespace(&planes, id(0), "default");
        for object in in_the_way {
            planes.put(SUPER, object);
        }
        let story = Story::on(planes, std::time::Duration::from_secs(60));
        story.planes.put(id(0), pod("web", json!({})));
        let message = is_told(&story, "Pod", "NameTaken").await;
        assert!(message.contains(expected) && !message.contains(&space), "{message}");
        let error = story.reserver.reserve(id(0), &service("web")).await.unwrap_err();
        assert!(error.code() == 403 && error.message().contains(expected), "{error}");
        assert!(!error.message().contains(&space), "{error}");
        assert!(story.planes.find(SUPER, &core("pods"), &space, "web").is_none());
    }
}

#[tokio::test]
async fn a_pod_whose_place_another_took_can_be_deleted() {
    let story = Story::with_tenants(&["acme"]);
    story.planes.put(id(0), pod("web", json!({})));
    let space = story.super_namespace(id(0), "default").await;
    story.runs(&space, "web").await;
    story.until(id(0), "pods", "default", "web", |p| p["spec"]["nodeName"] == "n1").await;
    let mut below = story.in_super("pods", &space, "web").await;
    below["metadata"]["labels"] = json!({"mine": "yes"});
    story.planes.put(SUPER, below);
    story.delete(id(0), &Resource::new("", "v1", "pods"), "default", "web").await;
    story.gone(id(0), "pods", "default", "web").await;
    assert!(story.planes.find(SUPER, &core("pods"), &space, "web").is_some());
}

#[tokio::test]
async fn a_refusal_does_not_tell_where_another_tenant_is() {
    let story = Story::with_tenants(&["acme", "globex"]);
    for index in [0, 1] {
        story.planes.put(id(index), pod("first", json!({})));
    }
    let own = story.super_namespace(id(0), "default").await;
    let other = story.super_namespace(id(1), "default").await;
    story.in_super("pods", &own, "first").await;
    story.in_super("pods", &other, "first").await;
    let why = format!("denied: host \"a.example\" of {own}/web is already defined in ingress {other}/shop");
    story.faults.answer(move |call| {
        let of = GroupResource::new("", call.resource);
        (call.verb == "create" && matches!(call.resource, "ingresses" | "services"))
            .then(|| ApiError::forbidden(&of, "web", &why))
    });
    story.planes.put(id(0), ingress("web"));
    let expected = "host \"a.example\" of default/web is already defined in ingress another-namespace/shop";
    let message = is_told(&story, "Ingress", "SuperClusterRefused").await;
    assert!(message.contains(expected), "{message}");
    let error = story.reserver.reserve(id(0), &service("web")).await.unwrap_err();
    assert!(error.message().contains(expected), "{error}");
}
