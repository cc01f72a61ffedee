//! Nobody gives away more than they have: roles and bindings are checked against the writer's own permissions.

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::ApiError;
use serde_json::Value;

/// Checks a new or changed role or binding.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if place.row.group != "rbac.authorization.k8s.io" || auth.user().is_master() {
        return Ok(());
    }
    if old.is_some_and(|old| without_collection(old) == without_collection(object)) {
        return Ok(());
    }
    match place.row.plural.as_str() {
        "roles" | "clusterroles" => crate::rbac::check_escalation(server, auth, place, object, old),
        "rolebindings" | "clusterrolebindings" => crate::rbac::check_binding(server, auth, place, object),
        _ => Ok(()),
    }
}

/// An object without what the garbage collector changes, who has not the rights of the roles that it collects.
fn without_collection(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation"] {
            metadata.remove(field);
        }
    }
    object
}
