//! Who owns which fields, by the writes of several managers.

use crate::harness::{CONFIGMAPS, Client, Installation, configmap, text};
use serde_json::{Value, json};

const APPLY: &str = "application/apply-patch+yaml";
const AUTOSCALERS: &str = "/namespaces/default/horizontalpodautoscalers";

async fn apply(client: &Client, path: &str, manager: &str, config: &Value, code: u16) -> Value {
    let path = format!("{path}?fieldManager={manager}");
    client.send("PATCH", &path, APPLY, config.to_string()).await.expect_code(code).json()
}

fn fields(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.into_iter().find(|entry| entry["manager"] == manager).unwrap_or_default()["fieldsV1"].clone()
}

#[tokio::test]
async fn what_is_empty_is_applied_too() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = format!("{CONFIGMAPS}/a");
    apply(&admin, &path, "one", &configmap("a", json!({"k": "v"})), 201).await;
    let shared = apply(&admin, &path, "two", &configmap("a", json!({})), 200).await;
    assert_eq!(fields(&shared, "two"), json!({"f:data": {}}));
    assert_eq!(shared["data"], json!({"k": "v"}));
}

#[tokio::test]
async fn what_the_server_makes_it_owns() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    let of = async |path: &str| {
        let object = acme.get(path).await.expect_code(200).json();
        let entry = &object["metadata"]["managedFields"][0];
        assert_eq!(entry["time"], object["metadata"]["creationTimestamp"], "{path}");
        fields(&object, "kube-apiserver")
    };
    let labels = |name: &str| json!({"f:labels": {".": {}, format!("f:{name}"): {}}});
    let namespace = of("/api/v1/namespaces/default").await;
    assert_eq!(namespace, json!({"f:metadata": labels("kubernetes.io/metadata.name")}));
    let service = of("/api/v1/namespaces/default/services/kubernetes").await;
    assert!(service["f:spec"]["f:clusterIP"].is_object() && service["f:spec"]["f:clusterIPs"].is_null());
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    assert!(of(&format!("{roles}/cluster-admin")).await["f:rules"].is_object());
    // The rules of an aggregated role come from other roles.
    let view = of(&format!("{roles}/view")).await;
    assert!(view["f:aggregationRule"].is_object() && view["f:rules"].is_null(), "{view}");
    let api = of("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps").await;
    assert!(api["f:spec"]["f:group"].is_object() && api["f:status"].is_null(), "{api}");

    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = crate::custom_resources::definition("example.dev", "widgets", "Widget");
    acme.post(&format!("{path}?fieldManager=me"), &definition).await.expect_code(201);
    let found = acme.get(&format!("{path}/widgets.example.dev")).await.expect_code(200).json();
    let status = &fields(&found, "kube-apiserver")["f:status"];
    assert!(status["f:acceptedNames"]["f:kind"].is_object(), "{status}");
    assert!(status["f:conditions"]["k:{\"type\":\"Established\"}"]["f:status"].is_object(), "{status}");
    let spec = fields(&found, "me");
    assert!(spec["f:spec"]["f:group"].is_object() && spec["f:status"].is_null(), "{spec}");
}

#[tokio::test]
async fn a_configuration_that_does_not_fit_is_refused_in_words_of_its_own() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = format!("{CONFIGMAPS}/a");
    let config = |change: &dyn Fn(&mut Value)| {
        let mut config = configmap("a", json!({"k": "v"}));
        change(&mut config);
        config
    };
    let about = "failed to create typed patch object (/a; /v1, Kind=ConfigMap)";
    for (change, code, message) in [
        (config(&|c| c["foo"] = 1.into()), 500, format!("{about}: .foo: field not declared in schema")),
        (
            config(&|c| c["data"]["k"] = 1.into()),
            500,
            format!("{about}: .data.k: expected string, got &value.valueUnstructured{{Value:1}}"),
        ),
        (config(&|c| c["kind"] = "Secret".into()), 400, "invalid object type: /v1, Kind=Secret".to_owned()),
        (
            config(&|c| c["metadata"]["managedFields"] = json!([])),
            400,
            "metadata.managedFields must be nil".to_owned(),
        ),
        (
            config(&|c| c["metadata"] = json!({})),
            400,
            "the name of the object (a based on URL) was undeterminable: name must be provided".to_owned(),
        ),
    ] {
        let status = apply(&admin, &path, "one", &change, code).await;
        assert_eq!(text(&status["message"]), message);
        assert_eq!(status["reason"].as_str(), (code != 500).then_some("BadRequest"));
    }
    admin.get(&path).await.expect_code(404);
    // A version is no condition for an object that is not there.
    let named = config(&|c| c["metadata"]["resourceVersion"] = "7".into());
    apply(&admin, &path, "one", &named, 201).await;
    apply(&admin, &path, "one", &named, 409).await;
}

