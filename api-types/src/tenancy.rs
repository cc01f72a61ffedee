//! The kinds of `tenancy.insula.dev`: tenants, their profiles, super clusters, and rules for more kinds to sync.
//!
//! All live in the host plane and are cluster-scoped. Unknown fields are refused. What a spec leaves out has the
//! default that the field's documentation names.

mod tenant_spec;

mod tenant_status;

mod super_cluster;

mod sync_rule;

mod controllers;
mod oidc;

pub use controllers::*;
pub use oidc::*;
pub use super_cluster::*;
pub use sync_rule::*;
pub use tenant_spec::*;
pub use tenant_status::*;

use crate::identity::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The API group.
pub const GROUP: &str = "tenancy.insula.dev";
/// The version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of the group's objects.
pub const API_VERSION: &str = "tenancy.insula.dev/v1alpha1";
/// `tenants`.
pub const TENANTS: Resource = Resource::new(GROUP, VERSION, "tenants");
/// `tenantprofiles`.
pub const TENANT_PROFILES: Resource = Resource::new(GROUP, VERSION, "tenantprofiles");
/// `superclusters`.
pub const SUPER_CLUSTERS: Resource = Resource::new(GROUP, VERSION, "superclusters");
/// `syncrules`.
pub const SYNC_RULES: Resource = Resource::new(GROUP, VERSION, "syncrules");
/// The longest name of a tenant.
pub const TENANT_NAME_MAX: usize = 40;
/// The namespace of the host plane where the platform keeps its Secrets and Leases.
pub const SYSTEM_NAMESPACE: &str = "insula-system";

/// Strings by key: labels, annotations, selectors.
pub type StringMap = BTreeMap<String, String>;

/// `metadata` with what the platform reads; the rest is kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// The name.
    pub name: String,
    /// The namespace; empty for a cluster-scoped object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Given by the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Given by the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Counts changes of the spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// RFC 3339; set once the object is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: StringMap,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: StringMap,
    /// What must happen before the object goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One object of the group: a spec, and for most kinds a status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Custom<Spec: Default, Status: Default> {
    /// [`API_VERSION`].
    #[serde(default)]
    pub api_version: String,
    /// The kind.
    #[serde(default)]
    pub kind: String,
    /// Name, labels and so on.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: Spec,
    /// What is.
    #[serde(default)]
    pub status: Status,
}

/// One customer of the platform, with a Kubernetes of their own.
pub type Tenant = Custom<TenantSpec, TenantStatus>;
/// Defaults and ceilings of tenants' specs.
pub type TenantProfile = Custom<TenantProfileSpec, NoStatus>;
/// A Kubernetes cluster that owns nodes, where tenants' pods run.
pub type SuperCluster = Custom<SuperClusterSpec, SuperClusterStatus>;
/// How one more kind is synced.
pub type SyncRule = Custom<SyncRuleSpec, SyncRuleStatus>;

