use super::*;
use crate::resources::EVENTS;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use serde_json::json;
use service_runtime::Shutdown;
use tokio::time::Instant;

const TENANT: TenantId = TenantId::LOCAL_SUPER;
const START: &str = "2026-07-09T10:00:00Z";

fn start(spec: Value) -> FakePlanes {
    let planes = FakePlanes::new();
    put_budget(&planes, spec, json!({}));
    let (begin, start): (Instant, Timestamp) = (Instant::now(), START.parse().unwrap());
    let clock: Clock = Arc::new(move || start.checked_add(begin.elapsed()).unwrap());
    let reconciler = Arc::new(DisruptionBudgets::by_clock(planes.client(), clock));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    planes
}

fn put_budget(planes: &FakePlanes, spec: Value, status: Value) {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    planes.put(
        TENANT,
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "b", "namespace": "default", "generation": 1}, "spec": spec, "status": status}),
    );
}

fn put(planes: &FakePlanes, api_version: &str, kind: &str, replicas: i64, owner: Option<(&str, &str, &str)>) {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "spec": {"replicas": replicas},
        "metadata": {"name": kind.to_lowercase(), "namespace": "default", "uid": kind}});
    if let Some((version, kind, uid)) = owner {
        object["metadata"]["ownerReferences"] = owned_by(version, kind, uid);
    }
    planes.put(TENANT, object);
}

fn owned_by(api_version: &str, kind: &str, uid: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": kind.to_lowercase(), "uid": uid, "controller": true}])
}

fn put_pod(planes: &FakePlanes, name: &str, owners: Value) {
    planes.put(
        TENANT,
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": owners},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
    );
}

/// Waits for `[expectedPods, desiredHealthy, currentHealthy, disruptionsAllowed]`.
async fn counts(planes: &FakePlanes, expected: [i64; 4]) -> Value {
    let fields = ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"];
    let holds = |found: Option<&Value>| {
        found.is_some_and(|found| {
            fields.map(|field| found["status"][field].as_i64().unwrap_or(-1)) == expected
        })
    };
    planes.wait_for(TENANT, &DISRUPTION_BUDGETS.group_resource(), "default", "b", holds).await.unwrap()
}

async fn told(planes: &FakePlanes, reason: &str) {
    let all = |planes: &FakePlanes| planes.all(TENANT, &EVENTS.group_resource(), "default");
    planes.wait_until(reason, |planes| all(planes).iter().any(|event| event["reason"] == reason)).await;
}

#[tokio::test(start_paused = true)]
async fn the_scale_of_a_deployment_counts_once() {
    let planes = start(json!({"maxUnavailable": "25%"}));
    counts(&planes, [0, 0, 0, 0]).await;
    told(&planes, "NoPods").await;
    put(&planes, "apps/v1", "Deployment", 5, None);
    put(&planes, "apps/v1", "ReplicaSet", 2, Some(("apps/v1", "Deployment", "Deployment")));
    for name in ["a", "b", "c", "d"] {
        put_pod(&planes, name, owned_by("apps/v1", "ReplicaSet", "ReplicaSet"));
    }
    let found = counts(&planes, [5, 3, 4, 1]).await;
    assert_eq!(found["status"]["observedGeneration"], 1);
    assert_eq!(found["status"]["conditions"][0]["status"], "True");
    planes.remove(TENANT, &PODS.group_resource(), "default", "a");
    counts(&planes, [5, 3, 3, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn scales_of_several_owners_are_added() {
    let planes = start(json!({"minAvailable": "50%"}));
    for (version, kind) in
        [("apps/v1", "StatefulSet"), ("v1", "ReplicationController"), ("apps/v1", "ReplicaSet")]
    {
        put(&planes, version, kind, 3, None);
        put_pod(&planes, &kind.to_lowercase(), owned_by(version, kind, kind));
    }
    counts(&planes, [9, 5, 3, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn custom_kinds_are_scaled_as_their_definition_says() {
    let planes = start(json!({"maxUnavailable": 1}));
    planes.put(
        TENANT,
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "crowds.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"plural": "crowds", "kind": "Crowd"}, "versions": [
                    {"name": "v1", "served": true, "storage": true,
                        "subresources": {"scale": {"specReplicasPath": ".spec.size"}}}]}}),
    );
    let client = planes.client();
    planes
        .wait_until("the kind", |_| {
            futures::executor::block_on(client.kind(TENANT, "example.com/v1", "Crowd")).unwrap().is_some()
        })
        .await;
    planes.put(
        TENANT,
        json!({"apiVersion": "example.com/v1", "kind": "Crowd", "spec": {"size": 2},
            "metadata": {"name": "crowd", "namespace": "default", "uid": "Crowd"}}),
    );
    for name in ["a", "b"] {
        put_pod(&planes, name, owned_by("example.com/v1", "Crowd", "Crowd"));
    }
    counts(&planes, [2, 1, 2, 1]).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_no_scale_fails_the_budget() {
    let planes = start(json!({"maxUnavailable": 1}));
    put_pod(&planes, "a", owned_by("batch/v1", "Job", "Job"));
    let why = |found: Option<&Value>| {
        found.is_some_and(|found| {
            let condition = &found["status"]["conditions"][0];
            condition["reason"] == "SyncFailed"
                && condition["message"] == "jobs.batch does not implement the scale subresource"
        })
    };
    planes.wait_for(TENANT, &DISRUPTION_BUDGETS.group_resource(), "default", "b", why).await;
    told(&planes, "CalculateExpectedPodCountFailed").await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_nobody_count_by_number_only() {
    let planes = start(json!({"minAvailable": 1}));
    put_pod(&planes, "a", json!([]));
    put_pod(&planes, "b", json!([]));
    counts(&planes, [2, 1, 2, 1]).await;
    put_budget(&planes, json!({"minAvailable": "50%"}), json!({}));
    counts(&planes, [0, 0, 2, 0]).await;
    told(&planes, "UnmanagedPods").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_let_go_and_stays_counts_again() {
    let planes = start(json!({"minAvailable": 1}));
    for name in ["a", "b"] {
        put_pod(&planes, name, json!([]));
    }
    put_budget(&planes, json!({"minAvailable": 1}), json!({"disruptedPods": {"a": "2026-07-09T09:58:30Z"}}));
    let found = counts(&planes, [2, 1, 1, 0]).await;
    assert_eq!(found["status"]["disruptedPods"], json!({"a": "2026-07-09T09:58:30Z"}));
    let found = counts(&planes, [2, 1, 2, 1]).await;
    assert!(found["status"]["disruptedPods"].is_null(), "{found:#}");
    told(&planes, "NotDeleted").await;
}
