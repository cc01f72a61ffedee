//! What a tenant is to be, and a profile's defaults for it.

use super::StringMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a tenant is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantSpec {
    /// A `TenantProfile`, whose values are defaults and whose ceilings are limits; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// The API answers 403, streams close, workloads scale to nothing. Default false.
    pub suspended: bool,
    /// Deleting the tenant is refused. Default false.
    pub deletion_protection: bool,
    /// The share in every fair queue, 1 to 1000. Default 1.
    pub weight: u32,
    /// What the tenant may ask of the API.
    pub limits: Limits,
    /// Hard limits over all namespaces together. Default none.
    pub quota: Quota,
    /// On which super cluster. Default any.
    pub placement: Placement,
    /// The pods' network.
    pub network: Network,
    /// The pods' sandbox.
    pub runtime: Runtime,
    /// The pods' disks.
    pub storage: Storage,
    /// Where the pods run, and with what rights.
    pub scheduling: Scheduling,
    /// Built-in controllers.
    pub controllers: Controllers,
    /// What is synced.
    pub sync: Sync,
    /// The application runtime.
    pub oam: Oam,
    /// The clouds that the tenant may use.
    pub cloud: Cloud,
    /// The tenant's own users.
    pub authentication: Authentication,
    /// Addresses that the tenant chooses.
    pub egress: Egress,
    /// What is written down of requests to the tenant's API, for the tenant.
    pub audit: Audit,
}

impl Default for TenantSpec {
    fn default() -> Self {
        TenantSpec {
            profile: String::new(),
            suspended: false,
            deletion_protection: false,
            weight: 1,
            limits: Limits::default(),
            quota: Quota::default(),
            placement: Placement::default(),
            network: Network::default(),
            runtime: Runtime::default(),
            storage: Storage::default(),
            scheduling: Scheduling::default(),
            controllers: Controllers::default(),
            sync: Sync::default(),
            oam: Oam::default(),
            cloud: Cloud::default(),
            authentication: Authentication::default(),
            egress: Egress::default(),
            audit: Audit::default(),
        }
    }
}

/// Limits of a tenant's API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Default 500.
    pub requests_per_second: u32,
    /// Default 50.
    pub concurrent_requests: u32,
    /// Open watches. Default 500.
    pub watches: u32,
    /// Open streams into pods: logs, commands, forwarded ports, proxied requests. Default 100.
    pub streams: u32,
    /// Stored objects. Default 100,000.
    pub objects: u64,
    /// Stored bytes, a Kubernetes quantity. Default `1Gi`.
    pub bytes: String,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests_per_second: 500,
            concurrent_requests: 50,
            watches: 500,
            streams: 100,
            objects: 100_000,
            bytes: "1Gi".to_owned(),
        }
    }
}

/// Quota over all namespaces of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quota {
    /// Quantities by the resource names of `ResourceQuota`.
    pub hard: StringMap,
}

/// On which super cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Placement {
    /// The labels of the `SuperCluster`. Default any.
    pub super_cluster_selector: LabelSelector,
}

/// A label selector (`metav1.LabelSelector`); the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: StringMap,
    /// Requirements that must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// True when labels satisfy it.
    pub fn matches(&self, labels: &StringMap) -> bool {
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Requirement {
    /// True when labels satisfy it. A label that is absent satisfies `NotIn`.
    pub fn matches(&self, labels: &StringMap) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn => value.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// The pods' network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Network {
    /// How tenants' pods are kept apart. Default `networkPolicy`.
    pub driver: NetworkDriver,
    /// The tenant's VPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc: Option<Vpc>,
    /// The tenant's classes of Ingresses, and what they are in the super cluster. Default none: Ingresses name those of the
    /// super cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress_classes: Vec<ClassMap>,
}

/// How tenants' pods are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkDriver {
    /// By NetworkPolicies in the super namespaces.
    #[default]
    NetworkPolicy,
    /// By a VPC of Kube-OVN.
    KubeOvn,
    /// By objects that the platform admin describes.
    Template,
}

/// A tenant's VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vpc {
    /// Its addresses.
    pub cidr: String,
    /// Its identity at the cloud; empty: one is made.
    pub id: String,
}

/// The pods' sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Runtime {
    /// The RuntimeClass in the super cluster; empty: the cluster's default.
    pub class_name: String,
    /// Pods that ask for another class are refused; else the class is a default. Default false.
    pub enforce: bool,
}

/// The pods' disks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Storage {
    /// The tenant's storage classes, and what they are in the super cluster. Default none: claims that name a
    /// class are refused.
    pub classes: Vec<ClassMap>,
}