/// For kinds without a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoStatus {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn full_spec() -> Value {
        json!({
            "profile": "standard", "suspended": false, "deletionProtection": false, "weight": 1,
            "limits": {"requestsPerSecond": 500, "concurrentRequests": 50, "watches": 500, "streams": 100, "objects": 100000,
                "bytes": "1Gi"},
            "quota": {"hard": {"requests.cpu": "100", "pods": "2000"}},
            "placement": {"superClusterSelector": {"matchLabels": {"region": "hangzhou"}}},
            "network": {"driver": "networkPolicy", "vpc": {"cidr": "10.20.0.0/16", "id": ""},
                "ingressClasses": [{"tenant": "web", "super": "nginx", "default": true}]},
            "runtime": {"className": "kata", "enforce": true},
            "storage": {"classes": [{"tenant": "standard", "super": "cloud-ssd", "default": true}]},
            "scheduling": {"nodeSelector": {}, "tolerations": [], "maxPriority": 1000000,
                "priorityClasses": [{"tenant": "high", "super": "tenants-high", "default": false}], "podSecurity": "baseline"},
            "controllers": {"disabled": []},
            "sync": {"disabled": false, "nodes": "used", "publish": "all"},
            "oam": {"disabled": false},
            "cloud": {"accounts": ["aliyun-main", "datacenter"]},
            "authentication": {"oidc": []},
            "egress": {"allowedCIDRs": []},
            "audit": {"policy": {"rules": [{"level": "Metadata"}]}, "webhook": {"url": "https://logs.example.com", "caBundle": ""}},
        })
    }

    #[test]
    fn the_whole_example_survives_a_round_trip() {
        let spec: TenantSpec = serde_json::from_value(full_spec()).unwrap();
        assert_eq!(serde_json::to_value(spec).unwrap(), full_spec());
        let status = json!({"phase": "Ready", "endpoint": "https://127.0.0.1:7443/tenants/acme",
            "superCluster": "local", "kubeconfigSecret": {"namespace": "insula-system", "name": "acme-kubeconfig",
            "key": "value"}, "usage": {"objects": 812, "bytes": 901120, "pods": 12, "requestsPerSecond": 3},
            "conditions": []});
        let decoded: TenantStatus = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(serde_json::to_value(decoded).unwrap(), status);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let tenant: Tenant = serde_json::from_value(json!({"apiVersion": API_VERSION, "kind": "Tenant",
            "metadata": {"name": "acme", "managedFields": []}, "spec": {"runtime": {"className": "kata"}}}))
        .unwrap();
        assert_eq!(tenant.spec.weight, 1);
        assert_eq!(tenant.spec.limits.bytes, "1Gi");
        assert_eq!(tenant.spec.sync.nodes, NodeView::Used);
        assert!(!tenant.spec.runtime.enforce && tenant.metadata.other.contains_key("managedFields"));
        let bare: Tenant = serde_json::from_value(json!({"metadata": {"name": "acme"}})).unwrap();
        assert_eq!(bare.spec, TenantSpec::default());
    }

    #[test]
    fn unknown_fields_are_refused() {
        for spec in
            [json!({"wait": 1}), json!({"limits": {"watch": 1}}), json!({"network": {"driver": "magic"}})]
        {
            assert!(serde_json::from_value::<TenantSpec>(spec.clone()).is_err(), "{spec}");
        }
    }

    #[test]
    fn a_profile_fills_what_the_tenant_leaves_out() {
        let profile: TenantProfileSpec = serde_json::from_value(json!({"defaults": {
            "weight": 5, "limits": {"watches": 9, "objects": 7}}}))
        .unwrap();
        let spec = profile.effective(&json!({"limits": {"watches": 3}, "runtime": null})).unwrap();
        assert_eq!((spec.weight, spec.limits.watches, spec.limits.objects), (5, 3, 7));
        assert_eq!(spec.limits.requests_per_second, 500);
    }

    #[test]
    fn selectors_match_as_in_kubernetes() {
        let labels: StringMap = [("region".to_owned(), "hz".to_owned())].into();
        for (selector, expected) in [
            (json!({}), true),
            (json!({"matchLabels": {"region": "hz"}}), true),
            (json!({"matchLabels": {"region": "sh"}}), false),
            (json!({"matchExpressions": [{"key": "region", "operator": "In", "values": ["hz"]}]}), true),
            (json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), true),
        ] {
            let decoded: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(decoded.matches(&labels), expected, "{selector}");
        }
    }

    #[test]
    fn super_clusters_and_rules_decode() {
        let cluster: SuperCluster = serde_json::from_value(json!({"metadata": {"name": "hz-1"}, "spec": {
            "kubeconfigSecret": {"name": "hz-1"}, "reach": "apiServerProxy", "dnsAddresses": ["10.0.0.53", "fd00::53"]}}))
        .unwrap();
        assert_eq!(
            serde_json::to_value(&cluster.spec).unwrap()["dnsAddresses"],
            json!(["10.0.0.53", "fd00::53"])
        );
        let secret = cluster.spec.kubeconfig_secret.unwrap();
        assert_eq!((secret.namespace.as_str(), secret.key.as_str()), (SYSTEM_NAMESPACE, "value"));
        let rule: SyncRule = serde_json::from_value(json!({"metadata": {"name": "certificates"}, "spec": {
            "resource": {"group": "cert-manager.io", "version": "v1", "plural": "certificates"},
            "direction": "down", "tenantSelector": {},
            "names": [{"path": "spec.secretName", "of": {"kind": "Secret"}}],
            "set": [{"path": "spec.issuerRef.name", "value": "${tenant.name + '-issuer'}"}],
            "refuse": [{"when": "${object.spec.isCA}", "message": "CA certificates are not allowed"}]}}))
        .unwrap();
        assert_eq!(rule.spec.direction, Direction::Down);
    }
}
