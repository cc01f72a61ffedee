//! Priority classes: which one pods have that name none, and that there is no second one of this sort.

use crate::cache::record::Record;
use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::pods_admission::SYSTEM_PRIORITY_CLASSES;
use api_types::{ApiError, GroupResource};
use serde_json::Value;
use std::sync::Arc;

/// The resource of the classes.
pub fn classes() -> GroupResource {
    GroupResource::new("scheduling.k8s.io", "priorityclasses")
}

/// The class of the pods that name none: of several, which webhooks or a race can leave, the lowest.
pub fn default_class(server: &Server, auth: &Authorized) -> Result<Option<Value>, ApiError> {
    let mut lowest: Option<(i64, Arc<Record>)> = None;
    for record in server.cache.collection(auth.plane().id, &classes()).list("") {
        // Of the others no more is decoded: every new pod comes here.
        let class: MayBeDefault = serde_json::from_slice(&record.bytes).map_err(ApiError::internal)?;
        if class.global_default && lowest.as_ref().is_none_or(|(value, _)| class.value < *value) {
            lowest = Some((class.value, record));
        }
    }
    lowest.map(|(_, record)| record.value().map_err(ApiError::internal)).transpose()
}

/// Refuses a second default class.
pub fn check(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let is_class = place.resource() == classes() && place.subresource.is_empty();
    if !is_class || new["globalDefault"] != true {
        return Ok(());
    }
    let Some(there) = default_class(server, auth)? else { return Ok(()) };
    let name = there["metadata"]["name"].as_str().unwrap_or("");
    if old.is_some() && new["metadata"]["name"] == name {
        return Ok(());
    }
    let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
    let of = new["metadata"]["name"].as_str().unwrap_or("");
    Err(ApiError::forbidden(&place.resource(), of, &why))
}

/// The classes that every cluster has stay.
pub fn check_delete(place: &Place) -> Result<(), ApiError> {
    let is_system = SYSTEM_PRIORITY_CLASSES.iter().any(|(name, _)| *name == place.name);
    if !is_system || place.resource() != classes() {
        return Ok(());
    }
    let why = "this is a system priority class and cannot be deleted";
    Err(ApiError::forbidden(&place.resource(), &place.name, why))
}

/// What says whether a priority class is that of the pods which name none.
#[derive(serde::Deserialize)]
struct MayBeDefault {
    #[serde(default, rename = "globalDefault")]
    global_default: bool,
    #[serde(default)]
    value: i64,
}
