//! Starting again on the same directory.

use crate::custom_resources::{DEFINITIONS, definition};
use crate::harness::{CONFIGMAPS, Installation, configmap, version};
use serde_json::json;

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
    let ca = insula.server.ca_pem().to_owned();

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
