//! What a client can write, and as whom.

use api_types::{GroupResource, ObjectName, Resource, TenantId};
use serde_json::Value;

/// As whom a write is made: the identity that authorization and audit see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A part of the platform: user `system:<name>` in group `system:masters`, charged to the tenant that it
    /// works for. The name is also the field manager.
    Platform(&'static str),
    /// A user of the plane, for work that a tenant asked for: the write succeeds only if this user may do it.
    User {
        /// The user name, such as `system:serviceaccount:shop:deployer`.
        user: String,
        /// The groups, without `system:authenticated`, which is added.
        groups: Vec<String>,
        /// Whose work it is; the field manager.
        manager: &'static str,
    },
}

impl Actor {
    /// The field manager of the write.
    pub fn manager(&self) -> &'static str {
        match self {
            Actor::Platform(name) => name,
            Actor::User { manager, .. } => manager,
        }
    }
}

/// Which object, through which version and subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whose.
    pub tenant: TenantId,
    /// Group, version and plural.
    pub resource: Resource,
    /// Namespace and name; for a creation the name comes from the body.
    pub object: ObjectName,
    /// `status`, `scale`, `binding`, `token`, …; empty for the object itself.
    pub subresource: &'static str,
}

impl Target {
    /// An object.
    pub fn new(
        tenant: TenantId,
        resource: &Resource,
        namespace: impl AsRef<str>,
        name: impl AsRef<str>,
    ) -> Self {
        Target {
            tenant,
            resource: resource.clone(),
            object: ObjectName::new(namespace, name),
            subresource: "",
        }
    }

    /// The same object's subresource.
    #[must_use]
    pub fn subresource(mut self, name: &'static str) -> Self {
        self.subresource = name;
        self
    }

    /// The resource without its version.
    pub fn group_resource(&self) -> GroupResource {
        self.resource.group_resource()
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// POST.
    Create(Value),
    /// PUT. The body's `resourceVersion`, when set, is checked.
    Update(Value),
    /// PATCH.
    Patch(Patch),
    /// DELETE.
    Delete(Delete),
}

/// A patch and its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386. A `metadata.resourceVersion` or `metadata.uid` in it is checked.
    Merge(Value),
    /// Strategic merge; built-in kinds only.
    Strategic(Value),
    /// Server-side apply with the actor's field manager, always forced: a controller owns what it says.
    Apply(Value),
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delete {
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only at this `resourceVersion`.
    pub resource_version: Option<String>,
    /// Seconds; `None`: the resource's default.
    pub grace_period_seconds: Option<u32>,
    /// What becomes of dependents; `None`: the resource's default.
    pub propagation: Option<Propagation>,
}

/// What becomes of dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Deleted after.
    Background,
    /// Deleted before.
    Foreground,
    /// Kept, without their owner.
    Orphan,
}
