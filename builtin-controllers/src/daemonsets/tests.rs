use super::*;
use crate::resources::EVENTS;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use serde_json::json;
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn daemon_set(rolling: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "revisionHistoryLimit": 1,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "c", "image": "1"}]}}}})
}

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}})
}

fn start(nodes: &[&str], rolling: Value) -> FakePlanes {
    let planes = FakePlanes::new();
    for name in nodes {
        planes.put(TENANT, node(name));
    }
    planes.put(TENANT, daemon_set(rolling));
    let controller = Controller::new(planes.client(), Arc::new(DaemonSets::new(planes.client())), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    planes
}

/// Node and image of each live pod, sorted.
fn pods(planes: &FakePlanes) -> Vec<String> {
    let all = planes.all(TENANT, &PODS.group_resource(), "default");
    let mut said: Vec<String> = all
        .iter()
        .filter(|pod| !is_deleting(pod))
        .map(|pod| {
            let node = placing::target(pod).unwrap_or("none");
            format!("{node}:{}", text(pod, "/spec/containers/0/image"))
        })
        .collect();
    said.sort();
    said
}

fn set_phase(planes: &FakePlanes, mut pod: Value, phase: &str) {
    pod["spec"]["nodeName"] = placing::target(&pod).unwrap().into();
    pod["status"] = json!({"phase": phase, "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    planes.put(TENANT, pod);
}

/// What a kubelet does: pods run that are to, and those that are being deleted end. True when there was any.
fn run_pods(planes: &FakePlanes) -> bool {
    let mut worked = false;
    for pod in planes.all(TENANT, &PODS.group_resource(), "default") {
        if is_deleting(&pod) {
            planes.remove(TENANT, &PODS.group_resource(), "default", text(&pod, "/metadata/name"));
        } else if pod["status"]["phase"] == "Pending" {
            set_phase(planes, pod, "Running");
        } else {
            continue;
        }
        worked = true;
    }
    worked
}

/// Runs pods as they come until they are these.
async fn run_until(planes: &FakePlanes, expected: &[&str]) {
    planes.wait_until("the pods", |planes| !run_pods(planes) && pods(planes) == expected).await;
}

async fn status(planes: &FakePlanes, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let resource = DAEMON_SETS.group_resource();
    let found = |planes: &FakePlanes| planes.find(TENANT, &resource, "default", "agent").unwrap();
    planes.wait_until(what, |planes| holds(&found(planes)["status"])).await;
    found(planes)
}

async fn rolls(rolling: Value) {
    let planes = start(&["a", "b"], rolling);
    run_until(&planes, &["a:1", "b:1"]).await;
    for image in ["2", "3", "2"] {
        let mut set = status(&planes, "all are ready", |status| status["numberAvailable"] == 2).await;
        set["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
        set["metadata"]["generation"] = (set["metadata"]["generation"].as_i64().unwrap() + 1).into();
        planes.put(TENANT, set);
        run_until(&planes, &[&format!("a:{image}"), &format!("b:{image}")]).await;
        status(&planes, "they are new", |status| status["updatedNumberScheduled"] == 2).await;
    }
    planes
        .wait_until("the history is short", |planes| {
            let all = planes.all(TENANT, &CONTROLLER_REVISIONS.group_resource(), "default");
            let mut numbers: Vec<i64> = all.iter().map(|r| r["revision"].as_i64().unwrap()).collect();
            numbers.sort_unstable();
            numbers == [3, 4]
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn updates_roll_over_the_nodes_and_keep_a_short_history() {
    rolls(json!({"maxUnavailable": 1, "maxSurge": 0})).await;
}

#[tokio::test(start_paused = true)]
async fn updates_surge_over_the_nodes() {
    rolls(json!({"maxUnavailable": 0, "maxSurge": 1})).await;
}

#[tokio::test(start_paused = true)]
async fn pods_come_and_go_with_nodes_and_heartbeats_cost_nothing() {
    let planes = start(&["a"], json!({"maxUnavailable": 1, "maxSurge": 0}));
    run_until(&planes, &["a:1"]).await;
    planes.put(TENANT, node("b"));
    run_until(&planes, &["a:1", "b:1"]).await;
    status(&planes, "both", |status| status["numberReady"] == 2).await;
    let mut tainted = node("b");
    tainted["spec"]["taints"] = json!([{"key": "x", "effect": "NoExecute"}]);
    planes.put(TENANT, tainted.clone());
    planes.wait_until("it goes", |planes| pods(planes) == ["a:1"]).await;
    status(&planes, "one", |status| status["desiredNumberScheduled"] == 1).await;
    planes
        .wait_until("events", |planes| {
            let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
            ["SuccessfulCreate", "SuccessfulDelete"]
                .iter()
                .all(|reason| events.iter().any(|event| event["reason"] == *reason))
        })
        .await;
    tokio::time::advance(Duration::from_secs(60)).await;
    planes.forget_writes();
    tainted["status"] =
        json!({"conditions": [{"type": "Ready", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]});
    planes.put(TENANT, tainted);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(planes.writes().len(), 0, "{:?}", planes.writes());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fails_is_replaced_with_a_delay() {
    let planes = start(&["a"], json!({"maxUnavailable": 1, "maxSurge": 0}));
    for wait in [0, 0, 1, 2] {
        let is_new = |planes: &FakePlanes| {
            let all = planes.all(TENANT, &PODS.group_resource(), "default");
            for pod in all.iter().filter(|pod| is_deleting(pod)) {
                planes.remove(TENANT, &PODS.group_resource(), "default", text(pod, "/metadata/name"));
            }
            all.len() == 1 && all[0]["status"]["phase"] == "Pending"
        };
        let started = tokio::time::Instant::now();
        planes.wait_until("a pod", is_new).await;
        assert!(
            started.elapsed() >= Duration::from_secs(wait).saturating_sub(Duration::from_millis(100)),
            "{wait}"
        );
        let pod = planes.all(TENANT, &PODS.group_resource(), "default").remove(0);
        set_phase(&planes, pod, "Failed");
    }
    planes
        .wait_until("it is told", |planes| {
            let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
            events.iter().any(|event| event["reason"] == "FailedDaemonPod")
        })
        .await;
}
