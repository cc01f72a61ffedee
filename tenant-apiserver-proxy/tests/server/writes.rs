//! What a write does, and what it does not.

use crate::harness::{CONFIGMAPS, Installation, TENANTS, configmap, tenant, text, version};
use serde_json::{Value, json};

#[tokio::test]
async fn a_dry_run_answers_and_leaves_nothing() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    let before = insula.server.cache.revision();
    let all = "?dryRun=All";
    let services = "/api/v1/namespaces/default/services";
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    let definition = crate::custom_resources::definition("example.dev", "widgets", "Widget");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = admin.post(&format!("{TENANTS}{all}"), &tenant("ghost")).await.expect_code(201).json();
    assert!(made["metadata"].get("resourceVersion").is_none(), "{made}");
    acme.post(&format!("{services}{all}"), &service).await.expect_code(201);
    acme.post(&format!("{CONFIGMAPS}{all}"), &configmap("a", json!({}))).await.expect_code(201);
    acme.post(&format!("{definitions}{all}"), &definition).await.expect_code(201);
    let patched = acme.merge(&format!("{account}{all}"), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(patched.expect_code(200).json()["metadata"]["labels"]["a"], "b");
    acme.delete(&format!("{account}{all}")).await.expect_code(200);
    acme.delete(&format!("{CONFIGMAPS}{all}")).await.expect_code(200);
    admin.delete(&format!("{TENANTS}/acme{all}")).await.expect_code(200);
    acme.post(&format!("{CONFIGMAPS}?dryRun=some"), &configmap("a", json!({}))).await.expect_code(422);

    assert_eq!(insula.server.cache.revision(), before);
    for (client, path) in [
        (&acme, format!("{CONFIGMAPS}/a")),
        (&acme, format!("{services}/s")),
        (&acme, "/apis/example.dev/v1/widgets".to_owned()),
        (&admin, format!("{TENANTS}/ghost")),
        (&admin, "/api/v1/namespaces/insula-system/secrets/ghost-kubeconfig".to_owned()),
    ] {
        client.get(&path).await.expect_code(404);
    }
    admin.at("/tenants/ghost").get("/version").await.expect_code(401);
    acme.get(account).await.expect_code(200);
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_version() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201).json();
    let path = format!("{CONFIGMAPS}/a");
    let same = admin.merge(&path, &json!({"data": {"k": "v"}})).await.expect_code(200).json();
    assert_eq!(version(&same), version(&made));
    let same = admin.put(&path, &made).await.expect_code(200).json();
    assert_eq!(version(&same), version(&made));
}

#[tokio::test]
async fn appliers_own_their_fields() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let of = "application/apply-patch+yaml";
    let path = |manager: &str| format!("{CONFIGMAPS}/a?fieldManager={manager}");
    let config = |data: Value| configmap("a", data).to_string();
    let made = admin.send("PATCH", &path("one"), of, config(json!({"a": "1", "b": "1"}))).await;
    assert_eq!(made.expect_code(201).json()["metadata"]["managedFields"][0]["manager"], "one");
    let status =
        admin.send("PATCH", &path("two"), of, config(json!({"b": "2"}))).await.expect_code(409).json();
    let cause = &status["details"]["causes"][0];
    assert_eq!((text(&cause["reason"]), text(&cause["field"])), ("FieldManagerConflict", ".data.b"));
    assert!(text(&cause["message"]).contains("\"one\""), "{cause}");
    let forced = format!("{}&force=true", path("two"));
    admin.send("PATCH", &forced, of, config(json!({"b": "2"}))).await.expect_code(200);
    // What an applier says no longer, and owns alone, goes.
    let left = admin.send("PATCH", &path("one"), of, config(json!({"c": "1"}))).await.expect_code(200).json();
    assert_eq!(left["data"], json!({"b": "2", "c": "1"}));
    admin.send("PATCH", &format!("{CONFIGMAPS}/a"), of, config(json!({}))).await.expect_code(422);
}

