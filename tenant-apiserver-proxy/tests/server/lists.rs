//! LIST: pages over one revision, versions, selectors.

use crate::harness::{CONFIGMAPS, Installation, configmap, names, text, version};
use api_types::TenantId;
use serde_json::json;

#[tokio::test]
async fn pages_show_one_revision_while_writes_go_on() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = "/api/v1/namespaces/kube-public/configmaps";
    admin.delete(&format!("{path}/kube-root-ca.crt")).await.expect_code(200);
    for index in 0..9 {
        admin.post(path, &configmap(&format!("c{index}"), json!({"at": "first"}))).await.expect_code(201);
    }
    let mut page = admin.get(&format!("{path}?limit=4")).await.expect_code(200).json();
    let revision = version(&page);
    let mut found: Vec<String> = names(&page).into_iter().map(str::to_owned).collect();
    assert_eq!(page["metadata"]["remainingItemCount"], 5);
    // What changes now is not part of the list.
    admin.delete(&format!("{path}/c5")).await.expect_code(200);
    admin.post(path, &configmap("c51", json!({}))).await.expect_code(201);
    admin.merge(&format!("{path}/c7"), &json!({"data": {"at": "later"}})).await.expect_code(200);
    while let Some(next) = page["metadata"]["continue"].as_str() {
        page = admin.get(&format!("{path}?limit=4&continue={next}")).await.expect_code(200).json();
        assert_eq!(version(&page), revision);
        assert!(page["items"].as_array().unwrap().iter().all(|item| item["data"]["at"] == "first"), "{page}");
        found.extend(names(&page).into_iter().map(str::to_owned));
    }
    assert_eq!(found, (0..9).map(|index| format!("c{index}")).collect::<Vec<_>>());
    // The same revision can be asked for, and the newest has the changes.
    let exact = format!("{path}?resourceVersionMatch=Exact&resourceVersion={revision}");
    assert_eq!(names(&admin.get(&exact).await.expect_code(200).json()), found);
    let now = admin.get(path).await.json();
    assert_eq!(names(&now), ["c0", "c1", "c2", "c3", "c4", "c51", "c6", "c7", "c8"]);
}

#[tokio::test]
async fn a_list_waits_for_a_version_and_refuses_one_that_does_not_come() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201).json();
    let next = version(&made) + 1;
    let later = admin.clone();
    let waiting =
        tokio::spawn(async move { later.get(&format!("{CONFIGMAPS}?resourceVersion={next}")).await });
    admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(201);
    let list = waiting.await.unwrap().expect_code(200).json();
    assert!(version(&list) >= next && names(&list).contains(&"b"));
    let one = admin.get(&format!("{CONFIGMAPS}/b?resourceVersion={next}")).await.expect_code(200).json();
    assert!(version(&one) >= next);
    let status = admin.get(&format!("{CONFIGMAPS}/b?resourceVersion={}", next + 1000)).await.expect_code(504);
    assert_eq!(status.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    let status =
        admin.get(&format!("{CONFIGMAPS}?resourceVersion={}", next + 1000)).await.expect_code(504).json();
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    for token in ["zzz", "e30"] {
        let status = admin.get(&format!("{CONFIGMAPS}?continue={token}")).await.expect_code(400).json();
        assert!(text(&status["message"]).contains("continue"), "{status}");
    }
}

#[tokio::test]
async fn selectors_choose_by_labels_and_fields() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut object = configmap(name, json!({}));
        object["metadata"]["labels"] = json!({"tier": tier});
        admin.post(CONFIGMAPS, &object).await.expect_code(201);
    }
    for (query, expected) in [
        ("labelSelector=tier%3Dweb", vec!["a", "c"]),
        ("labelSelector=tier%20in%20(db)", vec!["b"]),
        ("labelSelector=!tier", vec!["kube-root-ca.crt"]),
        ("fieldSelector=metadata.name%3Dc", vec!["c"]),
        ("labelSelector=tier%3Dweb&fieldSelector=metadata.name!%3Dc", vec!["a"]),
    ] {
        let list = admin.get(&format!("{CONFIGMAPS}?{query}")).await.expect_code(200).json();
        assert_eq!(names(&list), expected, "{query}");
    }
}

