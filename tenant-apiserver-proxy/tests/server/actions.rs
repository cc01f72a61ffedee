//! What subresources of pods and service accounts do: binding, eviction, tokens.

use crate::harness::{Client, Installation, text};
use base64::Engine;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn pod(admin: &Client, name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    admin.post(PODS, &pod).await.expect_code(201).json()
}

async fn evict(admin: &Client, name: &str, options: Value) -> crate::harness::Answer {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
        "deleteOptions": options});
    admin.post(&format!("{PODS}/{name}/eviction"), &eviction).await
}

#[tokio::test]
async fn an_eviction_uses_a_budget_up() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    for name in ["a", "b"] {
        pod(&admin, name, json!({"nodeName": "n1"})).await;
        let status =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        admin.merge(&format!("{PODS}/{name}/status"), &status).await.expect_code(200);
    }
    let budget = json!({"metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    admin.post(BUDGETS, &budget).await.expect_code(201);
    let refused = evict(&admin, "a", Value::Null).await.expect_code(429);
    assert_eq!(refused.header("retry-after"), "10");
    let told = |answer: &Value| text(&answer["details"]["causes"][0]["message"]).to_owned();
    assert_eq!(told(&refused.json()), "The disruption budget web is still being processed by the server.");

    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2,
        "desiredHealthy": 1, "expectedPods": 2}});
    let path = format!("{BUDGETS}/web");
    admin.merge(&format!("{path}/status"), &status).await.expect_code(200);
    evict(&admin, "a", json!({"dryRun": ["All"]})).await.expect_code(201);
    assert_eq!(admin.get(&path).await.json()["status"]["disruptionsAllowed"], 1);
    evict(&admin, "a", Value::Null).await.expect_code(201);
    let marked = admin.get(&format!("{PODS}/a")).await.expect_code(200).json();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let conditions = marked["status"]["conditions"].as_array().unwrap();
    let target = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").unwrap();
    assert_eq!(target["reason"], "EvictionByEvictionAPI");
    let used = admin.get(&path).await.json()["status"].clone();
    assert_eq!(used["disruptionsAllowed"], 0);
    assert!(used["disruptedPods"]["a"].is_string());
    assert_eq!(used["conditions"][0]["reason"], "InsufficientPods");
    let refused = evict(&admin, "b", Value::Null).await.expect_code(429);
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(told(&refused.json()), "The disruption budget web does not allow evicting pods currently");

    // Who is on its way out, or has not begun, is missed by nobody.
    evict(&admin, "a", Value::Null).await.expect_code(201);
    pod(&admin, "c", json!({})).await;
    evict(&admin, "c", Value::Null).await.expect_code(201);
    admin.get(&format!("{PODS}/c")).await.expect_code(404);
}

#[tokio::test]
async fn an_action_is_for_the_object_that_it_names() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    pod(&admin, "a", json!({})).await;
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "b"}});
    let binding =
        json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "b"}, "target": {"name": "n"}});
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"name": "b"}, "spec": {}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    for (path, body, code) in [
        (format!("{PODS}/a/eviction"), eviction, 400),
        (format!("{PODS}/a/binding"), binding, 400),
        (format!("{accounts}/default/token"), token, 422),
    ] {
        admin.post(&path, &body).await.expect_code(code);
        let mut unknown = body.clone();
        unknown["metadata"] = json!({"name": path.rsplit('/').nth(1)});
        unknown["odd"] = json!(1);
        let told = admin.post(&format!("{path}?fieldValidation=Strict"), &unknown).await.expect_code(400);
        assert!(text(&told.json()["message"]).ends_with("unknown field \"odd\""), "{path}");
    }
}

#[tokio::test]
async fn a_bound_pod_has_the_labels_of_where_it_runs() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let zone = "topology.kubernetes.io/zone";
    let node = json!({"metadata": {"name": "n1", "labels": {zone: "z1", "other": "x"}}});
    admin.post("/api/v1/nodes", &node).await.expect_code(201);
    pod(&admin, "a", json!({})).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a", "labels": {"by": "me"}},
        "target": {"kind": "Node", "name": "n1"}});
    admin.post(&format!("{PODS}/a/binding"), &binding).await.expect_code(201);
    let labels = admin.get(&format!("{PODS}/a")).await.json()["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"app": "web", "by": "me", zone: "z1"}));
    let placed = pod(&admin, "b", json!({"nodeName": "n1"})).await;
    assert_eq!(placed["metadata"]["labels"], json!({"app": "web", zone: "z1"}));
}