#[tokio::test]
async fn what_the_server_says_a_client_cannot() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let mut object = configmap("a", json!({}));
    object["metadata"] = json!({"name": "a", "uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z",
        "deletionTimestamp": "2000-01-01T00:00:00Z", "generation": 7, "selfLink": "/x"});
    let made = admin.post(CONFIGMAPS, &object).await.expect_code(201).json();
    let metadata = &made["metadata"];
    assert_eq!(text(&metadata["uid"]).len(), 36);
    assert!(!text(&metadata["creationTimestamp"]).starts_with("2000"));
    for field in ["deletionTimestamp", "generation", "selfLink"] {
        assert!(metadata.get(field).is_none(), "{field}");
    }
    object["metadata"]["resourceVersion"] = json!("1");
    admin.post(CONFIGMAPS, &object).await.expect_code(400);
    let mut elsewhere = configmap("b", json!({}));
    elsewhere["metadata"]["namespace"] = json!("kube-system");
    admin.post(CONFIGMAPS, &elsewhere).await.expect_code(400);
    admin.put(&format!("{CONFIGMAPS}/a"), &configmap("b", json!({}))).await.expect_code(400);
}

#[tokio::test]
async fn generation_counts_what_is_desired() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    admin.post(path, &deployment).await.expect_code(201);
    let web = format!("{path}/web");
    // Where, what, and the generation and replicas after it.
    let table = [
        ("", json!({"metadata": {"labels": {"a": "b"}}}), 1, 1),
        ("", json!({"status": {"replicas": 9}}), 1, 1),
        ("/status", json!({"status": {"replicas": 9}, "spec": {"replicas": 9}}), 1, 1),
        ("/scale", json!({"spec": {"replicas": 3}}), 2, 3),
        ("", json!({"spec": {"replicas": 4}}), 3, 4),
    ];
    for (sub, patch, generation, replicas) in table {
        admin.merge(&format!("{web}{sub}"), &patch).await.expect_code(200);
        let now = admin.get(&web).await.json();
        assert_eq!(
            (&now["metadata"]["generation"], &now["spec"]["replicas"]),
            (&json!(generation), &json!(replicas)),
            "{sub} {patch}"
        );
    }
    assert_eq!(admin.get(&web).await.json()["status"]["replicas"], 9);
    // A number that is none is refused; it does not mean zero.
    let wrong = admin.merge(&format!("{web}/scale"), &json!({"spec": {"replicas": "three"}})).await;
    wrong.expect_code(422);
    assert_eq!(admin.get(&web).await.json()["spec"]["replicas"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_creates_what_nothing_acts_on_is_warned() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let claim = json!({"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "gpu"},
        "spec": {}});
    let path = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
    let answer = acme.post(path, &claim).await.expect_code(201);
    assert!(answer.header("warning").contains("no devices are allocated"), "{}", answer.header("warning"));
    let answer = acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    assert_eq!(answer.header("warning"), "");
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused_by_their_name() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let one = format!("{CONFIGMAPS}/a");
    let refused = |answer: crate::harness::Answer, code: u16, message: &str| {
        assert_eq!(text(&answer.expect_code(code).json()["message"]), message);
    };
    refused(
        admin.merge(&format!("{one}?dryRun=some"), &json!({})).await,
        422,
        "PatchOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"some\"]: supported values: \"All\"",
    );
    refused(
        admin.delete(&format!("{one}?propagationPolicy=None")).await,
        422,
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"None\": supported values: \
         \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
    );
    refused(
        admin.delete(&format!("{one}?gracePeriodSeconds=x")).await,
        400,
        "strconv.ParseInt: parsing \"x\": invalid syntax",
    );
    admin.delete(&format!("{one}?uid=another")).await.expect_code(409);
    let status = admin.merge(&one, &json!({"data": "none"})).await.expect_code(422).json();
    assert_eq!(status["details"]["causes"][0]["field"], "patch");
    admin.put(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(405);
    let watch = format!("{CONFIGMAPS}?watch=true&resourceVersion=no");
    let status = admin.get(&watch).await.expect_code(500).json();
    assert!(text(&status["message"]).starts_with("resourceVersion: Invalid value"), "{status}");
}
