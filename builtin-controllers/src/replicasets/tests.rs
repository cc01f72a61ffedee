use super::*;
use crate::resources::EVENTS;
use plane_client::fake::FakePlanes;
use plane_client::{Controller, Target};
use serde_json::json;
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn replica_set(replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}}})
}

fn pods(planes: &FakePlanes) -> Vec<Value> {
    planes.all(TENANT, &PODS.group_resource(), "default")
}

/// Runs the controller until the end of the test's runtime.
fn run(planes: &FakePlanes) {
    let controller = Controller::new(planes.client(), Arc::new(ReplicaSets::new(planes.client(), SETS)), 4);
    tokio::spawn(controller.run(Shutdown::new()));
}

async fn status_is(planes: &FakePlanes, field: &str, expected: i64) {
    let resource = REPLICA_SETS.group_resource();
    planes
        .wait_for(TENANT, &resource, "default", "web", |found| {
            found.is_some_and(|found| found["status"][field].as_i64().unwrap_or(0) == expected)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn makes_as_many_pods_as_wanted_and_counts_them() {
    let planes = FakePlanes::new();
    planes.put(TENANT, replica_set(5));
    run(&planes);
    status_is(&planes, "replicas", 5).await;
    assert_eq!(pods(&planes).len(), 5);
    for mut pod in pods(&planes).into_iter().take(2) {
        assert_eq!(pod["metadata"]["ownerReferences"][0]["controller"], true);
        pod["status"] = json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        planes.put(TENANT, pod);
    }
    status_is(&planes, "readyReplicas", 2).await;
    let mut smaller = planes.find(TENANT, &REPLICA_SETS.group_resource(), "default", "web").unwrap();
    smaller["spec"]["replicas"] = 2.into();
    planes.put(TENANT, smaller);
    status_is(&planes, "replicas", 2).await;
    assert!(pods(&planes).iter().all(pod_facts::is_ready), "those that are not ready went first");
}

#[tokio::test(start_paused = true)]
async fn adopts_what_matches_and_lets_go_what_no_longer_does() {
    let planes = FakePlanes::new();
    planes.put(
        TENANT,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "labels": {"app": "web"}}, "spec": {}}),
    );
    planes.put(TENANT, replica_set(1));
    run(&planes);
    let owned =
        |pod: Option<&Value>| pod.is_some_and(|pod| pod["metadata"]["ownerReferences"][0]["name"] == "web");
    let stray = planes.wait_for(TENANT, &PODS.group_resource(), "default", "stray", owned).await;
    let mut stray = stray.unwrap();
    stray["metadata"]["labels"]["app"] = "other".into();
    planes.put(TENANT, stray);
    planes.wait_for(TENANT, &PODS.group_resource(), "default", "stray", |pod| !owned(pod)).await;
    planes.wait_until("another pod", |planes| pods(planes).len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_neither_adopted_nor_let_go() {
    let planes = FakePlanes::new();
    let ended = |name: &str, app: &str, owners: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {}, "status": {"phase": "Failed"},
            "metadata": {"name": name, "labels": {"app": app}, "ownerReferences": owners}})
    };
    let set = planes.put(TENANT, replica_set(1)).value().unwrap();
    planes.put(TENANT, ended("stray", "web", json!([])));
    planes.put(TENANT, ended("former", "other", json!([claims::controller_reference(&set)])));
    run(&planes);
    status_is(&planes, "replicas", 1).await;
    let owners = |name: &str| {
        let pod = planes.find(TENANT, &PODS.group_resource(), "default", name).unwrap();
        elements(&pod, "/metadata/ownerReferences").len()
    };
    assert_eq!((owners("stray"), owners("former")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn says_why_pods_cannot_be_made_and_asks_for_few() {
    let planes = FakePlanes::new();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    planes.refuse(move |_, target, _| {
        // The message of a real server names the pod that it made up.
        let next = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let pods = target.resource == PODS;
        pods.then(|| ApiError::forbidden(&PODS.group_resource(), &next(), "exceeded quota: q"))
    });
    planes.put(TENANT, replica_set(100));
    run(&planes);
    let resource = REPLICA_SETS.group_resource();
    let failed = |found: Option<&Value>| {
        found.is_some_and(|found| conditions::holds(elements(found, "/status/conditions"), "ReplicaFailure"))
    };
    planes.wait_for(TENANT, &resource, "default", "web", failed).await;
    let asked = planes.writes().iter().filter(|write| write.target.resource == PODS).count();
    assert!(asked < 5, "{asked} pods were asked for");
    planes
        .wait_until("more tries", |planes| {
            planes.writes().iter().filter(|write| write.target.resource == PODS).count() > asked + 2
        })
        .await;
    let told = planes.writes().iter().filter(|write| write.target.resource == REPLICA_SETS).count();
    assert!(told <= 2, "the status was written {told} times for one failure");
    let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
    assert_eq!(events[0]["reason"], "FailedCreate");
    planes.refuse(|_, _: &Target, _| None);
    status_is(&planes, "replicas", 100).await;
    planes.wait_for(TENANT, &resource, "default", "web", |found| !failed(found)).await;
}

#[tokio::test(start_paused = true)]
async fn a_replication_controller_selects_by_labels_alone() {
    let planes = FakePlanes::new();
    planes.put(
        TENANT,
        json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"},
        "spec": {"replicas": 2, "selector": {"app": "old"},
            "template": {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "c"}]}}}}),
    );
    let controller =
        Controller::new(planes.client(), Arc::new(ReplicaSets::new(planes.client(), CONTROLLERS)), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    let resource = REPLICATION_CONTROLLERS.group_resource();
    let found = planes
        .wait_for(TENANT, &resource, "default", "old", |found| {
            found.is_some_and(|found| found["status"]["replicas"] == 2)
        })
        .await
        .unwrap();
    assert_eq!(found["status"]["terminatingReplicas"], Value::Null);
    assert!(pods(&planes).iter().all(|pod| text(pod, "/metadata/name").starts_with("old-")));
    planes
        .wait_until("its events", |planes| {
            let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
            events.iter().any(|event| {
                event["source"]["component"] == "replication-controller"
                    && event["involvedObject"]["kind"] == "ReplicationController"
            })
        })
        .await;
}
