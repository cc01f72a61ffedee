//! APIServices: the groups that this server serves by itself are nobody else's, and a plane has a bounded number of
//! extension servers.

use crate::aggregation::extensions::{self, MAX_EXTENSIONS, is_ours};
use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::aggregation::{GROUP, is_remote, name};
use api_types::{ApiError, Cause};
use serde_json::Value;

/// Refuses what cannot be served.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if place.row.group != GROUP || !is_remote(new) {
        return Ok(());
    }
    let plane = auth.plane();
    let text = |field: &str| new["spec"][field].as_str().unwrap_or("");
    let group = text("group");
    if new["metadata"]["name"] != name(group, text("version")) {
        // It is refused for that, later.
        return Ok(());
    }
    if is_ours(plane, group) {
        let why = "this group is served by the platform itself: no other server can answer for it";
        return Err(place.invalid(&place.name, vec![Cause::forbidden("spec.service", why)]));
    }
    let is_new = old.is_none_or(|old| !is_remote(old));
    let count = extensions::of(server, plane).map_or(0, |extensions| extensions.all().len());
    if is_new && count >= MAX_EXTENSIONS {
        let why = format!("a plane may have {MAX_EXTENSIONS} APIServices of other servers");
        return Err(ApiError::forbidden(&place.resource(), &place.name, &why));
    }
    Ok(())
}
