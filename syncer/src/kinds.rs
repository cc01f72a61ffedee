//! The kinds that are synced, one row each.

use api_types::{GroupResource, ObjectName, Resource, TenantId, labels};
use service_runtime::{FairQueue, Lease};

/// Label of EndpointSlices: who writes them.
pub const SLICES_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// As which the syncer writes them.
pub const SLICE_MANAGER: &str = "insula.dev";

/// A kind that is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Kind {
    Namespace,
    NetworkPolicy,
    ServiceAccount,
    ConfigMap,
    Secret,
    Claim,
    Service,
    EndpointSlice,
    Ingress,
    DisruptionBudget,
    Pod,
    Node,
    Volume,
    StorageClass,
    RuntimeClass,
    IngressClass,
    PriorityClass,
}

/// What is due: one object of a tenant, or the tenant itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Placement, finalizer and removal of the tenant of this name.
    Tenant(String),
    /// Everything of the tenant, on both sides: each object becomes due.
    Everything,
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
    side: Side,
}

/// On which side of the syncer objects of a kind are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// By tenants. Those in super clusters are ours and carry our labels.
    Tenant,
    /// By the super cluster. It is watched whole.
    SuperCluster,
}

/// In the order of the kinds.
static ROWS: [Row; 17] = [
    row("Namespace", "", "namespaces", Side::Tenant),
    row("NetworkPolicy", "networking.k8s.io", "networkpolicies", Side::Tenant),
    row("ServiceAccount", "", "serviceaccounts", Side::Tenant),
    row("ConfigMap", "", "configmaps", Side::Tenant),
    row("Secret", "", "secrets", Side::Tenant),
    row("PersistentVolumeClaim", "", "persistentvolumeclaims", Side::Tenant),
    row("Service", "", "services", Side::Tenant),
    row("EndpointSlice", "discovery.k8s.io", "endpointslices", Side::Tenant),
    row("Ingress", "networking.k8s.io", "ingresses", Side::Tenant),
    row("PodDisruptionBudget", "policy", "poddisruptionbudgets", Side::Tenant),
    row("Pod", "", "pods", Side::Tenant),
    row("Node", "", "nodes", Side::SuperCluster),
    row("PersistentVolume", "", "persistentvolumes", Side::SuperCluster),
    row("StorageClass", "storage.k8s.io", "storageclasses", Side::SuperCluster),
    row("RuntimeClass", "node.k8s.io", "runtimeclasses", Side::SuperCluster),
    row("IngressClass", "networking.k8s.io", "ingressclasses", Side::SuperCluster),
    row("PriorityClass", "scheduling.k8s.io", "priorityclasses", Side::SuperCluster),
];

const fn row(name: &'static str, group: &'static str, plural: &'static str, side: Side) -> Row {
    Row { name, resource: Resource::new(group, "v1", plural), side }
}

impl Kind {
    /// Every kind, in the order in which objects need each other.
    pub const ALL: [Kind; 17] = [
        Kind::Namespace,
        Kind::NetworkPolicy,
        Kind::ServiceAccount,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::Claim,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Ingress,
        Kind::DisruptionBudget,
        Kind::Pod,
        Kind::Node,
        Kind::Volume,
        Kind::StorageClass,
        Kind::RuntimeClass,
        Kind::IngressClass,
        Kind::PriorityClass,
    ];

    /// Classes, of which tenants see those that are published to them.
    pub const CLASSES: [Kind; 4] =
        [Kind::StorageClass, Kind::RuntimeClass, Kind::IngressClass, Kind::PriorityClass];

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
        self.row().side != Side::SuperCluster
    }

    /// What is done with its objects in super clusters, as RBAC names it.
    pub fn verbs(self) -> &'static [&'static str] {
        if self.labelled() {
            &["get", "list", "watch", "create", "patch", "delete"]
        } else {
            &["list", "watch"]
        }
    }

    /// The label selector by which its objects of all tenants, or of this one, are found in super clusters.
    pub fn selector(self, tenant: Option<TenantId>) -> String {
        let ours = match tenant {
            Some(tenant) => format!("{}={tenant}", labels::TENANT_UID),
            None => labels::TENANT_UID.to_owned(),
        };
        match self {
            _ if !self.labelled() => String::new(),
            // The cluster's own controller gives its slices the labels of their Service.
            Kind::EndpointSlice => format!("{ours},{SLICES_MANAGED_BY}={SLICE_MANAGER}"),
            _ => ours,
        }
    }

    /// True when tenants make its objects, and ours stand for them.
    pub fn goes_down(self) -> bool {
        self.row().side == Side::Tenant
    }

    /// The kind with this name in JSON.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// Keys that wait, fairly to tenants.
pub type Keys = FairQueue<TenantId, Key>;

/// A key that a worker has.
pub type LeasedKey = Lease<TenantId, Key>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_in_order() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let singular = kind.name().to_lowercase();
            assert!(kind.resource().resource.starts_with(singular.trim_end_matches('y')), "{kind:?}");
            assert!(kind.name().ends_with(&format!("{kind:?}")));
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
    }
}
