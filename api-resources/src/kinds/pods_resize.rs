//! Changes of a pod through `resize` (KEP-1287, KEP-5419): requests and limits of cpu and memory, nothing else.

use super::place::{Causes, Place, lookup};
use super::pods::{metadata_and_spec, qos_class};
use super::sameness::same;
use api_types::Cause;
use serde_json::{Map, Value};

const LISTS: [&str; 2] = ["containers", "initContainers"];
/// What a container can be resized in.
const FIELDS: [&str; 2] = ["resources", "resizePolicy"];
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// Keeps all of the old pod but the resources and their policies of the new. Containers that were added, removed or
/// renamed stay as they are given: [`validate`] refuses them.
pub fn prepare(new: &mut Value, old: &Value) {
    let (given, before) = (lookup(new, "spec").clone(), lookup(old, "spec"));
    let count = |spec: &Value, list: &str| lookup(spec, list).as_array().map_or(0, Vec::len);
    if LISTS.iter().any(|list| count(&given, list) != count(before, list)) {
        return;
    }
    let mut spec = before.clone();
    for list in LISTS {
        let resized = resized(lookup(&given, list), lookup(before, list));
        set(&mut spec, list, &resized);
    }
    set(&mut spec, "resources", lookup(&given, "resources"));
    super::generic::keep_status(new, old);
    super::generic::keep_metadata(new, old);
    if let Some(pod) = new.as_object_mut() {
        pod.insert("spec".to_owned(), spec);
    }
}

fn set(object: &mut Value, field: &str, value: &Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value.clone());
    }
}

fn resized(given: &Value, before: &Value) -> Value {
    let (Some(given), Some(old)) = (given.as_array(), before.as_array()) else { return before.clone() };
    if given.iter().zip(old).any(|(new, old)| new["name"] != old["name"]) {
        return Value::Array(given.clone());
    }
    let one = |(new, old): (&Value, &Value)| {
        let mut container = old.clone();
        FIELDS.iter().for_each(|field| set(&mut container, field, lookup(new, field)));
        container
    };
    given.iter().zip(old).map(one).collect()
}

/// Defects of a change through `resize`: `(new, old)`, beside those of metadata.
pub fn validate(new: &Value, old: &Value) -> Causes {
    for (never, what) in [
        (super::pods_admission::is_mirror(old), "static pods cannot be resized"),
        (lookup(old, "spec.os.name") == "windows", "windows pods cannot be resized"),
    ] {
        if never {
            return vec![Cause::forbidden("[]", what)];
        }
    }
    let mut out = Vec::new();
    metadata_and_spec(&mut out, new);
    let (spec, before) = (Place::root(new).field("spec"), Place::root(old).field("spec"));
    let class = match lookup(old, "status.qosClass").as_str() {
        Some(class) if !class.is_empty() => class,
        _ => qos_class(before.value),
    };
    if qos_class(spec.value) != class {
        let message = "Pod QOS Class may not change as a result of resizing";
        let shown = lookup(new, "status.qosClass").as_str().unwrap_or("");
        out.push(Cause::invalid(&spec.path, &Value::from(shown), message));
    }
    if !is_supported(old) {
        out.push(Cause::forbidden(&spec.path, "Pod running on node without support for resize"));
    }
    pod_level(&mut out, &spec, &before);
    if !lookup(old, "status.nodeAllocatableResourceClaimStatuses").as_array().is_none_or(Vec::is_empty) {
        let message = "pods with node allocatable resource claims cannot be resized";
        out.push(Cause::forbidden(&spec.path, message));
    }
    let kept = out.len();
    same_containers(&mut out, &spec, &before);
    if out.len() > kept {
        return out;
    }
    not_removed(&mut out, &spec, &before);
    let undone = undo(&mut out, &spec, &before);
    if out.is_empty() && !same(&undone, before.value) {
        out.push(Cause::forbidden(&spec.path, "only cpu and memory resources are mutable"));
    }
    out
}

