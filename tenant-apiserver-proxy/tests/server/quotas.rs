//! Limit ranges and resource quotas. No controller runs here: what a quota's status says is what the tests and the
//! server itself write.

use crate::harness::{Client, Installation, configmap, eventually, text};
use futures::future::join_all;
use serde_json::{Value, json};

const NAMESPACE: &str = "/api/v1/namespaces/n";
const PODS: &str = "/api/v1/namespaces/n/pods";
const QUOTAS: &str = "/api/v1/namespaces/n/resourcequotas";
const RANGES: &str = "/api/v1/namespaces/n/limitranges";

async fn namespace(client: &Client) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    client.post("/api/v1/namespaces", &namespace).await.expect_code(201);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    client.post(&format!("{NAMESPACE}/serviceaccounts"), &account).await.expect_code(201);
}

/// A quota of which nothing is used yet.
async fn quota(client: &Client, name: &str, hard: Value) {
    let object = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}});
    let made = client.post(QUOTAS, &object).await.expect_code(201);
    assert_eq!(made.header("warning"), "");
    let used: Value = hard.as_object().unwrap().keys().map(|name| (name.clone(), json!("0"))).collect();
    in_force(client, name, hard, used).await;
}

async fn in_force(client: &Client, name: &str, hard: Value, used: Value) {
    let status = json!({"status": {"hard": hard, "used": used}});
    client.merge(&format!("{QUOTAS}/{name}/status"), &status).await.expect_code(200);
}

async fn used(client: &Client, name: &str) -> Value {
    client.get(&format!("{QUOTAS}/{name}")).await.expect_code(200).json()["status"]["used"].clone()
}

fn pod(name: &str, resources: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

fn cpu(cpu: &str) -> Value {
    json!({"requests": {"cpu": cpu}})
}

#[tokio::test]
async fn what_is_refused_or_fails_uses_nothing() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    namespace(&acme).await;
    quota(&acme, "q", json!({"pods": "3", "requests.cpu": "1"})).await;

    acme.post(PODS, &pod("a", cpu("400m"))).await.expect_code(201);
    let one = json!({"pods": "1", "requests.cpu": "400m"});
    assert_eq!(used(&acme, "q").await, one);

    let refused = acme.post(PODS, &pod("b", cpu("700m"))).await.expect_code(403).json();
    assert_eq!(
        refused["message"],
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=700m, used: requests.cpu=400m, limited: requests.cpu=1"
    );
    assert_eq!((&refused["reason"], &refused["details"]["name"]), (&json!("Forbidden"), &json!("b")));
    let unsaid = acme.post(PODS, &pod("b", json!({}))).await.expect_code(403).json();
    assert_eq!(
        unsaid["message"],
        "pods \"b\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );

    // Neither what is tried, nor what is wrong, nor what is there already.
    acme.post(&format!("{PODS}?dryRun=All"), &pod("b", cpu("100m"))).await.expect_code(201);
    acme.post(&format!("{PODS}?dryRun=All"), &pod("b", cpu("700m"))).await.expect_code(403);
    acme.post(PODS, &pod("B", cpu("100m"))).await.expect_code(422);
    acme.post(PODS, &pod("a", cpu("100m"))).await.expect_code(409);
    assert_eq!(used(&acme, "q").await, one);
    // What is there already is told after what there is no room for, as in Kubernetes.
    acme.post(PODS, &pod("a", cpu("700m"))).await.expect_code(403);

    // What is read of a pod is what it was asked with.
    let labelled = json!({"metadata": {"labels": {"x": "y"}}});
    acme.merge(&format!("{PODS}/a"), &labelled).await.expect_code(200);
    acme.merge(&format!("{PODS}/a/status"), &json!({"status": {"message": "m"}})).await.expect_code(200);
    assert_eq!(used(&acme, "q").await, one);
    // Other namespaces are not counted.
    acme.post("/api/v1/namespaces/default/configmaps", &configmap("m", json!({}))).await.expect_code(201);
    assert_eq!(used(&acme, "q").await, one);
}

#[tokio::test]
async fn a_quota_that_nobody_has_counted_yet_lets_nothing_in() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    namespace(&acme).await;
    let object = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "1"}}});
    acme.post(QUOTAS, &object).await.expect_code(201);
    let maps = format!("{NAMESPACE}/configmaps");
    // Before its status says what it allows it allows everything, as in Kubernetes.
    acme.post(&maps, &configmap("a", json!({}))).await.expect_code(201);
    in_force(&acme, "q", json!({"configmaps": "5", "count/configmaps": "5"}), json!({"configmaps": "1"}))
        .await;
    let refused = acme.post(&maps, &configmap("b", json!({}))).await.expect_code(403).json();
    assert_eq!(
        refused["message"],
        "configmaps \"b\" is forbidden: status unknown for quota: q, resources: configmaps,count/configmaps"
    );
    in_force(&acme, "q", json!({"configmaps": "5"}), json!({"configmaps": "1", "count/configmaps": "1"}))
        .await;
    acme.post(&maps, &configmap("b", json!({}))).await.expect_code(201);
    assert_eq!(used(&acme, "q").await["configmaps"], "2");
}

