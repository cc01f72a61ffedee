//! Limit ranges: what new pods are given that do not say it, and what is refused of pods and claims.
//!
//! Those of a namespace are asked in the order of their names. A namespace without any costs a look into the index of
//! the plane's collections.

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::limit_ranges::{self, Limited};
use api_types::{ApiError, GroupResource};
use serde_json::Value;

/// What limit ranges have to do with a write; `None`: nothing.
fn limited(place: &Place, old: Option<&Value>) -> Option<Limited> {
    if !place.row.group.is_empty() || old.is_some_and(|old| old["metadata"]["deletionTimestamp"].is_string())
    {
        return None;
    }
    match (place.row.plural.as_str(), place.subresource.as_str(), old) {
        // Containers change with a resize alone.
        ("pods", "", None) | ("pods", "resize", Some(_)) => Some(Limited::Pods),
        ("persistentvolumeclaims", "", _) => Some(Limited::Claims),
        _ => None,
    }
}

fn ranges(server: &Server, auth: &Authorized, place: &Place) -> Result<Vec<Value>, ApiError> {
    let resource = GroupResource::new("", "limitranges");
    let Some(all) = server.cache.existing(auth.plane().id, &resource) else { return Ok(Vec::new()) };
    let decode =
        |record: &std::sync::Arc<crate::cache::record::Record>| record.value().map_err(ApiError::internal);
    all.list(&place.namespace).iter().map(decode).collect()
}

/// Gives a pod's containers what they do not say.
pub fn fill(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if limited(place, old) != Some(Limited::Pods) {
        return Ok(());
    }
    for range in ranges(server, auth, place)? {
        let given = limit_ranges::fill(&range, object);
        // By a resize nothing changes but resources.
        if let Some(given) = given.filter(|_| old.is_none()) {
            limit_ranges::annotate(object, given);
        }
    }
    Ok(())
}

/// Refuses what a range does not allow.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(kind) = limited(place, old) else { return Ok(()) };
    for range in ranges(server, auth, place)? {
        if let Some(why) = limit_ranges::refusal(&range, kind, new) {
            return Err(ApiError::forbidden(&place.resource(), &place.name, &why));
        }
    }
    Ok(())
}
