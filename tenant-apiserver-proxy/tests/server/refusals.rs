//! What is wrong with a request is told in Kubernetes' words, and in its order.

use crate::harness::{Answer, CONFIGMAPS, Installation, configmap, text};
use serde_json::{Value, json};

fn told(answer: Answer, code: u16) -> String {
    let answer = answer.expect_code(code).json();
    text(&answer["message"]).to_owned()
}

#[tokio::test]
async fn a_body_of_another_kind_or_version_is_told_apart() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    const LIST: &str = "pkg/api/legacyscheme/scheme.go:30";
    let unknown = |kind: &str, version: &str, of: &str| {
        let short = version.rsplit('/').next().unwrap();
        format!(
            "{kind} in version {short:?} cannot be handled as a ConfigMap: no kind {kind:?} is registered for \
             version {of:?} in scheme {LIST:?}"
        )
    };
    let other = |kind: &str, version: &str| {
        format!(
            "{kind} in version {version:?} cannot be handled as a ConfigMap: converting ({version}.{kind}) to \
             (core.ConfigMap): unknown conversion"
        )
    };
    for (body, why) in [
        (json!({"kind": "Gizmo"}), unknown("Gizmo", "v1", "v1")),
        (json!({"kind": "Pod"}), other("Pod", "v1")),
        (json!({"kind": "PodList", "apiVersion": "v1"}), other("PodList", "v1")),
        (json!({"kind": "Status", "apiVersion": "v1"}), other("Status", "v1")),
        (json!({"kind": "Deployment", "apiVersion": "apps/v1beta1"}), other("Deployment", "v1beta1")),
        (json!({"apiVersion": "v2"}), unknown("ConfigMap", "v2", "v2")),
        (json!({"apiVersion": "apps/v1"}), unknown("ConfigMap", "apps/v1", "apps/v1")),
        (
            json!({"apiVersion": "v1/"}),
            "ConfigMap in version \"\" cannot be handled as a ConfigMap: Object 'apiVersion' is missing in \
             '{\"apiVersion\":\"v1/\"}'"
                .to_owned(),
        ),
    ] {
        assert_eq!(told(acme.post(CONFIGMAPS, &body).await, 400), why, "{body}");
    }
    let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"});
    let scalers = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let why = "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)";
    assert_eq!(told(acme.post(scalers, &scaler).await, 400), why);

    let definition = crate::custom_resources::definition("example.dev", "widgets", "Widget");
    acme.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await.expect_code(201);
    for (version, kind) in [("", "Pod"), ("v1", "Pod"), ("example.dev/v9", "Widget")] {
        let body = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "w"}});
        let expected = format!("does not match the expected API version ({})", "example.dev/v1");
        let why = told(acme.post("/apis/example.dev/v1/widgets", &body).await, 400);
        assert_eq!(why, format!("the API version in the data ({version}) {expected}"));
    }
}

#[tokio::test]
async fn what_is_looked_at_first_is_told_first() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let named = |metadata: Value| json!({"metadata": metadata});
    let (one, none) = (format!("{CONFIGMAPS}/a"), format!("{CONFIGMAPS}/b"));
    const NAMESPACE: &str =
        "the namespace of the provided object does not match the namespace sent on the request";
    // A PUT: namespace, name, then whether it is there.
    let table = [
        (&none, json!({"name": "x", "namespace": "x"}), 400, NAMESPACE),
        (
            &none,
            json!({"name": "x"}),
            400,
            "the name of the object (x) does not match the name on the URL (b)",
        ),
        (
            &none,
            json!({}),
            400,
            "the name of the object (b based on URL) was undeterminable: name must be provided",
        ),
        (&none, json!({"name": "b"}), 404, "configmaps \"b\" not found"),
        (&one, json!({"name": "x", "namespace": "x"}), 400, NAMESPACE),
    ];
    for (path, metadata, code, why) in table {
        assert_eq!(told(acme.put(path, &named(metadata.clone())).await, code), why, "{path} {metadata}");
    }
    // A patch: whether it is there, then what it says; the name of what comes of it before its UID.
    let merge = "application/merge-patch+json";
    assert_eq!(told(acme.send("PATCH", &none, merge, "{").await, 404), "configmaps \"b\" not found");
    let renamed = json!({"metadata": {"name": "x", "uid": "x"}});
    let why = "the name of the object (x) does not match the name on the URL (a)";
    assert_eq!(told(acme.merge(&one, &renamed).await, 400), why);
    let other = acme.merge(&one, &json!({"metadata": {"uid": "x"}})).await.expect_code(422).json();
    assert_eq!(other["details"]["causes"].as_array().map(Vec::len), Some(2), "{other}");
    // A POST: its namespace, its defects, and only where it would be stored the version that it names.
    let nowhere = CONFIGMAPS.replace("/default/", "/nowhere/");
    let why = "namespaces \"nowhere\" not found";
    assert_eq!(told(acme.post(&nowhere, &named(json!({"resourceVersion": "1"}))).await, 404), why);
    let versioned = named(json!({"name": "c", "resourceVersion": "1"}));
    acme.post(&format!("{CONFIGMAPS}?dryRun=All"), &versioned).await.expect_code(201);
    let why = "resourceVersion should not be set on objects to be created";
    assert_eq!(told(acme.post(CONFIGMAPS, &versioned).await, 400), why);
    acme.post(CONFIGMAPS, &named(json!({"name": "c", "resourceVersion": "x"}))).await.expect_code(201);
    // What is wrong with a new object is told together, its missing name too.
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let all = acme.post(deployments, &json!({})).await.expect_code(422).json();
    assert_eq!(all["details"]["causes"].as_array().map(Vec::len), Some(4), "{all}");
}

