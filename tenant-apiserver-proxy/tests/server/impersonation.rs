//! Who acts as somebody else within limits: constrained impersonation.

use crate::harness::{CONFIGMAPS, Client, Installation, text};
use api_types::TenantId;
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Gives a user a ClusterRole of its own.
async fn allow(admin: &Client, user: &str, rules: Value) {
    let role = json!({"metadata": {"name": user}, "rules": rules});
    admin.post(&format!("{RBAC}/clusterroles"), &role).await.expect_code(201);
    let binding = json!({"metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
    admin.post(&format!("{RBAC}/clusterrolebindings"), &binding).await.expect_code(201);
}

fn rule(group: &str, resource: &str, verbs: &[&str], names: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

async fn user(insula: &Installation, id: TenantId, name: &str) -> Client {
    insula.user(id, "/tenants/acme", name, None).await
}

async fn refusal(client: &Client, path: &str) -> String {
    text(&client.get(path).await.expect_code(403).json()["message"]).to_owned()
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const BY_NAME: &str = "impersonate:user-info";

#[tokio::test]
async fn who_may_be_somebody_for_one_thing_may_not_be_for_another() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    allow(&admin, "ann", json!([rule("", "configmaps", &["get", "list", "delete"], &[])])).await;
    allow(
        &admin,
        "helper",
        json!([
            rule(AUTHENTICATION, "users", &[BY_NAME], &["ann"]),
            rule(AUTHENTICATION, "groups", &[BY_NAME], &["dev"]),
            rule(AUTHENTICATION, "userextras/example.com/team", &[BY_NAME], &["a"]),
            rule(
                "",
                "configmaps",
                &["impersonate-on:user-info:list", "impersonate-on:user-info:create"],
                &[]
            ),
        ]),
    )
    .await;
    let helper = user(&insula, id, "helper").await;
    let on = |verb: &str, resource: &str, group: &str, place: &str| {
        format!("User \"helper\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}")
    };
    let cluster = "at the cluster scope";
    let as_ann = helper.with("impersonate-user", "ann");
    as_ann.get(CONFIGMAPS).await.expect_code(200);
    as_ann.with("impersonate-group", "dev").get(CONFIGMAPS).await.expect_code(200);
    as_ann.with("impersonate-extra-example.com%2Fteam", "a").get(CONFIGMAPS).await.expect_code(200);
    // What the user may not, nobody may as the user.
    let made = as_ann.post(CONFIGMAPS, &json!({"metadata": {"name": "x"}})).await.expect_code(403).json();
    assert!(text(&made["message"]).contains("User \"ann\" cannot create"), "{made}");
    let verb = "impersonate-on:user-info:get";
    let one = format!("{CONFIGMAPS}/kube-root-ca.crt");
    let said = refusal(&as_ann, &one).await;
    assert!(said.ends_with(&on(verb, "configmaps", "", "in the namespace \"default\"")), "{said}");
    for (client, expected) in [
        (helper.with("impersonate-user", "bob"), on(BY_NAME, "users", AUTHENTICATION, cluster)),
        (as_ann.with("impersonate-group", "ops"), on(BY_NAME, "groups", AUTHENTICATION, cluster)),
        (as_ann.with("impersonate-uid", "7"), on(BY_NAME, "uids", AUTHENTICATION, cluster)),
        (
            as_ann.with("impersonate-extra-example.com%2fteam", "b"),
            on(BY_NAME, "userextras/example.com/team", AUTHENTICATION, cluster),
        ),
        (
            as_ann.with("impersonate-group", "system:masters"),
            on(BY_NAME, "groups", AUTHENTICATION, cluster)
                + ": impersonating the system:masters group is not allowed",
        ),
        (
            as_ann.with("impersonate-extra-team", "a"),
            on(BY_NAME, "userextras", AUTHENTICATION, cluster)
                + ": impersonating an invalid key in extra is not allowed: extra.key: Invalid value: \"team\": must be \
                   a domain-prefixed path (such as \"acme.io/foo\")",
        ),
    ] {
        let said = refusal(&client, CONFIGMAPS).await;
        assert!(said.ends_with(&expected), "{said}\n{expected}");
    }
}

#[tokio::test]
async fn accounts_and_nodes_have_modes_of_their_own() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    let reviews = |mode: &str| {
        rule(AUTHENTICATION, "selfsubjectreviews", &[&format!("impersonate-on:{mode}:create")], &[])
    };
    allow(
        &admin,
        "accounts",
        json!([
            rule(AUTHENTICATION, "serviceaccounts", &["impersonate:serviceaccount"], &["a"]),
            reviews("serviceaccount"),
        ]),
    )
    .await;
    allow(
        &admin,
        "nodes",
        json!([
            rule(AUTHENTICATION, "nodes", &["impersonate:arbitrary-node"], &["n1"]),
            reviews("arbitrary-node")
        ]),
    )
    .await;
    allow(&admin, "all", json!([rule("", "users", &["impersonate"], &[])])).await;
    let groups = |answer: &Value| answer["status"]["userInfo"]["groups"].clone();
    for (who, wanted, expected) in [
        (
            "accounts",
            "system:serviceaccount:ns:a",
            Some(json!(["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"])),
        ),
        ("accounts", "system:serviceaccount:ns:b", None),
        ("accounts", "system:node:n1", None),
        ("accounts", "ann", None),
        ("nodes", "system:node:n1", Some(json!(["system:nodes", "system:authenticated"]))),
        ("nodes", "system:node:n2", None),
        // Without limits a node is a user as any other.
        ("all", "system:node:n1", Some(json!(["system:authenticated"]))),
        ("all", "system:serviceaccount:ns:a", None),
        ("all", "system:serviceaccount:NS:a", Some(json!(["system:authenticated"]))),
    ] {
        let client = user(&insula, id, who).await.with("impersonate-user", wanted);
        let answer = client.post(WHO, &json!({})).await;
        match expected {
            Some(expected) => assert_eq!(groups(&answer.expect_code(201).json()), expected, "{who} {wanted}"),
            None => drop(answer.expect_code(403)),
        }
    }
    // A group beside the name is not for these modes.
    let client = user(&insula, id, "nodes").await.with("impersonate-user", "system:node:n1");
    client.with("impersonate-group", "dev").post(WHO, &json!({})).await.expect_code(403);
}

#[tokio::test]
async fn a_pod_acts_as_its_own_node_only() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let account = "system:serviceaccount:default:default";
    let rules = json!([
        rule(AUTHENTICATION, "nodes", &["impersonate:associated-node"], &["*"]),
        rule(AUTHENTICATION, "selfsubjectreviews", &["impersonate-on:associated-node:create"], &[]),
    ]);
    let role = json!({"metadata": {"name": "agent"}, "rules": rules});
    admin.post(&format!("{RBAC}/clusterroles"), &role).await.expect_code(201);
    let binding = json!({"metadata": {"name": "agent"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": account}]});
    admin.post(&format!("{RBAC}/clusterrolebindings"), &binding).await.expect_code(201);
    admin.post("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await.expect_code(201);
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "i"}]}});
    admin.post(pods, &pod).await.expect_code(201);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let token = admin.post(path, &request).await.expect_code(201).json()["status"]["token"].clone();
    let nobody = insula.certified("/tenants/acme", None).await;
    let agent = nobody.with("authorization", format!("Bearer {}", text(&token)));
    let own = agent.with("impersonate-user", "system:node:n1").post(WHO, &json!({})).await;
    assert_eq!(own.expect_code(201).json()["status"]["userInfo"]["username"], "system:node:n1");
    agent.with("impersonate-user", "system:node:n2").post(WHO, &json!({})).await.expect_code(403);
}
