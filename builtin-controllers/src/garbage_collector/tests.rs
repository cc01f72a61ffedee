use super::*;
use crate::resources::{CONFIG_MAPS, NODES, SECRETS};
use plane_client::fake::FakePlanes;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn start() -> FakePlanes {
    let planes = FakePlanes::new();
    planes.put(TENANT, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
    let collector = GarbageCollector::new(planes.client(), Arc::default());
    tokio::spawn(collector.run(4, Shutdown::new()));
    planes
}

/// An owner reference: kind, name, UID; it blocks.
fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": true})
}

fn object(kind: &str, namespace: &str, name: &str, owners: Vec<Value>) -> Value {
    let namespace = if namespace.is_empty() { Value::Null } else { namespace.into() };
    json!({"apiVersion": "v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{name}"), "ownerReferences": owners}})
}

fn map(name: &str, owners: Vec<Value>) -> Value {
    object("ConfigMap", "default", name, owners)
}

fn of(name: &str) -> Value {
    owner("ConfigMap", name, &format!("uid-{name}"))
}

fn maps(planes: &FakePlanes) -> Vec<String> {
    let all = planes.all(TENANT, &CONFIG_MAPS.group_resource(), "");
    all.iter().map(|map| map["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

async fn are(planes: &FakePlanes, expected: &[&str]) {
    planes.wait_until(&format!("only {expected:?}"), |planes| maps(planes) == expected).await;
}

async fn delete(planes: &FakePlanes, name: &str, propagation: Propagation) {
    let how = Delete { propagation: Some(propagation), ..Delete::default() };
    let target = Target::new(TENANT, &CONFIG_MAPS, "default", name);
    planes
        .client()
        .write(&plane_client::Actor::Platform("admin"), &target, Write::Delete(how))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn dependents_go_after_their_owner() {
    let planes = start();
    for object in [map("a", vec![]), map("b", vec![of("a")]), map("c", vec![of("b")]), map("other", vec![])] {
        planes.put(TENANT, object);
    }
    let elsewhere = TenantId::HOST;
    planes.put(elsewhere, map("a", vec![]));
    planes.put(elsewhere, map("b", vec![of("a")]));
    delete(&planes, "a", Propagation::Background).await;
    are(&planes, &["other"]).await;
    assert_eq!(
        planes.all(elsewhere, &CONFIG_MAPS.group_resource(), "").len(),
        2,
        "another plane's are not touched"
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_block_goes_while_its_owner_waits_and_is_not_waited_for() {
    let planes = start();
    let held = |name: &str, blocks: bool| {
        let mut reference = of("a");
        reference["blockOwnerDeletion"] = blocks.into();
        let mut held = map(name, vec![reference]);
        held["metadata"]["finalizers"] = json!(["x.dev/hold"]);
        held
    };
    for object in [map("a", vec![]), held("blocks", true), held("free", false)] {
        planes.put(TENANT, object);
    }
    delete(&planes, "a", Propagation::Foreground).await;
    let is_going = |planes: &FakePlanes, name: &str| {
        let found = planes.find(TENANT, &CONFIG_MAPS.group_resource(), "default", name);
        found.is_some_and(|found| found["metadata"]["deletionTimestamp"].is_string())
    };
    planes.wait_until("both go", |planes| is_going(planes, "blocks") && is_going(planes, "free")).await;
    assert!(is_going(&planes, "a"), "it waits");
    planes.remove(TENANT, &CONFIG_MAPS.group_resource(), "default", "blocks");
    are(&planes, &["free"]).await;
}

#[tokio::test(start_paused = true)]
async fn owners_of_another_namespace_are_told_of() {
    let planes = start();
    planes.put(TENANT, object("ConfigMap", "other", "far", vec![]));
    planes.put(TENANT, map("lost", vec![of("far")]));
    planes.put(TENANT, object("Node", "", "n", vec![of("far")]));
    are(&planes, &["far"]).await;
    planes
        .wait_until("their events", |planes| {
            let told = planes.all(TENANT, &crate::resources::EVENTS.group_resource(), "default");
            ["lost", "n"].iter().all(|name| {
                told.iter().any(|event| {
                    event["involvedObject"]["name"] == *name && event["reason"] == "OwnerRefInvalidNamespace"
                })
            })
        })
        .await;
    assert!(planes.find(TENANT, &NODES.group_resource(), "", "n").is_some());
}

#[tokio::test(start_paused = true)]
async fn only_owners_that_are_really_absent_count() {
    let planes = start();
    planes.put(TENANT, object("Node", "", "n", vec![]));
    for object in [
        map("absent", vec![of("never")]),
        map("again", vec![owner("ConfigMap", "live", "uid-before")]),
        map("by-node", vec![owner("Node", "n", "uid-n")]),
        map("live", vec![]),
        map("unknown", vec![owner("Widget", "w", "uid-w")]),
    ] {
        planes.put(TENANT, object);
    }
    planes.put(TENANT, object("ConfigMap", "far", "far", vec![]));
    planes.put(TENANT, map("other-namespace", vec![owner("ConfigMap", "far", "uid-far")]));
    planes.put(TENANT, object("Node", "", "owned", vec![owner("ConfigMap", "x", "uid-x")]));
    are(&planes, &["by-node", "live", "unknown", "far"]).await;
    assert!(planes.find(TENANT, &NODES.group_resource(), "", "owned").is_some());
    planes.remove(TENANT, &NODES.group_resource(), "", "n");
    are(&planes, &["live", "unknown", "far"]).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_owners_keeps_and_the_reference_to_the_other_goes() {
    let planes = start();
    for object in [map("a", vec![]), map("b", vec![]), map("c", vec![of("a"), of("b")])] {
        planes.put(TENANT, object);
    }
    delete(&planes, "a", Propagation::Background).await;
    let owners = |found: Option<&Value>| found.map(|map| map["metadata"]["ownerReferences"].clone());
    let only_b = |found: Option<&Value>| owners(found) == Some(json!([of("b")]));
    planes.wait_for(TENANT, &CONFIG_MAPS.group_resource(), "default", "c", only_b).await;
    are(&planes, &["b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_goes_last() {
    let planes = start();
    let mut held = map("c", vec![of("b")]);
    held["metadata"]["finalizers"] = json!(["x.dev/held"]);
    for object in [map("a", vec![]), map("b", vec![of("a")]), held] {
        planes.put(TENANT, object);
    }
    delete(&planes, "a", Propagation::Foreground).await;
    let resource = CONFIG_MAPS.group_resource();
    planes
        .wait_for(TENANT, &resource, "default", "c", |c| {
            c.unwrap()["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    assert_eq!(maps(&planes), ["a", "b", "c"]);
    let target = Target::new(TENANT, &CONFIG_MAPS, "default", "c");
    let let_go = Write::Patch(Patch::Merge(json!({"metadata": {"finalizers": null}})));
    planes.client().write(&plane_client::Actor::Platform("admin"), &target, let_go).await.unwrap();
    are(&planes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_dependent_that_does_not_block_is_not_waited_for() {
    let planes = start();
    let mut free = of("a");
    free["blockOwnerDeletion"] = false.into();
    let mut held = map("b", vec![free]);
    held["metadata"]["finalizers"] = json!(["x.dev/held"]);
    planes.put(TENANT, map("a", vec![]));
    planes.put(TENANT, held);
    delete(&planes, "a", Propagation::Foreground).await;
    are(&planes, &["b"]).await;
    let is_deleting = |b: Option<&Value>| b.unwrap()["metadata"]["deletionTimestamp"].is_string();
    planes.wait_for(TENANT, &CONFIG_MAPS.group_resource(), "default", "b", is_deleting).await;
}

#[tokio::test(start_paused = true)]
async fn a_circle_ends() {
    let planes = start();
    planes.put(TENANT, map("a", vec![]));
    planes.put(TENANT, map("b", vec![of("a")]));
    planes.put(TENANT, map("a", vec![of("b")]));
    delete(&planes, "a", Propagation::Foreground).await;
    are(&planes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_and_name_their_owner_no_more() {
    let planes = start();
    planes.put(TENANT, map("a", vec![]));
    planes.put(TENANT, map("b", vec![of("a")]));
    planes.put(TENANT, object("Secret", "default", "s", vec![of("a")]));
    delete(&planes, "a", Propagation::Orphan).await;
    are(&planes, &["b"]).await;
    for (resource, name) in [(&CONFIG_MAPS, "b"), (&SECRETS, "s")] {
        let found = planes.find(TENANT, &resource.group_resource(), "default", name).unwrap();
        assert!(found["metadata"]["ownerReferences"].is_null(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_that_come_later_are_collected_too() {
    let planes = start();
    planes.put(TENANT, json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.x.dev"}, "spec": {"group": "x.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"}, "versions": [{"name": "v1", "storage": true}]}}));
    planes.put(
        TENANT,
        json!({"apiVersion": "x.dev/v1", "kind": "Widget",
        "metadata": {"name": "w", "ownerReferences": [of("never")]}}),
    );
    let resource = GroupResource::new("x.dev", "widgets");
    planes.wait_for(TENANT, &resource, "default", "w", |found| found.is_none()).await;
}
