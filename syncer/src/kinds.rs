//! The kinds that are synced, one row each.

use api_types::{GroupResource, ObjectName, Resource};

/// A kind that is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Namespace,
    ServiceAccount,
    ConfigMap,
    Secret,
    Claim,
    Service,
    Pod,
    Node,
}

/// What is due: one object of a tenant, or the tenant itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Placement, finalizer and removal of the tenant of this name.
    Tenant(String),
    /// An object, by its name in the tenant.
    Object(Kind, ObjectName),
    /// An event, by its namespace and name in the super cluster.
    Event(ObjectName),
}

impl Key {
    /// An object, by its name in the tenant.
    pub fn object(kind: Kind, namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Key::Object(kind, ObjectName::new(namespace, name))
    }
}

struct Row {
    name: &'static str,
    resource: Resource,
    /// Its objects in super clusters carry our labels. Those that do not are watched whole.
    labelled: bool,
}

/// In the order of the kinds.
static ROWS: [Row; 8] = [
    row("Namespace", "namespaces", true),
    row("ServiceAccount", "serviceaccounts", true),
    row("ConfigMap", "configmaps", true),
    row("Secret", "secrets", true),
    row("PersistentVolumeClaim", "persistentvolumeclaims", true),
    row("Service", "services", true),
    row("Pod", "pods", true),
    row("Node", "nodes", false),
];

const fn row(name: &'static str, plural: &'static str, labelled: bool) -> Row {
    Row { name, resource: Resource::new("", "v1", plural), labelled }
}

impl Kind {
    /// Every kind, in the order in which objects need each other.
    pub const ALL: [Kind; 8] = [
        Kind::Namespace,
        Kind::ServiceAccount,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::Claim,
        Kind::Service,
        Kind::Pod,
        Kind::Node,
    ];

    fn row(self) -> &'static Row {
        // `the_rows_are_in_order` proves that the index is that of the kind.
        &ROWS[self as usize]
    }

    /// As `kind` in JSON.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Group, version and plural, the same in tenants and super clusters.
    pub fn resource(self) -> &'static Resource {
        &self.row().resource
    }

    /// Group and plural.
    pub fn group_resource(self) -> GroupResource {
        self.resource().group_resource()
    }

    /// True when its objects in super clusters carry our labels.
    pub fn labelled(self) -> bool {
        self.row().labelled
    }

    /// The kind with this name in JSON.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_in_order() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert!(
                kind.resource().resource.starts_with(&format!("{kind:?}").to_lowercase())
                    || kind == Kind::Claim
            );
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
    }
}
