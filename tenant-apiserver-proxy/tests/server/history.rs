//! How long history is kept.

use crate::harness::{CONFIGMAPS, Client, Installation, configmap, version};
use object_store::Retention;
use serde_json::json;
use std::time::{Duration, Instant};

async fn compacted(admin: &Client) -> u64 {
    admin.get("/insula/store").await.expect_code(200).json()["compacted"].as_u64().unwrap()
}

#[tokio::test]
async fn history_is_forgotten_by_its_age_in_memory_and_in_the_store() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let server = &insula.server;
    let (mut retention, begun) = (Retention::new(Duration::from_secs(600)), Instant::now());
    let at = |seconds| begun + Duration::from_secs(seconds);
    let from = |version: u64| format!("{CONFIGMAPS}?watch=true&resourceVersion={version}");
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201).json();
    let oldest = version(&made);
    admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(201);
    server.forget_history(&mut retention, at(0)).await;
    let first = server.cache.revision().0;
    admin.post(CONFIGMAPS, &configmap("c", json!({}))).await.expect_code(201);
    server.forget_history(&mut retention, at(300)).await;
    let second = server.cache.revision().0;

    server.forget_history(&mut retention, at(599)).await;
    assert_eq!(compacted(&admin).await, 0, "nothing is old");
    assert_eq!(admin.watch(&from(oldest)).await.line().await, "ADDED b");
    for (seconds, forgotten) in [(600, first), (900, second)] {
        server.forget_history(&mut retention, at(seconds)).await;
        assert_eq!(compacted(&admin).await, forgotten, "after {seconds} s");
        let old = admin.watch(&from(oldest)).await.next().await.unwrap();
        assert_eq!(old["object"]["code"], 410, "{old}");
    }
    admin.post(CONFIGMAPS, &configmap("d", json!({}))).await.expect_code(201);
    assert_eq!(admin.watch(&from(second)).await.line().await, "ADDED d");
}
