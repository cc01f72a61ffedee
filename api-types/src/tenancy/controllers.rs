//! The built-in controllers that a tenant can be without.

/// What `spec.controllers.disabled` of a `Tenant` may name, beside [`ALL_CONTROLLERS`].
pub const CONTROLLERS: &[&str] = &[
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "validatingadmissionpolicy-status-controller",
    "deployment-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "disruption-controller",
    "horizontal-pod-autoscaler-controller",
    "resourcequota-controller",
    "garbage-collector-controller",
    "ephemeral-volume-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
    "volumeattributesclass-protection-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
];

/// Names that Kubernetes had before and still takes, each with the one that it stands for.
pub const OLD_NAMES: &[(&str, &str)] =
    &[("horizontalpodautoscaling", "horizontal-pod-autoscaler-controller")];

/// Stands for every one of them in `spec.controllers.disabled`.
pub const ALL_CONTROLLERS: &str = "*";
