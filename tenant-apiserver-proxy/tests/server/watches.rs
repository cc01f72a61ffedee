//! WATCH: where it begins, what it says, and when it ends.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, configmap, text, version};
use serde_json::{Value, json};

async fn make(client: &Client, name: &str, labels: Value) -> Value {
    let mut object = configmap(name, json!({}));
    object["metadata"]["labels"] = labels;
    client.post(CONFIGMAPS, &object).await.expect_code(201).json()
}

#[tokio::test]
async fn a_watch_resumes_after_the_version_that_it_names() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let first = version(&make(&admin, "a", json!({})).await);
    make(&admin, "b", json!({})).await;
    admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    let mut watch = admin.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion={first}")).await;
    assert_eq!([watch.line().await, watch.line().await], ["ADDED b", "DELETED a"]);
    admin.merge(&format!("{CONFIGMAPS}/b"), &json!({"data": {"x": "y"}})).await.expect_code(200);
    let event = watch.next().await.unwrap();
    assert_eq!((text(&event["type"]), &event["object"]["data"]["x"]), ("MODIFIED", &json!("y")));
    // An event carries the revision of its change: from there the next watch goes on.
    let last = version(&event["object"]);
    make(&admin, "c", json!({})).await;
    let mut next = admin.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion={last}")).await;
    assert_eq!(next.line().await, "ADDED c");
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    make(&admin, "a", json!({})).await;
    let query =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = admin.watch(&format!("{CONFIGMAPS}?{query}")).await;
    assert_eq!([watch.line().await, watch.line().await], ["ADDED a", "ADDED kube-root-ca.crt"]);
    let bookmark = watch.next().await.unwrap();
    assert_eq!((text(&bookmark["type"]), text(&bookmark["object"]["kind"])), ("BOOKMARK", "ConfigMap"));
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let resume = version(&bookmark["object"]);
    make(&admin, "b", json!({})).await;
    assert_eq!(watch.line().await, "ADDED b");
    let mut resumed = admin.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion={resume}")).await;
    assert_eq!(resumed.line().await, "ADDED b");
    // Without a version it begins with what is there; told not to, with the next change.
    let mut plain = admin.watch(&format!("{CONFIGMAPS}?watch=true")).await;
    assert_eq!(plain.line().await, "ADDED a");
    let query = "watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut silent = admin.watch(&format!("{CONFIGMAPS}?{query}")).await;
    make(&admin, "c", json!({})).await;
    assert_eq!(silent.line().await, "ADDED c");
    for wrong in ["sendInitialEvents=true", "resourceVersionMatch=Exact"] {
        admin.get(&format!("{CONFIGMAPS}?watch=true&{wrong}")).await.expect_code(422);
    }
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let mut watch = admin.watch(&format!("{CONFIGMAPS}?watch=true&labelSelector=on%3Dyes")).await;
    make(&admin, "a", json!({"on": "no"})).await;
    let path = format!("{CONFIGMAPS}/a");
    for on in ["yes", "yes2", "yes", "no", "yes"] {
        admin.merge(&path, &json!({"metadata": {"labels": {"on": on}}})).await.expect_code(200);
    }
    admin.merge(&path, &json!({"data": {"x": "y"}})).await.expect_code(200);
    admin.delete(&path).await.expect_code(200);
    for expected in ["ADDED", "DELETED", "ADDED", "DELETED", "ADDED", "MODIFIED", "DELETED"] {
        let event = watch.next().await.unwrap();
        assert_eq!(text(&event["type"]), expected, "{event}");
        // What leaves is shown as it was selected last.
        assert_eq!(event["object"]["metadata"]["labels"]["on"], "yes", "{event}");
    }
}

#[tokio::test]
async fn a_watch_from_before_what_is_known_is_told_410() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let old = version(&make(&admin, "a", json!({})).await);
    admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    // A server that was started again knows nothing of the past, whether anything is left of the resource or not.
    let insula = Installation::start_in(insula.stop().await).await;
    let admin = insula.admin().await;
    for resource in ["configmaps", "endpoints"] {
        let path = format!("/api/v1/namespaces/default/{resource}?watch=true&resourceVersion={old}");
        let events = admin.watch(&path).await.drain().await;
        assert_eq!(events.len(), 1, "{resource}");
        assert_eq!((text(&events[0]["type"]), &events[0]["object"]["code"]), ("ERROR", &json!(410)));
        assert_eq!(text(&events[0]["object"]["reason"]), "Expired");
    }
    let exact = format!("{CONFIGMAPS}?resourceVersionMatch=Exact&resourceVersion={old}");
    admin.get(&exact).await.expect_code(410);
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let events = admin.watch(&format!("{CONFIGMAPS}?watch=true&timeoutSeconds=1")).await.drain().await;
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn watches_end_with_the_tenant_that_is_suspended_or_deleted() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    let path = format!("{TENANTS}/acme");
    let watch = acme.watch(&format!("{CONFIGMAPS}?watch=true")).await;
    host.merge(&path, &json!({"spec": {"suspended": true}})).await.expect_code(200);
    assert_eq!(watch.drain().await.len(), 1);
    let status = acme.get(CONFIGMAPS).await.expect_code(403).json();
    assert_eq!(text(&status["message"]), "the tenant is suspended");
    host.merge(&path, &json!({"spec": {"suspended": false}})).await.expect_code(200);
    let newest = acme.get(CONFIGMAPS).await.expect_code(200).json();
    let newest = text(&newest["metadata"]["resourceVersion"]).to_owned();
    let before = acme.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion=1")).await.drain().await;
    assert_eq!(before[0]["object"]["code"], 410, "nothing is known of what was before the tenant");
    let watch = acme.watch(&format!("{CONFIGMAPS}?watch=true&resourceVersion={newest}")).await;
    host.delete(&path).await.expect_code(200);
    let events = watch.drain().await;
    assert!(events.iter().all(|event| event["type"] != "ERROR"), "{events:?}");
    acme.get(CONFIGMAPS).await.expect_code(401);
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_let_go_and_no_other_is_hurt() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let slow = admin.watch(&format!("{CONFIGMAPS}?watch=true")).await;
    let mut quick = insula.admin().await.watch(&format!("{CONFIGMAPS}?watch=true")).await;
    assert_eq!(quick.line().await, "ADDED kube-root-ca.crt");
    // More than all buffers between the server and a client that does not read.
    let other = insula.admin().await;
    other.post(CONFIGMAPS, &configmap("large", json!({}))).await.expect_code(201);
    assert_eq!(quick.line().await, "ADDED large");
    let body = "x".repeat(300_000);
    let count = 120;
    for index in 0..count {
        let patch = json!({"data": {"index": index.to_string(), "body": body}});
        other.merge(&format!("{CONFIGMAPS}/large"), &patch).await.expect_code(200);
        let event = quick.next().await.unwrap();
        assert_eq!(event["object"]["data"]["index"], index.to_string());
    }
    let seen = slow.drain().await.len();
    assert!(seen < count, "{seen} events were kept for a client that did not read");
}
