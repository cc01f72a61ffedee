//! What is said of names, addresses and bodies that cannot be had.

use crate::harness::{CONFIGMAPS, Installation, configmap, text};
use serde_json::{Value, json};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const PODS: &str = "/api/v1/namespaces/default/pods";
const NODES: &str = "/api/v1/nodes";

#[tokio::test]
async fn a_taken_name_is_told_with_what_the_object_is_warned_of() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "type": "kubernetes.io/tls", "data": {"tls.crt": "YQ==", "tls.key": "YQ=="}});
    let made = acme.post(SECRETS, &secret).await.expect_code(201);
    assert!(!made.header("warning").is_empty());
    let again = acme.post(SECRETS, &secret).await.expect_code(409);
    assert_eq!(again.header("warning"), made.header("warning"));
    assert_eq!(again.json()["message"], "secrets \"s\" already exists");

    let mut named = configmap("a", json!({}));
    acme.post(CONFIGMAPS, &named).await.expect_code(201);
    named["metadata"]["generateName"] = "a-".into();
    let told = acme.post(CONFIGMAPS, &named).await.expect_code(409);
    let unique = "the server was not able to generate a unique name for the object";
    assert_eq!(told.json()["message"], format!("configmaps \"a\" already exists, {unique}"));
    assert_eq!((told.header("retry-after"), text(&told.json()["reason"])), ("1", "AlreadyExists"));
}

#[tokio::test]
async fn an_address_of_another_network_is_refused() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"clusterIP": "1.2.3.4", "ports": [{"port": 80}]}});
    let cause = acme.post(SERVICES, &service).await.expect_code(422).json()["details"]["causes"][0].clone();
    assert_eq!(cause["field"], "spec.clusterIPs");
    assert!(
        text(&cause["message"]).ends_with("the provided network does not match the current range"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_conflict_is_told_before_what_is_written_twice() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: one, k: two}\n";
    let path = format!("{CONFIGMAPS}/a?fieldManager=other&fieldValidation=Strict");
    let of = "application/apply-patch+yaml";
    acme.send("PATCH", &path, of, twice).await.expect_code(409);
    let refused = acme.send("PATCH", &format!("{path}&force=true"), of, twice).await.expect_code(400).json();
    assert!(text(&refused["message"]).contains("key \"k\" already set in map"), "{refused}");
}

#[tokio::test]
async fn a_pod_is_resized_only_where_its_node_has_room() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let pod = |name: &str, node: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node,
            "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}})
    };
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "small"}});
    acme.post(NODES, &node).await.expect_code(201);
    let room = json!({"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}});
    acme.merge(&format!("{NODES}/small/status"), &room).await.expect_code(200);
    for (name, node) in [("here", "small"), ("away", "unseen")] {
        acme.post(PODS, &pod(name, node)).await.expect_code(201);
    }
    let resize = async |name: &str, cpu: &str| {
        let to = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        let of = "application/strategic-merge-patch+json";
        acme.send("PATCH", &format!("{PODS}/{name}/resize"), of, to.to_string()).await
    };
    resize("here", "1500m").await.expect_code(200);
    let refused: Value = resize("here", "3").await.expect_code(403).json();
    let short = "node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000";
    assert!(text(&refused["message"]).ends_with(short), "{refused}");
    assert_eq!(refused["details"]["causes"], json!([{"reason": "NodeCapacity"}]));
    // What is not known of a node, the cluster judges that has it.
    resize("away", "3").await.expect_code(200);
}
