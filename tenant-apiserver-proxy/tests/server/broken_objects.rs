//! A stored object that cannot be read is an error with its name for whoever comes upon it, never a gap, and hurts
//! nobody else.

use crate::harness::{CONFIGMAPS, Client, Installation, configmap, eventually, open, text};
use bytes::Bytes;
use object_store::{Commit, ObjectStore, Space};
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;

const WHY: &str =
    "Internal error occurred: the stored object default/bad cannot be read: corrupt: the header is cut short";

async fn refused(client: &Client, path: &str) {
    let answer = client.get(path).await.expect_code(500).json();
    assert_eq!(text(&answer["message"]), WHY, "{path}");
}

async fn is_told(acme: &Client) {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    refused(acme, &format!("{CONFIGMAPS}/bad")).await;
    refused(acme, CONFIGMAPS).await;
    refused(acme, "/api/v1/configmaps").await;
    // Whether it has the label nobody knows.
    refused(acme, &format!("{CONFIGMAPS}?labelSelector=a%3Db")).await;
    refused(acme, &format!("{CONFIGMAPS}?fieldSelector=metadata.name%3Dbad")).await;
    for accept in [TABLE, METADATA, "application/vnd.kubernetes.protobuf, application/json"] {
        let client = acme.with("accept", accept);
        let answer = client.get(CONFIGMAPS).await.expect_code(500);
        assert!(String::from_utf8_lossy(&answer.body).contains("default/bad cannot be read"), "{accept}");
    }
    let mut watch = acme.watch(&format!("{CONFIGMAPS}?watch=true")).await;
    let last = loop {
        let event = watch.next().await.unwrap();
        if event["type"] == "ERROR" {
            break event;
        }
    };
    assert_eq!(text(&last["object"]["message"]), WHY);
    assert!(watch.next().await.is_none());
    // Others are there as ever.
    acme.get(&format!("{CONFIGMAPS}/good")).await.expect_code(200);
    acme.get(&format!("{CONFIGMAPS}?fieldSelector=metadata.name%3Dgood")).await.expect_code(200);
    acme.get("/api/v1/namespaces/kube-system/configmaps").await.expect_code(200);
    acme.get("/api/v1/secrets").await.expect_code(200);
    acme.merge(&format!("{CONFIGMAPS}/good"), &json!({"data": {"k": "w"}})).await.expect_code(200);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_by_its_name() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(open(dir.path()).await);
    let insula = Installation::start_on(store.clone(), "https://127.0.0.1", dir).await;
    let (id, acme) = insula.tenant("acme").await;
    let (_, other) = insula.tenant("other").await;
    acme.post(CONFIGMAPS, &configmap("good", json!({"k": "v"}))).await.expect_code(201);
    let mut watch = acme.watch(&format!("{CONFIGMAPS}?watch=true&fieldSelector=metadata.name%3Dbad")).await;
    // What a store gives that lost the end of a value.
    let cut = Bytes::from_static(&[1, 0, 90, 0, 0, 0, 12]);
    let put = Space::new(id).put("/configmaps/default/bad", cut);
    store.commit(Commit { preconditions: Vec::new(), operations: vec![put] }).await.unwrap();
    eventually("the change", async || {
        let answer = acme.get(&format!("{CONFIGMAPS}/bad")).await;
        (answer.code == 500).then_some(())
    })
    .await;
    let event = watch.next().await.unwrap();
    assert_eq!((text(&event["type"]), text(&event["object"]["message"])), ("ERROR", WHY));
    assert!(watch.next().await.is_none());
    is_told(&acme).await;
    other.get("/api/v1/configmaps").await.expect_code(200);

    drop(store);
    let insula = Installation::start_in(insula.stop().await).await;
    is_told(&insula.tenant_admin("acme").await).await;
    insula.tenant_admin("other").await.get("/api/v1/configmaps").await.expect_code(200);
}
