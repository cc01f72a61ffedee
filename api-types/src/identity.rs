//! Identities: which plane, which resource, which object, which revision.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The identity of one plane (one logical cluster): its key space, its RBAC, its CRDs.
///
/// A tenant's is the `metadata.uid` of its `Tenant`, so that a name made again is a new space. The host plane
/// and the embedded super cluster have fixed identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TenantId(Uuid);

impl TenantId {
    /// The host plane, where platform admins work.
    pub const HOST: TenantId = TenantId(Uuid::from_u128(1));
    /// The embedded super cluster `local`.
    pub const LOCAL_SUPER: TenantId = TenantId(Uuid::from_u128(2));

    /// The identity of the tenant whose `Tenant` object has this UID.
    pub const fn new(uid: Uuid) -> Self {
        TenantId(uid)
    }

    /// Parses the canonical text of a UID.
    pub fn parse(uid: &str) -> Option<Self> {
        Uuid::parse_str(uid).ok().map(TenantId)
    }

    /// The UID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// True for a plane that belongs to a `Tenant`: neither the host plane nor an embedded super cluster.
    pub fn is_tenant(self) -> bool {
        self != Self::HOST && self != Self::LOCAL_SUPER
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point in the one history of an installation. Zero is "before everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision(pub u64);

impl Revision {
    /// Before everything; as a precondition: the key must be absent.
    pub const ZERO: Revision = Revision(0);
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An API group (empty for the core group) and a plural resource name, as RBAC and storage know a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// The API group; empty for the core group.
    pub group: CompactString,
    /// The plural name in lower case.
    pub resource: CompactString,
}

impl GroupResource {
    /// Names a resource.
    pub fn new(group: impl AsRef<str>, resource: impl AsRef<str>) -> Self {
        GroupResource { group: group.as_ref().into(), resource: resource.as_ref().into() }
    }
}

/// `configmaps`, `deployments.apps`: as messages of Kubernetes print it.
impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// An API group and version; prints as `apiVersion` does (`v1`, `apps/v1`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    /// The API group; empty for the core group.
    pub group: CompactString,
    /// The version.
    pub version: CompactString,
}

impl GroupVersion {
    /// Names a group and version.
    pub fn new(group: impl AsRef<str>, version: impl AsRef<str>) -> Self {
        GroupVersion { group: group.as_ref().into(), version: version.as_ref().into() }
    }

    /// Parses an `apiVersion`. More than one slash is `None`.
    pub fn parse(api_version: &str) -> Option<Self> {
        match api_version.split_once('/') {
            None => Some(Self::new("", api_version)),
            Some((_, version)) if version.contains('/') => None,
            Some((group, version)) => Some(Self::new(group, version)),
        }
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        f.write_str(&self.version)
    }
}

/// A resource in one version, as a request path names it: `apps/v1 deployments`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: CompactString,
    /// The version.
    pub version: CompactString,
    /// The plural name in lower case.
    pub resource: CompactString,
}

impl Resource {
    /// Names a resource; usable in constants.
    pub const fn new(group: &'static str, version: &'static str, resource: &'static str) -> Self {
        Resource {
            group: CompactString::const_new(group),
            version: CompactString::const_new(version),
            resource: CompactString::const_new(resource),
        }
    }

    /// The resource without its version.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.clone(), resource: self.resource.clone() }
    }

    /// Group and version.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion { group: self.group.clone(), version: self.version.clone() }
    }
}

/// The name of an object within a resource of a plane. `namespace` is empty for cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The namespace; empty for a cluster-scoped object.
    pub namespace: CompactString,
    /// The name.
    pub name: CompactString,
}

impl ObjectName {
    /// Names an object.
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        ObjectName { namespace: namespace.as_ref().into(), name: name.as_ref().into() }
    }

    /// Names a cluster-scoped object.
    pub fn cluster(name: impl AsRef<str>) -> Self {
        Self::new("", name)
    }
}

/// `namespace/name`, or `name` for a cluster-scoped object.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// One object of a plane: resource and name. The plane itself is a [`TenantId`] beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// The resource.
    pub resource: GroupResource,
    /// The object's name in it.
    pub object: ObjectName,
}

impl ResourceKey {
    /// Names an object; `namespace` is empty for a cluster-scoped one.
    pub fn new(resource: GroupResource, namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        ResourceKey { resource, object: ObjectName::new(namespace, name) }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource, self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_parse_and_print() {
        for text in ["v1", "apps/v1", "core.oam.dev/v1alpha2"] {
            assert_eq!(GroupVersion::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(GroupVersion::parse("a/b/c"), None);
    }

    #[test]
    fn resources_print_as_kubernetes_prints_them() {
        assert_eq!(GroupResource::new("", "pods").to_string(), "pods");
        assert_eq!(GroupResource::new("apps", "deployments").to_string(), "deployments.apps");
    }

    #[test]
    fn only_tenants_are_tenants() {
        assert!(!TenantId::HOST.is_tenant() && !TenantId::LOCAL_SUPER.is_tenant());
        assert!(TenantId::new(Uuid::from_u128(77)).is_tenant());
    }
}
