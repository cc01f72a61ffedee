//! CustomResourceDefinitions: their names are accepted and their schemas compiled in the write itself, so that a
//! definition is served when its creation returns.

use crate::cache::feed::store_key;
use crate::crds::DEFINITIONS;
use crate::gateway::Place;
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::{Catalog, crd};
use api_types::{ApiError, Cause, Reason, ResourceKey};
use object_store::{Precondition, Space};
use serde_json::Value;

fn is_definition(place: &Place) -> bool {
    place.row.group == crd::GROUP && place.row.plural == "customresourcedefinitions"
}

/// Accepts a new or changed definition, or says what is wrong with its schemas.
pub fn accept(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    definition: &mut Value,
) -> Result<(), ApiError> {
    if !is_definition(place) || !place.subresource.is_empty() {
        return Ok(());
    }
    let group = definition["spec"]["group"].as_str().unwrap_or("");
    if crate::crds::is_reserved(group) {
        let cause = Cause::forbidden("spec.group", "this group belongs to the platform");
        return Err(place.invalid(&place.name, vec![cause]));
    }
    let plane = auth.plane();
    let mut others = Vec::new();
    for record in server.cache.collection(plane.id, &DEFINITIONS).list("", None) {
        if record.name.name != place.name {
            others.push(record.value().map_err(ApiError::internal)?);
        }
    }
    crd::accept(definition, others.iter(), Catalog::of(plane.kind), jiff::Timestamp::now());
    server.crds.row(definition).map(|_| ()).map_err(|causes| place.invalid(&place.name, causes))
}

/// What must hold in the commit of a new custom object: its definition is there and does not go away.
pub fn rely(server: &Server, plane: &Plane, place: &Place) -> Result<Option<Precondition>, ApiError> {
    if !place.row.is_custom() {
        return Ok(None);
    }
    let key = ResourceKey::new(DEFINITIONS.clone(), "", format!("{}.{}", place.row.plural, place.row.group));
    let found = server.cache.get(plane.id, &key.resource, &key.object).ok_or_else(ApiError::no_such_path)?;
    if found.meta.deleting {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(ApiError::new(Reason::MethodNotAllowed, why));
    }
    Ok(Some(Space::new(plane.id).expect(store_key(&key), found.revision)))
}

/// True for a definition that still has objects: deletion waits until they are gone.
pub fn has_objects(server: &Server, plane: &Plane, place: &Place, definition: &Value) -> bool {
    if !is_definition(place) {
        return false;
    }
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let spec = &definition["spec"];
    let resource = api_types::GroupResource::new(text(&spec["group"]), text(&spec["names"]["plural"]));
    !server.cache.collection(plane.id, &resource).is_empty()
}
