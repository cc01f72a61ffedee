//! Tenants, profiles, super clusters, rules.

use crate::verdict::Verdict::{AsInTenant, Enforced, Partly, Written};
use crate::verdict::{KindFields, Verdict, refused, value};

const GROUP: &str = "tenancy.insula.dev";
const TENANTS: &str = "tenant-apiserver-proxy/src/tenants.rs";
const LIMITS: &str = "tenant-apiserver-proxy/src/limits.rs";
const USAGE: &str = "tenant-apiserver-proxy/src/usage.rs";
const PODS: &str = "syncer/src/pods/downward.rs";
const CLAIMS: &str = "syncer/src/claims.rs";
const PLACEMENT: &str = "syncer/src/placement.rs";
const CLUSTERS: &str = "syncer/src/clusters.rs";
const SYNCER: &str = "syncer/src/reconcile/tenants.rs";
const CLAIMS_OF_TOKENS: &str = "tenant-apiserver-proxy/src/oidc/claims.rs";
const NOT_YET: Verdict = refused("not implemented in this release; leave it out");

/// Every kind.
pub const KINDS: &[KindFields] = &[TENANT, PROFILE, SUPER_CLUSTER, SYNC_RULE];

/// A tenant.
pub const TENANT: KindFields = KindFields {
    group: GROUP,
    kind: "Tenant",
    page: "tenants.md",
    good: "{}",
    rows: &[
        ("spec.profile", Enforced("tenant-apiserver-proxy/src/admission/profiles.rs")),
        ("spec.suspended", Enforced(TENANTS)),
        ("spec.deletionProtection", Enforced(TENANTS)),
        ("spec.weight", Enforced("builtin-controllers/src/gate.rs")),
        ("spec.limits", Enforced(LIMITS)),
        ("spec.quota.hard", NOT_YET),
        ("spec.placement.superClusterSelector", Enforced(PLACEMENT)),
        (
            "spec.network.driver",
            Partly(
                SYNCER,
                &[
                    value(
                        r#"{"network": {"driver": "kubeOvn"}}"#,
                        "not implemented in this release; use networkPolicy",
                    ),
                    value(r#"{"network": {"driver": "template"}}"#, "not implemented in this release"),
                ],
            ),
        ),
        ("spec.network.ingressClasses[].tenant", Enforced("syncer/src/mirrors.rs")),
        ("spec.network.ingressClasses[].super", Enforced("syncer/src/mirrors.rs")),
        ("spec.network.ingressClasses[].default", Enforced("syncer/src/classes.rs")),
        ("spec.network.vpc", NOT_YET),
        ("spec.runtime", Enforced(PODS)),
        ("spec.storage.classes", Enforced(CLAIMS)),
        ("spec.scheduling.nodeSelector", Enforced(PODS)),
        ("spec.scheduling.tolerations[].key", Enforced(PLACEMENT)),
        ("spec.scheduling.tolerations[].operator", Enforced(PLACEMENT)),
        ("spec.scheduling.tolerations[].value", Enforced(PLACEMENT)),
        ("spec.scheduling.tolerations[].effect", Enforced(PLACEMENT)),
        ("spec.scheduling.tolerations[].tolerationSeconds", Enforced("syncer/src/pods/update.rs")),
        ("spec.scheduling.maxPriority", Enforced(PODS)),
        ("spec.scheduling.priorityClasses[].tenant", Enforced("syncer/src/pods/priority.rs")),
        ("spec.scheduling.priorityClasses[].super", Enforced("syncer/src/pods/priority.rs")),
        ("spec.scheduling.priorityClasses[].default", Enforced("syncer/src/classes.rs")),
        ("spec.scheduling.podSecurity", Enforced("syncer/src/namespaces.rs")),
        ("spec.controllers.disabled", Enforced("builtin-controllers/src/gate.rs")),
        ("spec.sync.disabled", Enforced(SYNCER)),
        ("spec.sync.nodes", Enforced("syncer/src/reconcile/nodes.rs")),
        ("spec.sync.publish", Enforced("syncer/src/reconcile/configs.rs")),
        ("spec.oam.disabled", Enforced("oam-runtime/src/directory.rs")),
        ("spec.cloud.accounts", Enforced("cloud-adapters/src/tenants.rs")),
        ("spec.authentication.oidc[].issuer", Enforced("tenant-apiserver-proxy/src/oidc/keys.rs")),
        (
            "spec.authentication.oidc[].issuer.audiences",
            Enforced("tenant-apiserver-proxy/src/oidc/authenticator.rs"),
        ),
        // There is one policy.
        (
            "spec.authentication.oidc[].issuer.audienceMatchPolicy",
            Enforced("api-resources/src/kinds_insula/oidc.rs"),
        ),
        ("spec.authentication.oidc[].claimMappings", Enforced(CLAIMS_OF_TOKENS)),
        ("spec.authentication.oidc[].claimValidationRules", Enforced(CLAIMS_OF_TOKENS)),
        ("spec.authentication.oidc[].userValidationRules", Enforced(CLAIMS_OF_TOKENS)),
        ("spec.egress.allowedCIDRs", Enforced("syncer/src/isolation.rs")),
        ("spec.audit.policy", Enforced("api-resources/src/audit.rs")),
        ("spec.audit.webhook", Enforced("tenant-apiserver-proxy/src/audit/webhook.rs")),
        ("status.phase", Written(TENANTS)),
        ("status.endpoint", Written(TENANTS)),
        ("status.kubeconfigSecret", Written(TENANTS)),
        ("status.conditions", Written(TENANTS)),
        ("status.superCluster", Written(SYNCER)),
        ("status.usage", Written(USAGE)),
    ],
};

const PROFILE: KindFields = KindFields {
    group: GROUP,
    kind: "TenantProfile",
    page: "tenants.md",
    good: "{}",
    rows: &[
        ("spec.defaults", AsInTenant),
        ("spec.defaults.profile", refused("is a tenant's own")),
        ("spec.defaults.suspended", refused("is a tenant's own")),
        ("spec.ceilings", NOT_YET),
    ],
};

const SUPER_CLUSTER: KindFields = KindFields {
    group: GROUP,
    kind: "SuperCluster",
    page: "super-clusters.md",
    good: r#"{"kubeconfigSecret": {"name": "hz-1"}}"#,
    rows: &[
        ("spec.kubeconfigSecret", Enforced(CLUSTERS)),
        (
            "spec.reach",
            Partly(
                "api-resources/src/kinds_insula/super_clusters.rs",
                &[value(r#"{"reach": "apiServerProxy"}"#, "not implemented in this release; use direct")],
            ),
        ),
        ("spec.dnsAddresses", Enforced(CLUSTERS)),
        ("spec.cordoned", Enforced(PLACEMENT)),
        ("spec.taints[].key", Enforced(PLACEMENT)),
        ("spec.taints[].value", Enforced(PLACEMENT)),
        (
            "spec.taints[].effect",
            Partly(
                PLACEMENT,
                &[value(
                    r#"{"taints": [{"key": "a", "effect": "NoExecute"}]}"#,
                    "not implemented in this release; use NoSchedule",
                )],
            ),
        ),
        ("spec.taints[].timeAdded", refused("says nothing about a super cluster")),
        ("status.conditions", Written(SYNCER)),
        ("status.version", Written(CLUSTERS)),
        ("status.nodes", Written(CLUSTERS)),
        ("status.tenants", Written(CLUSTERS)),
    ],
};

const SYNC_RULE: KindFields = KindFields {
    group: GROUP,
    kind: "SyncRule",
    page: "super-clusters.md",
    good: r#"{"resource": {"version": "v1", "plural": "widgets"}}"#,
    rows: &[
        ("spec", refused("not implemented in this release; delete the rule")),
        ("status.conditions", Written("syncer/src/reconcile/tenants.rs")),
    ],
};
