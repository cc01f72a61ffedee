//! Deletion: finalizers, grace, preconditions, collections, namespaces.

use crate::harness::{CONFIGMAPS, Installation, configmap, names, text, version};
use serde_json::{Value, json};

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let mut object = configmap("a", json!({}));
    object["metadata"]["finalizers"] = json!(["example.dev/one", "example.dev/two"]);
    admin.post(CONFIGMAPS, &object).await.expect_code(201);
    let path = format!("{CONFIGMAPS}/a");
    let marked = admin.delete(&path).await.expect_code(200).json();
    let time = text(&marked["metadata"]["deletionTimestamp"]).to_owned();
    admin.delete(&path).await.expect_code(200);
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    admin.merge(&path, &finalizers(json!(["example.dev/one", "example.dev/three"]))).await.expect_code(422);
    let left = admin.merge(&path, &finalizers(json!(["example.dev/two"]))).await.expect_code(200).json();
    assert_eq!(text(&left["metadata"]["deletionTimestamp"]), time);
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(409);
    admin.merge(&path, &finalizers(Value::Null)).await.expect_code(200);
    admin.get(&path).await.expect_code(404);
}

#[tokio::test]
async fn a_pod_on_a_node_gets_its_grace_and_others_do_not() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let path = "/api/v1/namespaces/default/pods";
    for name in ["bound", "free"] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 20}});
        admin.post(path, &pod).await.expect_code(201);
    }
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bound"},
        "target": {"kind": "Node", "name": "n1"}});
    admin.post(&format!("{path}/bound/binding"), &binding).await.expect_code(201);
    admin.post(&format!("{path}/bound/binding"), &binding).await.expect_code(409);
    let mut free = admin.watch(&format!("{path}?watch=true&fieldSelector=metadata.name%3Dfree")).await;
    assert_eq!(free.line().await, "ADDED free");
    let tried = admin.delete(&format!("{path}/free?dryRun=All")).await.expect_code(200).json();
    assert_eq!(tried["metadata"]["deletionGracePeriodSeconds"], 0);
    admin.delete(&format!("{path}/free")).await.expect_code(200);
    admin.get(&format!("{path}/free")).await.expect_code(404);
    for kind in ["MODIFIED", "DELETED"] {
        let event = free.next().await.unwrap();
        let metadata = &event["object"]["metadata"];
        let seen = (text(&event["type"]), &metadata["deletionGracePeriodSeconds"], &metadata["generation"]);
        assert_eq!(seen, (kind, &json!(0), &json!(2)), "what waits for nothing is marked too");
    }
    let grace =
        |answer: crate::harness::Answer| answer.json()["metadata"]["deletionGracePeriodSeconds"].clone();
    let bound = format!("{path}/bound");
    assert_eq!(grace(admin.delete(&bound).await.expect_code(200)), 20);
    // It can be made shorter, not longer; a negative one is a second; none is at once. Who says nothing changes nothing.
    assert_eq!(grace(admin.delete(&format!("{bound}?gracePeriodSeconds=5")).await), 5);
    assert_eq!(grace(admin.delete(&format!("{bound}?gracePeriodSeconds=60")).await), 5);
    assert_eq!(grace(admin.delete(&bound).await), 5);
    assert_eq!(grace(admin.delete(&format!("{bound}?gracePeriodSeconds=-1")).await), 1);
    let since = version(&admin.get(&bound).await.expect_code(200).json());
    admin.delete(&format!("{bound}?gracePeriodSeconds=0")).await.expect_code(200);
    admin.get(&bound).await.expect_code(404);
    let mut watch = admin.watch(&format!("{path}?watch=true&resourceVersion={since}")).await;
    for kind in ["MODIFIED", "DELETED"] {
        let event = watch.next().await.unwrap();
        assert_eq!(
            (text(&event["type"]), &event["object"]["metadata"]["deletionGracePeriodSeconds"]),
            (kind, &json!(0))
        );
    }
}

#[tokio::test]
async fn preconditions_protect_another_object_of_the_name() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201).json();
    let path = format!("{CONFIGMAPS}/a");
    let send = |preconditions: Value| {
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
        let (admin, path) = (admin.clone(), path.clone());
        async move { admin.send("DELETE", &path, "application/json", body.to_string()).await }
    };
    send(json!({"uid": "another"})).await.expect_code(409);
    send(json!({"resourceVersion": "1"})).await.expect_code(409);
    let status = send(json!({"uid": made["metadata"]["uid"]})).await.expect_code(200).json();
    assert_eq!((text(&status["status"]), &status["details"]["uid"]), ("Success", &made["metadata"]["uid"]));
    send(json!({})).await.expect_code(404);
}

#[tokio::test]
async fn a_collection_goes_by_its_selectors() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut object = configmap(name, json!({}));
        object["metadata"]["labels"] = json!({"tier": tier});
        admin.post(CONFIGMAPS, &object).await.expect_code(201);
    }
    let gone = admin.delete(&format!("{CONFIGMAPS}?labelSelector=tier%3Dweb")).await.expect_code(200).json();
    assert_eq!(names(&gone), ["a", "c"]);
    assert_eq!(names(&admin.get(CONFIGMAPS).await.json()), ["b", "kube-root-ca.crt"]);
}

