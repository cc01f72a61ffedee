//! The well-known labels, annotations and finalizers of the platform.

/// On every object in a super cluster: the tenant's name.
pub const TENANT: &str = "insula.dev/tenant";
/// On every object in a super cluster: the tenant's UID. Ownership is decided by it alone.
pub const TENANT_UID: &str = "insula.dev/tenant-uid";
/// Annotation on every object in a super cluster: the namespace of the tenant's object.
pub const NAMESPACE: &str = "insula.dev/namespace";
/// Annotation on every object in a super cluster: the name of the tenant's object.
pub const NAME: &str = "insula.dev/name";
/// Annotation on every object in a super cluster: the UID of the tenant's object.
pub const UID: &str = "insula.dev/uid";
/// Label on every pod in a super cluster: `open` when no NetworkPolicy of the tenant holds for what comes in, else
/// `closed`.
pub const INGRESS: &str = "insula.dev/ingress";
/// The same for what goes out.
pub const EGRESS: &str = "insula.dev/egress";
/// Label, `"true"` on simulated nodes and their pods.
pub const SIMULATED: &str = "insula.dev/simulated";
/// Annotation on a pod that is to end on a simulated node: after how long, such as `5s`.
pub const SIM_RUN_FOR: &str = "sim.insula.dev/run-for";
/// Annotation on a pod that is to end on a simulated node: its containers' exit code.
pub const SIM_EXIT_CODE: &str = "sim.insula.dev/exit-code";
/// Annotation on a pod of a simulated node: how much CPU it uses, as an amount (`250m`) or a share of what it requests (`80%`).
pub const SIM_CPU_USAGE: &str = "sim.insula.dev/cpu-usage";
/// The same for memory.
pub const SIM_MEMORY_USAGE: &str = "sim.insula.dev/memory-usage";
/// Annotation on a pod of a simulated node: how long its containers take to be made, such as `10s`.
pub const SIM_START_AFTER: &str = "sim.insula.dev/start-after";
/// Annotation on a pod of a simulated node: how long a container runs until it is ready, such as `10s`, or `never`.
pub const SIM_READY_AFTER: &str = "sim.insula.dev/ready-after";
/// Annotation on a pod of a simulated node: how long its containers take to end when they are told to, such as `5s`.
pub const SIM_STOP_AFTER: &str = "sim.insula.dev/stop-after";
/// Annotation (any value but `false`) or key of a taint on a simulated node: it has failed.
pub const SIM_FAILED: &str = "sim.insula.dev/failed";
/// Annotation on a simulated node: its capacity, such as `cpu=4,memory=8Gi`.
pub const SIM_CAPACITY: &str = "sim.insula.dev/capacity";
/// Annotation on applications: the user who last wrote the spec, as whom the runtime acts.
pub const AUTHOR: &str = "insula.dev/author";
/// Label of a Secret with a token of a service account: the day on which the token was last used (KEP-2799).
pub const TOKEN_LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// The same: since which day the token is taken no more.
pub const TOKEN_INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
/// Annotation of such a Secret: the SHA-256 of the token that it held before, hexadecimal. By it that one is taken too.
pub const FORMER_TOKEN: &str = "insula.dev/former-token";
/// Finalizer on a `Tenant` while something of it may be in a super cluster.
pub const SUPER_FINALIZER: &str = "syncer.insula.dev/super";
