//! Namespaces: what is created must have one that is not going away, and each is labelled with its name.

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Cause, CauseReason, GroupResource, ObjectName};
use serde_json::{Value, json};

/// The namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The namespace of a new object must be there, and not be terminating.
pub fn check(server: &Server, auth: &Authorized, place: &Place, name: &str) -> Result<(), ApiError> {
    if !place.row.namespaced || place.row.verbs == [api_resources::Verb::Create] {
        return Ok(());
    }
    let namespaces = GroupResource::new("", "namespaces");
    let namespace = &place.namespace;
    match server.cache.get(auth.plane().id, &namespaces, &ObjectName::cluster(namespace)) {
        None => Err(ApiError::not_found(&namespaces, namespace)),
        Some(record) if record.meta.deleting => {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let cause = Cause::new(
                CauseReason::NamespaceTerminating,
                "metadata.namespace",
                format!("namespace {namespace} is being terminated"),
            );
            Err(ApiError::forbidden(&place.resource(), name, &why).with_causes(vec![cause]))
        }
        Some(_) => Ok(()),
    }
}

/// A namespace carries its name as a label, so that selectors can name it.
pub fn label(place: &Place, object: &mut Value) {
    if !(place.row.group.is_empty() && place.row.plural == "namespaces") {
        return;
    }
    let name = place.name.to_string();
    let labels = &mut object["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels["kubernetes.io/metadata.name"] = name.into();
}

/// Some namespaces stay.
pub fn check_delete(auth: &Authorized, place: &Place) -> Result<(), ApiError> {
    let namespace = place.row.group.is_empty() && place.row.plural == "namespaces";
    if namespace && IMMORTAL.contains(&place.name.as_str()) && !auth.is_platform() {
        return Err(ApiError::forbidden(&place.resource(), &place.name, "this namespace may not be deleted"));
    }
    Ok(())
}
