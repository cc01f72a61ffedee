//! Patches, and what clients are told of those that do not fit.

use crate::harness::{CONFIGMAPS, Installation, configmap, text};
use serde_json::{Value, json};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A deployment of a container with two ports of one number.
pub fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80},
            {"containerPort": 80, "protocol": "UDP"}]}]}}}})
}

#[tokio::test]
async fn a_refused_patch_says_what_kubernetes_says() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let path = format!("{CONFIGMAPS}/a");
    let no_map = "cannot unmarshal array into Go value of type map[string]interface {}";
    let unfit = |shown: &str, why: &str| format!(" \"\" is invalid: patch: Invalid value: {shown:?}: {why}");
    for (of, patch, code, reason, message) in [
        (STRATEGIC, json!([]), 400, "BadRequest", format!("json: {no_map}")),
        (MERGE, json!([]), 400, "BadRequest", format!("error decoding patch: json: {no_map}")),
        (MERGE, json!(null), 400, "BadRequest", "Invalid JSON Patch".to_owned()),
        (
            JSON,
            json!({}),
            400,
            "BadRequest",
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
                .to_owned(),
        ),
        (
            JSON,
            json!([{"op": 1}]),
            400,
            "BadRequest",
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"
                .to_owned(),
        ),
        (
            JSON,
            json!([{"op": "test", "path": "/data/k", "value": "w"}]),
            422,
            "Invalid",
            "the server rejected our request due to an error in our request".to_owned(),
        ),
        (
            STRATEGIC,
            json!({"data": {"k": [1]}}),
            422,
            "Invalid",
            unfit("map[data:map[k:[1]]]", "unrecognized type: string"),
        ),
        (
            STRATEGIC,
            json!({"data": {"$patch": 1}}),
            500,
            "",
            "unknown patch type: %!s(int64=1) in map: map[$patch:1]".to_owned(),
        ),
        (
            MERGE,
            json!({"metadata": {"name": null}}),
            400,
            "BadRequest",
            "the name of the object (a based on URL) was undeterminable: name must be provided".to_owned(),
        ),
        (
            MERGE,
            json!({"metadata": {"uid": "u"}}),
            422,
            "Invalid",
            "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"u\": field is immutable".to_owned(),
        ),
    ] {
        let status = admin.send("PATCH", &path, of, patch.to_string()).await.expect_code(code).json();
        assert_eq!((text(&status["message"]), status["reason"].as_str().unwrap_or("")), (&*message, reason));
    }
    let kept = admin.get(&path).await.json();
    assert_eq!(kept["data"], json!({"k": "v"}));
}

#[tokio::test]
async fn unknown_fields_of_patches_are_told_or_refused() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let path = format!("{CONFIGMAPS}/a");
    let operation = json!([{"op": "test", "path": "/data", "foo": 1}]);
    for (of, patch, unknown) in [
        (STRATEGIC, json!({"metadata": {"bar": 1}}), "unknown field \\\"metadata.bar\\\""),
        (MERGE, json!({"foo": 1}), "unknown field \\\"foo\\\""),
        (JSON, operation, "json patch unknown field \\\"[0].foo\\\""),
    ] {
        let patch = patch.to_string();
        let answer = admin.send("PATCH", &path, of, patch.clone()).await.expect_code(200);
        assert!(answer.header("warning").contains(unknown), "{}", answer.header("warning"));
        let strict = admin.send("PATCH", &format!("{path}?fieldValidation=Strict"), of, patch.clone()).await;
        let status = strict.expect_code(422).json();
        assert!(text(&status["message"]).contains("strict decoding error"), "{status}");
        let lax = admin.send("PATCH", &format!("{path}?fieldValidation=Ignore"), of, patch).await;
        assert_eq!(lax.expect_code(200).header("warning"), "");
    }
    // Who is refused for another reason is warned all the same.
    let refused = admin.merge(&path, &json!({"foo": 1, "metadata": {"uid": "u"}})).await.expect_code(422);
    assert!(refused.header("warning").contains("foo"), "{}", refused.header("warning"));
}

#[tokio::test]
async fn lists_merge_by_their_keys() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(DEPLOYMENTS, &deployment("web")).await.expect_code(201);
    let container = |container: Value| json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let patch =
        container(json!({"name": "c", "image": "y", "args": ["a"], "env": [{"name": "E", "value": "1"}]}));
    let path = format!("{DEPLOYMENTS}/web");
    let patched = acme.send("PATCH", &path, STRATEGIC, patch.to_string()).await.expect_code(200).json();
    let of = &patched["spec"]["template"]["spec"]["containers"][0];
    assert_eq!((text(&of["image"]), of["ports"].as_array().map(Vec::len)), ("y", Some(2)));
    assert_eq!(patched["metadata"]["generation"], 2);
    // What annotations say is passed on to replica sets, and counts.
    let noted = acme.merge(&path, &json!({"metadata": {"annotations": {"a": "b"}}})).await;
    assert_eq!(noted.expect_code(200).json()["metadata"]["generation"], 3);
    let labelled = acme.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(labelled.expect_code(200).json()["metadata"]["generation"], 3);
    // A write of the status leaves the labels of a deployment alone.
    let status = json!({"metadata": {"labels": {"a": "c"}}, "status": {"replicas": 1}});
    let status = acme.merge(&format!("{path}/status"), &status).await.expect_code(200).json();
    assert_eq!((text(&status["metadata"]["labels"]["a"]), &status["status"]["replicas"]), ("b", &json!(1)));
}

#[tokio::test]
async fn what_never_changes_is_refused_each_time_it_is_checked() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let mut held = configmap("a", json!({"k": "v"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    admin.post(CONFIGMAPS, &held).await.expect_code(201);
    let path = format!("{CONFIGMAPS}/a");
    let patch = async |metadata: Value, code: u16| {
        let answer = admin.merge(&path, &json!({"metadata": metadata})).await.expect_code(code).json();
        let causes = answer["details"]["causes"].as_array().cloned().unwrap_or_default();
        causes.iter().map(|cause| text(&cause["field"]).to_owned()).collect::<Vec<_>>()
    };
    let (uid, at, grace) =
        ("metadata.uid", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds");
    let doom = json!({"deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3});
    assert_eq!(patch(json!({"uid": "x"}), 422).await, [uid, uid]);
    assert_eq!(patch(doom.clone(), 422).await, [at, grace, at, grace]);
    admin.delete(&path).await.expect_code(200);
    // The time of the deletion is what it is; nobody is told that he cannot change it.
    assert_eq!(patch(doom, 422).await, [grace, grace]);
    assert_eq!(patch(json!({"deletionTimestamp": null}), 200).await, Vec::<String>::new());
    let deleting = admin.get(&path).await.expect_code(200).json();
    assert!(deleting["metadata"]["deletionTimestamp"].is_string(), "{deleting}");
}

#[tokio::test]
async fn a_strategic_patch_leaves_the_kind_alone() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let path = format!("{CONFIGMAPS}/a");
    for patch in [json!({"apiVersion": null, "kind": "X"}), json!({"$retainKeys": ["metadata", "data"]})] {
        let same = admin.send("PATCH", &path, STRATEGIC, patch.to_string()).await.expect_code(200).json();
        assert_eq!((&same["kind"], &same["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
        assert_eq!(same["data"], json!({"k": "v"}));
    }
    let gone = admin.send("PATCH", &path, STRATEGIC, json!({"$retainKeys": ["data"]}).to_string()).await;
    assert!(text(&gone.expect_code(400).json()["message"]).contains("undeterminable"));
}
