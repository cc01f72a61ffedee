//! What of a super pod must follow later changes of the tenant's pod: the mutable fields.

use crate::difference::{contains, merge_patch};
use crate::ownership;
use crate::pods::downward::CONTAINERS;
use crate::translation::{list, text};
use serde_json::{Map, Value, json};

/// The strategic merge patch that brings the mutable fields of `observed` (a super pod) to those of `wanted` (the
/// pod translated anew); `None` when they agree. Kubernetes lets change: labels, annotations, images, the active
/// deadline, tolerations (more of them), scheduling gates (fewer of them).
pub fn patch(observed: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    let (old, new) = (&observed["spec"], &wanted["spec"]);
    let mut spec = Map::new();
    for field in &CONTAINERS[..2] {
        let images: Vec<Value> = list(new, field)
            .iter()
            .filter(|container| {
                let name = text(container, "name");
                let before = list(old, field).iter().find(|c| text(c, "name") == name);
                before.is_some_and(|b| text(b, "image") != text(container, "image"))
            })
            .map(|container| json!({"name": container["name"], "image": container["image"]}))
            .collect();
        if !images.is_empty() {
            spec.insert((*field).into(), images.into());
        }
    }
    if let Some(deadline) = merge_patch(&old["activeDeadlineSeconds"], &new["activeDeadlineSeconds"])
        && !deadline.is_null()
    {
        spec.insert("activeDeadlineSeconds".into(), deadline);
    }
    let more: Vec<Value> = list(new, "tolerations")
        .iter()
        .filter(|t| !tolerated(list(old, "tolerations"), t))
        .cloned()
        .collect();
    if !more.is_empty() {
        // The list is atomic: everything stays and the new ones come after.
        spec.insert("tolerations".into(), list(old, "tolerations").iter().cloned().chain(more).collect());
    }
    let open: Vec<Value> = list(old, "schedulingGates")
        .iter()
        .filter(|gate| !list(new, "schedulingGates").contains(gate))
        .map(|gate| json!({"$patch": "delete", "name": gate["name"]}))
        .collect();
    if !open.is_empty() {
        spec.insert("schedulingGates".into(), open.into());
    }
    if !spec.is_empty() {
        patch.insert("spec".into(), spec.into());
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Fields of a super pod's spec that are looked at: here, when its status goes up, and when it is connected to.
const LOOKED_AT: &[&str] =
    &["activeDeadlineSeconds", "hostNetwork", "nodeName", "schedulingGates", "tolerations"];
/// The same of its metadata.
const LOOKED_AT_IN_METADATA: &[&str] =
    &["annotations", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "labels"];
/// The same of its containers.
const LOOKED_AT_IN_CONTAINERS: &[&str] = &["name", "image", "resources"];

/// Takes out of a super pod what nobody looks at again: most of its spec.
pub fn shrink(pod: &mut Value) {
    if let Some(fields) = pod.as_object_mut() {
        fields.retain(|field, _| matches!(field.as_str(), "metadata" | "spec" | "status"));
    }
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| LOOKED_AT_IN_METADATA.contains(&field.as_str()));
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.retain(|field, _| LOOKED_AT.contains(&field.as_str()) || CONTAINERS.contains(&field.as_str()));
    for field in CONTAINERS {
        for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(fields) = container.as_object_mut() {
                fields.retain(|field, _| LOOKED_AT_IN_CONTAINERS.contains(&field.as_str()));
            }
        }
    }
}

/// Ephemeral containers that the super pod lacks; they are added through their own subresource.
pub fn new_ephemeral_containers(observed: &Value, tenant_pod: &Value) -> Vec<Value> {
    let there = list(&observed["spec"], CONTAINERS[2]);
    let wanted = list(&tenant_pod["spec"], CONTAINERS[2]);
    wanted.iter().filter(|c| !there.iter().any(|t| t["name"] == c["name"])).cloned().collect()
}

/// Resources of containers that changed in place; they are written through the `resize` subresource.
pub fn resized(observed: &Value, wanted: &Value) -> Vec<Value> {
    let (old, new) = (&observed["spec"], &wanted["spec"]);
    list(new, "containers")
        .iter()
        .filter(|container| {
            let before = list(old, "containers").iter().find(|c| c["name"] == container["name"]);
            before.is_some_and(|b| {
                !container["resources"].is_null() && !contains(&b["resources"], &container["resources"])
            })
        })
        .map(|container| json!({"name": container["name"], "resources": container["resources"]}))
        .collect()
}

