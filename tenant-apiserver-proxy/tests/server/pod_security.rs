//! Pod Security Standards: what a namespace asks for by its labels.

use crate::harness::{Client, Installation, text};
use serde_json::{Value, json};

const NAMESPACES: &str = "/api/v1/namespaces";
const PODS: &str = "/api/v1/namespaces/strict/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/strict/deployments";

fn namespace(labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}})
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
    pod["spec"]["containers"] = json!([{"name": "c", "image": "i"}]);
    pod
}

async fn with_account(client: &Client) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    client.post("/api/v1/namespaces/strict/serviceaccounts", &account).await.expect_code(201);
}

#[tokio::test]
async fn what_is_enforced_is_refused_and_of_the_rest_is_warned() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let asked = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/warn-version": "v1.21"});
    acme.post(NAMESPACES, &namespace(asked)).await.expect_code(201);
    with_account(&acme).await;

    let refused = acme.post(PODS, &pod("a", json!({"hostIPC": true}))).await.expect_code(403).json();
    let why =
        "pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostIPC=true)";
    assert_eq!(refused["message"], why);

    let made = acme.post(PODS, &pod("a", json!({}))).await.expect_code(201);
    let warning = made.header("warning");
    assert!(
        warning.contains("would violate PodSecurity \\\"restricted:v1.21\\\": allowPrivilege"),
        "{warning}"
    );
    // Its status, and what is no container, changes without a word.
    let labelled = json!({"metadata": {"labels": {"x": "y"}}});
    assert_eq!(acme.merge(&format!("{PODS}/a"), &labelled).await.expect_code(200).header("warning"), "");
    let image = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "j"}]);
    let path = format!("{PODS}/a");
    let changed =
        acme.send("PATCH", &path, "application/json-patch+json", image.to_string()).await.expect_code(200);
    assert!(changed.header("warning").contains("would violate"), "{}", changed.header("warning"));

    // Templates are warned of and never refused: their pods will be.
    let mut template = pod("t", json!({"hostPID": true}));
    template["metadata"] = json!({"labels": {"app": "t"}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"app": "t"}}, "template":
            {"metadata": template["metadata"], "spec": template["spec"]}}});
    let made = acme.post(DEPLOYMENTS, &deployment).await.expect_code(201);
    assert!(made.header("warning").contains("host namespaces (hostPID=true)"), "{}", made.header("warning"));
}

#[tokio::test]
async fn labels_are_read_when_they_change_and_pods_that_violate_them_are_told() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let bad = json!({"pod-security.kubernetes.io/enforce": "strict"});
    let refused = acme.post(NAMESPACES, &namespace(bad)).await.expect_code(422).json();
    let cause = &refused["details"]["causes"][0];
    assert_eq!(cause["field"], "metadata.labels[pod-security.kubernetes.io/enforce]");
    assert!(text(&cause["message"]).ends_with("must be one of privileged, baseline, restricted"), "{cause}");

    acme.post(NAMESPACES, &namespace(json!({}))).await.expect_code(201);
    with_account(&acme).await;
    for name in ["b", "a"] {
        acme.post(PODS, &pod(name, json!({"hostIPC": true}))).await.expect_code(201);
    }
    let path = format!("{NAMESPACES}/strict");
    let stricter = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    let answer = acme.merge(&path, &stricter).await.expect_code(200);
    let warnings: Vec<&str> =
        answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        [
            "299 - \"existing pods in namespace \\\"strict\\\" violate the new PodSecurity enforce level \
             \\\"baseline:latest\\\"\"",
            "299 - \"a (and 1 other pod): host namespaces\"",
        ]
    );
    let unreadable = json!({"metadata": {"labels": {"pod-security.kubernetes.io/warn": "x"}}});
    acme.merge(&path, &unreadable).await.expect_code(422);
}