#[tokio::test]
async fn a_namespace_that_goes_takes_nothing_new() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let made = admin.post("/api/v1/namespaces", &namespace).await.expect_code(201).json();
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "shop");
    let inside = "/api/v1/namespaces/shop/configmaps";
    admin.post(inside, &configmap("a", json!({}))).await.expect_code(201);
    let marked = admin.delete("/api/v1/namespaces/shop").await.expect_code(200).json();
    assert_eq!(text(&marked["status"]["phase"]), "Terminating");
    let status = admin.post(inside, &configmap("b", json!({}))).await.expect_code(403).json();
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    // What is there can still be changed and removed; then the last finalizer lets the namespace go.
    admin.merge(&format!("{inside}/a"), &json!({"data": {"x": "y"}})).await.expect_code(200);
    admin.delete(&format!("{inside}/a")).await.expect_code(200);
    let mut last = admin.get("/api/v1/namespaces/shop").await.json();
    last["spec"]["finalizers"] = json!([]);
    admin.put("/api/v1/namespaces/shop/finalize", &last).await.expect_code(200);
    admin.get("/api/v1/namespaces/shop").await.expect_code(404);
    for kept in ["default", "kube-system", "kube-public", "insula-system"] {
        admin.delete(&format!("/api/v1/namespaces/{kept}")).await.expect_code(403);
    }
}

#[tokio::test]
async fn dependents_of_jobs_and_replication_controllers_stay_unless_told() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let template = json!({"metadata": {"labels": {"a": "b"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"},
        "spec": {"suspend": true, "template": template}});
    let mut always = template.clone();
    always["spec"]["restartPolicy"] = json!("Always");
    let controller = json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "x"},
        "spec": {"replicas": 0, "selector": {"a": "b"}, "template": always}});
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let controllers = "/api/v1/namespaces/default/replicationcontrollers";
    for (path, object) in [(jobs, &job), (controllers, &controller), (CONFIGMAPS, &configmap("x", json!({})))]
    {
        admin.post(path, object).await.expect_code(201);
        let try_out = |query: &str| {
            let (admin, path) = (admin.clone(), format!("{path}/x?dryRun=All{query}"));
            async move { admin.delete(&path).await.expect_code(200) }
        };
        let silent = try_out("").await;
        let orphans = path != CONFIGMAPS;
        let finalizers = if orphans { json!(["orphan"]) } else { serde_json::Value::Null };
        assert_eq!(silent.json()["metadata"]["finalizers"], finalizers, "{path}");
        let warned = silent.header("warning").contains("child pods are preserved by default");
        assert_eq!(warned, path == jobs, "{path}");
        let told = try_out("&propagationPolicy=Background").await;
        assert_eq!((text(&told.json()["kind"]), told.header("warning")), ("Status", ""), "{path}");
        let foreground = try_out("&propagationPolicy=Foreground").await.json();
        assert_eq!(foreground["metadata"]["finalizers"], json!(["foregroundDeletion"]), "{path}");
    }
    // The old way to say it is answered in the old way while something is left to go.
    let hold = json!({"metadata": {"finalizers": ["example.dev/held"]}});
    admin.merge(&format!("{CONFIGMAPS}/x"), &hold).await.expect_code(200);
    admin.delete(&format!("{CONFIGMAPS}/x?orphanDependents=false")).await.expect_code(202);
    admin.delete(&format!("{CONFIGMAPS}/x?orphanDependents=true")).await.expect_code(200);
}

#[tokio::test]
async fn the_options_of_a_collections_deletion_count_for_each() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for name in ["a", "b", "c"] {
        let mut object = configmap(name, json!({}));
        object["metadata"]["labels"] = json!({"all": "yes"});
        admin.post(CONFIGMAPS, &object).await.expect_code(201);
    }
    let all = format!("{CONFIGMAPS}?labelSelector=all");
    let with = |body: Value, query: &str| {
        let (admin, path) = (admin.clone(), format!("{all}{query}"));
        async move { admin.send("DELETE", &path, "application/json", body.to_string()).await }
    };
    assert_eq!(names(&with(json!({"dryRun": ["All"]}), "").await.expect_code(200).json()), ["a", "b", "c"]);
    with(json!({"preconditions": {"uid": "another"}}), "").await.expect_code(409);
    with(json!({"propagationPolicy": "Other"}), "").await.expect_code(422);
    let wrong = with(json!({"kind": "Pod", "apiVersion": "v1"}), "").await.expect_code(400).json();
    assert!(text(&wrong["message"]).starts_with("no kind \"Pod\" is registered"), "{wrong}");
    // A version means what was there at that one.
    let then = version(&admin.get(&format!("{CONFIGMAPS}/b")).await.json());
    let then = with(json!({"dryRun": ["All"]}), &format!("&resourceVersion={then}")).await;
    assert_eq!(names(&then.expect_code(200).json()), ["a", "b"]);
    // A limit ends it after as many, with the way to the others.
    let first = with(json!({}), "&limit=1").await.expect_code(200).json();
    assert_eq!(names(&first), ["a"]);
    assert!(first["metadata"]["continue"].is_string());
    let held = with(json!({"propagationPolicy": "Foreground"}), "").await.expect_code(200).json();
    assert_eq!(names(&held), ["b", "c"]);
    assert_eq!(
        admin.get(&format!("{CONFIGMAPS}/c")).await.json()["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
}

#[tokio::test]
async fn a_name_is_taken_until_its_object_is_gone() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let mut object = configmap("a", json!({}));
    object["metadata"]["finalizers"] = json!(["example.dev/wait"]);
    admin.post(CONFIGMAPS, &object).await.expect_code(201);
    let taken =
        async || text(&admin.post(CONFIGMAPS, &object).await.expect_code(409).json()["message"]).to_owned();
    assert_eq!(taken().await, "configmaps \"a\" already exists");
    admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    assert_eq!(taken().await, "object is being deleted: configmaps \"a\" already exists");
    admin
        .merge(&format!("{CONFIGMAPS}/a"), &json!({"metadata": {"finalizers": null}}))
        .await
        .expect_code(200);
    admin.post(CONFIGMAPS, &object).await.expect_code(201);
}
