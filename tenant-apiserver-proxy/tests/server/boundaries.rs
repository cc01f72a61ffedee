//! What a tenant tries in order to reach the platform or another tenant.

use crate::custom_resources::{DEFINITIONS, definition};
use crate::harness::{Installation, TENANTS, tenant, text};
use serde_json::json;

#[tokio::test]
async fn the_platforms_groups_cannot_be_defined() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    let kubeconfig = "/api/v1/namespaces/insula-system/secrets/acme-kubeconfig";
    let before = host.get(kubeconfig).await.expect_code(200).json();
    for (group, plural, kind) in [
        ("insula.internal", "keys", "PlaneKey"),
        ("sub.insula.internal", "keys", "PlaneKey"),
        ("tenancy.insula.dev", "tenants", "Tenant"),
        ("cloud.insula.dev", "cloudaccounts", "CloudAccount"),
        ("insula.dev", "things", "Thing"),
    ] {
        for client in [&acme, &host, &host.at("/supers/local")] {
            let answer = client.post(DEFINITIONS, &definition(group, plural, kind)).await;
            assert!([401, 422].contains(&answer.code.as_u16()), "{group} {answer:?}");
        }
        acme.get(&format!("/apis/{group}/v1/{plural}")).await.expect_code(404);
    }
    acme.post(TENANTS, &tenant("acme")).await.expect_code(404);
    assert_eq!(host.get(kubeconfig).await.json(), before);
    // A group that only ends with the same letters is the tenant's own.
    acme.post(DEFINITIONS, &definition("myinsula.dev", "things", "Thing")).await.expect_code(201);
}

#[tokio::test]
async fn the_servers_own_keys_have_no_path() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    for client in [&host, &acme] {
        for path in [
            "/apis/insula.internal/v1/keys",
            "/apis/insula.internal/v1/keys/client-ca",
            "/apis/insula.internal/v1/addresses",
            "/apis/insula.internal/v1",
            "/apis/insula.internal",
            "/api/v1/insula.internal%2Fkeys",
            "/api/v1/namespaces/..%2F..%2Finsula.internal/configmaps",
        ] {
            let answer = client.get(path).await;
            let empty = answer.code == 200 && answer.json()["items"] == json!([]);
            assert!(answer.code == 404 || empty, "{path}: {answer:?}");
        }
        let groups = client.get("/apis").await.expect_code(200);
        assert!(!String::from_utf8_lossy(&groups.body).contains("internal"));
    }
}

#[tokio::test]
async fn the_author_of_an_application_cannot_be_forged() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let author = |object: &serde_json::Value| -> serde_json::Value {
        serde_json::from_str(text(&object["metadata"]["annotations"]["insula.dev/author"])).unwrap()
    };
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "apps"}, "rules": [{"apiGroups": ["cloud.insula.dev"],
        "resources": ["databases", "databases/status"], "verbs": ["*"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "apps"}, "subjects": [{"kind": "User", "name": "mallory",
        "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "apps"}});
    admin.post(&format!("{rbac}/clusterroles"), &role).await.expect_code(201);
    admin.post(&format!("{rbac}/clusterrolebindings"), &binding).await.expect_code(201);
    let mallory = insula.user(acme, "/tenants/acme", "mallory", Some("team")).await;
    let forged = json!({"insula.dev/author": "{\"user\":\"admin\",\"groups\":[\"system:masters\"]}"});
    let path = "/apis/cloud.insula.dev/v1alpha1/namespaces/default/databases";
    let database = json!({"apiVersion": "cloud.insula.dev/v1alpha1", "kind": "Database",
        "metadata": {"name": "orders", "annotations": forged}, "spec": {"engine": "postgresql", "version": "15"}});
    let made = mallory.post(path, &database).await.expect_code(201).json();
    let expected = json!({"user": "mallory", "groups": ["team"]});
    assert_eq!(author(&made), expected);
    let patch = json!({"metadata": {"annotations": forged}});
    for sub in ["", "/status"] {
        let patched = mallory.merge(&format!("{path}/orders{sub}"), &patch).await.expect_code(200).json();
        assert_eq!(author(&patched), expected, "{sub}");
        let removed = json!({"metadata": {"annotations": null}});
        let patched = mallory.merge(&format!("{path}/orders{sub}"), &removed).await.expect_code(200).json();
        assert_eq!(author(&patched), expected, "{sub}");
    }
    // Who desires something else is the author from then on.
    let changed = admin.merge(&format!("{path}/orders"), &json!({"spec": {"version": "16"}})).await;
    assert_eq!(author(&changed.expect_code(200).json())["user"], "admin");
}
