//! LIST: pages over one revision, versions, selectors.

use crate::harness::{CONFIGMAPS, Installation, configmap, names, text, version};
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
