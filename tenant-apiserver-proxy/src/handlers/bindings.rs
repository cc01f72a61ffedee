//! Binding a pod to a node.

use super::{Incoming, actions, write};
use crate::admission::nodes::topology_labels;
use crate::gateway::update::Wanted;
use crate::gateway::{self, Place, metadata};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Cause, GroupResource, Reason};
use jiff::Timestamp;
use serde_json::{Value, json};

const KIND: (&str, &str, &str) = ("", "v1", "Binding");

/// `bindings`: binds the pod that the body names, as clients did before pods had `binding`.
pub async fn bind_named(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let binding = actions::decode(auth, place, body, KIND)?.value;
    let pods =
        auth.plane().catalog.load_full().lookup("", "v1", "pods").ok_or_else(ApiError::no_such_path)?;
    let pod = Place {
        version: pods.version("v1").cloned().ok_or_else(ApiError::no_such_path)?,
        row: pods,
        namespace: place.namespace.clone(),
        name: metadata::text(&binding, "name").into(),
        subresource: "binding".into(),
        known: std::sync::Arc::default(),
    };
    bind(server, auth, &pod, body).await
}

/// Binds a pod to a node: once, and only while it is not being deleted.
pub async fn bind(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
) -> Result<Reply, ApiError> {
    let decoded = actions::decode(auth, place, body, KIND)?;
    let (mut binding, warnings) = (decoded.value, decoded.warnings);
    let options = write::options(auth.call())?;
    metadata::set_namespace(&mut binding, place)?;
    label(server, auth, &mut binding);
    actions::show_guards(server, auth, place, options.dry_run, &mut binding).await?;
    actions::same_name(place, &binding, "Binding")?;
    check(&binding)?;
    gateway::update::update(server, auth, place, &options, false, |old| {
        metadata::check_uid(&binding, old, place)?;
        refuse(place, old)?;
        let mut pod = old.clone();
        set(&mut pod, &binding);
        Ok(Wanted { object: pod, owned: true })
    })
    .await?;
    Ok(actions::done().warnings(warnings))
}

/// The labels of the node that tell where the pod will be.
fn label(server: &Server, auth: &Authorized, binding: &mut Value) {
    if binding["target"]["kind"] != "Node" {
        return;
    }
    let node = binding["target"]["name"].as_str().unwrap_or("").to_owned();
    for (key, value) in topology_labels(server, auth, &node) {
        binding["metadata"]["labels"][key] = value.into();
    }
}

/// Kubernetes tells these defects as errors that are none of its own.
fn check(binding: &Value) -> Result<(), ApiError> {
    let text = |field: &str| binding["target"][field].as_str().unwrap_or("");
    let mut causes = Vec::new();
    if !matches!(text("kind"), "" | "Node") {
        causes.push(Cause::not_supported("target.kind", &text("kind").into(), &["Node", "<empty>"]));
    }
    if text("name").is_empty() {
        causes.push(Cause::required("target.name", ""));
    }
    let texts: Vec<String> = causes.iter().map(Cause::to_string).collect();
    match texts.as_slice() {
        [] => Ok(()),
        [one] => Err(ApiError::new(Reason::Unknown, one)),
        many => Err(ApiError::new(Reason::Unknown, format!("[{}]", many.join(", ")))),
    }
}

/// Pods that cannot be bound, or no more.
fn refuse(place: &Place, old: &Value) -> Result<(), ApiError> {
    let node = old["spec"]["nodeName"].as_str().unwrap_or("");
    let why = if old["metadata"]["deletionTimestamp"].is_string() {
        format!("pod {} is being deleted, cannot be assigned to a host", place.name)
    } else if !node.is_empty() {
        format!("pod {} is already assigned to node {node:?}", place.name)
    } else if old["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        format!("pod {} has non-empty .spec.schedulingGates", place.name)
    } else {
        return Ok(());
    };
    Err(ApiError::conflict(&GroupResource::new("", "pods/binding"), &place.name, &why))
}

/// Gives the pod its node, and what else the binding says. Its version is checked with that of any update.
fn set(pod: &mut Value, binding: &Value) {
    pod["spec"]["nodeName"] = binding["target"]["name"].clone();
    let version = metadata::text(binding, "resourceVersion");
    if !version.is_empty() {
        pod["metadata"]["resourceVersion"] = version.into();
    }
    for map in ["annotations", "labels"] {
        for (key, value) in binding["metadata"][map].as_object().into_iter().flatten() {
            pod["metadata"][map][key.as_str()] = value.clone();
        }
    }
    if let Some(status) = pod.get_mut("status").and_then(Value::as_object_mut) {
        // It was a hint until now.
        status.remove("nominatedNodeName");
    }
    set_condition(pod, json!({"type": "PodScheduled", "status": "True"}));
}

/// Sets a condition of a pod, and its time when the status of it changes.
pub(super) fn set_condition(pod: &mut Value, mut condition: Value) {
    condition["lastProbeTime"] = Value::Null;
    condition["lastTransitionTime"] = metadata::timestamp(Timestamp::now()).into();
    let conditions = &mut pod["status"]["conditions"];
    let Some(list) = conditions.as_array_mut() else {
        *conditions = json!([condition]);
        return;
    };
    match list.iter_mut().find(|old| old["type"] == condition["type"]) {
        Some(old) => {
            if old["status"] == condition["status"] {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => list.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_pod_has_what_the_binding_says() {
        let mut pod = json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {}, "status": {
            "nominatedNodeName": "m",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "R"}, {"type": "Ready", "status": "False"}]}});
        let binding = json!({"target": {"name": "n"}, "metadata": {"resourceVersion": "7", "annotations": {"x": "y"},
            "labels": {"a": "c"}}});
        set(&mut pod, &binding);
        assert_eq!(
            pod["metadata"],
            json!({"name": "p", "resourceVersion": "7", "labels": {"a": "c"}, "annotations": {"x": "y"}})
        );
        assert_eq!(pod["spec"]["nodeName"], "n");
        assert!(pod["status"]["nominatedNodeName"].is_null());
        let scheduled = &pod["status"]["conditions"][0];
        assert_eq!((&scheduled["status"], &scheduled["reason"]), (&json!("True"), &Value::Null));
        assert_eq!(pod["status"]["conditions"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn targets_are_nodes_with_a_name() {
        for (target, expected) in [
            (json!({"kind": "Node", "name": "n"}), None),
            (json!({"name": "n"}), None),
            (json!({}), Some("target.name: Required value")),
            (
                json!({"kind": "Pod"}),
                Some(
                    "[target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\", target.name: Required value]",
                ),
            ),
        ] {
            let error = check(&json!({"target": target})).err();
            assert_eq!(error.as_ref().map(ApiError::message), expected);
        }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let mut pod = json!({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": "then"}]}});
        set_condition(&mut pod, json!({"type": "A", "status": "True", "reason": "R"}));
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "then");
        assert_eq!(pod["status"]["conditions"][0]["reason"], "R");
        set_condition(&mut pod, json!({"type": "A", "status": "False"}));
        assert_ne!(pod["status"]["conditions"][0]["lastTransitionTime"], "then");
    }
}