/// A node says what a running container has, when it can change it.
fn is_supported(pod: &Value) -> bool {
    let statuses = lookup(pod, "status.containerStatuses").as_array().map(Vec::as_slice).unwrap_or_default();
    let running = statuses.iter().find(|status| !lookup(status, "state.running").is_null());
    running.is_none_or(|status| !lookup(status, "resources").is_null())
}

fn pod_level(out: &mut Causes, spec: &Place<'_>, before: &Place<'_>) {
    let (new, old) = (spec.field("resources"), before.field("resources"));
    let says = |at: &Place<'_>| !at.lacks("requests") || !at.lacks("limits");
    if !says(&new) && !says(&old) {
        return;
    }
    if !old.value.is_null() && new.value.is_null() {
        out.push(Cause::forbidden(new.path, "pod-level resources cannot be removed"));
        return;
    }
    for (list, what) in [("requests", "pod-level resource requests"), ("limits", "pod-level resource limits")]
    {
        if removed(&new, &old, list) {
            out.push(Cause::forbidden(new.of(list), &format!("{what} cannot be removed")));
        }
    }
    let mut undone = without_change(new.value, old.value);
    if undone.as_object().is_some_and(Map::is_empty) && old.value.is_null() {
        undone = Value::Null;
    }
    if !same(&undone, old.value) {
        let message = "only cpu and memory resources are mutable at pod-level";
        out.push(Cause::forbidden(&spec.path, message));
    }
}

fn same_containers(out: &mut Causes, spec: &Place<'_>, before: &Place<'_>) {
    for list in LISTS {
        if spec.list(list).count() != before.list(list).count() {
            out.push(Cause::forbidden(
                spec.of(list),
                &format!("{list} may not be added or removed on resize"),
            ));
            continue;
        }
        for (new, old) in spec.list(list).zip(before.list(list)) {
            if new.text("name") != old.text("name") {
                let message = format!("{list} may not be renamed or reordered on resize");
                out.push(Cause::forbidden(new.of("name"), &message));
            }
        }
    }
}

fn not_removed(out: &mut Causes, spec: &Place<'_>, before: &Place<'_>) {
    for list in ["initContainers", "containers"] {
        for (new, old) in spec.list(list).zip(before.list(list)) {
            let (new, old) = (new.field("resources"), old.field("resources"));
            for (list, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
                if removed(&new, &old, list) {
                    out.push(Cause::forbidden(new.of(list), &format!("{what} cannot be removed")));
                }
            }
        }
    }
}

fn removed(new: &Place<'_>, old: &Place<'_>, list: &str) -> bool {
    let now = new.field(list);
    old.map(list).any(|(name, _)| !now.has(name))
}

/// The new spec with the resources of cpu and memory that it had before. What else of a container changed is told.
fn undo(out: &mut Causes, spec: &Place<'_>, before: &Place<'_>) -> Value {
    let mut undone = spec.value.clone();
    let says = |at: &Place<'_>| !at.lacks("requests") || !at.lacks("limits");
    if says(&spec.field("resources")) || says(&before.field("resources")) {
        // Its change has been told.
        set(&mut undone, "resources", before.field("resources").value);
    }
    for list in LISTS {
        let mut containers = Vec::new();
        for (new, old) in spec.list(list).zip(before.list(list)) {
            let mut container = new.value.clone();
            let mut resources =
                without_change(lookup(new.value, "resources"), lookup(old.value, "resources"));
            set(&mut resources, "claims", lookup(old.value, "resources.claims"));
            set(&mut container, "resources", &resources);
            if !same(&container, old.value) {
                out.push(match list {
                    "containers" => Cause::forbidden(&spec.path, "only cpu and memory resources are mutable"),
                    _ => Cause::forbidden(
                        &new.path,
                        "only cpu and memory resources for init or sidecar containers are mutable",
                    ),
                });
            }
            let restarts =
                new.list("resizePolicy").any(|policy| policy.text("restartPolicy") == "RestartContainer");
            let sidecar = new.text("restartPolicy") == "Always";
            if list == "initContainers" && !sidecar && restarts && !same(new.value, old.value) {
                let message =
                    "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
                out.push(Cause::forbidden(&new.path, message));
            }
            containers.push(container);
        }
        if !spec.lacks(list) {
            set(&mut undone, list, &Value::Array(containers));
        }
    }
    undone
}