#[tokio::test]
async fn options_are_refused_together() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    let path = format!("{CONFIGMAPS}/a?dryRun=x&fieldValidation=y");
    let apply = acme.send("PATCH", &path, "application/apply-patch+yaml", "{}").await.expect_code(422).json();
    let fields = |answer: &Value| -> Vec<String> {
        let causes = answer["details"]["causes"].as_array().cloned().unwrap_or_default();
        causes.iter().map(|cause| text(&cause["field"]).to_owned()).collect()
    };
    assert_eq!(fields(&apply), ["fieldManager", "dryRun", "fieldValidation"]);
    let path = format!("{path}&force=");
    let merge = acme.send("PATCH", &path, "application/merge-patch+json", "{}").await.expect_code(422).json();
    assert_eq!(fields(&merge), ["force", "dryRun", "fieldValidation"]);
    let odd = acme.post(&format!("{CONFIGMAPS}?fieldManager=%00"), &configmap("a", json!({}))).await;
    assert!(told(odd, 422).contains(r#"Invalid value: "\x00": invalid character U+0000 (at position 0)"#));
    for (version, code) in [("x", 500), ("-1", 500), ("0", 404)] {
        acme.get(&format!("{CONFIGMAPS}/a?resourceVersion={version}")).await.expect_code(code);
    }
}

#[tokio::test]
async fn actions_name_what_their_path_names() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let pod = "/api/v1/namespaces/default/pods/p";
    let x = json!({"metadata": {"name": "x"}});
    let whys = [
        (format!("{pod}/binding"), 400, "name in URL does not match name in Binding object"),
        (format!("{pod}/eviction"), 400, "name in URL does not match name in Eviction object"),
        (
            token.to_owned(),
            422,
            "TokenRequest.authentication.k8s.io \"default\" is invalid: metadata.name: Invalid value: \"x\": must \
             match the service account name if specified",
        ),
    ];
    for (path, code, why) in whys {
        assert_eq!(told(acme.post(&path, &x).await, code), why);
    }
    let odd = acme.post(token, &json!({"spec": {}, "bogus": 1})).await.expect_code(201);
    assert!(odd.header("warning").contains("unknown field"), "{odd:?}");
    acme.post(&format!("{token}?fieldValidation=Strict"), &json!({"bogus": 1})).await.expect_code(400);
    let bound = |kind: &str, version: &str| json!({"spec": {"boundObjectRef": {"kind": kind, "apiVersion": version}}});
    let why = "cannot bind token to object of type /v1, Kind=Gizmo";
    assert_eq!(told(acme.post(token, &bound("Gizmo", "v1")).await, 400), why);
    // A binding without a target is told without the form of a refusal.
    let bare = acme.post(&format!("{pod}/binding"), &json!({"metadata": {"name": "p"}})).await;
    assert_eq!(told(bare, 500), "target.name: Required value");
}

#[tokio::test]
async fn documents_have_hashes_and_types() {
    let insula = Installation::start().await;
    let acme = insula.tenant("acme").await.1;
    let index = acme.get("/openapi/v3").await.expect_code(200).json();
    for path in ["api", "apis", "apis/apps", "apis/apps/v1", "version", "openid/v1/jwks"] {
        let url = text(&index["paths"][path]["serverRelativeURL"]).to_owned();
        let found = acme.get(&url).await.expect_code(200);
        assert_eq!(found.header("cache-control"), "public, immutable", "{path}");
        assert!(found.header("expires").ends_with(" GMT"), "{found:?}");
        let moved = acme.get(&format!("/openapi/v3/{path}?hash=other")).await.expect_code(301);
        assert_eq!(moved.header("location"), format!("/tenants/acme{url}"));
    }
    for (accept, path, code) in [
        ("text/html", "/openapi/v2", 406),
        ("text/html", "/openapi/v3/apis/apps/v1", 406),
        ("text/html, */*;q=0.1", "/openapi/v2", 200),
        ("application/json", "/openapi/v3/nothing", 404),
        ("application/json", "/openid/v1/jwks", 406),
        ("application/jwk-set+json", "/openid/v1/jwks", 200),
        ("text/html", "/apis/apps", 406),
        ("application/*", "/apis/apps", 200),
        ("application/*", "/apis/apps/v1", 406),
    ] {
        acme.with("accept", accept).get(path).await.expect_code(code);
    }
    let protobuf = acme.with("accept", "application/vnd.kubernetes.protobuf");
    for path in ["/api", "/apis", "/apis/apps", "/apis/apps/v1"] {
        let found = protobuf.get(path).await.expect_code(200);
        assert!(found.body.starts_with(b"k8s\0"), "{path}");
    }
    let plain = acme.get("/apis").await.expect_code(200);
    assert_eq!(plain.header("cache-control"), "no-cache, private");
    assert_eq!(acme.get("/nothing").await.expect_code(404).header("x-content-type-options"), "nosniff");
}