#[tokio::test]
async fn changes_are_counted_with_what_they_add() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    namespace(&acme).await;
    quota(
        &acme,
        "q",
        json!({"services": "2", "services.nodeports": "1", "requests.cpu": "2", "requests.storage": "2Gi"}),
    )
    .await;
    quota(&acme, "other", json!({"services": "1", "count/resourcequotas": "9"})).await;
    let services = format!("{NAMESPACE}/services");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    acme.post(&services, &service).await.expect_code(201);
    let node = json!({"spec": {"type": "NodePort"}});
    acme.merge(&format!("{services}/s"), &node).await.expect_code(200);
    assert_eq!(used(&acme, "q").await["services.nodeports"], "1");
    assert_eq!(used(&acme, "other").await["services"], "1");
    let two = json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}});
    let refused = acme.merge(&format!("{services}/s"), &two).await.expect_code(403).json();
    assert!(
        text(&refused["message"]).contains("exceeded quota: q, requested: services.nodeports=1"),
        "{refused}"
    );
    // Of two quotas the one without room decides, and the other one counts nothing.
    let mut second = service.clone();
    second["metadata"]["name"] = json!("t");
    let refused = acme.post(&services, &second).await.expect_code(403).json();
    assert!(text(&refused["message"]).contains("exceeded quota: other"), "{refused}");
    assert_eq!(used(&acme, "q").await["services"], "1");

    acme.post(PODS, &pod("p", cpu("1"))).await.expect_code(201);
    let resize =
        |cpu: &str| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
    let path = format!("{PODS}/p/resize");
    let of = "application/strategic-merge-patch+json";
    acme.send("PATCH", &path, of, resize("1500m").to_string()).await.expect_code(200);
    assert_eq!(used(&acme, "q").await["requests.cpu"], "1500m");
    acme.send("PATCH", &path, of, resize("3").to_string()).await.expect_code(403);
    // What it needs less is given back by the controller.
    acme.send("PATCH", &path, of, resize("500m").to_string()).await.expect_code(200);
    assert_eq!(used(&acme, "q").await["requests.cpu"], "1500m");

    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "third"}, "spec": {}});
    acme.post(QUOTAS, &quota).await.expect_code(201);
    assert_eq!(used(&acme, "other").await["count/resourcequotas"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_unit_is_given_once() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    namespace(&acme).await;
    quota(&acme, "q", json!({"pods": "10", "requests.cpu": "100"})).await;
    quota(&acme, "more", json!({"count/pods": "12"})).await;
    let from = text(&acme.get(QUOTAS).await.json()["metadata"]["resourceVersion"]).to_owned();
    let mut watch = acme.watch(&format!("{QUOTAS}?watch=true&resourceVersion={from}")).await;
    let creations = (0..40).map(|index| {
        let acme = acme.clone();
        async move {
            let mut object = pod("", cpu("1"));
            object["metadata"] = match index % 2 {
                0 => json!({"name": format!("p{index}")}),
                _ => json!({"generateName": "g-"}),
            };
            acme.post(PODS, &object).await.code.as_u16()
        }
    });
    let answers = join_all(creations).await;
    assert_eq!(answers.iter().filter(|code| **code == 201).count(), 10, "{answers:?}");
    assert_eq!(answers.iter().filter(|code| **code == 403).count(), 30, "{answers:?}");
    let pods = acme.get(PODS).await.json()["items"].as_array().unwrap().len();
    assert_eq!(pods, 10);
    assert_eq!(used(&acme, "q").await, json!({"pods": "10", "requests.cpu": "10"}));
    assert_eq!(used(&acme, "more").await, json!({"count/pods": "10"}));
    // Each pod was counted once, by both quotas in one commit, and never more than there was room for.
    for count in 1..=10 {
        let (one, other) = (watch.next().await.unwrap(), watch.next().await.unwrap());
        assert_eq!(
            one["object"]["metadata"]["resourceVersion"],
            other["object"]["metadata"]["resourceVersion"]
        );
        let of = |event: &Value, name: &str| event["object"]["status"]["used"][name].clone();
        let counts = [of(&one, "count/pods"), of(&one, "pods"), of(&other, "count/pods"), of(&other, "pods")];
        let count = json!(count.to_string());
        assert_eq!(counts.iter().filter(|used| **used == count).count(), 2, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_leave_nothing_counted() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    namespace(&acme).await;
    quota(&acme, "q", json!({"pods": "15"})).await;
    let tasks: Vec<_> = (0..60)
        .map(|index| {
            let acme = acme.clone();
            let task = tokio::spawn(async move {
                acme.post(PODS, &pod(&format!("p{index}"), json!({}))).await;
            });
            (index, task)
        })
        .collect();
    for (index, task) in tasks {
        match index % 3 {
            0 => task.abort(),
            _ => drop(task.await),
        }
    }
    // All room is taken in the end, and what is used is what is there.
    for index in 0..15 {
        acme.post(PODS, &pod(&format!("last{index}"), json!({}))).await;
    }
    eventually("as many pods as are counted", || async {
        let pods = acme.get(PODS).await.json()["items"].as_array()?.len();
        assert!(pods <= 15, "{pods}");
        (pods == 15 && used(&acme, "q").await == json!({"pods": "15"})).then_some(())
    })
    .await;
}

fn range(limits: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"}, "spec": {"limits": limits}})
}

#[tokio::test]
async fn limit_ranges_give_and_refuse() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    namespace(&acme).await;
    let limits = json!([
        {"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
    ]);
    assert_eq!(acme.post(RANGES, &range(limits)).await.expect_code(201).header("warning"), "");
    quota(&acme, "q", json!({"requests.cpu": "1"})).await;

    let made = acme.post(PODS, &pod("p", json!({}))).await.expect_code(201).json();
    let given = json!({"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], given);
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    assert_eq!(made["status"]["qosClass"], "Burstable");
    // What was given is counted.
    assert_eq!(used(&acme, "q").await, json!({"requests.cpu": "500m"}));

    let refused = acme.post(PODS, &pod("b", json!({"limits": {"cpu": "3"}}))).await.expect_code(403).json();
    let why = "pods \"b\" is forbidden: maximum cpu usage per Container is 2, but limit is 3";
    assert_eq!(refused["message"], why);

    let path = format!("{PODS}/p/resize");
    let resize = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "4"}}}]}});
    let of = "application/strategic-merge-patch+json";
    let refused = acme.send("PATCH", &path, of, resize.to_string()).await.expect_code(403).json();
    assert!(
        text(&refused["message"]).contains("maximum cpu usage per Container is 2, but limit is 4"),
        "{refused}"
    );

    let claims = format!("{NAMESPACE}/persistentvolumeclaims");
    let claim = |storage: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}})
    };
    let refused = acme.post(&claims, &claim("2Gi")).await.expect_code(403).json();
    let why = "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
    assert_eq!(refused["message"], why);
    acme.post(&claims, &claim("1Gi")).await.expect_code(201);
    // What was let in before may change, unless it is too large now.
    acme.merge(
        &format!("{RANGES}/r"),
        &range(json!([{"type": "PersistentVolumeClaim", "max": {"storage": "1Mi"}}])),
    )
    .await
    .expect_code(200);
    let labelled = json!({"metadata": {"labels": {"x": "y"}}});
    acme.merge(&format!("{claims}/c"), &labelled).await.expect_code(403);
}
