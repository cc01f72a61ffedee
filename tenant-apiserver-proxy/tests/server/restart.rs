//! Starting again on the same directory.

use crate::custom_resources::{DEFINITIONS, definition};
use crate::harness::{CONFIGMAPS, Installation, configmap, version};
use api_types::{Resource, TenantId};
use plane_client::{Actor, PlaneClient, Target, Write};
use serde_json::json;
use std::time::Duration;
use tenant_apiserver_proxy::in_process::InProcess;

#[tokio::test]
async fn everything_is_as_it_was_and_versions_never_go_back() {
    let insula = Installation::start().await;
    let (id, acme) = insula.tenant("acme").await;
    acme.post(DEFINITIONS, &definition("example.dev", "widgets", "Widget")).await.expect_code(201);
    acme.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    acme.post(CONFIGMAPS, &configmap("gone", json!({}))).await.expect_code(201);
    acme.delete(&format!("{CONFIGMAPS}/gone")).await.expect_code(200);
    let before = acme.get(CONFIGMAPS).await.expect_code(200).json();
    let objects = acme.get(&format!("{CONFIGMAPS}/a")).await.body;
    let ca = insula.server.ca_pem();

    let insula = Installation::start_in(insula.stop().await).await;
    assert_eq!(insula.server.ca_pem(), ca);
    let acme = insula.tenant_admin("acme").await;
    let after = acme.get(CONFIGMAPS).await.expect_code(200).json();
    assert_eq!(after["items"], before["items"]);
    assert_eq!(acme.get(&format!("{CONFIGMAPS}/a")).await.body, objects);
    assert!(version(&after) >= version(&before));
    acme.get("/apis/example.dev/v1/widgets").await.expect_code(200);
    let next = acme.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(201).json();
    assert!(version(&next) > version(&before));
    // A certificate made before still proves the same user, and one made now is of the same plane.
    insula
        .user(id, "/tenants/acme", "admin", Some("system:masters"))
        .await
        .get(CONFIGMAPS)
        .await
        .expect_code(200);
}

#[tokio::test]
async fn a_token_survives_the_server() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let token = acme.post(path, &request).await.expect_code(201).json()["status"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let insula = Installation::start_in(insula.stop().await).await;
    let robot =
        insula.certified("/tenants/acme", None).await.with("authorization", format!("Bearer {token}"));
    robot.get("/version").await.expect_code(200);
}

#[tokio::test]
async fn a_write_that_is_under_way_at_the_end_ends() {
    let insula = Installation::start().await;
    let client = InProcess::new(insula.server.clone());
    insula.server.shutdown.trigger();
    let target = Target::new(TenantId::HOST, &Resource::new("", "v1", "configmaps"), "default", "last");
    let write = Write::Create(configmap("last", json!({"k": "v"})));
    let actor = Actor::Platform("test");
    let written = client.write(&actor, &target, write);
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("the write never ends").unwrap();
    drop(client);
    let insula = Installation::start_in(insula.stop().await).await;
    insula.admin().await.get(&format!("{CONFIGMAPS}/last")).await.expect_code(200);
}