#[tokio::test]
async fn what_the_server_writes_by_itself_can_be_selected() {
    let insula = Installation::start().await;
    let (_, tenant) = insula.tenant("acme").await;
    let secrets = "/api/v1/namespaces/insula-system/secrets?fieldSelector=type%3DOpaque";
    let list = insula.admin().await.get(secrets).await.expect_code(200).json();
    assert!(names(&list).contains(&"acme-kubeconfig"), "{list}");
    let list = tenant.get("/api/v1/namespaces?fieldSelector=status.phase%3DActive").await.json();
    assert_eq!(names(&list), ["default", "kube-node-lease", "kube-public", "kube-system"]);
}

#[tokio::test]
async fn a_page_that_is_too_old_can_be_gone_on_with() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = "/api/v1/namespaces/kube-public/configmaps";
    admin.delete(&format!("{path}/kube-root-ca.crt")).await.expect_code(200);
    for name in ["a", "b", "c"] {
        admin.post(path, &configmap(name, json!({}))).await.expect_code(201);
    }
    let page = admin.get(&format!("{path}?limit=1")).await.expect_code(200).json();
    admin.post(path, &configmap("d", json!({}))).await.expect_code(201);
    insula.server.cache.trim(insula.server.cache.revision());
    let next = text(&page["metadata"]["continue"]).to_owned();
    let expired = admin.get(&format!("{path}?limit=1&continue={next}")).await.expect_code(410).json();
    assert_eq!(text(&expired["reason"]), "Expired");
    let fresh = text(&expired["metadata"]["continue"]);
    let rest = admin.get(&format!("{path}?continue={fresh}")).await.expect_code(200).json();
    assert_eq!(names(&rest), ["b", "c", "d"]);
    let both = admin.get(&format!("{path}?continue={next}&resourceVersion=5")).await.expect_code(400).json();
    assert_eq!(text(&both["message"]), "specifying resource version is not allowed when using continue");
}

#[tokio::test]
async fn who_may_read_one_object_by_its_name_may_list_and_watch_it() {
    let insula = Installation::start().await;
    let (id, acme) = insula.tenant("acme").await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "one"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"],
            "verbs": ["list", "watch"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "one"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]});
    acme.post(&format!("{rbac}/roles"), &role).await.expect_code(201);
    acme.post(&format!("{rbac}/rolebindings"), &binding).await.expect_code(201);
    acme.post(CONFIGMAPS, &configmap("mine", json!({}))).await.expect_code(201);
    let ann = insula.user(id, "/tenants/acme", "ann", None).await;
    let of = |name: &str| format!("{CONFIGMAPS}?fieldSelector=metadata.name%3D{name}");
    assert_eq!(names(&ann.get(&of("mine")).await.expect_code(200).json()), ["mine"]);
    assert_eq!(ann.watch(&format!("{}&watch", of("mine"))).await.line().await, "ADDED mine");
    ann.get(&of("other")).await.expect_code(403);
    ann.get(CONFIGMAPS).await.expect_code(403);
}

#[tokio::test]
async fn any_version_comes_as_a_whole_but_of_events() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let events = "/api/v1/namespaces/default/events";
    for name in ["a", "b"] {
        admin.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect_code(201);
        let about = json!({"kind": "Pod", "namespace": "default", "name": "p"});
        let event = json!({"metadata": {"name": name}, "involvedObject": about, "reason": "Tested"});
        admin.post(events, &event).await.expect_code(201);
    }
    for (query, pages) in [
        ("limit=1", true),
        ("limit=1&resourceVersion=0", false),
        ("limit=1&resourceVersion=0&resourceVersionMatch=NotOlderThan", false),
        ("limit=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", true),
    ] {
        let list = admin.get(&format!("{CONFIGMAPS}?{query}")).await.expect_code(200).json();
        assert_eq!(list["metadata"]["continue"].is_string(), pages, "{query}: {list}");
        let list = admin.get(&format!("{events}?{query}")).await.expect_code(200).json();
        assert!(list["metadata"]["continue"].is_string(), "{query}: {list}");
    }
}

#[tokio::test]
async fn a_namespace_without_a_name_is_every_namespace_for_reads_alone() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let nowhere = "/api/v1/namespaces//configmaps";
    let list = admin.get(nowhere).await.expect_code(200).json();
    let all = admin.get("/api/v1/configmaps").await.expect_code(200).json();
    assert_eq!(names(&list), names(&all));
    assert!(names(&list).contains(&"a"));
    admin.post(nowhere, &configmap("b", json!({}))).await.expect_code(404);
    admin.delete(nowhere).await.expect_code(404);
    // It takes the right to all of them.
    let ann = insula.user(TenantId::HOST, "", "ann", None).await;
    ann.get(nowhere).await.expect_code(403);
}
