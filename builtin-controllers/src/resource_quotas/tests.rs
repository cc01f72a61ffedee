use super::*;
use crate::resources::{CONFIG_MAPS, SERVICES};
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use service_runtime::Shutdown;

fn tenant() -> TenantId {
    TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap()
}

fn start() -> FakePlanes {
    let planes = FakePlanes::new();
    let reconciler = Arc::new(ResourceQuotas::new(planes.client()));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    planes
}

fn quota(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "n"}, "spec": spec})
}

fn pod(name: &str, cpu: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}})
}

/// Waits for what is used, for much less time than to the next resync.
async fn soon(planes: &FakePlanes, name: &str, expected: Value) {
    let before = tokio::time::Instant::now();
    used(planes, name, expected).await;
    assert!(before.elapsed() < 2 * SOON, "{:?}", before.elapsed());
}

async fn used(planes: &FakePlanes, name: &str, expected: Value) {
    let is = |found: Option<&Value>| found.is_some_and(|found| found["status"]["used"] == expected);
    let found = planes.wait_for(tenant(), &RESOURCE_QUOTAS.group_resource(), "n", name, is).await.unwrap();
    assert_eq!(found["status"]["hard"], found["spec"]["hard"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_counted_and_what_goes_is_given_back() {
    let planes = start();
    for (name, cpu) in [("a", "1"), ("b", "500m")] {
        planes.put(tenant(), pod(name, cpu));
    }
    planes.put(tenant(), object("ConfigMap", "m"));
    let mut elsewhere = pod("c", "4");
    elsewhere["metadata"]["namespace"] = json!("other");
    planes.put(tenant(), elsewhere);
    let hard =
        json!({"pods": "5", "count/pods": "9", "requests.cpu": "4", "configmaps": "3", "services": "1"});
    planes.put(tenant(), quota("q", json!({"hard": hard})));
    let expected =
        json!({"pods": "2", "count/pods": "2", "requests.cpu": "1500m", "configmaps": "1", "services": "0"});
    soon(&planes, "q", expected).await;

    let mut ended = pod("a", "1");
    ended["status"] = json!({"phase": "Succeeded"});
    planes.put(tenant(), ended);
    let expected =
        json!({"pods": "1", "count/pods": "2", "requests.cpu": "500m", "configmaps": "1", "services": "0"});
    soon(&planes, "q", expected).await;

    for (resource, name) in [(PODS, "b"), (CONFIG_MAPS, "m")] {
        planes.remove(tenant(), &resource.group_resource(), "n", name);
    }
    let expected =
        json!({"pods": "0", "count/pods": "1", "requests.cpu": "0", "configmaps": "0", "services": "0"});
    soon(&planes, "q", expected).await;

    // What is allowed changes, and what is counted with it.
    planes.put(tenant(), object("Service", "s"));
    planes.put(tenant(), quota("q", json!({"hard": {"services": "2", "count/pods": "1"}})));
    soon(&planes, "q", json!({"services": "1", "count/pods": "1"})).await;
    planes.remove(tenant(), &SERVICES.group_resource(), "n", "s");
    soon(&planes, "q", json!({"services": "0", "count/pods": "1"})).await;
}

#[tokio::test(start_paused = true)]
async fn scopes_choose_what_is_counted() {
    let planes = start();
    let mut short = pod("short", "1");
    short["spec"]["activeDeadlineSeconds"] = json!(9);
    planes.put(tenant(), short);
    planes.put(tenant(), pod("long", "2"));
    planes.put(tenant(), object("ConfigMap", "m"));
    for scope in ["Terminating", "NotTerminating"] {
        let hard = json!({"requests.cpu": "4", "configmaps": "3"});
        planes.put(tenant(), quota(&scope.to_lowercase(), json!({"hard": hard, "scopes": [scope]})));
    }
    used(&planes, "terminating", json!({"requests.cpu": "1", "configmaps": "0"})).await;
    used(&planes, "notterminating", json!({"requests.cpu": "2", "configmaps": "0"})).await;
}

#[tokio::test(start_paused = true)]
async fn kinds_of_the_plane_are_counted_once_it_has_them() {
    let planes = start();
    planes.put(
        tenant(),
        quota("q", json!({"hard": {"count/widgets.example.com": "3", "count/deployments.apps": "1"}})),
    );
    soon(&planes, "q", json!({"count/deployments.apps": "0"})).await;
    planes.put(
        tenant(),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"}, "versions": [{"name": "v1", "storage": true, "served": true}]}}),
    );
    soon(&planes, "q", json!({"count/deployments.apps": "0", "count/widgets.example.com": "0"})).await;
    planes.put(
        tenant(),
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}}),
    );
    // A creation is counted by the API server; without one, by the next resync.
    used(&planes, "q", json!({"count/deployments.apps": "0", "count/widgets.example.com": "1"})).await;
    planes.remove(tenant(), &GroupResource::new("example.com", "widgets"), "n", "w");
    soon(&planes, "q", json!({"count/deployments.apps": "0", "count/widgets.example.com": "0"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_outlives_its_grace_is_given_back() {
    let planes = start();
    planes.put(tenant(), pod("a", "1"));
    planes.put(tenant(), quota("q", json!({"hard": {"pods": "5"}})));
    soon(&planes, "q", json!({"pods": "1"})).await;
    let mut stuck = pod("a", "1");
    stuck["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
    stuck["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    stuck["metadata"]["finalizers"] = json!(["a/b"]);
    planes.put(tenant(), stuck);
    soon(&planes, "q", json!({"pods": "0"})).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_right_is_not_written() {
    let planes = start();
    planes.put(tenant(), quota("q", json!({"hard": {"pods": "5"}})));
    used(&planes, "q", json!({"pods": "0"})).await;
    planes.forget_writes();
    tokio::time::sleep(10 * RESYNC).await;
    assert_eq!(planes.writes().len(), 0);
    // A quota that nobody limits anything by has nothing to say.
    planes.put(tenant(), quota("empty", json!({})));
    tokio::time::sleep(2 * RESYNC).await;
    assert_eq!(planes.writes().len(), 0);
}
