//! What is told of owners that are looked for in the wrong place: an object's owner is of its own namespace, or of the
//! cluster.

use crate::access::Access;
use crate::events::Severity;
use api_types::Owner;
use plane_client::{ApiError, KindInfo, Object, TenantId};

/// Tells that the owner is not where it is looked for.
pub(super) fn owner_is_elsewhere(
    access: &Access,
    tenant: TenantId,
    object: &Object,
    owner: &Owner,
) -> Result<(), ApiError> {
    let (Owner { api_version, kind, name, uid, .. }, namespace) = (owner, &object.name.namespace);
    let message = format!(
        "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in namespace {namespace:?}"
    );
    let value = object.value()?;
    access.event(tenant, &value, Severity::Warning, "OwnerRefInvalidNamespace", &message);
    Ok(())
}

/// The same for an owner that was not found, if another namespace has it.
pub(super) async fn if_owner_is_elsewhere(
    access: &Access,
    tenant: TenantId,
    object: &Object,
    owner: &Owner,
    kind: &KindInfo,
) -> Result<(), ApiError> {
    if !kind.namespaced {
        return Ok(());
    }
    let everywhere = access.list(tenant, &kind.resource, "").await?;
    if everywhere.iter().any(|found| found.meta.uid == owner.uid) {
        owner_is_elsewhere(access, tenant, object, owner)?;
    }
    Ok(())
}
