//! Claims and volumes on the fake.

use super::*;
use plane_client::fake::FakePlanes;
use plane_client::{Actor, Controller, Resource, Target, Write};
use service_runtime::Shutdown;

const PLANE: TenantId = TenantId::LOCAL_SUPER;

fn start() -> FakePlanes {
    let planes = FakePlanes::new();
    for (name, mode, provisioner) in [
        ("now", "Immediate", PROVISIONER),
        ("late", "WaitForFirstConsumer", PROVISIONER),
        ("theirs", "Immediate", "example.com/disks"),
    ] {
        planes.put(
            PLANE,
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": provisioner, "reclaimPolicy": "Delete", "volumeBindingMode": mode}),
        );
    }
    let volumes = Arc::new(Volumes::new(planes.client(), PLANE));
    tokio::spawn(Controller::new(planes.client(), volumes, 4).run(Shutdown::new()));
    planes
}

fn claim(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "5Gi"}}}})
}

fn volume(name: &str, size: &str, policy: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/x"},
            "persistentVolumeReclaimPolicy": policy}})
}

async fn phase(planes: &FakePlanes, resource: &Resource, name: &str, phase: &str) -> Value {
    let namespace = if *resource == CLAIMS { "default" } else { "" };
    let is = |object: Option<&Value>| object.is_some_and(|object| object["status"]["phase"] == phase);
    planes.wait_for(PLANE, &resource.group_resource(), namespace, name, is).await.unwrap()
}

async fn told(planes: &FakePlanes, claim: &str, reason: &str) -> String {
    let events = crate::resources::EVENTS.group_resource();
    let said = |planes: &FakePlanes| {
        let all = planes.all(PLANE, &events, "default");
        let found = all
            .into_iter()
            .find(|event| event["reason"] == reason && event["involvedObject"]["name"] == claim);
        found.map(|event| text(&event, "/message").to_owned())
    };
    planes.wait_until(reason, |planes| said(planes).is_some()).await;
    said(planes).unwrap()
}

