//! Classes and volumes of the super cluster, as tenants see them.

use super::harness::*;
use crate::kinds::Kind;
use api_types::tenancy::SUPER_CLUSTERS;
use api_types::{ApiError, GroupResource, Reason, TenantId};
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};
use std::time::Duration;

fn storage_classes() -> GroupResource {
    Kind::StorageClass.group_resource()
}

fn storage_class(name: &str, policy: &str) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "disks.example.com", "parameters": {"secret": "hidden"}, "reclaimPolicy": policy,
        "volumeBindingMode": "Immediate"})
}

fn story_with(spec: Value) -> Story {
    let planes = FakePlanes::new();
    planes.put(TenantId::HOST, tenant("acme", 0, spec));
    namespace(&planes, id(0), "default");
    Story::on(planes, Duration::from_secs(60))
}

#[tokio::test]
async fn classes_that_are_published_are_there_and_stay_as_they_are() {
    let story = story_with(json!({"storage": {"classes": [
        {"tenant": "fast", "super": "cloud-ssd", "default": true}]}, "runtime": {"className": "kata"}}));
    let (acme, planes) = (id(0), &story.planes);
    planes.put(SUPER, storage_class("cloud-ssd", "Delete"));
    planes.put(SUPER, storage_class("internal", "Delete"));
    planes.put(
        SUPER,
        json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"},
            "handler": "kata-qemu"}),
    );
    let class = |name: &'static str, is_so: fn(Option<&Value>) -> bool| {
        let classes = storage_classes();
        async move { planes.wait_for(acme, &classes, "", name, is_so).await }
    };
    let fast = class("fast", |c| c.is_some()).await.unwrap();
    assert_eq!(fast["provisioner"], "disks.example.com");
    assert!(fast.get("parameters").is_none());
    let annotations = &fast["metadata"]["annotations"];
    assert_eq!(annotations["storageclass.kubernetes.io/is-default-class"], "true");
    let runtimes = Kind::RuntimeClass.group_resource();
    let kata = planes.wait_for(acme, &runtimes, "", "kata", |c| c.is_some()).await.unwrap();
    assert_eq!(kata["handler"], "kata");

    // What the tenant changes or removes comes back; what it makes itself is its own.
    let mut changed = fast.clone();
    changed["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] = json!("false");
    planes.put(acme, changed);
    let is_default = |c: Option<&Value>| {
        let key = "storageclass.kubernetes.io/is-default-class";
        c.is_some_and(|c| c["metadata"]["annotations"][key] == "true")
    };
    class("fast", is_default).await;
    planes.remove(acme, &storage_classes(), "", "fast");
    class("fast", |c| c.is_some()).await;
    planes.put(acme, storage_class("own", "Retain"));

    // It follows the super cluster's, and the tenant's spec.
    planes.put(SUPER, storage_class("cloud-ssd", "Retain"));
    class("fast", |c| c.is_some_and(|c| c["reclaimPolicy"] == "Retain")).await;
    let mut spec = planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    spec["spec"]["storage"]["classes"] = json!([{"tenant": "inner", "super": "internal"}]);
    planes.put(TenantId::HOST, spec);
    class("inner", |c| c.is_some()).await;
    class("fast", |c| c.is_none()).await;
    planes.remove(SUPER, &storage_classes(), "", "internal");
    class("inner", |c| c.is_none()).await;
    assert!(planes.find(acme, &storage_classes(), "", "own").is_some());
}

#[tokio::test]
async fn classes_of_ingresses_and_priorities_are_those_of_the_super_cluster_under_the_tenants_names() {
    let story = story_with(json!({
        "network": {"ingressClasses": [{"tenant": "web", "super": "nginx", "default": true}]},
        "scheduling": {"maxPriority": 0, "priorityClasses": [{"tenant": "high", "super": "tenants-high"}]}}));
    let (acme, planes) = (id(0), &story.planes);
    let class = |kind: &str, api_version: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    let mut nginx = class("IngressClass", "networking.k8s.io/v1", "nginx");
    nginx["spec"] = json!({"controller": "k8s.io/ingress-nginx", "parameters": {"kind": "X", "name": "y"}});
    let mut high = class("PriorityClass", "scheduling.k8s.io/v1", "tenants-high");
    high["value"] = json!(500);
    planes.put(SUPER, nginx);
    planes.put(SUPER, high.clone());
    let seen = |kind: Kind, name: &'static str, is_so: fn(Option<&Value>) -> bool| {
        let resource = kind.group_resource();
        async move { planes.wait_for(acme, &resource, "", name, is_so).await }
    };
    let web = seen(Kind::IngressClass, "web", |c| c.is_some()).await.unwrap();
    assert_eq!(web["spec"], json!({"controller": "k8s.io/ingress-nginx"}));
    let own = seen(Kind::PriorityClass, "high", |c| c.is_some()).await.unwrap();
    assert_eq!((&own["value"], &own["globalDefault"]), (&json!(500), &json!(false)));
    high["value"] = json!(600);
    planes.put(SUPER, high);
    seen(Kind::PriorityClass, "high", |c| c.is_some_and(|c| c["value"] == 600)).await;

    planes.put(acme, pod("web", json!({"priorityClassName": "high", "priority": 600})));
    let space = story.super_namespace(acme, "default").await;
    let below = story.in_super("pods", &space, "web").await;
    assert_eq!(below["spec"]["priorityClassName"], "tenants-high");
    let ingress = |name: &str, class: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": "default"}, "spec": {"ingressClassName": class}})
    };
    planes.put(acme, ingress("known", "web"));
    planes.put(acme, ingress("unknown", "nginx"));
    let ingresses = Kind::Ingress.group_resource();
    let known = planes.wait_for(SUPER, &ingresses, &space, "known", |i| i.is_some()).await.unwrap();
    assert_eq!(known["spec"]["ingressClassName"], "nginx");
    let is_told = |planes: &FakePlanes| {
        planes.all(acme, &core("events"), "default").iter().any(|e| e["reason"] == "IngressClassUnknown")
    };
    planes.wait_until("the refusal", is_told).await;
    assert!(planes.find(SUPER, &ingresses, &space, "unknown").is_none());

    // What is published no more is seen no more.
    let mut spec = planes.find(TenantId::HOST, &tenants(), "", "acme").unwrap();
    spec["spec"] = json!({});
    planes.put(TenantId::HOST, spec);
    seen(Kind::IngressClass, "web", |c| c.is_none()).await;
    seen(Kind::PriorityClass, "high", |c| c.is_none()).await;
    planes.wait_for(SUPER, &ingresses, &space, "unknown", |i| i.is_some()).await;
}

