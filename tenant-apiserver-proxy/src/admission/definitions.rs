//! CustomResourceDefinitions: their schemas are compiled in the write itself, and their names are accepted in a second
//! commit before it returns, so that a definition is served when its creation returns.
//!
//! Two commits, since clients that watch from the created version wait for the change that says `Established`. A
//! process that ends between the two finishes when it starts again.

use crate::bootstrap;
use crate::cache::feed::store_key;
use crate::crds::DEFINITIONS;
use crate::gateway::Place;
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::{Catalog, crd};
use api_schema::builtin;
use api_schema::managed_fields::{self, Writer};
use api_types::{ApiError, Cause, Reason, ResourceKey};
use object_store::{Commit, CommitError, Precondition, Space};
use serde_json::Value;

/// True for a definition of custom resources.
pub fn is_definition(place: &Place) -> bool {
    place.row.group == crd::GROUP && place.row.plural == "customresourcedefinitions"
}

/// Accepts the names of a changed definition.
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
    accept_names(server, auth.plane(), &place.name, definition)
}

/// Compiles a definition that has been found valid: what cannot be served is refused.
pub fn compile(server: &Server, place: &Place, definition: &Value) -> Result<(), ApiError> {
    if !is_definition(place) || !place.subresource.is_empty() {
        return Ok(());
    }
    server.crds.row(definition).map(|_| ()).map_err(|causes| place.invalid(&place.name, causes))
}

/// Says what is wrong with a new definition, which [`establish`] accepts once it is stored.
pub fn check_new(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    definition: &Value,
) -> Result<(), ApiError> {
    if !is_definition(place) {
        return Ok(());
    }
    accept(server, auth, place, &mut definition.clone())
}

fn accept_names(server: &Server, plane: &Plane, name: &str, definition: &mut Value) -> Result<(), ApiError> {
    let mut others = Vec::new();
    for record in server.cache.collection(plane.id, &DEFINITIONS).list("") {
        if record.name.name != name {
            others.push(record.value().map_err(ApiError::internal)?);
        }
    }
    let now = jiff::Timestamp::now();
    let before = definition.clone();
    crd::accept(definition, others.iter(), Catalog::of(plane.kind), now);
    if before["status"] != definition["status"] {
        own_status(&before, definition, now);
    }
    Ok(())
}

/// Has the server own what it changed of the status.
fn own_status(before: &Value, definition: &mut Value, now: jiff::Timestamp) {
    let Some(root) = builtin::kind(crd::GROUP, "v1", "CustomResourceDefinition") else { return };
    let writer = Writer {
        manager: bootstrap::MANAGER,
        api_version: "apiextensions.k8s.io/v1",
        kind: "",
        subresource: "status",
        reset: &[&["metadata"], &["spec"]],
        now,
        versions: None,
    };
    managed_fields::update(builtin::graph().at(root), Some(before), definition, &writer);
}

/// Accepts the names of a definition that was created. Does nothing when somebody was faster.
pub async fn establish(server: &Server, plane: &Plane, place: &Place, name: &str) -> Result<(), ApiError> {
    if is_definition(place) { establish_named(server, plane, name).await } else { Ok(()) }
}

async fn establish_named(server: &Server, plane: &Plane, name: &str) -> Result<(), ApiError> {
    let key = ResourceKey::new(DEFINITIONS.clone(), "", name);
    loop {
        let Some(found) = server.cache.get(plane.id, &key.resource, &key.object) else { return Ok(()) };
        let mut definition = found.value().map_err(ApiError::internal)?;
        if !is_new(&definition) {
            return Ok(());
        }
        accept_names(server, plane, name, &mut definition)?;
        let space = Space::new(plane.id);
        let commit = Commit {
            preconditions: vec![space.expect(store_key(&key), found.expected())],
            operations: vec![bootstrap::put(space, &key, &definition)],
        };
        match server.commit(commit).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Precondition { actual, .. }) => server.cache.wait_for(actual).await,
            Err(error) => return Err(ApiError::internal(error)),
        }
    }
}

/// Nobody has looked at its names yet.
fn is_new(definition: &Value) -> bool {
    definition["status"]["conditions"].as_array().is_none_or(Vec::is_empty)
}

/// Accepts what a process that ended had created and not accepted.
pub async fn establish_all(server: &Server) -> Result<(), ApiError> {
    for plane in server.planes.all() {
        for record in server.cache.collection(plane.id, &DEFINITIONS).list("") {
            if record.value().is_ok_and(|definition| is_new(&definition)) {
                establish_named(server, &plane, &record.name.name).await?;
            }
        }
    }
    Ok(())
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
