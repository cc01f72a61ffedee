//! Super clusters.

use super::SecretKeyRef;
use crate::condition::Condition;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// How a super cluster is reached and used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SuperClusterSpec {
    /// Its kubeconfig. Absent: in-cluster, or the embedded super cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret: Option<SecretKeyRef>,
    /// How pods and services in it are reached. Default `direct`.
    pub reach: Reach,
    /// The IP addresses by which pods in it reach the DNS server of tenants' pods, at port 53; at most three. Default those
    /// that the server is started with.
    #[serde(rename = "dnsAddresses", skip_serializing_if = "Vec::is_empty")]
    pub dns_addresses: Vec<IpAddr>,
    /// No more tenants are placed on it. Default false.
    pub cordoned: bool,
    /// Keep tenants away that do not tolerate them (`v1.Taint`). Default none.
    pub taints: Vec<Value>,
}

/// How pods and services of a super cluster are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// At their addresses.
    #[default]
    Direct,
    /// Through the proxy of its API server.
    ApiServerProxy,
}

/// What is known of a super cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SuperClusterStatus {
    /// Its Kubernetes version, such as `v1.36.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many nodes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
    /// How many tenants are placed on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<u32>,
    /// `Ready` says whether it can be used.
    pub conditions: Vec<Condition>,
}