/// Resources with the cpu and memory of the old ones.
fn without_change(new: &Value, old: &Value) -> Value {
    let mut resources = if new.is_object() { new.clone() } else { Value::Object(Map::new()) };
    for list in ["requests", "limits"] {
        let mut amounts = lookup(new, list).as_object().cloned().unwrap_or_default();
        amounts.retain(|name, _| !RESIZABLE.contains(&name.as_str()));
        for name in RESIZABLE {
            if let Some(amount) = lookup(old, list).get(name) {
                amounts.insert(name.to_owned(), amount.clone());
            }
        }
        let amounts = if amounts.is_empty() { Value::Null } else { Value::Object(amounts) };
        set(&mut resources, list, &amounts);
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(resources: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c", "image": "i", "resources": resources}]}});
        super::super::pods_defaults::pod(&mut pod);
        pod["status"] = json!({"qosClass": qos_class(&pod["spec"])});
        pod
    }

    fn told(new: &Value, old: &Value) -> Vec<String> {
        validate(new, old).iter().map(Cause::to_string).collect()
    }

    #[test]
    fn resources_change_and_nothing_else() {
        let old = pod(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}));
        let mut new = pod(json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "4"}}));
        new["spec"]["nodeName"] = json!("elsewhere");
        new["spec"]["containers"][0]["image"] = json!("j");
        prepare(&mut new, &old);
        assert!(new["spec"]["nodeName"].is_null());
        assert_eq!(new["spec"]["containers"][0]["image"], "i");
        assert_eq!(new["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
        assert_eq!(told(&new, &old), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_resized_is_refused() {
        let old = pod(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}));
        let table = [
            (
                pod(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})),
                vec!["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
            ),
            (
                pod(json!({"requests": {"cpu": "1", "memory": "1Gi"}})),
                vec!["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"],
            ),
            (
                pod(
                    json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
                ),
                vec![
                    "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
                ],
            ),
            (
                pod(
                    json!({"requests": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}, "limits": {"cpu": "2"}}),
                ),
                vec!["spec: Forbidden: only cpu and memory resources are mutable"],
            ),
        ];
        for (mut new, expected) in table {
            prepare(&mut new, &old);
            assert_eq!(told(&new, &old), expected);
        }
    }

    #[test]
    fn containers_stay_the_same() {
        let old = pod(json!({}));
        let mut more = old.clone();
        let extra = json!({"name": "d", "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"});
        more["spec"]["containers"].as_array_mut().unwrap().push(extra);
        let mut renamed = old.clone();
        renamed["spec"]["containers"][0]["name"] = json!("other");
        for (mut new, expected) in [
            (more, "spec.containers: Forbidden: containers may not be added or removed on resize"),
            (
                renamed,
                "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
            ),
        ] {
            prepare(&mut new, &old);
            assert_eq!(told(&new, &old), [expected]);
        }
    }

    #[test]
    fn nodes_without_resize_and_static_pods_are_left_alone() {
        let mut old = pod(json!({"requests": {"cpu": "1"}}));
        let mut new = pod(json!({"requests": {"cpu": "2"}}));
        old["status"]["containerStatuses"] = json!([{"name": "c", "state": {"running": {}}}]);
        prepare(&mut new, &old);
        assert_eq!(told(&new, &old), ["spec: Forbidden: Pod running on node without support for resize"]);
        old["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(told(&new, &old), ["[]: Forbidden: static pods cannot be resized"]);
    }
}