#[tokio::test]
async fn a_bound_claim_shows_its_volume_under_the_tenants_names() {
    let story = story_with(json!({"storage": {"classes": [{"tenant": "fast", "super": "cloud-ssd"}]}}));
    let (acme, planes) = (id(0), &story.planes);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}});
    planes.put(acme, claim);
    let space = story.super_namespace(acme, "default").await;
    let mut below = story.in_super("persistentvolumeclaims", &space, "data").await;
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk-of-shelf-7"},
        "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "cloud-ssd",
            "persistentVolumeReclaimPolicy": "Delete", "csi": {"driver": "disks.example.com", "volumeHandle": "7"},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": space, "name": "data",
                "uid": below["metadata"]["uid"]}},
        "status": {"phase": "Bound"}});
    below["spec"]["volumeName"] = json!("disk-of-shelf-7");
    below["status"] = json!({"phase": "Bound", "capacity": {"storage": "5Gi"}});
    planes.put(SUPER, below);
    planes.put(SUPER, volume);
    let bound = |c: &Value| !c["spec"]["volumeName"].is_null() && c["status"]["phase"] == "Bound";
    let claim = story.until(acme, "persistentvolumeclaims", "default", "data", bound).await;
    let name = claim["spec"]["volumeName"].as_str().unwrap();
    assert_eq!(name, format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap()));
    let is_bound = |v: &Value| v["status"]["phase"] == "Bound";
    let shown = story.until(acme, "persistentvolumes", "", name, is_bound).await;
    assert_eq!(shown["spec"]["claimRef"]["namespace"], "default");
    assert_eq!(shown["spec"]["claimRef"]["uid"], claim["metadata"]["uid"]);
    assert_eq!(shown["spec"]["storageClassName"], "fast");
    for hidden in [space.as_str(), "disk-of-shelf-7", "cloud-ssd"] {
        assert!(!shown.to_string().contains(hidden), "{hidden}: {shown:#}");
    }
    // The claim goes on: its own volume's name is nothing that it chose.
    let mut larger = claim.clone();
    larger["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
    planes.put(acme, larger);
    let grown = |c: &Value| c["spec"]["resources"]["requests"]["storage"] == "2Gi";
    story.until(SUPER, "persistentvolumeclaims", &space, "data", grown).await;

    let mut grown = planes.find(SUPER, &core("persistentvolumes"), "", "disk-of-shelf-7").unwrap();
    grown["spec"]["capacity"]["storage"] = json!("9Gi");
    planes.put(SUPER, grown);
    let has_nine = |v: &Value| v["spec"]["capacity"]["storage"] == "9Gi";
    let mut shown = story.until(acme, "persistentvolumes", "", name, has_nine).await;
    shown["spec"]["capacity"]["storage"] = json!("900Gi");
    planes.put(acme, shown);
    story.until(acme, "persistentvolumes", "", name, has_nine).await;
    planes.remove(acme, &core("persistentvolumes"), "", name);
    story.until(acme, "persistentvolumes", "", name, is_bound).await;

    planes.remove(acme, &core("persistentvolumeclaims"), "default", "data");
    story.gone(acme, "persistentvolumes", "", name).await;
    story.gone(SUPER, "persistentvolumeclaims", &space, "data").await;
}

#[tokio::test]
async fn a_super_cluster_that_keeps_its_classes_to_itself_runs_pods_all_the_same() {
    let story = Story::with_tenants(&["acme"]);
    let acme = id(0);
    story.faults.answer(|call| {
        let is_one = matches!(call.resource, "ingressclasses" | "priorityclasses");
        (matches!(call.verb, "watch" | "list") && is_one)
            .then(|| ApiError::new(Reason::Forbidden, "not yours"))
    });
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.in_super("pods", &space, "web").await;
    let told = |reason: &'static str| {
        move |cluster: &Value| {
            let ready = &cluster["status"]["conditions"][0];
            let message = ready["message"].as_str().unwrap_or("");
            let names = ["IngressClass", "PriorityClass"].map(|kind| message.contains(kind));
            (&ready["status"], &ready["reason"]) == (&json!("True"), &json!(reason))
                && names == [reason == "RightsMissing"; 2]
        }
    };
    let clusters = SUPER_CLUSTERS.group_resource();
    let says = |reason: &'static str| {
        let is_so = move |cluster: Option<&Value>| cluster.is_some_and(told(reason));
        story.planes.wait_for(TenantId::HOST, &clusters, "", "local", is_so)
    };
    says("RightsMissing").await;
    story.patrolled().await;
    story.faults.none();
    says("Connected").await;
}
