//! The port through which the API server has a Service's addresses reserved on a super cluster.

use api_types::{ApiError, TenantId};
use async_trait::async_trait;
use serde_json::Value;

/// Reserves the addresses of tenants' Services where their pods run, so that the cluster IP and the node ports
/// that a tenant reads are those that work. Called after validation and quota, never for a dry run; the caller
/// waits for 2 s at most. Implemented by the syncer.
#[async_trait]
pub trait ServiceReserver: Send + Sync + 'static {
    /// False when the tenant is known not to be synced: its addresses are allocated locally.
    fn may_reserve(&self, tenant: TenantId) -> bool;

    /// Creates the super cluster's Service under its deterministic name, or finds it, and tells its addresses.
    /// `None` for a tenant that is not synced: its addresses are allocated locally.
    async fn reserve(&self, tenant: TenantId, service: &Value) -> Result<Option<Reservation>, ApiError>;
}

/// The addresses of one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// `spec.clusterIPs`; the first is `spec.clusterIP`.
    pub cluster_ips: Vec<String>,
    /// `spec.ipFamilies`.
    pub ip_families: Vec<String>,
    /// `spec.ipFamilyPolicy`.
    pub ip_family_policy: String,
    /// The node port of each of `spec.ports`, in its order; 0 for none.
    pub node_ports: Vec<u16>,
    /// `spec.healthCheckNodePort`; 0 for none.
    pub health_check_node_port: u16,
}
