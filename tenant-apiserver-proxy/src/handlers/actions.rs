//! What the subresources share that do something instead of showing an object: binding a pod, evicting it, asking for a
//! token.

use super::Incoming;
use crate::admission::guards::{self, Asked, Operation};
use crate::decoding;
use crate::gateway::{Place, metadata};
use crate::reply::Reply;
use crate::server::Server;
use crate::stages::Authorized;
use api_schema::decode::Decoded;
use api_types::ApiError;
use http::StatusCode;
use serde_json::Value;

/// The body of an action, which is of a kind of its own, and what decoding warns of.
pub(super) fn decode(
    auth: &Authorized,
    place: &Place,
    body: &Incoming,
    kind: (&str, &str, &str),
) -> Result<Decoded, ApiError> {
    let (group, version, kind) = kind;
    let Some(id) = api_schema::builtin::kind(group, version, kind) else {
        return Err(ApiError::internal(format_args!("the type of {kind} is not known")));
    };
    let root = api_schema::builtin::graph().at(id);
    let api_version = api_types::GroupVersion::new(group, version).to_string();
    let mode = decoding::field_validation(auth.call(), place)?;
    decoding::of_kind(kind, &api_version, root, &body.payload()?, mode)
}

/// 201 with a `Status` that says success.
pub(super) fn done() -> Reply {
    let mut status = super::delete::success(None);
    status["code"] = StatusCode::CREATED.as_u16().into();
    Reply::status(status).code(StatusCode::CREATED)
}

/// Shows the body of an action to the plane's guards.
pub(super) async fn show_guards(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    dry_run: bool,
    body: &mut Value,
) -> Result<(), ApiError> {
    let asked = Asked::to_write(server, auth, place, Operation::Create, dry_run);
    guards::admit_body(&asked, body).await
}

/// The body of an action on a named object has to name it too.
pub(super) fn same_name(place: &Place, body: &Value, kind: &str) -> Result<(), ApiError> {
    if metadata::text(body, "name") == place.name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("name in URL does not match name in {kind} object")))
}
