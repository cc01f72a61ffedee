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
    let unchanged = |field: &str| old.is_some_and(|old| old[field] == object[field]);
    match place.row.plural.as_str() {
        "roles" | "clusterroles" if !unchanged("rules") || !unchanged("aggregationRule") => {
            crate::rbac::check_escalation(server, auth, place, object)
        }
        "rolebindings" | "clusterrolebindings" if !unchanged("subjects") || !unchanged("roleRef") => {
            crate::rbac::check_binding(server, auth, place, object)
        }
        _ => Ok(()),
    }
}
