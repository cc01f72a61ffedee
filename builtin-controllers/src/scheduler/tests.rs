use super::*;
use crate::access::elements;
use crate::conditions;
use crate::resources::{EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use plane_client::fake::FakePlanes;
use serde_json::{Value, json};

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn pod(name: &str, cpu: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {"phase": "Pending"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
}

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"}}})
}

fn on(node: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |pod| pod.is_some_and(|pod| pod["spec"]["nodeName"] == node)
}

/// It waits, and says why.
fn says(what: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |pod| {
        let found = pod.and_then(|pod| conditions::find(elements(pod, "/status/conditions"), "PodScheduled"));
        found.is_some_and(|found| found["reason"] == "Unschedulable" && found["message"] == what)
    }
}

struct Story {
    planes: FakePlanes,
}

impl Story {
    fn begin() -> Story {
        let planes = FakePlanes::new();
        tokio::spawn(Scheduler::new(planes.client(), TENANT).run(Shutdown::new()));
        Story { planes }
    }

    fn put(&self, object: Value) {
        self.planes.put(TENANT, object);
    }

    fn find(&self, name: &str) -> Option<Value> {
        self.planes.find(TENANT, &PODS.group_resource(), "default", name)
    }

    async fn until(&self, name: &str, holds: impl Fn(Option<&Value>) -> bool) {
        self.planes.wait_for(TENANT, &PODS.group_resource(), "default", name, holds).await;
    }

    async fn told(&self, reason: &str, message: &str) {
        let find = |planes: &FakePlanes| {
            let all = planes.all(TENANT, &EVENTS.group_resource(), "default");
            all.iter().any(|event| event["reason"] == reason && event["message"] == message)
        };
        self.planes.wait_until(message, find).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_placed_one_after_the_other_and_wait_for_room() {
    let story = Story::begin();
    story.put(pod("a", "2"));
    story.until("a", says("no nodes available to schedule pods")).await;
    story.put(node("n"));
    story.until("a", on("n")).await;
    story.told("Scheduled", "Successfully assigned default/a to n").await;
    story.put(pod("b", "1"));
    let why = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    story.until("b", says(why)).await;
    story.told("FailedScheduling", why).await;
    let mut ended = story.find("a").unwrap();
    ended["status"]["phase"] = "Succeeded".into();
    story.put(ended);
    story.until("b", on("n")).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_scheduler_or_a_gate_holds_is_left_alone() {
    let story = Story::begin();
    story.put(node("n"));
    let (mut gated, mut other) = (pod("gated", "1"), pod("other", "1"));
    gated["spec"]["schedulingGates"] = json!([{"name": "x.dev/wait"}]);
    other["spec"]["schedulerName"] = "other".into();
    story.put(other);
    story.put(gated);
    story.put(pod("last", "100m"));
    story.until("last", on("n")).await;
    let mut gated = story.find("gated").unwrap();
    assert!(gated["spec"]["nodeName"].is_null());
    gated["spec"]["schedulingGates"] = json!([]);
    story.put(gated);
    story.until("gated", on("n")).await;
    assert!(story.find("other").unwrap()["spec"]["nodeName"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_more_important_pod_takes_the_place_of_another() {
    let story = Story::begin();
    story.put(node("n"));
    story.put(pod("low", "2"));
    story.until("low", on("n")).await;
    // Its kubelet lets it end by and by.
    let mut low = story.find("low").unwrap();
    low["metadata"]["finalizers"] = json!(["test/kubelet"]);
    story.put(low);
    let mut high = pod("high", "2");
    high["spec"]["priority"] = 1000.into();
    story.put(high);
    let is_promised = |pod: Option<&Value>| pod.is_some_and(|pod| pod["status"]["nominatedNodeName"] == "n");
    story.until("high", is_promised).await;
    let is_going =
        |pod: Option<&Value>| pod.is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_string());
    story.until("low", is_going).await;
    let low = story.find("low").unwrap();
    let target = conditions::find(elements(&low, "/status/conditions"), "DisruptionTarget").unwrap();
    assert_eq!(
        (&target["reason"], &target["message"]),
        (
            &json!("PreemptionByScheduler"),
            &json!("default-scheduler: preempting to accommodate a higher priority pod")
        )
    );
    let uid = story.find("high").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    story.told("Preempted", &format!("Preempted by pod {uid} on node n")).await;
    // Whoever is less important does not take the room that was made.
    let mut low = low;
    low["metadata"]["finalizers"] = json!([]);
    story.put(low);
    story.planes.remove(TENANT, &PODS.group_resource(), "default", "low");
    story.put(pod("late", "1"));
    story.until("high", on("n")).await;
    let why = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    story.until("late", says(why)).await;
}

#[tokio::test(start_paused = true)]
async fn claims_that_wait_for_a_node_are_bound_before_their_pod() {
    let story = Story::begin();
    story.put(node("n"));
    story
        .put(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "slow"},
        "provisioner": "test.dev/disks", "volumeBindingMode": "WaitForFirstConsumer"}));
    let claim = |name: &str, class: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
            "spec": {"storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let user = |name: &str| {
        let mut user = pod(name, "100m");
        user["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": name}}]);
        user
    };
    story.put(user("made"));
    let after = "not found";
    let why = format!("0/1 nodes are available: persistentvolumeclaim \"made\" not found. {after}");
    story.until("made", says(why.leak())).await;
    story.put(claim("made", "slow"));
    let claims = PERSISTENT_VOLUME_CLAIMS.group_resource();
    let is_chosen = |claim: Option<&Value>| {
        claim.is_some_and(|c| c["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "n")
    };
    story.planes.wait_for(TENANT, &claims, "default", "made", is_chosen).await;
    assert!(story.find("made").unwrap()["spec"]["nodeName"].is_null());
    let mut made = story.planes.find(TENANT, &claims, "default", "made").unwrap();
    made["spec"]["volumeName"] = "pv".into();
    made["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
    story.put(made);
    story.until("made", on("n")).await;

    story.put(claim("there", "slow"));
    story.put(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "free"},
        "spec": {"capacity": {"storage": "1Gi"}, "storageClassName": "slow"}, "status": {"phase": "Available"}}));
    story.put(user("there"));
    let is_claimed =
        |volume: Option<&Value>| volume.is_some_and(|volume| volume["spec"]["claimRef"]["name"] == "there");
    story.planes.wait_for(TENANT, &PERSISTENT_VOLUMES.group_resource(), "", "free", is_claimed).await;

    story.put(claim("soon", "other"));
    story.put(user("soon"));
    let why = format!("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {after}");
    story.until("soon", says(why.leak())).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_spread_and_fills_no_node_beyond_its_room() {
    let story = Story::begin();
    for index in 0..10 {
        story.put(node(&format!("n{index}")));
    }
    for index in 0..45 {
        story.put(pod(&format!("p{index}"), "500m"));
    }
    let placed = |planes: &FakePlanes| {
        let pods = planes.all(TENANT, &PODS.group_resource(), "default");
        let mut by_node = std::collections::BTreeMap::new();
        for node in pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()) {
            *by_node.entry(node.to_owned()).or_insert(0) += 1;
        }
        by_node
    };
    story.planes.wait_until("all but five", |planes| placed(planes).values().sum::<i32>() == 40).await;
    assert!(placed(&story.planes).values().all(|count| *count == 4));
    story.told("FailedScheduling", "0/10 nodes are available: 10 Insufficient cpu. no new claims to deallocate, preemption: 0/10 nodes are available: 10 No preemption victims found for incoming pod.").await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_told() {
    let (planes, shutdown) = (FakePlanes::new(), Shutdown::new());
    let running = tokio::spawn(keep_running(planes.client(), TENANT, shutdown.clone()));
    planes.put(TENANT, node("n"));
    planes.put(TENANT, pod("a", "1"));
    planes.wait_for(TENANT, &PODS.group_resource(), "default", "a", on("n")).await;
    shutdown.trigger();
    running.await.unwrap();
}
