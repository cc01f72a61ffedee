//! How each built-in kind is defaulted, prepared and validated: one file per resource, joined in one table.
//!
//! Everything here is a pure function over objects in their stored version. What needs other objects (addresses,
//! quota, service accounts, priority classes) is the server's admission.

mod configmaps;
mod deployments;
mod endpoints;
mod endpointslices;
mod events;
mod generic;
mod leases;
pub mod namespaces;
mod nodes;
pub mod persistentvolumeclaims;
pub mod pods;
mod pods_affinity;
mod pods_containers;
mod pods_defaults;
mod pods_env;
mod pods_probes;
mod pods_security;
mod pods_spec;
mod pods_update;
mod pods_volumes;
mod pods_warnings;
pub mod rbac;
mod replicasets;
mod sameness;
pub mod secrets;
mod serviceaccounts;
pub mod services;
pub mod services_validation;
mod workloads;
pub mod place;
pub mod pods_admission;
pub mod resources;

use crate::resource::Strategy;

/// The strategy of a built-in kind. Kinds without rules of their own get the plain one: names are DNS subdomains,
/// the status is cleared at creation and kept by updates of the main resource.
pub fn strategy(group: &str, kind: &str) -> Strategy {
    STRATEGIES
        .iter()
        .find(|(g, k, _)| *g == group && *k == kind)
        .map_or_else(generic::plain, |(_, _, strategy)| strategy())
}

/// Group, kind, strategy.
const STRATEGIES: &[(&str, &str, fn() -> Strategy)] = &[
    ("", "Pod", pods::strategy),
    ("", "PodTemplate", pods::template_strategy),
    ("", "Service", services::strategy),
    ("", "Endpoints", endpoints::strategy),
    ("", "ConfigMap", configmaps::strategy),
    ("", "Secret", secrets::strategy),
    ("", "ServiceAccount", serviceaccounts::strategy),
    ("", "Namespace", namespaces::strategy),
    ("", "Node", nodes::strategy),
    ("", "Event", events::strategy),
    ("", "PersistentVolumeClaim", persistentvolumeclaims::strategy),
    ("apps", "Deployment", deployments::strategy),
    ("apps", "ReplicaSet", replicasets::strategy),
    ("coordination.k8s.io", "Lease", leases::strategy),
    ("discovery.k8s.io", "EndpointSlice", endpointslices::strategy),
    ("events.k8s.io", "Event", events::events_k8s_io),
    (rbac::GROUP, "Role", rbac::role),
    (rbac::GROUP, "RoleBinding", rbac::role_binding),
    (rbac::GROUP, "ClusterRole", rbac::cluster_role),
    (rbac::GROUP, "ClusterRoleBinding", rbac::cluster_role_binding),
];
