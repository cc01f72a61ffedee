//! Profiles of tenants: one that a tenant names is there, and stays as long as a tenant names it.
//!
//! Caveat: a profile that is deleted in the same moment in which the first tenant begins to name it may go; the
//! tenant then has the built-in defaults until a profile of the name is made again.

use crate::cache::feed::store_key;
use crate::cache::record::Record;
use crate::gateway::Place;
use crate::server::Server;
use crate::tenants::{PROFILES, TENANTS, is_tenant};
use api_types::{ApiError, Cause, CauseReason, ObjectName, ResourceKey, TenantId};
use object_store::{Precondition, Space};
use serde_json::Value;
use std::sync::Arc;

/// How many tenants are named to one who deletes their profile.
const NAMED: usize = 5;

/// The profile that a tenant begins to name, when it does.
fn begun<'a>(place: &Place, tenant: &'a Value, old: Option<&Value>) -> Option<&'a str> {
    let named = tenant["spec"]["profile"].as_str().filter(|name| !name.is_empty())?;
    let same = old.is_some_and(|old| old["spec"]["profile"] == named);
    (is_tenant(place) && !same).then_some(named)
}

fn find(server: &Server, place: &Place, name: &str) -> Result<Arc<Record>, ApiError> {
    let found = server.cache.get(TenantId::HOST, &PROFILES, &ObjectName::cluster(name));
    found.filter(|record| !record.meta.deleting).ok_or_else(|| {
        let message = format!("Not found: {}: there is no TenantProfile of this name", Value::from(name));
        let cause = Cause::new(CauseReason::FieldValueNotFound, "spec.profile", message);
        place.invalid(&place.name, vec![cause])
    })
}

/// The profile that a tenant begins to name must be there.
pub fn check(server: &Server, place: &Place, tenant: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    begun(place, tenant, old).map_or(Ok(()), |name| find(server, place, name).map(drop))
}

/// What must hold in the commit of such a tenant: the profile is as it was when it was checked.
pub fn rely(
    server: &Server,
    place: &Place,
    tenant: &Value,
    old: Option<&Value>,
) -> Result<Option<Precondition>, ApiError> {
    let Some(name) = begun(place, tenant, old) else { return Ok(None) };
    let found = find(server, place, name)?;
    let key = ResourceKey::new(PROFILES.clone(), "", name);
    Ok(Some(Space::new(TenantId::HOST).expect(store_key(&key), found.expected())))
}

/// A profile that tenants name is not deleted.
pub fn check_delete(server: &Server, place: &Place) -> Result<(), ApiError> {
    if place.row.is_custom() || place.resource() != *PROFILES {
        return Ok(());
    }
    let tenants = server.cache.collection(TenantId::HOST, &TENANTS).list("");
    let named = tenants
        .iter()
        .filter(|record| record.value().is_ok_and(|tenant| tenant["spec"]["profile"] == place.name.as_str()));
    let names: Vec<&str> = named.map(|record| record.name.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    let why = format!("it is the spec.profile of the tenants {shown}{more}: change theirs first");
    Err(ApiError::forbidden(&place.resource(), &place.name, &why))
}
