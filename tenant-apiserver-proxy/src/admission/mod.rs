//! Rules that need more than the object itself, in the order in which they run. One file for each.

pub mod addresses;
pub mod apiservices;
pub mod authors;
pub mod certificates;
pub mod default_classes;
pub mod definitions;
pub mod devices;
pub mod guards;
pub mod limit_ranges;
pub mod namespaces;
pub mod nodes;
pub mod parameters;
pub mod pod_security;
pub mod pods;
pub mod priorities;
pub mod profiles;
pub mod quotas;
pub mod resizes;
pub mod roles;
pub mod volumes;

use crate::gateway::{Extra, Place};
use crate::planes::Plane;
use crate::server::Server;
use crate::stages::Authorized;
use crate::tenants;
use api_types::ApiError;
use serde_json::Value;

/// Admits a new object, and changes it where that is the rule.
pub fn create(server: &Server, auth: &Authorized, place: &Place, object: &mut Value) -> Result<(), ApiError> {
    namespaces::check(server, auth, place, &place.name)?;
    namespaces::label(place, object);
    nodes::admit(auth, place, object);
    limit_ranges::fill(server, auth, place, object, None)?;
    default_classes::admit(server, auth, place, object)?;
    pods::admit(server, auth, place, object)
}

/// Looks at a new or changed object that is known to be valid; gives what the user is warned of.
pub async fn check_valid(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, ApiError> {
    if place.subresource != "status" {
        parameters::check(server, auth, place, new, old)?;
    }
    limit_ranges::check(server, auth, place, new, old)?;
    priorities::check(server, auth, place, new, old)?;
    resizes::check(server, auth, place, new, old)?;
    if old.is_none() {
        pods::check_valid(server, auth, place, new)?;
    }
    pod_security::check(server, auth, place, new, old).await
}

/// Admits a change.
pub fn update(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &mut Value,
    old: &Value,
) -> Result<(), ApiError> {
    if place.subresource != "status" {
        namespaces::label(place, new);
        pods::admit_change(place, new, old);
        limit_ranges::fill(server, auth, place, new, Some(old))?;
    }
    Ok(())
}

/// The rules that no guard of the plane may get round: they run after the last of those that change objects.
pub fn settle(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    authors::record(auth, place, new, old);
    if place.subresource == "status" {
        return Ok(());
    }
    namespaces::label(place, new);
    if old.is_none() {
        certificates::ask(auth, place, new)?;
    }
    apiservices::check(server, auth, place, new, old)?;
    roles::check(server, auth, place, new, old)?;
    profiles::check(server, place, new, old)
}

/// Admits a deletion.
pub fn delete(server: &Server, auth: &Authorized, place: &Place, old: &Value) -> Result<(), ApiError> {
    tenants::check_delete(server, place, old)?;
    priorities::check_delete(place)?;
    profiles::check_delete(server, place)?;
    namespaces::check_delete(auth, place)
}

/// What an admitted and valid write takes from what all share: addresses, a tenant's plane, quotas. Runs last, never in a
/// dry run.
pub async fn reserve(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<Extra, ApiError> {
    let mut extra = addresses::reserve(server, auth.plane(), place, old, object).await?;
    extra.preconditions.extend(profiles::rely(server, place, object, old)?);
    match old {
        None => {
            extra.preconditions.extend(namespaces::rely(server, auth, place)?);
            extra.preconditions.extend(definitions::rely(server, auth.plane(), place)?);
            extra.join(tenants::birth(server, place, object).await?);
        }
        Some(_) => tenants::change(place, object),
    }
    // Last: from here on others wait.
    extra.join(quotas::count(server, auth, place, object, old).await?);
    Ok(extra)
}

/// What a dry run shows of what [`reserve`] would have set.
pub fn preview(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    old: Option<&Value>,
    object: &mut Value,
) -> Result<(), ApiError> {
    addresses::preview(server, auth.plane(), place, old, object)
}

/// What goes when an object goes.
pub fn release(server: &Server, plane: &Plane, place: &Place, object: &Value) -> Extra {
    let mut extra = addresses::release(plane, place, object);
    extra.join(tenants::end(server, place, object));
    extra
}