async fn delete(planes: &FakePlanes, claim: &str) {
    let target = Target::new(PLANE, &CLAIMS, "default", claim);
    planes
        .client()
        .write(&Actor::Platform("admin"), &target, Write::Delete(Delete::default()))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_gets_a_volume_of_its_class_which_goes_with_it_and_grows() {
    let planes = start();
    planes.put(PLANE, claim("data", "now"));
    let bound = phase(&planes, &CLAIMS, "data", "Bound").await;
    let name = text(&bound, "/spec/volumeName").to_owned();
    assert_eq!(name, format!("pvc-{}", text(&bound, "/metadata/uid")));
    assert_eq!(
        (&bound["status"]["capacity"]["storage"], &bound["status"]["accessModes"]),
        (&json!("5Gi"), &json!(["ReadWriteOnce"]))
    );
    phase(&planes, &PERSISTENT_VOLUMES, &name, "Bound").await;
    assert!(told(&planes, "data", "ProvisioningSucceeded").await.ends_with(&name));
    let mut more = bound.clone();
    more["spec"]["resources"]["requests"]["storage"] = "8Gi".into();
    planes.put(PLANE, more);
    let has =
        |claim: Option<&Value>| claim.is_some_and(|claim| claim["status"]["capacity"]["storage"] == "8Gi");
    planes.wait_for(PLANE, &CLAIMS.group_resource(), "default", "data", has).await;
    let of = |planes: &FakePlanes| planes.find(PLANE, &PERSISTENT_VOLUMES.group_resource(), "", &name);
    assert_eq!(of(&planes).unwrap()["spec"]["capacity"]["storage"], "8Gi");
    delete(&planes, "data").await;
    planes.wait_until("it is deleted", |planes| of(planes).is_none_or(|volume| is_deleting(&volume))).await;
}

#[tokio::test(start_paused = true)]
async fn a_class_that_waits_makes_a_volume_once_a_node_is_chosen() {
    let planes = start();
    planes.put(PLANE, claim("data", "late"));
    assert_eq!(told(&planes, "data", "WaitForFirstConsumer").await, WAITS);
    assert!(planes.all(PLANE, &PERSISTENT_VOLUMES.group_resource(), "").is_empty());
    let mut chosen = phase(&planes, &CLAIMS, "data", "Pending").await;
    chosen["metadata"]["annotations"][SELECTED_NODE] = "sim-0".into();
    planes.put(PLANE, chosen);
    phase(&planes, &CLAIMS, "data", "Bound").await;
}

#[tokio::test(start_paused = true)]
async fn volumes_that_are_there_are_taken_once_and_kept_or_not_as_they_say() {
    let planes = start();
    for (name, size, policy) in
        [("keep", "6Gi", "Retain"), ("fail", "7Gi", "Delete"), ("small", "1Gi", "Retain")]
    {
        planes.put(PLANE, volume(name, size, policy));
        phase(&planes, &PERSISTENT_VOLUMES, name, "Available").await;
    }
    let mut owners = HashSet::new();
    for name in ["a", "b", "c"] {
        planes.put(PLANE, claim(name, ""));
    }
    planes
        .wait_until("two", |planes| {
            let all = planes.all(PLANE, &CLAIMS.group_resource(), "default");
            all.iter().filter(|claim| claim["status"]["phase"] == "Bound").count() == 2
        })
        .await;
    let all = planes.all(PLANE, &CLAIMS.group_resource(), "default");
    for claim in all.iter().filter(|claim| claim["status"]["phase"] == "Bound") {
        owners.insert((text(claim, "/spec/volumeName").to_owned(), text(claim, "/metadata/name").to_owned()));
    }
    let volumes: HashSet<&str> = owners.iter().map(|(volume, _)| volume.as_str()).collect();
    assert_eq!(volumes, HashSet::from(["keep", "fail"]));
    let third =
        ["a", "b", "c"].into_iter().find(|name| owners.iter().all(|(_, claim)| claim != name)).unwrap();
    assert_eq!(told(&planes, third, "FailedBinding").await, NO_CLASS);
    for (_, claim) in &owners {
        delete(&planes, claim).await;
    }
    phase(&planes, &PERSISTENT_VOLUMES, "keep", "Released").await;
    let failed = phase(&planes, &PERSISTENT_VOLUMES, "fail", "Failed").await;
    assert_eq!(failed["status"]["message"], "no deletable volume plugin matched");
    planes.put(PLANE, volume("late", "9Gi", "Retain"));
    phase(&planes, &CLAIMS, third, "Bound").await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_is_told() {
    let planes = start();
    planes.put(PLANE, claim("unknown", "nothing"));
    let message = told(&planes, "unknown", "ProvisioningFailed").await;
    assert_eq!(message, "storageclass.storage.k8s.io \"nothing\" not found");
    planes.put(PLANE, claim("theirs", "theirs"));
    assert!(told(&planes, "theirs", "ExternalProvisioning").await.contains("'example.com/disks'"));
    let mut snapshot = claim("snapshot", "now");
    snapshot["spec"]["dataSource"] = json!({"kind": "VolumeSnapshot", "name": "s"});
    planes.put(PLANE, snapshot);
    assert!(told(&planes, "snapshot", "ProvisioningFailed").await.contains("have no snapshots"));
    let mut named = claim("named", "");
    named["spec"]["volumeName"] = "small".into();
    planes.put(PLANE, volume("small", "1Gi", "Retain"));
    planes.put(PLANE, named);
    let message = told(&planes, "named", "VolumeMismatch").await;
    assert_eq!(message, "Cannot bind to requested volume \"small\": requested PV is too small");
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_volume_goes_is_lost() {
    let planes = start();
    planes.put(PLANE, claim("data", "now"));
    let bound = phase(&planes, &CLAIMS, "data", "Bound").await;
    planes.remove(PLANE, &PERSISTENT_VOLUMES.group_resource(), "", text(&bound, "/spec/volumeName"));
    phase(&planes, &CLAIMS, "data", "Lost").await;
    assert!(
        told(&planes, "data", "ClaimLost").await.starts_with("Bound claim has lost its PersistentVolume")
    );
}
