//! The fake's rules, and the controller loop over it.

use super::*;
use crate::write::{Delete, Patch, Propagation};
use api_types::Resource;
use serde_json::json;

const PODS: Resource = Resource::new("", "v1", "pods");
const CONFIGMAPS: Resource = Resource::new("", "v1", "configmaps");
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const NAMESPACES: Resource = Resource::new("", "v1", "namespaces");
const HOST: TenantId = TenantId::HOST;
const ME: Actor = Actor::Platform("insula-test");
const YOU: Actor = Actor::Platform("insula-other");

fn at(resource: &Resource, name: &str) -> Target {
    let namespace = if resource.resource == "namespaces" { "" } else { "default" };
    Target::new(HOST, resource, namespace, name)
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[tokio::test]
async fn creation_gives_identity_and_refuses_a_second() {
    let planes = FakePlanes::new();
    let target = at(&CONFIGMAPS, "");
    let create = |body| planes.write(&ME, &target, Write::Create(body));
    let made = create(map("a", json!({}))).await.unwrap().value().unwrap();
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["resourceVersion"].is_string());
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(create(map("a", json!({}))).await.unwrap_err().is_already_exists());
    let generated = json!({"metadata": {"generateName": "a-"}});
    let (one, two) = (create(generated.clone()).await.unwrap(), create(generated).await.unwrap());
    assert!(one.name.name.starts_with("a-") && one.name != two.name);
    assert_eq!(create(json!({"metadata": {}})).await.unwrap_err().code(), 422);
    assert_eq!(create(json!({"metadata": {"name": "b", "namespace": "x"}})).await.unwrap_err().code(), 400);
}

#[tokio::test]
async fn status_and_spec_are_written_apart_and_generation_counts_specs() {
    let planes = FakePlanes::new();
    let target = at(&DEPLOYMENTS, "web");
    planes
        .write(
            &ME,
            &target,
            Write::Create(
                json!({"metadata": {"name": "web"}, "spec": {"replicas": 1}, "status": {"replicas": 9}}),
            ),
        )
        .await
        .unwrap();
    let both = json!({"spec": {"replicas": 2}, "status": {"replicas": 2}});
    let main = planes.write(&ME, &target, Write::Patch(Patch::Merge(both.clone()))).await.unwrap();
    let main = main.value().unwrap();
    assert_eq!(
        (&main["spec"]["replicas"], &main["status"], &main["metadata"]["generation"]),
        (&json!(2), &Value::Null, &json!(2))
    );
    let status = Write::Patch(Patch::Merge(json!({"spec": {"replicas": 5}, "status": {"replicas": 2}})));
    let status =
        planes.write(&ME, &target.clone().subresource("status"), status).await.unwrap().value().unwrap();
    assert_eq!(
        (&status["spec"]["replicas"], &status["status"]["replicas"], &status["metadata"]["generation"]),
        (&json!(2), &json!(2), &json!(2))
    );
    let scaled = Write::Patch(Patch::Merge(json!({"spec": {"replicas": 7}})));
    let scale =
        planes.write(&ME, &target.clone().subresource("scale"), scaled).await.unwrap().value().unwrap();
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(7)));
    let mut old = main;
    old["spec"]["replicas"] = 3.into();
    assert!(planes.write(&ME, &target, Write::Update(old)).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn apply_removes_only_what_the_same_manager_no_longer_says() {
    let planes = FakePlanes::new();
    let target = at(&CONFIGMAPS, "a");
    let apply = |data| Write::Patch(Patch::Apply(map("a", data)));
    planes.write(&ME, &target, apply(json!({"mine": "1", "both": "1", "gone": "1"}))).await.unwrap();
    planes.write(&YOU, &target, apply(json!({"yours": "1", "both": "1"}))).await.unwrap();
    let now = planes.write(&ME, &target, apply(json!({"mine": "2"}))).await.unwrap();
    assert_eq!(now.value().unwrap()["data"], json!({"mine": "2", "both": "1", "yours": "1"}));
    let same = planes.write(&ME, &target, apply(json!({"mine": "2"}))).await.unwrap();
    assert_eq!(same.revision, now.revision, "an apply that changes nothing is no write");
}

#[tokio::test]
async fn lists_merge_by_name() {
    let planes = FakePlanes::new();
    planes.put(
        HOST,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}}),
    );
    let patch = json!({"spec": {"containers": [{"name": "a", "env": [{"name": "K", "value": "V"}]}]}});
    let now = planes.write(&ME, &at(&PODS, "p"), Write::Patch(Patch::Strategic(patch))).await.unwrap();
    let containers =
        json!([{"name": "a", "image": "x", "env": [{"name": "K", "value": "V"}]}, {"name": "b"}]);
    assert_eq!(now.value().unwrap()["spec"]["containers"], containers);
    planes.put(HOST, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q", "finalizers": ["a.dev/a", "b.dev/b"]}}));
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.dev/a"]}});
    let now = planes.write(&ME, &at(&PODS, "q"), Write::Patch(Patch::Strategic(patch))).await.unwrap();
    assert_eq!(now.value().unwrap()["metadata"]["finalizers"], json!(["b.dev/b"]));
    let json = Write::Patch(Patch::Json(json!([])));
    assert!(
        planes
            .write(&ME, &at(&PODS, "p"), json)
            .await
            .unwrap_err()
            .message()
            .contains("not supported by the fake")
    );
}

