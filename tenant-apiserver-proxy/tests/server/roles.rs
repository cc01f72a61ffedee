//! The golden matrix: role × verb × resource, asked by real requests.

use crate::harness::{Client, Installation};
use serde_json::{Value, json};

/// Resource paths of the namespace `default`, and the verbs allowed to `admin`, `edit`, `view` and to a user without a
/// role: g(et) l(ist) w(atch) c(reate) u(pdate) p(atch) d(elete) D(elete collection).
const MATRIX: &[(&str, &str, [&str; 4])] = &[
    ("/api/v1", "configmaps", ["glwcupdD", "glwcupdD", "glw", ""]),
    ("/api/v1", "secrets", ["glwcupdD", "glwcupdD", "", ""]),
    ("/api/v1", "pods", ["glwcupdD", "glwcupdD", "glw", ""]),
    ("/api/v1", "services", ["glwcupdD", "glwcupdD", "glw", ""]),
    ("/api/v1", "serviceaccounts", ["glwcupdD", "glwcupdD", "glw", ""]),
    ("/api/v1", "resourcequotas", ["glw", "glw", "glw", ""]),
    ("/apis/apps/v1", "deployments", ["glwcupdD", "glwcupdD", "glw", ""]),
    ("/apis/rbac.authorization.k8s.io/v1", "roles", ["glwcupdD", "", "", ""]),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings", ["glwcupdD", "", "", ""]),
    ("/apis/coordination.k8s.io/v1", "leases", ["glwcupdD", "glwcupdD", "", ""]),
    ("/apis/cloud.insula.dev/v1alpha1", "databases", ["glwcupdD", "glwcupdD", "glw", ""]),
    ("/apis/core.oam.dev/v1alpha2", "components", ["glwcupdD", "glwcupdD", "glw", ""]),
];

/// Cluster-scoped ones: nobody whose role is bound in a namespace reaches them.
const CLUSTER: &[(&str, &str)] = &[
    ("/api/v1", "nodes"),
    ("/api/v1", "persistentvolumes"),
    ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
];

const ROLES: [&str; 4] = ["admin", "edit", "view", "none"];

/// Asks, and tells whether it was allowed: what is allowed fails later, for the body is none and the object not there.
async fn allowed(client: &Client, verb: char, collection: &str) -> bool {
    let object = format!("{collection}/some-object");
    let answer = match verb {
        'g' => client.get(&object).await,
        'l' => client.get(collection).await,
        'w' => {
            let path = format!("{collection}?watch=true&timeoutSeconds=1&resourceVersion=1");
            client.get(&path).await
        }
        'c' => client.post(collection, &json!([])).await,
        'u' => client.put(&object, &json!([])).await,
        'p' => client.merge(&object, &json!([])).await,
        'd' => client.delete(&object).await,
        _ => client.delete(&format!("{collection}?labelSelector=none%3Dsuch")).await,
    };
    let forbidden = answer.code == 403 && answer.json()["message"].as_str().unwrap().contains(" cannot ");
    assert!(forbidden || answer.code != 403, "{answer:?}");
    assert_ne!(answer.code, 401);
    !forbidden
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_allows_what_kubernetes_says() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let mut users = Vec::new();
    for role in ROLES {
        if role != "none" {
            let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": role}, "subjects": [{"kind": "User", "name": role,
                "apiGroup": "rbac.authorization.k8s.io"}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}});
            let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
            admin.post(path, &binding).await.expect_code(201);
        }
        users.push(insula.user(acme, "/tenants/acme", role, None).await);
    }
    let mut wrong = Vec::new();
    for (prefix, resource, expected) in MATRIX {
        for (index, user) in users.iter().enumerate() {
            let mut found = String::new();
            for verb in "glcupdD".chars() {
                if allowed(user, verb, &format!("{prefix}/namespaces/default/{resource}")).await {
                    found.push(verb);
                }
            }
            let expected: String = expected[index].chars().filter(|verb| *verb != 'w').collect();
            if found != expected {
                wrong.push(format!("{} {resource}: {found} instead of {expected}", ROLES[index]));
            }
            // The role of one namespace says nothing about another, nor about all.
            for elsewhere in
                [format!("{prefix}/namespaces/kube-system/{resource}"), format!("{prefix}/{resource}")]
            {
                assert!(!allowed(user, 'l', &elsewhere).await, "{} {elsewhere}", ROLES[index]);
            }
        }
    }
    for (prefix, resource) in CLUSTER {
        for (index, user) in users.iter().enumerate() {
            for verb in "glcupdD".chars() {
                let path = format!("{prefix}/{resource}");
                assert!(!allowed(user, verb, &path).await, "{} {verb} {resource}", ROLES[index]);
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn watching_is_a_verb_of_its_own() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let role = |verb: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": verb},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}]})
    };
    let binding = |verb: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": verb},
            "subjects": [{"kind": "User", "name": verb, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": verb}})
    };
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    for verb in ["list", "watch"] {
        admin.post(&format!("{path}/roles"), &role(verb)).await.expect_code(201);
        admin.post(&format!("{path}/rolebindings"), &binding(verb)).await.expect_code(201);
    }
    let watch = format!("{}?watch=true&timeoutSeconds=1", crate::harness::CONFIGMAPS);
    let lister = insula.user(acme, "/tenants/acme", "list", None).await;
    let watcher = insula.user(acme, "/tenants/acme", "watch", None).await;
    lister.get(crate::harness::CONFIGMAPS).await.expect_code(200);
    lister.get(&watch).await.expect_code(403);
    watcher.get(crate::harness::CONFIGMAPS).await.expect_code(403);
    watcher.get(&watch).await.expect_code(200);
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let bind = |role: &str, user: &str| -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": user},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
    };
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    admin.post(path, &bind("admin", "ann")).await.expect_code(201);
    let ann = insula.user(acme, "/tenants/acme", "ann", None).await;
    ann.post(path, &bind("view", "vic")).await.expect_code(201);
    let refused = ann.post(path, &bind("cluster-admin", "ann2")).await.expect_code(403).json();
    assert!(refused["message"].as_str().unwrap().contains("not currently held"), "{refused}");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    ann.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", &role).await.expect_code(403);
}
