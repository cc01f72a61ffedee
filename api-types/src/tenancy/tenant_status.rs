//! What a tenant is.

use super::SYSTEM_NAMESPACE;
use crate::condition::Condition;
use serde::{Deserialize, Serialize};

/// What a tenant is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantStatus {
    /// In one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<TenantPhase>,
    /// The URL of the tenant's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The `SuperCluster` where the tenant's pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub super_cluster: Option<String>,
    /// The kubeconfig of the tenant's admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret: Option<SecretKeyRef>,
    /// What the tenant uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `Ready` says whether the tenant can be used, `Synced` how the super cluster is doing for it, `Restored` whether all
    /// of the backup is there of which it was made.
    pub conditions: Vec<Condition>,
}

/// A tenant's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TenantPhase {
    Pending,
    Ready,
    Suspended,
    Terminating,
    Failed,
}

/// What a tenant uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Usage {
    /// Stored objects.
    pub objects: u64,
    /// Stored bytes.
    pub bytes: u64,
    /// Pods.
    pub pods: u64,
    /// Requests a second.
    pub requests_per_second: u64,
}

/// One key of a Secret in the host plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The namespace.
    #[serde(default = "system_namespace")]
    pub namespace: String,
    /// The Secret.
    pub name: String,
    /// The key. Default `value`.
    #[serde(default = "value_key")]
    pub key: String,
}

fn system_namespace() -> String {
    SYSTEM_NAMESPACE.to_owned()
}

fn value_key() -> String {
    "value".to_owned()
}
