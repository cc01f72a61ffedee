//! Priority classes, and what every plane has from the start.

use crate::harness::{Installation, text};
use serde_json::{Value, json};

const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn class(name: &str, value: i64, is_default: bool) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "globalDefault": is_default})
}

#[tokio::test]
async fn only_one_class_is_the_default_one() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(CLASSES, &class("first", 5, true)).await.expect_code(201);
    acme.post(CLASSES, &class("other", 9, false)).await.expect_code(201);
    let why = "PriorityClass first is already marked as default. Only one default can exist";
    let refused = |name: &str| format!("priorityclasses.scheduling.k8s.io {name:?} is forbidden: {why}");

    let second = acme.post(CLASSES, &class("second", 3, true)).await.expect_code(403).json();
    assert_eq!(second["message"], refused("second"));
    let other = format!("{CLASSES}/other");
    let changed = acme.merge(&other, &json!({"globalDefault": true})).await.expect_code(403).json();
    assert_eq!(changed["message"], refused("other"));
    // The one that is may be changed.
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    acme.merge(&format!("{CLASSES}/first"), &labels).await.expect_code(200);

    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let pod = acme.post(PODS, &pod).await.expect_code(201).json();
    assert_eq!((text(&pod["spec"]["priorityClassName"]), &pod["spec"]["priority"]), ("first", &json!(5)));
}

#[tokio::test]
async fn what_every_plane_has_is_of_some_age_and_system_classes_stay() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    for path in [
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin",
        "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
    ] {
        let shared = acme.get(path).await.expect_code(200).json();
        let since = text(&shared["metadata"]["creationTimestamp"]);
        assert!(since.parse::<jiff::Timestamp>().is_ok(), "{path}: {since}");
    }
    let service = acme.get("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps").await.json();
    assert_eq!(
        service["status"]["conditions"][0]["lastTransitionTime"],
        service["metadata"]["creationTimestamp"]
    );

    let path = format!("{CLASSES}/system-node-critical");
    let kept = acme.delete(&path).await.expect_code(403).json();
    assert!(
        text(&kept["message"]).ends_with("this is a system priority class and cannot be deleted"),
        "{kept}"
    );
    acme.get(&path).await.expect_code(200);
}

#[tokio::test]
async fn a_volume_tells_since_when_it_has_its_phase() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"},
        "claimRef": {"namespace": "default", "name": "c"}}});
    let volumes = "/api/v1/persistentvolumes";
    let made = acme.post(volumes, &volume).await.expect_code(201).json();
    // The claim is owned field by field, although references are owned as one elsewhere.
    let owned = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:claimRef"];
    assert_eq!(*owned, json!({".": {}, "f:name": {}, "f:namespace": {}}));

    let path = format!("{volumes}/v/status");
    for (status, expected) in [
        (
            json!({"phase": "Bound", "lastPhaseTransitionTime": "2026-01-02T03:04:05Z"}),
            "2026-01-02T03:04:05Z",
        ),
        (json!({"phase": "Bound", "lastPhaseTransitionTime": null}), "2026-01-02T03:04:05Z"),
    ] {
        let bound = acme.merge(&path, &json!({"status": status})).await.expect_code(200).json();
        assert_eq!(bound["status"]["lastPhaseTransitionTime"], expected, "{status}");
    }
    let released = acme.merge(&path, &json!({"status": {"phase": "Released"}})).await.expect_code(200).json();
    let since: jiff::Timestamp = text(&released["status"]["lastPhaseTransitionTime"]).parse().unwrap();
    let made_at: jiff::Timestamp = text(&made["metadata"]["creationTimestamp"]).parse().unwrap();
    assert!(since >= made_at, "{released}");
}
