//! How each built-in kind is defaulted, prepared and validated: one file per resource, joined in one table.
//!
//! Everything here is a pure function over objects in their stored version. What needs other objects (addresses,
//! quota, service accounts, priority classes) is the server's admission.

pub mod admission;
mod apiservices;
pub mod certificatesigningrequests;
mod conditions;
mod configmaps;
mod controllerrevisions;
mod cronjobs;
mod csidrivers;
mod daemonsets;
mod deployments;
mod deviceallocations;
mod devicenames;
mod endpoints;
mod endpointslices;
mod events;
mod flowschemas;
mod generic;
mod horizontalpodautoscalers;
mod ingresses;
mod ipaddresses;
mod jobs;
mod jobs_policies;
mod jobs_status;
mod jobs_template;
mod key_pairs;
mod leases;
mod limitranges;
pub mod metadata_rules;
pub mod namespaces;
mod networkpolicies;
mod nodes;
pub mod persistentvolumeclaims;
mod persistentvolumes;
pub mod place;
mod poddisruptionbudgets;
pub mod pods;
pub mod pods_admission;
mod pods_affinity;
mod pods_containers;
mod pods_defaults;
mod pods_disabled;
mod pods_env;
pub mod pods_ephemeral;
mod pods_mounts;
mod pods_probes;
pub mod pods_resize;
pub mod pods_resize_nodes;
mod pods_resources;
pub mod pods_runtime;
mod pods_security;
mod pods_spec;
mod pods_status;
mod pods_update;
mod pods_volumes;
mod pods_warnings;
mod pods_windows;
mod priorityclasses;
pub mod rbac;
mod replicasets;
mod replicationcontrollers;
mod resourceclaims;
mod resourcequotas;
pub mod resources;
mod resourceslices;
mod sameness;
pub mod secrets;
mod serviceaccounts;
pub mod services;
pub mod services_validation;
mod signing;
mod statefulsets;
mod storageclasses;
mod volume_sources;
mod volumeattachments;
mod volumes_warnings;
mod workloads;

pub(crate) use generic::counted_whole;

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
type Row = (&'static str, &'static str, fn() -> Strategy);

const STRATEGIES: &[Row] = &[
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
    ("events.k8s.io", "Event", events::strict_strategy),
    ("", "PersistentVolumeClaim", persistentvolumeclaims::strategy),
    ("", "PersistentVolume", persistentvolumes::strategy),
    ("", "ReplicationController", replicationcontrollers::strategy),
    ("", "ResourceQuota", resourcequotas::strategy),
    ("", "LimitRange", limitranges::strategy),
    (admission::GROUP, "MutatingAdmissionPolicy", admission::mutating_policy),
    (admission::GROUP, "MutatingAdmissionPolicyBinding", admission::mutating_binding),
    (admission::GROUP, "MutatingWebhookConfiguration", admission::mutating_webhooks),
    (admission::GROUP, "ValidatingAdmissionPolicy", admission::validating_policy),
    (admission::GROUP, "ValidatingAdmissionPolicyBinding", admission::validating_binding),
    (admission::GROUP, "ValidatingWebhookConfiguration", admission::validating_webhooks),
    (crate::aggregation::GROUP, "APIService", apiservices::strategy),
    ("apps", "Deployment", deployments::strategy),
    ("apps", "ReplicaSet", replicasets::strategy),
    ("apps", "StatefulSet", statefulsets::strategy),
    ("apps", "DaemonSet", daemonsets::strategy),
    ("apps", "ControllerRevision", controllerrevisions::strategy),
    ("autoscaling", "HorizontalPodAutoscaler", horizontalpodautoscalers::strategy),
    ("batch", "Job", jobs::strategy),
    ("batch", "CronJob", cronjobs::strategy),
    ("certificates.k8s.io", "CertificateSigningRequest", certificatesigningrequests::strategy),
    ("coordination.k8s.io", "Lease", leases::strategy),
    ("discovery.k8s.io", "EndpointSlice", endpointslices::strategy),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", flowschemas::schema_strategy),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", flowschemas::level_strategy),
    ("networking.k8s.io", "Ingress", ingresses::strategy),
    ("networking.k8s.io", "IngressClass", ingresses::class_strategy),
    ("networking.k8s.io", "NetworkPolicy", networkpolicies::strategy),
    ("networking.k8s.io", "IPAddress", ipaddresses::strategy),
    ("networking.k8s.io", "ServiceCIDR", ipaddresses::service_cidr),
    ("node.k8s.io", "RuntimeClass", priorityclasses::runtime_class),
    ("policy", "PodDisruptionBudget", poddisruptionbudgets::strategy),
    ("resource.k8s.io", "ResourceClaim", resourceclaims::strategy),
    ("resource.k8s.io", "ResourceClaimTemplate", resourceclaims::template_strategy),
    ("resource.k8s.io", "DeviceClass", resourceclaims::class_strategy),
    ("resource.k8s.io", "ResourceSlice", resourceslices::strategy),
    ("scheduling.k8s.io", "PriorityClass", priorityclasses::strategy),
    ("storage.k8s.io", "StorageClass", storageclasses::strategy),
    ("storage.k8s.io", "CSIDriver", csidrivers::csi_driver),
    ("storage.k8s.io", "CSINode", csidrivers::csi_node),
    ("storage.k8s.io", "CSIStorageCapacity", volumeattachments::csi_storage_capacity),
    ("storage.k8s.io", "VolumeAttachment", volumeattachments::volume_attachment),
    ("storage.k8s.io", "VolumeAttributesClass", storageclasses::volume_attributes_class),
    (rbac::GROUP, "Role", rbac::role),
    (rbac::GROUP, "RoleBinding", rbac::role_binding),
    (rbac::GROUP, "ClusterRole", rbac::cluster_role),
    (rbac::GROUP, "ClusterRoleBinding", rbac::cluster_role_binding),
];
