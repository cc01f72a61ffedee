use super::*;
use crate::resources::{CONTROLLER_REVISIONS, EVENTS};
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use serde_json::json;
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn stateful_set(spec: Value) -> Value {
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "1"}]}}}});
    for (field, value) in spec.as_object().unwrap() {
        set["spec"][field] = value.clone();
    }
    set
}

fn start(set: Value) -> FakePlanes {
    let planes = FakePlanes::new();
    planes.put(TENANT, set);
    let controller = Controller::new(planes.client(), Arc::new(StatefulSets::new(planes.client())), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    planes
}

fn names(planes: &FakePlanes) -> Vec<String> {
    let pods = planes.all(TENANT, &PODS.group_resource(), "default");
    pods.iter().map(|pod| text(pod, "/metadata/name").to_owned()).collect()
}

/// Waits for a pod of an image, and makes it ready.
async fn comes_up(planes: &FakePlanes, name: &str, image: &str) -> Value {
    let is_new = |pod: Option<&Value>| {
        pod.is_some_and(|pod| pod["spec"]["containers"][0]["image"] == image && !is_deleting(pod))
    };
    let found = planes.wait_for(TENANT, &PODS.group_resource(), "default", name, is_new).await;
    let mut pod = found.unwrap();
    pod["status"] = json!({"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    planes.put(TENANT, pod.clone());
    pod
}

async fn status(planes: &FakePlanes, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let resource = STATEFUL_SETS.group_resource();
    planes
        .wait_until(what, |planes| {
            planes.find(TENANT, &resource, "default", "db").is_some_and(|set| holds(&set["status"]))
        })
        .await;
    planes.find(TENANT, &resource, "default", "db").unwrap()
}

fn revisions(planes: &FakePlanes) -> Vec<Value> {
    planes.all(TENANT, &CONTROLLER_REVISIONS.group_resource(), "default")
}

async fn roll(planes: &FakePlanes, image: &str) {
    let mut set = planes.find(TENANT, &STATEFUL_SETS.group_resource(), "default", "db").unwrap();
    set["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    planes.put(TENANT, set);
    for name in ["db-1", "db-0"] {
        comes_up(planes, name, image).await;
    }
    status(planes, "the update is done", |status| {
        status["currentRevision"] == status["updateRevision"] && status["updatedReplicas"] == 2
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn comes_up_in_order_updates_rolls_back_and_shrinks() {
    let planes = start(stateful_set(json!({})));
    let first = comes_up(&planes, "db-0", "1").await;
    assert_eq!(first["metadata"]["labels"][identity::POD_INDEX], "0");
    assert_eq!(first["metadata"]["generateName"], "db-");
    comes_up(&planes, "db-1", "1").await;
    let set = status(&planes, "all are ready", |status| status["availableReplicas"] == 2).await;
    let original = set["status"]["currentRevision"].clone();
    assert_eq!(first["metadata"]["labels"][identity::REVISION], original);
    roll(&planes, "2").await;
    roll(&planes, "1").await;
    let set = status(&planes, "the first revision", |status| status["currentRevision"] == original).await;
    let mut numbers: Vec<i64> = revisions(&planes).iter().map(|r| r["revision"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3], "the first revision is the newest again");
    let mut smaller = set;
    smaller["spec"]["replicas"] = 1.into();
    planes.put(TENANT, smaller);
    planes.wait_until("one pod", |planes| names(planes) == ["db-0"]).await;
    planes
        .wait_until("events", |planes| {
            let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
            let said = |reason: &str, message: &str| {
                events.iter().any(|event| event["reason"] == reason && event["message"] == message)
            };
            said("SuccessfulCreate", "Create Pod db-0 in StatefulSet db successful")
                && said("SuccessfulDelete", "Delete Pod db-1 in StatefulSet db successful")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn revisions_beyond_the_limit_go() {
    let planes = start(stateful_set(json!({"revisionHistoryLimit": 1})));
    for name in ["db-0", "db-1"] {
        comes_up(&planes, name, "1").await;
    }
    for image in ["2", "3"] {
        roll(&planes, image).await;
    }
    planes.wait_until("two are left", |planes| revisions(planes).len() == 2).await;
    assert!(revisions(&planes).iter().all(|revision| revision["revision"].as_i64() > Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_a_collision() {
    let planes = FakePlanes::new();
    let set = stateful_set(json!({}));
    planes.put(TENANT, set.clone());
    let owner = planes.find(TENANT, &STATEFUL_SETS.group_resource(), "default", "db").unwrap();
    let controller = Arc::new(StatefulSets::new(planes.client()));
    let key = ObjectName::new("default", "db");
    let selector = Selector::parse(&owner["spec"]["selector"]).unwrap();
    let made = controller.revisions_of(TENANT, &owner, &selector).await.unwrap().unwrap();
    let mut other = made.all[0].clone();
    other["data"] = json!({"spec": {"template": {}}});
    other["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true}]);
    planes.put(TENANT, other);
    controller.reconcile(TENANT, &key).await.unwrap();
    let found = status(&planes, "it is counted", |status| status["collisionCount"] == 1).await;
    assert_ne!(found["status"]["updateRevision"], made.update.name.as_str());
    assert_eq!(names(&planes), ["db-0"]);
}

#[tokio::test(start_paused = true)]
async fn pods_of_its_names_are_adopted_and_others_left_alone() {
    let planes = FakePlanes::new();
    let stray = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "db"}},
            "spec": {"containers": [{"name": "c", "image": "1"}]}})
    };
    for name in ["db-0", "db-x"] {
        planes.put(TENANT, stray(name));
    }
    planes.put(
        TENANT,
        stateful_set(json!({"replicas": 1, "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"}})),
    );
    let controller = Controller::new(planes.client(), Arc::new(StatefulSets::new(planes.client())), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    let pods = PODS.group_resource();
    let has_owner = |pod: Option<&Value>| !pod.unwrap()["metadata"]["ownerReferences"][0].is_null();
    let is_repaired = |pod: Option<&Value>| {
        has_owner(pod) && pod.unwrap()["metadata"]["labels"][identity::POD_NAME] == "db-0"
    };
    let mut adopted = planes.wait_for(TENANT, &pods, "default", "db-0", is_repaired).await.unwrap();
    assert!(!has_owner(planes.find(TENANT, &pods, "default", "db-x").as_ref()));
    adopted["metadata"]["labels"]["app"] = "other".into();
    planes.put(TENANT, adopted);
    planes.wait_for(TENANT, &pods, "default", "db-0", |pod| !has_owner(pod)).await;
}

#[tokio::test(start_paused = true)]
async fn claims_are_made_first_kept_and_go_as_the_policy_says() {
    let templates = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]);
    let policy = json!({"whenDeleted": "Retain", "whenScaled": "Delete"});
    let planes = start(stateful_set(json!({"replicas": 1, "volumeClaimTemplates": templates,
        "persistentVolumeClaimRetentionPolicy": policy})));
    let pod = comes_up(&planes, "db-0", "1").await;
    let claims = PERSISTENT_VOLUME_CLAIMS.group_resource();
    let claim = planes.find(TENANT, &claims, "default", "data-db-0").unwrap();
    assert_eq!(claim["metadata"]["labels"]["app"], "db");
    assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-db-0");
    let created =
        planes.writes().into_iter().filter(|write| matches!(write.write, plane_client::Write::Create(_)));
    let order: Vec<String> = created.map(|write| write.target.resource.resource.to_string()).collect();
    let place = |kind: &str| order.iter().position(|resource| resource == kind);
    assert!(place("persistentvolumeclaims") < place("pods"), "{order:?}");
    let mut set = status(&planes, "it is ready", |status| status["readyReplicas"] == 1).await;
    set["spec"]["replicas"] = 0.into();
    planes.put(TENANT, set);
    planes.wait_until("the pod goes", |planes| names(planes).is_empty()).await;
    let claim = planes.find(TENANT, &claims, "default", "data-db-0").unwrap();
    assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], pod["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_refused_is_told_and_tried_again() {
    let planes = FakePlanes::new();
    planes.refuse(|_, target, _| {
        (target.resource == PODS)
            .then(|| ApiError::forbidden(&PODS.group_resource(), "db-0", "exceeded quota: q"))
    });
    planes.put(TENANT, stateful_set(json!({"replicas": 1})));
    let controller = Controller::new(planes.client(), Arc::new(StatefulSets::new(planes.client())), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    planes
        .wait_until("the event", |planes| {
            let events = planes.all(TENANT, &EVENTS.group_resource(), "default");
            events.iter().any(|event| {
                event["reason"] == "FailedCreate" && text(event, "/message").contains("exceeded quota")
            })
        })
        .await;
    planes.refuse(|_, _, _| None);
    comes_up(&planes, "db-0", "1").await;
    status(&planes, "it is counted", |status| status["readyReplicas"] == 1).await;
    planes.forget_writes();
    let mut pod = planes.find(TENANT, &PODS.group_resource(), "default", "db-0").unwrap();
    pod["metadata"]["annotations"]["x"] = "y".into();
    planes.put(TENANT, pod);
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    let idle = |write: &plane_client::fake::Recorded| write.target.resource == EVENTS;
    assert!(planes.writes().iter().all(idle), "nothing is left to do: {:?}", planes.writes());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_waits_for_its_end_still_tells_how_it_is() {
    let mut set = stateful_set(json!({"replicas": 1}));
    set["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    let planes = start(set);
    comes_up(&planes, "db-0", "1").await;
    let mut set = status(&planes, "it is ready", |status| status["currentReplicas"] == 1).await;
    for revision in revisions(&planes) {
        let name = text(&revision, "/metadata/name");
        planes.remove(TENANT, &CONTROLLER_REVISIONS.group_resource(), "default", name);
    }
    set["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    planes.put(TENANT, set.clone());
    planes.remove(TENANT, &PODS.group_resource(), "default", "db-0");
    let told = status(&planes, "it has no pods", |status| status["replicas"] == 0).await;
    assert_eq!(told["status"]["currentRevision"], set["status"]["currentRevision"]);
    assert!(revisions(&planes).is_empty() && names(&planes).is_empty(), "nothing is made any more");
}