/// The super cluster may add fields with defaults to a toleration, and tolerations of its own.
fn tolerated(there: &[Value], wanted: &Value) -> bool {
    let same = |a: &Value, b: &Value, field: &str, default: &str| {
        a[field].as_str().unwrap_or(default) == b[field].as_str().unwrap_or(default)
    };
    there.iter().any(|t| {
        same(t, wanted, "key", "")
            && same(t, wanted, "operator", "Equal")
            && same(t, wanted, "value", "")
            && same(t, wanted, "effect", "")
            && t["tolerationSeconds"] == wanted["tolerationSeconds"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"labels": {}, "annotations": {}}, "spec": spec})
    }

    #[test]
    fn only_mutable_fields_are_patched() {
        let base = json!({"containers": [{"name": "a", "image": "1", "terminationMessagePath": "/x"}],
            "schedulingGates": [{"name": "g"}], "tolerations": [{"key": "node", "operator": "Exists"}]});
        let cases = [
            (base.clone(), None),
            (
                json!({"containers": [{"name": "a", "image": "2"}], "schedulingGates": [{"name": "g"}]}),
                Some(json!({"spec": {"containers": [{"name": "a", "image": "2"}]}})),
            ),
            (
                json!({"containers": [{"name": "a", "image": "1"}], "schedulingGates": []}),
                Some(json!({"spec": {"schedulingGates": [{"$patch": "delete", "name": "g"}]}})),
            ),
            (
                json!({"activeDeadlineSeconds": 5, "schedulingGates": [{"name": "g"}]}),
                Some(json!({"spec": {"activeDeadlineSeconds": 5}})),
            ),
            (
                json!({"schedulingGates": [{"name": "g"}], "tolerations": [{"key": "new"}]}),
                Some(
                    json!({"spec": {"tolerations": [{"key": "node", "operator": "Exists"}, {"key": "new"}]}}),
                ),
            ),
        ];
        for (wanted, expected) in cases {
            assert_eq!(patch(&pod(base.clone()), &pod(wanted.clone())), expected, "{wanted}");
            let mut shrunk = pod(base.clone());
            shrink(&mut shrunk);
            assert_eq!(patch(&shrunk, &pod(wanted.clone())), expected, "{wanted}");
        }
    }

    #[test]
    fn what_nobody_looks_at_is_taken_out() {
        let mut whole = json!({"kind": "Pod", "metadata": {"name": "web", "uid": "u", "generation": 2, "labels": {"a": "b"}},
            "status": {"phase": "Running"}, "spec": {
            "nodeName": "n", "volumes": [{"name": "v"}], "dnsPolicy": "None", "tolerations": [{"key": "k"}],
            "containers": [{"name": "a", "image": "1", "env": [{"name": "A"}], "volumeMounts": [{}]}],
            "initContainers": [{"name": "i", "image": "2", "command": ["c"]}],
            "ephemeralContainers": [{"name": "e", "tty": true}]}});
        shrink(&mut whole);
        let expected = json!({"metadata": {"generation": 2, "labels": {"a": "b"}}, "status": {"phase": "Running"}, "spec": {
            "nodeName": "n", "tolerations": [{"key": "k"}], "containers": [{"name": "a", "image": "1"}],
            "initContainers": [{"name": "i", "image": "2"}], "ephemeralContainers": [{"name": "e"}]}});
        assert_eq!(whole, expected);
        shrink(&mut whole);
        assert_eq!(whole, expected);
    }

    #[test]
    fn ephemeral_containers_and_sizes_go_through_subresources() {
        let observed = pod(json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]}));
        let tenant = pod(json!({"ephemeralContainers": [{"name": "debug"}],
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "2"}}}]}));
        assert_eq!(new_ephemeral_containers(&observed, &tenant), [json!({"name": "debug"})]);
        assert_eq!(
            resized(&observed, &tenant),
            [json!({"name": "a", "resources": {"requests": {"cpu": "2"}}})]
        );
        assert!(resized(&observed, &observed).is_empty());
        let mut shrunk = observed.clone();
        shrink(&mut shrunk);
        assert_eq!(shrunk, observed);
    }
}
