//! The kinds that the fake knows: a table, to which tests and written CRDs add.

use crate::client::KindInfo;
use api_types::{GroupResource, Resource};
use compact_str::CompactString;
use serde_json::Value;

/// A kind of the fake.
#[derive(Clone, Debug)]
pub struct FakeKind {
    /// Group, version and plural. The version is the stored one.
    pub resource: Resource,
    /// The kind.
    pub kind: CompactString,
    /// False for cluster-scoped resources.
    pub namespaced: bool,
    /// The status is written through `status` only.
    pub status: bool,
    /// Changes outside metadata and status count in `metadata.generation`.
    pub generation: bool,
    /// It is no kind of Kubernetes: a write of the status changes no metadata.
    pub custom: bool,
}

impl FakeKind {
    /// A namespaced custom kind with status and generation.
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        FakeKind {
            resource: Resource { group: group.into(), version: version.into(), resource: plural.into() },
            kind: kind.into(),
            namespaced: true,
            status: true,
            generation: true,
            custom: true,
        }
    }

    /// The same kind, cluster-scoped.
    #[must_use]
    pub fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    pub(super) fn info(&self) -> KindInfo {
        KindInfo { resource: self.resource.clone(), kind: self.kind.to_string(), namespaced: self.namespaced }
    }

    pub(super) fn group_resource(&self) -> GroupResource {
        self.resource.group_resource()
    }

    pub(super) fn api_version(&self) -> String {
        self.resource.group_version().to_string()
    }

    /// The kind that a `CustomResourceDefinition` defines.
    pub(super) fn of_definition(definition: &Value) -> Option<Self> {
        let spec = &definition["spec"];
        let versions = spec["versions"].as_array()?;
        let stored = versions.iter().find(|v| v["storage"].as_bool().unwrap_or(false))?;
        let mut kind = Self::custom(
            spec["group"].as_str()?,
            stored["name"].as_str()?,
            spec["names"]["plural"].as_str()?,
            spec["names"]["kind"].as_str()?,
        );
        kind.namespaced = spec["scope"] == "Namespaced";
        kind.status = stored["subresources"]["status"].is_object();
        Some(kind)
    }
}

/// Scope and strategy of a row, by letter: `n` namespaced, `s` status subresource, `g` generation.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Group, version, plural, kind, letters.
const BUILT_IN: &[Row] = &[
    ("", "v1", "configmaps", "ConfigMap", "n"),
    ("", "v1", "endpoints", "Endpoints", "n"),
    ("", "v1", "events", "Event", "n"),
    ("", "v1", "limitranges", "LimitRange", "n"),
    ("", "v1", "namespaces", "Namespace", "s"),
    ("", "v1", "nodes", "Node", "s"),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "ns"),
    ("", "v1", "persistentvolumes", "PersistentVolume", "s"),
    ("", "v1", "pods", "Pod", "nsg"),
    ("", "v1", "replicationcontrollers", "ReplicationController", "nsg"),
    ("", "v1", "resourcequotas", "ResourceQuota", "ns"),
    ("", "v1", "secrets", "Secret", "n"),
    ("", "v1", "serviceaccounts", "ServiceAccount", "n"),
    ("", "v1", "services", "Service", "ns"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "g",
    ),
    ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", "sg"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "g",
    ),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", "sg"),
    ("apiregistration.k8s.io", "v1", "apiservices", "APIService", "s"),
    ("apps", "v1", "controllerrevisions", "ControllerRevision", "n"),
    ("apps", "v1", "daemonsets", "DaemonSet", "nsg"),
    ("apps", "v1", "deployments", "Deployment", "nsg"),
    ("apps", "v1", "replicasets", "ReplicaSet", "nsg"),
    ("apps", "v1", "statefulsets", "StatefulSet", "nsg"),
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "ns"),
    ("batch", "v1", "cronjobs", "CronJob", "nsg"),
    ("batch", "v1", "jobs", "Job", "nsg"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", "s"),
    ("cloud.insula.dev", "v1alpha1", "cloudaccounts", "CloudAccount", "sg"),
    ("cloud.insula.dev", "v1alpha1", "cloudclasses", "CloudClass", "sg"),
    ("cloud.insula.dev", "v1alpha1", "databases", "Database", "nsg"),
    ("coordination.k8s.io", "v1", "leases", "Lease", "n"),
    ("core.oam.dev", "v1alpha2", "applicationconfigurations", "ApplicationConfiguration", "nsg"),
    ("core.oam.dev", "v1alpha2", "components", "Component", "nsg"),
    ("core.oam.dev", "v1alpha2", "containerizedworkloads", "ContainerizedWorkload", "nsg"),
    ("core.oam.dev", "v1alpha2", "manualscalertraits", "ManualScalerTrait", "nsg"),
    ("core.oam.dev", "v1alpha2", "scopedefinitions", "ScopeDefinition", "g"),
    ("core.oam.dev", "v1alpha2", "servicebindings", "ServiceBinding", "nsg"),
    ("core.oam.dev", "v1alpha2", "traitdefinitions", "TraitDefinition", "sg"),
    ("core.oam.dev", "v1alpha2", "workloaddefinitions", "WorkloadDefinition", "sg"),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "ng"),
    ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", "g"),
    ("networking.k8s.io", "v1", "ingresses", "Ingress", "nsg"),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "ng"),
    ("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", ""),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "nsg"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", ""),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", ""),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "n"),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role", "n"),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", "g"),
    ("storage.k8s.io", "v1", "storageclasses", "StorageClass", ""),
    ("tenancy.insula.dev", "v1alpha1", "superclusters", "SuperCluster", "sg"),
    ("tenancy.insula.dev", "v1alpha1", "syncrules", "SyncRule", "sg"),
    ("tenancy.insula.dev", "v1alpha1", "tenantprofiles", "TenantProfile", "g"),
    ("tenancy.insula.dev", "v1alpha1", "tenants", "Tenant", "sg"),
];

/// The table of built-in kinds.
pub(super) fn built_in() -> Vec<FakeKind> {
    let kind = |&(group, version, plural, kind, letters): &Row| FakeKind {
        resource: Resource::new(group, version, plural),
        kind: kind.into(),
        namespaced: letters.contains('n'),
        status: letters.contains('s'),
        generation: letters.contains('g'),
        custom: false,
    };
    BUILT_IN.iter().map(kind).collect()
}