/// A class of the super cluster, as the tenant sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClassMap {
    /// Its name in the tenant.
    pub tenant: String,
    /// Its name in the super cluster.
    #[serde(rename = "super")]
    pub super_class: String,
    /// What names no class gets it. Default false.
    #[serde(default)]
    pub default: bool,
}

/// Where the pods run, and with what rights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scheduling {
    /// Added to every pod's node selector, over the pod's own.
    pub node_selector: StringMap,
    /// Added to every pod's tolerations (`v1.Toleration`).
    pub tolerations: Vec<Value>,
    /// Pods' priority is cut to this. Default 1,000,000.
    pub max_priority: i32,
    /// The tenant's priority classes that are classes of the super cluster, whatever their priority is. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_classes: Vec<ClassMap>,
    /// The Pod Security Standard of the super namespaces. Default `baseline`.
    pub pod_security: PodSecurity,
}

impl Default for Scheduling {
    fn default() -> Self {
        Scheduling {
            node_selector: StringMap::new(),
            tolerations: Vec::new(),
            max_priority: 1_000_000,
            priority_classes: Vec::new(),
            pod_security: PodSecurity::default(),
        }
    }
}

/// A Pod Security Standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum PodSecurity {
    Privileged,
    #[default]
    Baseline,
    Restricted,
}

impl PodSecurity {
    /// As the namespace label `pod-security.kubernetes.io/enforce` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            PodSecurity::Privileged => "privileged",
            PodSecurity::Baseline => "baseline",
            PodSecurity::Restricted => "restricted",
        }
    }
}

/// Built-in controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Controllers {
    /// Names of controllers that do not run for the tenant, or `*`. Default none.
    pub disabled: Vec<String>,
}

/// What is synced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sync {
    /// Nothing is synced: the tenant has an API without machines. Default false.
    pub disabled: bool,
    /// Which nodes the tenant sees. Default `used`.
    pub nodes: NodeView,
    /// Which Secrets and ConfigMaps go down. Default `all`.
    pub publish: Publish,
}

/// Which nodes a tenant sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeView {
    /// Every node of the super cluster.
    All,
    /// The nodes that run the tenant's pods.
    #[default]
    Used,
    /// The nodes that `scheduling.nodeSelector` selects.
    Selector,
}

/// Which Secrets and ConfigMaps go down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Publish {
    /// All of a namespace that has a super namespace.
    #[default]
    All,
    /// Those that pods refer to.
    Referenced,
}

/// The application runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Oam {
    /// The tenant has no application model. Default false.
    pub disabled: bool,
}

/// The clouds that a tenant may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cloud {
    /// Names of `CloudAccount`s, preferred first. Default none.
    pub accounts: Vec<String>,
}

/// The tenant's own users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Authentication {
    /// Issuers, as `apiserver.config.k8s.io` describes a `jwt` authenticator. Default none.
    pub oidc: Vec<super::JwtAuthenticator>,
}

/// Addresses that a tenant chooses: those that its pods send to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Egress {
    /// Networks that may be reached beside public ones. Default none.
    #[serde(rename = "allowedCIDRs")]
    pub allowed_cidrs: Vec<String>,
}

/// What is written down of requests to the tenant's API, for the tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Audit {
    /// `rules`, `omitStages` and `omitManagedFields` of a `Policy` of `audit.k8s.io/v1`. Default none: nothing is written.
    pub policy: Map<String, Value>,
    /// Where the events go.
    pub webhook: AuditWebhook,
}

/// Where audit events go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuditWebhook {
    /// `https://HOST[:PORT][/PATH]`, to which `EventList`s are posted.
    pub url: String,
    /// The certificates to believe, PEM in base64. Default: those that the system trusts.
    pub ca_bundle: String,
}

/// Defaults and ceilings. Both are partial tenant specs: what they leave out, they do not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantProfileSpec {
    /// What a tenant's spec has where it leaves something out.
    pub defaults: Map<String, Value>,
    /// What a tenant's spec cannot exceed.
    pub ceilings: Map<String, Value>,
}

impl TenantProfileSpec {
    /// The whole spec of a tenant: its own values over the profile's defaults over the built-in defaults. Objects
    /// are merged by field, lists are replaced.
    pub fn effective(&self, tenant_spec: &Value) -> Result<TenantSpec, serde_json::Error> {
        let mut whole = Value::Object(self.defaults.clone());
        overlay(&mut whole, tenant_spec);
        serde_json::from_value(whole)
    }
}

fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over.iter().filter(|(_, value)| !value.is_null()) {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}
