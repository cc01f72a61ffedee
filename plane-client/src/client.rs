//! What a client of planes can do.

use crate::write::{Actor, Target, Write};
use api_types::{ApiError, GroupResource, Meta, ObjectName, Resource, Revision, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Reads and writes planes. Reads never go to disk; writes pass the whole request pipeline.
#[async_trait]
pub trait PlaneClient: Send + Sync + 'static {
    /// Lists a resource over the planes of `scope`, then watches it: every live object as
    /// [`WatchItem::Applied`], then [`WatchItem::Synced`], then changes. When changes were missed, everything
    /// comes again as `Applied`, then `Synced`; what was deleted meanwhile is for the consumer's patrol to find.
    ///
    /// A resource that a plane does not have (a CRD not yet made) has no objects there, and they come when it
    /// is made. Objects come in the resource's stored version.
    fn list_watch(&self, resource: &GroupResource, scope: Scope) -> mpsc::Receiver<WatchItem>;

    /// One object; `None` when it is not there.
    async fn get(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        object: &ObjectName,
    ) -> Result<Option<Object>, ApiError>;

    /// The objects of a resource in one plane, in order of namespace and name; all namespaces when `namespace`
    /// is empty.
    async fn list(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
    ) -> Result<Vec<Object>, ApiError>;

    /// Those objects of [`PlaneClient::list`] that are wanted, as their names and their metadata tell: what is not
    /// costs next to nothing.
    async fn select(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
        wanted: &Wanted<'_>,
    ) -> Result<Selected, ApiError> {
        let listed = self.list(tenant, resource, namespace).await?;
        let newest = listed.iter().map(|object| object.revision).max().unwrap_or_default();
        let objects = listed.into_iter().filter(|object| wanted(&object.name, &object.meta)).collect();
        Ok(Selected { objects, newest })
    }

    /// Every object of a plane with an owner reference to this UID, whatever its resource.
    async fn dependents(&self, tenant: TenantId, owner_uid: &str) -> Result<Vec<Object>, ApiError>;

    /// The resource that serves a kind in a plane; `None` when the plane has no such kind.
    async fn kind(
        &self,
        tenant: TenantId,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<KindInfo>, ApiError>;

    /// Every resource of a plane that can be listed and deleted, each once, in its preferred version.
    async fn resources(&self, tenant: TenantId) -> Result<Vec<KindInfo>, ApiError>;

    /// Writes one object as `actor`, and returns it as it is now; for a deletion, as it was last seen, and for
    /// an action that answers with another kind (a token, a binding), that answer.
    async fn write(&self, actor: &Actor, target: &Target, write: Write) -> Result<Object, ApiError>;
}

/// Over which planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every plane: host, tenants, embedded super clusters.
    All,
    /// Every tenant's plane.
    Tenants,
    /// One plane.
    One(TenantId),
}

impl Scope {
    /// True when the plane is meant.
    pub fn contains(self, tenant: TenantId) -> bool {
        match self {
            Scope::All => true,
            Scope::Tenants => tenant.is_tenant(),
            Scope::One(one) => one == tenant,
        }
    }
}

/// One object as it is stored: bytes, and what needs no decoding.
#[derive(Clone, Debug)]
pub struct Object {
    /// Whose.
    pub tenant: TenantId,
    /// Its resource.
    pub resource: GroupResource,
    /// Its name.
    pub name: ObjectName,
    /// When it was last written.
    pub revision: Revision,
    /// Its JSON, with `metadata.resourceVersion`.
    pub bytes: Bytes,
    /// Its metadata.
    pub meta: Arc<Meta>,
}

impl Object {
    /// Decodes it.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            ApiError::internal(format_args!("{} {} cannot be decoded: {error}", self.resource, self.name))
        })
    }

    /// Whether its JSON has this text in it: costs next to nothing, and tells what need not be decoded.
    pub fn mentions(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes, text.as_bytes()).is_some()
    }

    /// Decodes it as a JSON value.
    pub fn value(&self) -> Result<Value, ApiError> {
        self.decode()
    }
}

/// Tells the objects that are wanted by their names and their metadata.
pub type Wanted<'a> = dyn Fn(&ObjectName, &Meta) -> bool + Sync + 'a;

/// Some objects of a list.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Those that are wanted, in the list's order.
    pub objects: Vec<Object>,
    /// When the last of all objects of the list was written, wanted or not.
    pub newest: Revision,
}

/// What a watch says.
#[derive(Clone, Debug)]
pub enum WatchItem {
    /// The object is there, as it is now.
    Applied(Object),
    /// The object was removed; as it was last.
    Deleted(Object),
    /// Everything that was live has been sent.
    Synced,
}

/// A kind of a plane, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// Group, version and plural.
    pub resource: Resource,
    /// The kind.
    pub kind: String,
    /// False for cluster-scoped resources.
    pub namespaced: bool,
}
