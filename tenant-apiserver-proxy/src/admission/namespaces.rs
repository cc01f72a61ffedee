//! Namespaces: what is created must have one that is not going away, and each is labelled with its name.

use crate::cache::feed::store_key;
use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{ApiError, Cause, CauseReason, GroupResource, ObjectName, ResourceKey, TenantId, tenancy};
use object_store::{Precondition, Space};
use serde_json::{Value, json};

/// The namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The namespace of a new object must be there, and not be terminating.
pub fn check(server: &Server, auth: &Authorized, place: &Place, name: &str) -> Result<(), ApiError> {
    if !place.row.namespaced || place.row.verbs == [api_resources::Verb::Create] {
        return Ok(());
    }
    let namespaces = GroupResource::new("", "namespaces");
    let namespace = &place.namespace;
    match server.cache.get(auth.plane().id, &namespaces, &ObjectName::cluster(namespace)) {
        None => Err(ApiError::not_found(&namespaces, namespace)),
        Some(record) if record.meta.deleting => {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let cause = Cause::new(
                CauseReason::NamespaceTerminating,
                "metadata.namespace",
                format!("namespace {namespace} is being terminated"),
            );
            Err(ApiError::forbidden(&place.resource(), name, &why).with_causes(vec![cause]))
        }
        Some(_) => Ok(()),
    }
}

/// What must hold in the commit of a new object: its namespace is as it was when it was checked. One that begins to
/// go away meanwhile would never be emptied of what comes later.
pub fn rely(server: &Server, auth: &Authorized, place: &Place) -> Result<Option<Precondition>, ApiError> {
    if !place.row.namespaced {
        return Ok(None);
    }
    check(server, auth, place, &place.name)?;
    let key = ResourceKey::new(GroupResource::new("", "namespaces"), "", &place.namespace);
    let found = server.cache.get(auth.plane().id, &key.resource, &key.object);
    let found = found.filter(|record| !record.meta.deleting);
    let found = found.ok_or_else(|| ApiError::not_found(&key.resource, &place.namespace))?;
    Ok(Some(Space::new(auth.plane().id).expect(store_key(&key), found.revision)))
}

/// A namespace carries its name as a label, so that selectors can name it.
pub fn label(place: &Place, object: &mut Value) {
    if !(place.row.group.is_empty() && place.row.plural == "namespaces") {
        return;
    }
    let name = place.name.to_string();
    let labels = &mut object["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels["kubernetes.io/metadata.name"] = name.into();
}

/// Some namespaces stay.
pub fn check_delete(auth: &Authorized, place: &Place) -> Result<(), ApiError> {
    let namespace = place.row.group.is_empty() && place.row.plural == "namespaces";
    // The platform keeps tenants' kubeconfigs there.
    let platforms = auth.plane().id == TenantId::HOST && place.name == tenancy::SYSTEM_NAMESPACE;
    if namespace && (platforms || IMMORTAL.contains(&place.name.as_str())) && !auth.is_platform() {
        return Err(ApiError::forbidden(&place.resource(), &place.name, "this namespace may not be deleted"));
    }
    Ok(())
}
