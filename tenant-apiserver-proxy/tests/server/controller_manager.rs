//! The requests of a kube-controller-manager of Kubernetes, which writes and takes protobuf.

use crate::harness::{Answer, Client, Installation, eventually, text, version};
use api_schema::{builtin, protobuf};
use serde_json::{Value, json};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const ACCOUNTS: &str = "/api/v1/namespaces/kube-system/serviceaccounts";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Sends an object in protobuf and reads the answer of a kind.
async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let (api_version, kind) = (text(&body["apiVersion"]), text(&body["kind"]));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let root = builtin::graph().at(builtin::kind(group, version, kind).unwrap());
    let body = protobuf::encode(body, root, api_version, kind).unwrap();
    client.with("accept", PROTOBUF).send(method, path, PROTOBUF, body).await
}

fn read(answer: &Answer, group: &str, version: &str, kind: &str) -> Value {
    assert_eq!(answer.header("content-type"), PROTOBUF);
    let root = builtin::graph().at(builtin::kind(group, version, kind).unwrap());
    protobuf::decode(&answer.body, root).unwrap()
}

#[tokio::test]
async fn it_elects_a_leader() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let lease = |holder: &str, version: Value| {
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "kube-controller-manager", "namespace": "kube-system", "resourceVersion": version},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}})
    };
    let made = send(&acme, "POST", LEASES, &lease("a", Value::Null)).await.expect_code(201);
    let made = read(&made, "coordination.k8s.io", "v1", "Lease");
    let path = format!("{LEASES}/kube-controller-manager");
    let mut next = lease("a", made["metadata"]["resourceVersion"].clone());
    next["spec"]["renewTime"] = "2026-01-01T00:00:00.000001Z".into();
    let renewed = send(&acme, "PUT", &path, &next).await;
    let renewed = read(&renewed.expect_code(200), "coordination.k8s.io", "v1", "Lease");
    assert!(version(&renewed) > version(&made));
    assert_eq!(renewed["spec"]["renewTime"], "2026-01-01T00:00:00.000001Z");
    let stolen = send(&acme, "PUT", &path, &lease("b", made["metadata"]["resourceVersion"].clone())).await;
    let refused = read(&stolen.expect_code(409), "", "v1", "Status");
    assert_eq!(text(&refused["reason"]), "Conflict");
}

#[tokio::test]
async fn each_controller_has_an_account_and_the_rights_of_its_role() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "deployment-controller", "namespace": "kube-system"}});
    send(&acme, "POST", ACCOUNTS, &account).await.expect_code(201);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"name": "deployment-controller", "namespace": "kube-system"},
        "spec": {"audiences": [], "expirationSeconds": 3600}});
    let path = format!("{ACCOUNTS}/deployment-controller/token");
    let granted = send(&acme, "POST", &path, &request).await.expect_code(201);
    let granted = read(&granted, "authentication.k8s.io", "v1", "TokenRequest");
    let bearer = format!("Bearer {}", text(&granted["status"]["token"]));
    let anonymous = insula.certified("/tenants/acme", None).await;
    let controller = anonymous.with("authorization", bearer);
    let list = controller.with("accept", PROTOBUF).get(DEPLOYMENTS).await.expect_code(200);
    assert_eq!(text(&read(&list, "apps", "v1", "DeploymentList")["kind"]), "DeploymentList");
    // Nothing beyond its role.
    controller.get("/api/v1/namespaces/default/secrets").await.expect_code(403);
}

#[tokio::test]
async fn it_writes_statuses_and_events_and_deletes_what_it_saw() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    acme.post(DEPLOYMENTS, &deployment).await.expect_code(201);
    let path = format!("{DEPLOYMENTS}/web");
    let protobuf = acme.with("accept", PROTOBUF);
    let mut found = read(&protobuf.get(&path).await.expect_code(200), "apps", "v1", "Deployment");
    found["status"] = json!({"observedGeneration": 1, "replicas": 3, "conditions": [
        {"type": "Available", "status": "False", "reason": "R", "message": "m",
            "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let written = send(&acme, "PUT", &format!("{path}/status"), &found).await.expect_code(200);
    let written = read(&written, "apps", "v1", "Deployment");
    assert_eq!((&written["status"]["replicas"], &written["metadata"]["generation"]), (&json!(3), &json!(1)));

    let uid = written["metadata"]["uid"].clone();
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.1", "namespace": "default"},
        "involvedObject": {"kind": "Deployment", "namespace": "default", "name": "web", "uid": uid},
        "reason": "ScalingReplicaSet", "message": "m", "type": "Normal", "count": 1,
        "source": {"component": "deployment-controller"}, "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z"});
    send(&acme, "POST", "/api/v1/namespaces/default/events", &event).await.expect_code(201);
    let strategic = "application/strategic-merge-patch+json";
    let again = json!({"count": 2, "lastTimestamp": "2026-01-01T00:01:00Z"}).to_string();
    protobuf
        .send("PATCH", "/api/v1/namespaces/default/events/web.1", strategic, again)
        .await
        .expect_code(200);

    let delete = |uid: &Value| {
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
            "propagationPolicy": "Background"})
    };
    send(&acme, "DELETE", &path, &delete(&json!("another"))).await.expect_code(409);
    send(&acme, "DELETE", &path, &delete(&uid)).await.expect_code(200);
    eventually("it is gone", || async { (acme.get(&path).await.code == 404).then_some(()) }).await;
}