#[tokio::test]
async fn deletion_waits_for_finalizers_and_grace() {
    let planes = FakePlanes::new();
    let pod = |name: &str, node: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node}});
    planes.put(HOST, pod("unbound", ""));
    planes.put(HOST, pod("bound", "n"));
    let delete = |grace| Write::Delete(Delete { grace_period_seconds: grace, ..Delete::default() });
    let gone = |name: &str| planes.find(HOST, &PODS.group_resource(), "default", name).is_none();
    planes.write(&ME, &at(&PODS, "unbound"), delete(None)).await.unwrap();
    planes.write(&ME, &at(&PODS, "bound"), delete(None)).await.unwrap();
    assert!(gone("unbound") && !gone("bound"));
    planes.write(&ME, &at(&PODS, "bound"), delete(Some(0))).await.unwrap();
    assert!(gone("bound"));

    planes.put(HOST, map("a", json!({})));
    let foreground = Delete { propagation: Some(Propagation::Foreground), ..Delete::default() };
    let deleting = planes.write(&ME, &at(&CONFIGMAPS, "a"), Write::Delete(foreground)).await.unwrap();
    assert!(deleting.meta.deleting && deleting.meta.finalizers == ["foregroundDeletion"]);
    let clear = Write::Patch(Patch::Merge(json!({"metadata": {"finalizers": []}})));
    planes.write(&ME, &at(&CONFIGMAPS, "a"), clear).await.unwrap();
    assert!(planes.find(HOST, &CONFIGMAPS.group_resource(), "default", "a").is_none());
    let wrong = Delete { uid: Some("x".into()), ..Delete::default() };
    planes.put(HOST, map("a", json!({})));
    assert!(planes.write(&ME, &at(&CONFIGMAPS, "a"), Write::Delete(wrong)).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_terminating_namespace_takes_nothing_new_and_ends_when_finalized() {
    let planes = FakePlanes::new();
    let target = at(&NAMESPACES, "default");
    planes.write(&ME, &target, Write::Create(json!({"metadata": {"name": "default"}}))).await.unwrap();
    let terminating = planes.write(&ME, &target, Write::Delete(Delete::default())).await.unwrap();
    assert_eq!(terminating.value().unwrap()["status"]["phase"], "Terminating");
    let refused =
        planes.write(&ME, &at(&CONFIGMAPS, ""), Write::Create(map("a", json!({})))).await.unwrap_err();
    assert_eq!(refused.code(), 403);
    let finalize = Write::Update(json!({"metadata": {"name": "default"}, "spec": {"finalizers": []}}));
    planes.write(&ME, &target.clone().subresource("finalize"), finalize).await.unwrap();
    assert!(planes.find(HOST, &NAMESPACES.group_resource(), "", "default").is_none());
}

#[tokio::test]
async fn watches_say_what_is_live_then_synced_then_changes_of_their_scope() {
    let planes = FakePlanes::new();
    let tenant = TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap();
    planes.put(HOST, map("host", json!({})));
    planes.put(tenant, map("live", json!({})));
    let mut watch = planes.list_watch(&CONFIGMAPS.group_resource(), Scope::Tenants);
    planes.put(HOST, map("host-2", json!({})));
    planes.put(tenant, map("new", json!({})));
    planes.remove(tenant, &CONFIGMAPS.group_resource(), "default", "live");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(match watch.recv().await.unwrap() {
            WatchItem::Applied(object) => format!("+{}", object.name.name),
            WatchItem::Deleted(object) => format!("-{}", object.name.name),
            WatchItem::Synced => "synced".to_owned(),
        });
    }
    assert_eq!(seen, ["+live", "synced", "+new", "-live"]);
}

#[tokio::test]
async fn writes_are_recorded_and_can_be_refused() {
    let planes = FakePlanes::new();
    planes.refuse(|actor, target, _| {
        matches!(actor, Actor::User { .. }).then(|| ApiError::forbidden(&target.group_resource(), "", "no"))
    });
    let user = Actor::User { user: "eve".into(), groups: vec![], manager: "insula-test" };
    let create = Write::Create(map("a", json!({})));
    assert_eq!(planes.write(&user, &at(&CONFIGMAPS, ""), create.clone()).await.unwrap_err().code(), 403);
    planes.write(&ME, &at(&CONFIGMAPS, ""), create).await.unwrap();
    let accepted: Vec<bool> = planes.writes().iter().map(|write| write.accepted).collect();
    assert_eq!(accepted, [false, true]);
}

#[tokio::test]
async fn a_binding_names_the_node_once() {
    let planes = FakePlanes::new();
    planes.put(HOST, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}));
    let target = at(&PODS, "p").subresource("binding");
    let bind = Write::Create(json!({"target": {"kind": "Node", "name": "n"}}));
    planes.write(&ME, &target, bind.clone()).await.unwrap();
    assert_eq!(planes.find(HOST, &PODS.group_resource(), "default", "p").unwrap()["spec"]["nodeName"], "n");
    assert!(planes.write(&ME, &target, bind).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_definition_serves_its_kind_in_its_plane_only() {
    let planes = FakePlanes::new();
    planes.put(HOST, json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.x.dev"}, "spec": {"group": "x.dev", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"}, "versions": [{"name": "v1", "storage": true}]}}));
    assert!(planes.kind(HOST, "x.dev/v1", "Widget").await.unwrap().is_some());
    assert!(planes.kind(TenantId::LOCAL_SUPER, "x.dev/v1", "Widget").await.unwrap().is_none());
}
