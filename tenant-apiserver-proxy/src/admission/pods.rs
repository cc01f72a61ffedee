//! Pods: their service account and the volume with its token, their priority, what their runtime class adds.

use super::nodes::topology_labels;
use super::priorities;
use crate::gateway::{Place, metadata};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::{pods_admission, pods_runtime};
use api_types::print::quoted;
use api_types::{ApiError, GroupResource, ObjectName};
use serde_json::Value;

/// Sets the service account and its token volume. The account must be there.
pub fn admit(server: &Server, auth: &Authorized, place: &Place, pod: &mut Value) -> Result<(), ApiError> {
    if !(place.row.group.is_empty() && place.row.plural == "pods" && place.subresource.is_empty()) {
        return Ok(());
    }
    let account = pods_admission::service_account_name(pod).to_owned();
    let resource = GroupResource::new("", "serviceaccounts");
    let wrong = api_resources::names::path_segment(&account);
    if !wrong.is_empty() {
        let why = format!(
            "error looking up service account {}/{account}: invalid resource name {account:?}: [{}]",
            place.namespace,
            wrong.join(" ")
        );
        return Err(ApiError::forbidden(&place.resource(), &place.name, &why));
    }
    let record = server.cache.get(auth.plane().id, &resource, &ObjectName::new(&place.namespace, &account));
    let Some(record) = record else {
        let why = format!(
            "error looking up service account {}/{account}: serviceaccount {account:?} not found",
            place.namespace
        );
        return Err(ApiError::forbidden(&place.resource(), &place.name, &why));
    };
    let account = record.value().map_err(ApiError::internal)?;
    pods_admission::service_account_admission(pod, &account, &metadata::generate_name(""));
    pods_admission::default_tolerations(pod);
    if let Some(node) = pod["spec"]["nodeName"].as_str().map(str::to_owned) {
        for (key, value) in topology_labels(server, auth, &node) {
            pod["metadata"]["labels"][key] = value.into();
        }
    }
    let class = priority_class(server, auth, place, pod)?;
    let refused = |why: String| ApiError::forbidden(&place.resource(), &place.name, &why);
    pods_admission::priority_admission(pod, class.as_ref()).map_err(refused)?;
    match runtime_class(server, auth, place, pod)? {
        Some(class) => pods_runtime::runtime_class_admission(pod, &class).map_err(refused),
        None => Ok(()),
    }
}

/// What a changed pod leaves out of what admission gave it stays.
pub fn admit_change(place: &Place, new: &mut Value, old: &Value) {
    if place.row.group.is_empty() && place.row.plural == "pods" && place.subresource.is_empty() {
        pods_admission::default_tolerations(new);
        pods_admission::keep_priority(new, old);
    }
}

/// What is looked at once a new pod is known to be valid.
pub fn check_valid(server: &Server, auth: &Authorized, place: &Place, pod: &Value) -> Result<(), ApiError> {
    if !(place.row.group.is_empty() && place.row.plural == "pods" && place.subresource.is_empty()) {
        return Ok(());
    }
    let class = runtime_class(server, auth, place, pod)?;
    pods_runtime::overhead_is_of_class(pod, class.as_ref())
        .map_err(|why| ApiError::forbidden(&place.resource(), &place.name, &why))
}

/// The runtime class that a pod names, which has to be there.
fn runtime_class(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    pod: &Value,
) -> Result<Option<Value>, ApiError> {
    let Some(named) = pod["spec"]["runtimeClassName"].as_str() else { return Ok(None) };
    let classes = GroupResource::new("node.k8s.io", "runtimeclasses");
    match server.cache.get(auth.plane().id, &classes, &ObjectName::cluster(named)) {
        Some(record) => record.value().map(Some).map_err(ApiError::internal),
        None => {
            let why = format!("pod rejected: RuntimeClass {} not found", quoted(named));
            Err(ApiError::forbidden(&place.resource(), &place.name, &why))
        }
    }
}

/// The priority class of a pod: the one it names, else the plane's default one.
fn priority_class(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    pod: &Value,
) -> Result<Option<Value>, ApiError> {
    let named = pod["spec"]["priorityClassName"].as_str().unwrap_or("");
    if named.is_empty() {
        return priorities::default_class(server, auth);
    }
    let found = server.cache.get(auth.plane().id, &priorities::classes(), &ObjectName::cluster(named));
    let Some(found) = found else {
        let why = format!("no PriorityClass with name {named} was found");
        return Err(ApiError::forbidden(&place.resource(), &place.name, &why));
    };
    found.value().map(Some).map_err(ApiError::internal)
}
