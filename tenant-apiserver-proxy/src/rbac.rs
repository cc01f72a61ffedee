//! The plane's roles and bindings, read from its cache.

use crate::authentication::User;
use crate::authorization::Attributes;
use crate::planes::Plane;
use crate::server::Server;

/// True when a role that is bound to the user allows it.
pub fn allows(_server: &Server, _plane: &Plane, _user: &User, _what: &Attributes<'_>) -> bool {
    false
}

/// Nobody writes a role that allows more than they may.
pub fn check_escalation(_server: &Server, _auth: &crate::stages::Authorized, place: &crate::gateway::Place, _object: &serde_json::Value) -> Result<(), api_types::ApiError> {
    Err(api_types::ApiError::forbidden(&place.resource(), &place.name, "not implemented"))
}

/// Nobody binds a role that allows more than they may.
pub fn check_binding(_server: &Server, _auth: &crate::stages::Authorized, place: &crate::gateway::Place, _object: &serde_json::Value) -> Result<(), api_types::ApiError> {
    Err(api_types::ApiError::forbidden(&place.resource(), &place.name, "not implemented"))
}

/// The rules of a user in a namespace.
pub fn rules_for(_server: &Server, _plane: &Plane, _user: &User, _namespace: &str) -> serde_json::Value {
    serde_json::json!({})
}
