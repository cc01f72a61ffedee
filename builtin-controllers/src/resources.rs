//! The built-in resources that the controllers read and write.

use plane_client::Resource;

pub(crate) const CONFIG_MAPS: Resource = Resource::new("", "v1", "configmaps");
pub(crate) const ENDPOINTS: Resource = Resource::new("", "v1", "endpoints");
pub(crate) const EVENTS: Resource = Resource::new("", "v1", "events");
pub(crate) const NAMESPACES: Resource = Resource::new("", "v1", "namespaces");
pub(crate) const NODES: Resource = Resource::new("", "v1", "nodes");
pub(crate) const PERSISTENT_VOLUME_CLAIMS: Resource = Resource::new("", "v1", "persistentvolumeclaims");
pub(crate) const PERSISTENT_VOLUMES: Resource = Resource::new("", "v1", "persistentvolumes");
pub(crate) const PODS: Resource = Resource::new("", "v1", "pods");
pub(crate) const REPLICATION_CONTROLLERS: Resource = Resource::new("", "v1", "replicationcontrollers");
pub(crate) const CLUSTER_ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "clusterroles");
pub(crate) const RESOURCE_QUOTAS: Resource = Resource::new("", "v1", "resourcequotas");
pub(crate) const SECRETS: Resource = Resource::new("", "v1", "secrets");
pub(crate) const SERVICE_ACCOUNTS: Resource = Resource::new("", "v1", "serviceaccounts");
pub(crate) const SERVICES: Resource = Resource::new("", "v1", "services");
pub(crate) const CONTROLLER_REVISIONS: Resource = Resource::new("apps", "v1", "controllerrevisions");
pub(crate) const DAEMON_SETS: Resource = Resource::new("apps", "v1", "daemonsets");
pub(crate) const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
pub(crate) const REPLICA_SETS: Resource = Resource::new("apps", "v1", "replicasets");
pub(crate) const AUTOSCALERS: Resource = Resource::new("autoscaling", "v2", "horizontalpodautoscalers");
pub(crate) const CRON_JOBS: Resource = Resource::new("batch", "v1", "cronjobs");
pub(crate) const STATEFUL_SETS: Resource = Resource::new("apps", "v1", "statefulsets");
pub(crate) const DISRUPTION_BUDGETS: Resource = Resource::new("policy", "v1", "poddisruptionbudgets");
pub(crate) const JOBS: Resource = Resource::new("batch", "v1", "jobs");
pub(crate) const CERTIFICATE_REQUESTS: Resource =
    Resource::new("certificates.k8s.io", "v1", "certificatesigningrequests");
pub(crate) const SUBJECT_ACCESS_REVIEWS: Resource =
    Resource::new("authorization.k8s.io", "v1", "subjectaccessreviews");
pub(crate) const VALIDATING_POLICIES: Resource =
    Resource::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies");
pub(crate) const LEASES: Resource = Resource::new("coordination.k8s.io", "v1", "leases");
pub(crate) const ROLE_BINDINGS: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "rolebindings");
pub(crate) const ENDPOINT_SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
pub(crate) const STORAGE_CLASSES: Resource = Resource::new("storage.k8s.io", "v1", "storageclasses");
pub(crate) const DEFINITIONS: Resource =
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
