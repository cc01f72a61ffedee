//! Writes at the same time.

use crate::harness::{CONFIGMAPS, Installation, configmap, text};
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn a_put_from_an_old_version_is_refused() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let old = admin.post(CONFIGMAPS, &configmap("a", json!({"n": "0"}))).await.expect_code(201).json();
    let path = format!("{CONFIGMAPS}/a");
    let mut new = old.clone();
    new["data"]["n"] = json!("1");
    admin.put(&path, &new).await.expect_code(200);
    let status = admin.put(&path, &new).await.expect_code(409).json();
    assert!(text(&status["message"]).contains("the object has been modified"));
    let stale =
        json!({"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"n": "2"}});
    admin.merge(&path, &stale).await.expect_code(409);
    // Without a version the last one wins; another object's UID never does.
    admin.put(&path, &configmap("a", json!({"n": "3"}))).await.expect_code(200);
    let mut other = configmap("a", json!({}));
    other["metadata"]["uid"] = json!("8f5f0d1e-0000-4000-8000-000000000000");
    admin.put(&path, &other).await.expect_code(409);
    assert_eq!(admin.get(&path).await.json()["data"]["n"], "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_patches_all_land() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let path = format!("{CONFIGMAPS}/a");
    let patches = (0..40).map(|index| {
        let (admin, path) = (admin.clone(), path.clone());
        async move {
            let key = format!("k{index}");
            match index % 3 {
                0 => admin.merge(&path, &json!({"data": {key: "x"}})).await,
                1 => {
                    let of = "application/strategic-merge-patch+json";
                    admin.send("PATCH", &path, of, json!({"data": {key: "x"}}).to_string()).await
                }
                _ => {
                    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {key: "x"}});
                    let path = format!("{path}?fieldManager=m{index}");
                    admin.send("PATCH", &path, "application/apply-patch+yaml", config.to_string()).await
                }
            }
        }
    });
    for answer in join_all(patches).await {
        answer.expect_code(200);
    }
    assert_eq!(admin.get(&path).await.json()["data"].as_object().unwrap().len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_creations_of_a_name_succeeds() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let object = configmap("a", json!({}));
    let answers = join_all((0..20).map(|_| admin.post(CONFIGMAPS, &object))).await;
    let mut codes: Vec<u16> = answers.iter().map(|answer| answer.code.as_u16()).collect();
    codes.sort_unstable();
    assert_eq!((codes[0], &codes[1..]), (201, &[409; 19][..]));
    let mut generated = configmap("", json!({}));
    generated["metadata"] = json!({"generateName": "g-"});
    let answers = join_all((0..50).map(|_| admin.post(CONFIGMAPS, &generated))).await;
    let names: BTreeSet<String> = answers
        .into_iter()
        .map(|a| text(&a.expect_code(201).json()["metadata"]["name"]).to_owned())
        .collect();
    assert_eq!(names.len(), 50);
    assert!(names.iter().all(|name| name.starts_with("g-") && name.len() == 7));
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_given_once_and_come_back() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let path = "/api/v1/namespaces/default/services";
    let ports = json!([{"port": 80}]);
    let made = join_all((0..30).map(|index| {
        let object = service(&format!("s{index}"), json!({"type": "NodePort", "ports": ports}));
        let admin = admin.clone();
        async move { admin.post(path, &object).await.expect_code(201).json() }
    }))
    .await;
    let all = |pick: fn(&Value) -> String| made.iter().map(pick).collect::<BTreeSet<_>>();
    assert_eq!(all(|s| text(&s["spec"]["clusterIP"]).to_owned()).len(), 30);
    assert_eq!(all(|s| s["spec"]["ports"][0]["nodePort"].to_string()).len(), 30);
    let taken = text(&made[0]["spec"]["clusterIP"]).to_owned();

    // An address that another has, that of `kubernetes`, one of nobody's range, a port out of range.
    for (address, port) in [(taken.as_str(), 0), ("10.96.0.1", 0), ("192.0.2.1", 0), ("", 80)] {
        let mut spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
        if port == 0 {
            spec["clusterIP"] = json!(address)
        } else {
            spec["ports"][0]["nodePort"] = json!(port)
        }
        let status = admin.post(path, &service("x", spec)).await.expect_code(422).json();
        assert!(text(&status["message"]).contains("provided"), "{status}");
    }
    // Five at once want the one that becomes free: one gets it.
    admin.delete(&format!("{path}/s0")).await.expect_code(200);
    let wanted = json!({"clusterIP": taken, "ports": ports});
    let answers = join_all((0..5).map(|index| {
        let (admin, object) = (admin.clone(), service(&format!("w{index}"), wanted.clone()));
        async move { admin.post(path, &object).await.code.as_u16() }
    }))
    .await;
    assert_eq!(answers.iter().filter(|code| **code == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|code| **code == 422).count(), 4, "{answers:?}");
}
