//! The `scale` subresource: every way to write it, and who owns the replicas then.

use crate::custom_resources::{DEFINITIONS, definition};
use crate::harness::{Client, Installation, text};
use crate::patches::deployment;
use serde_json::{Value, json};

const APPLY: &str = "application/apply-patch+yaml";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn scale(name: &str, replicas: i64) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name},
        "spec": {"replicas": replicas}})
}

/// `manager operation subresource` of those who own the replicas, in the entries' order.
async fn owners(client: &Client, path: &str, field: &str) -> Vec<String> {
    let object = client.get(path).await.expect_code(200).json();
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let own = entries.iter().filter(|entry| !entry["fieldsV1"]["f:spec"][field].is_null());
    own.map(|entry| {
        let word = |name: &str| entry[name].as_str().unwrap_or("").to_owned();
        format!("{} {} {} {}", word("manager"), word("operation"), word("subresource"), word("apiVersion"))
    })
    .collect()
}

#[tokio::test]
async fn every_way_to_scale_owns_the_replicas() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let (object, path) = (format!("{DEPLOYMENTS}/web"), format!("{DEPLOYMENTS}/web/scale"));
    acme.post(&format!("{DEPLOYMENTS}?fieldManager=maker"), &deployment("web")).await.expect_code(201);
    let by = |manager: &str| format!("{path}?fieldManager={manager}");
    acme.put(&by("putter"), &scale("web", 3)).await.expect_code(200);
    assert_eq!(owners(&acme, &object, "f:replicas").await, ["putter Update scale apps/v1"]);
    let patch = json!({"spec": {"replicas": 4}}).to_string();
    let scaled = acme.send("PATCH", &by("patcher"), STRATEGIC, patch).await.expect_code(200).json();
    assert_eq!((text(&scaled["kind"]), &scaled["spec"]["replicas"]), ("Scale", &json!(4)));
    assert_eq!(owners(&acme, &object, "f:replicas").await, ["patcher Update scale apps/v1"]);
    let apply = |replicas: i64| scale("web", replicas).to_string();
    let conflict = acme.send("PATCH", &by("one"), APPLY, apply(5)).await.expect_code(409).json();
    assert_eq!(
        text(&conflict["message"]),
        "Apply failed with 1 conflict: conflict with \"patcher\" with subresource \"scale\" using autoscaling/v1: \
         .spec.replicas"
    );
    acme.send("PATCH", &format!("{}&force=true", by("one")), APPLY, apply(5)).await.expect_code(200);
    assert_eq!(owners(&acme, &object, "f:replicas").await, ["one Apply scale apps/v1"]);
    // Who applies the same shares it, on the scale and on the object.
    acme.send("PATCH", &by("two"), APPLY, apply(5)).await.expect_code(200);
    let shared = ["one Apply scale apps/v1", "two Apply scale apps/v1"];
    assert_eq!(owners(&acme, &object, "f:replicas").await, shared);
    let mut whole = deployment("web");
    whole["spec"]["replicas"] = 6.into();
    let refused =
        acme.send("PATCH", &format!("{object}?fieldManager=gitops"), APPLY, whole.to_string()).await;
    assert!(text(&refused.expect_code(409).json()["message"]).contains(".spec.replicas"));
    let now = acme.get(&object).await.json();
    assert_eq!((&now["spec"]["replicas"], &now["metadata"]["generation"]), (&json!(5), &json!(4)));
}

#[tokio::test]
async fn a_scale_that_does_not_fit_is_refused() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(DEPLOYMENTS, &deployment("web")).await.expect_code(201);
    let path = format!("{DEPLOYMENTS}/web/scale?fieldManager=m");
    acme.put(&path, &scale("web", -1)).await.expect_code(422);
    acme.put(&path, &scale("other", 1)).await.expect_code(400);
    acme.send("PATCH", &path, APPLY, scale("web", 1).to_string().replace("Scale", "Ladder"))
        .await
        .expect_code(400);
    let odd = json!({"spec": {"replicas": "many"}}).to_string();
    acme.send("PATCH", &path, STRATEGIC, odd).await.expect_code(422);
    acme.send("PATCH", &path, "application/json", "{}").await.expect_code(415);
    acme.send("PATCH", &format!("{DEPLOYMENTS}/web/scale"), APPLY, scale("web", 1).to_string())
        .await
        .expect_code(422);
    acme.merge(&format!("{DEPLOYMENTS}/none/scale"), &json!({"spec": {"replicas": 1}}))
        .await
        .expect_code(404);
    let unknown = acme.merge(&path, &json!({"spec": {"foo": 1}})).await.expect_code(200);
    assert!(unknown.header("warning").contains("spec.foo"), "{}", unknown.header("warning"));
}

#[tokio::test]
async fn custom_resources_scale_where_they_say() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(DEFINITIONS, &definition("example.dev", "widgets", "Widget")).await.expect_code(201);
    let widgets = "/apis/example.dev/v1/widgets";
    let widget =
        json!({"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {}});
    acme.post(widgets, &widget).await.expect_code(201);
    let path = format!("{widgets}/a/scale?fieldManager=m");
    // Without replicas there is no scale, until somebody says how many there shall be.
    acme.get(&path).await.expect_code(500);
    acme.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await.expect_code(400);
    acme.merge(&path, &json!({"spec": {"replicas": 3}})).await.expect_code(200);
    // What nobody owned is not tracked, as on an object without managers.
    assert_eq!(owners(&acme, &format!("{widgets}/a"), "f:size").await, Vec::<String>::new());
    let mut other = widget.clone();
    (other["metadata"]["name"], other["spec"]["size"]) = ("b".into(), 1.into());
    acme.post(&format!("{widgets}?fieldManager=maker"), &other).await.expect_code(201);
    acme.merge(&format!("{widgets}/b/scale?fieldManager=m"), &json!({"spec": {"replicas": 3}}))
        .await
        .expect_code(200);
    assert_eq!(owners(&acme, &format!("{widgets}/b"), "f:size").await, ["m Update scale example.dev/v1"]);
    acme.send("PATCH", &path, STRATEGIC, "{}").await.expect_code(415);
    acme.send("PATCH", &path, APPLY, scale("a", 3).to_string()).await.expect_code(200);
    assert_eq!(acme.get(&path).await.expect_code(200).json()["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_scale_comes_as_a_table_and_as_metadata() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    let web =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    acme.post(deployments, &web).await.expect_code(201);
    let path = format!("{deployments}/web/scale");
    let form = |of: &str| format!("application/json;as={of};v=v1;g=meta.k8s.io");
    let table = acme.with("accept", form("Table")).get(&path).await.expect_code(200).json();
    assert_eq!(table["kind"], "Table");
    let cells = &table["rows"][0]["cells"];
    assert_eq!([&cells[0], &cells[1], &cells[2]], [&json!("web"), &json!(3), &json!(0)]);
    assert_eq!(
        table["metadata"]["resourceVersion"],
        table["rows"][0]["object"]["metadata"]["resourceVersion"]
    );
    let metadata =
        acme.with("accept", form("PartialObjectMetadata")).get(&path).await.expect_code(200).json();
    assert_eq!(
        (&metadata["kind"], &metadata["metadata"]["name"]),
        (&json!("PartialObjectMetadata"), &json!("web"))
    );
    acme.with("accept", form("PartialObjectMetadataList")).get(&path).await.expect_code(406);
}
