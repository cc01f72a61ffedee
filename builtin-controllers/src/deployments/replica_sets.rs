//! A deployment's replica sets: names, templates, revisions.

use crate::access::{number, text};
use crate::hash;
use serde_json::{Value, json};

pub(super) const HASH_LABEL: &str = "pod-template-hash";
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that its replica sets do not get.
const OWN_ANNOTATIONS: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

/// Wanted replicas.
pub(super) fn replicas(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}

/// One count of a status.
pub(super) fn counted(object: &Value, field: &str) -> i64 {
    object["status"][field].as_i64().unwrap_or(0)
}

/// The text of an annotation; empty when it is not there.
pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key].as_str().unwrap_or("")
}

/// The revision of a replica set; 0 when it has none.
pub(super) fn revision(object: &Value) -> i64 {
    annotation(object, REVISION).parse().unwrap_or(0)
}

/// A pod template without what the controller added and what says nothing.
fn bare_template(template: &Value) -> Value {
    let mut bare = template.clone();
    if let Some(labels) = bare["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH_LABEL);
    }
    strip(&mut bare);
    bare
}

/// Removes nulls and empty maps of metadata, which writers send or leave out as they like.
fn strip(value: &mut Value) {
    let Some(fields) = value.as_object_mut() else { return };
    fields.retain(|_, value| !value.is_null());
    if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()));
    }
}

/// The index of the replica set that has the deployment's template; of several the oldest.
/// `sets` are in order of creation.
pub(super) fn find_new(deployment: &Value, sets: &[Value]) -> Option<usize> {
    let wanted = bare_template(&deployment["spec"]["template"]);
    sets.iter().position(|set| bare_template(&set["spec"]["template"]) == wanted)
}

/// The hash in names and labels: of the template and the count of collisions.
fn template_hash(deployment: &Value) -> String {
    let collisions = deployment["status"]["collisionCount"].as_i64().unwrap_or(0);
    // Maps of `serde_json` are in order of keys: equal templates print alike.
    hash::short(&format!("{}{collisions}", bare_template(&deployment["spec"]["template"])), 10)
}

/// A new replica set for the deployment's template.
pub(super) fn new_replica_set(deployment: &Value, replicas: i64) -> Value {
    let hash = template_hash(deployment);
    let mut template = deployment["spec"]["template"].clone();
    if !template["metadata"].is_object() {
        template["metadata"] = json!({});
    }
    template["metadata"]["labels"][HASH_LABEL] = hash.as_str().into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH_LABEL] = hash.as_str().into();
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", text(deployment, "/metadata/name")),
            "namespace": deployment["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [crate::claims::controller_reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    if let Some(seconds) = number(deployment, "/spec/minReadySeconds").filter(|seconds| *seconds > 0) {
        set["spec"]["minReadySeconds"] = seconds.into();
    }
    set
}

/// True when another object of the name is this deployment's replica set for its template: one that the cache
/// did not show yet. Else the name is taken, and the count of collisions must grow.
pub(super) fn is_same(deployment: &Value, found: &Value) -> bool {
    let owners = found["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let owned = owners
        .iter()
        .any(|owner| owner["controller"] == true && owner["uid"] == deployment["metadata"]["uid"]);
    owned && find_new(deployment, std::slice::from_ref(found)).is_some()
}

/// Brings the annotations and `minReadySeconds` of the new replica set up to date: those of the deployment, and
/// a revision above that of every old one.
pub(super) fn update_new(deployment: &Value, set: &mut Value, newest_old_revision: i64) {
    if !set["metadata"]["annotations"].is_object() {
        set["metadata"]["annotations"] = json!({});
    }
    for (key, value) in deployment["metadata"]["annotations"].as_object().into_iter().flatten() {
        if !OWN_ANNOTATIONS.contains(&key.as_str()) {
            set["metadata"]["annotations"][key] = value.clone();
        }
    }
    let (known, wanted) = (revision(set), newest_old_revision + 1);
    if known < wanted {
        if known > 0 {
            let history = annotation(set, REVISION_HISTORY);
            let history = if history.is_empty() { known.to_string() } else { format!("{history},{known}") };
            set["metadata"]["annotations"][REVISION_HISTORY] = history.into();
        }
        set["metadata"]["annotations"][REVISION] = wanted.to_string().into();
    }
    let seconds = number(deployment, "/spec/minReadySeconds").unwrap_or(0);
    if number(set, "/spec/minReadySeconds").unwrap_or(0) != seconds {
        set["spec"]["minReadySeconds"] = seconds.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(image: &str) -> Value {
        json!({"metadata": {"name": "web", "uid": "d", "annotations": {"note": "x", REVISION: "7"}},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"creationTimestamp": null, "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": image}]}}}})
    }

    #[test]
    fn a_new_set_is_found_by_its_template_again() {
        let (a, b) = (new_replica_set(&deployment("a"), 1), new_replica_set(&deployment("b"), 1));
        assert_ne!(a["metadata"]["name"], b["metadata"]["name"]);
        assert_eq!(find_new(&deployment("b"), &[a.clone(), b.clone()]), Some(1));
        assert_eq!(find_new(&deployment("c"), &[a.clone(), b]), None);
        assert_eq!(a["spec"]["selector"]["matchLabels"][HASH_LABEL], a["metadata"]["labels"][HASH_LABEL]);
        assert!(is_same(&deployment("a"), &a) && !is_same(&deployment("b"), &a));
        let mut collided = deployment("a");
        collided["status"]["collisionCount"] = 1.into();
        assert_ne!(new_replica_set(&collided, 1)["metadata"]["name"], a["metadata"]["name"]);
    }

    #[test]
    fn a_set_used_again_gets_a_new_revision_and_remembers_the_old() {
        let mut set = new_replica_set(&deployment("a"), 1);
        update_new(&deployment("a"), &mut set, 0);
        assert_eq!((revision(&set), annotation(&set, "note")), (1, "x"));
        update_new(&deployment("a"), &mut set, 2);
        assert_eq!((revision(&set), annotation(&set, REVISION_HISTORY)), (3, "1"));
        update_new(&deployment("a"), &mut set, 2);
        assert_eq!(revision(&set), 3);
    }
}