#[tokio::test]
async fn an_empty_list_of_managers_forgets_who_owns_what() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = format!("{CONFIGMAPS}/a");
    let mut made = apply(&admin, &path, "one", &configmap("a", json!({"k": "v"})), 201).await;
    made["metadata"]["managedFields"] = json!([]);
    let forgotten = admin.put(&path, &made).await.expect_code(200).json();
    assert!(forgotten["metadata"].get("managedFields").is_none(), "{forgotten}");
    let status = apply(&admin, &path, "two", &configmap("a", json!({"k": "w"})), 409).await;
    assert!(text(&status["message"]).contains("\"before-first-apply\" using v1"), "{status}");
}

#[tokio::test]
async fn managers_of_several_versions_own_each_in_their_own() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let path = |version: &str| format!("/apis/autoscaling/{version}{AUTOSCALERS}/a");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let config = |version: &str, more: &[(&str, Value)]| {
        let mut config = json!({"apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a"}, "spec": {"maxReplicas": 5, "scaleTargetRef": target}});
        for (field, value) in more {
            config["spec"][*field] = value.clone();
        }
        config
    };
    let percent = |percent: i64| ("targetCPUUtilizationPercentage", json!(percent));
    apply(&acme, &path("v1"), "old", &config("v1", &[percent(50)]), 201).await;
    let metric = |percent: i64| {
        json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": percent}}}])
    };
    // The field that one version calls otherwise is contested all the same.
    let status = apply(&acme, &path("v2"), "new", &config("v2", &[("metrics", metric(70))]), 409).await;
    let cause = &status["details"]["causes"][0];
    assert_eq!(text(&cause["message"]), "conflict with \"old\"");
    assert_eq!(text(&cause["field"]), ".spec.targetCPUUtilizationPercentage");
    apply(&acme, &path("v2"), "new", &config("v2", &[("metrics", metric(50))]), 200).await;
    // Who said it in one version and says it no longer in the other leaves it to the other owner.
    let left = apply(&acme, &path("v2"), "old", &config("v2", &[]), 200).await;
    assert_eq!(left["spec"]["metrics"], metric(50));
    let gone = apply(&acme, &path("v2"), "new", &config("v2", &[]), 200).await;
    assert_ne!(gone["spec"]["metrics"], metric(50));
}

#[tokio::test]
async fn entries_of_versions_that_are_not_served_go() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = format!("{CONFIGMAPS}/a");
    let entry = |manager: &str, version: &str| {
        json!({"manager": manager, "operation": "Update", "apiVersion": version, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:k": {}}}})
    };
    let mut made = admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201).json();
    made["metadata"]["managedFields"] =
        json!([entry("old", "v9"), entry("other", "apps/v1"), entry("kept", "v1")]);
    made["metadata"]["resourceVersion"] = "".into();
    let kept = admin.put(&path, &made).await.expect_code(200).json();
    let managers = |object: &Value| {
        let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| text(&entry["manager"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(managers(&kept), ["kept"]);
    // What is no version at all cannot be read, and nobody owns anything from then on.
    made["metadata"]["managedFields"] = json!([entry("kept", "v1"), entry("odd", "a/b/c")]);
    let forgotten = admin.put(&path, &made).await.expect_code(200).json();
    assert_eq!(managers(&forgotten), Vec::<String>::new());
}

#[tokio::test]
async fn managers_are_printable() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for (manager, shown) in [
        ("a%7Fb", "\"a\\x7fb\": invalid character U+007F (at position 1)"),
        ("%C2%A0", "\"\\u00a0\": invalid character U+00A0 (at position 0)"),
    ] {
        let refused =
            admin.post(&format!("{CONFIGMAPS}?fieldManager={manager}"), &configmap("a", json!({}))).await;
        let status = refused.expect_code(422).json();
        let message =
            format!("CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: {shown}");
        assert_eq!(text(&status["message"]), message);
    }
    let mut nameless = admin;
    nameless.headers.push(("user-agent", "/x".into()));
    let made = nameless.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201).json();
    assert_eq!(fields(&made, "unknown"), json!({"f:data": {".": {}, "f:k": {}}}));
}