#[tokio::test]
async fn a_token_is_bound_to_a_pod_of_its_account() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    admin.post(accounts, &json!({"metadata": {"name": "robot"}})).await.expect_code(201);
    let made =
        admin.post("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await.expect_code(201).json();
    pod(&admin, "a", json!({"nodeName": "n1"})).await;
    let ask = async |account: &str, kind: &str, name: &str| {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}}});
        admin.post(&format!("{accounts}/{account}/token"), &request).await
    };
    let refused = ask("robot", "Pod", "a").await.expect_code(400).json();
    assert_eq!(
        text(&refused["message"]),
        "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name."
    );
    for (kind, name) in [("Pod", "a"), ("Node", "n1")] {
        let token = ask("default", kind, name).await.expect_code(201).json()["status"]["token"].clone();
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
        let status = admin.post(reviews, &review).await.expect_code(201).json()["status"].clone();
        let extra = &status["user"]["extra"];
        assert_eq!(extra["authentication.kubernetes.io/node-name"], json!(["n1"]));
        assert_eq!(extra["authentication.kubernetes.io/node-uid"], json!([made["metadata"]["uid"]]));
        admin
            .delete(&format!(
                "{}/{name}?gracePeriodSeconds=0",
                if kind == "Pod" { PODS } else { "/api/v1/nodes" }
            ))
            .await
            .expect_code(200);
        let status = admin.post(reviews, &review).await.expect_code(201).json()["status"].clone();
        assert!(status["authenticated"] != true, "{kind}: {status}");
    }
}

#[tokio::test]
async fn a_pods_token_outlives_the_time_after_which_it_is_replaced() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    pod(&admin, "a", json!({})).await;
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "a"});
    for (seconds, audiences, bound, extended) in [
        (3_607, json!([]), &bound, true),
        (3_607, json!(["vault"]), &bound, false),
        (3_600, json!([]), &bound, false),
        (3_607, json!([]), &Value::Null, false),
    ] {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound}});
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let made = admin.post(path, &request).await.expect_code(201).json();
        let payload = text(&made["status"]["token"]).split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let from = claims["iat"].as_i64().unwrap();
        let lasts = claims["exp"].as_i64().unwrap() - from;
        assert_eq!(lasts, if extended { 365 * 24 * 3_600 } else { seconds }, "{claims}");
        let warned = claims["kubernetes.io"]["warnafter"].as_i64();
        assert_eq!(warned, extended.then_some(from + seconds), "{claims}");
        let told: jiff::Timestamp = text(&made["status"]["expirationTimestamp"]).parse().unwrap();
        assert_eq!(told.as_second(), from + seconds);
    }
}

#[tokio::test]
async fn admin_access_to_devices_is_for_labelled_namespaces() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
        {"name": "a", "exactly": {"deviceClassName": "c.example.com", "adminAccess": true}}]}}});
    let claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
    let refused = admin.post(claims, &claim).await.expect_code(422).json();
    assert_eq!(text(&refused["details"]["causes"][0]["field"]), "spec.devices.requests[0].adminAccess");
    let label = json!({"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}});
    admin.merge("/api/v1/namespaces/default", &label).await.expect_code(200);
    admin.post(claims, &claim).await.expect_code(201);
}

#[tokio::test]
async fn an_owner_is_there_once() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true});
    let object = json!({"metadata": {"name": "a", "ownerReferences": [owner, owner]}});
    let made = admin.post("/api/v1/namespaces/default/configmaps", &object).await.expect_code(201);
    assert!(made.header("warning").contains("contains duplicate entries"));
    assert_eq!(made.json()["metadata"]["ownerReferences"], json!([owner]));
}
