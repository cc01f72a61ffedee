//! The port through which the API server asks where the pods of a new tenant are to run.

use api_types::condition::Condition;
use async_trait::async_trait;
use serde_json::Value;

/// Places a tenant that is being made, so that it is born on its super cluster and not placed by a second write. Called
/// after validation, never for a dry run. Implemented by the syncer.
#[async_trait]
pub trait TenantPlacer: Send + Sync + 'static {
    /// Where a `Tenant` is to be; `None`: that is found out once it is there.
    async fn place(&self, tenant: &Value) -> Option<Placement>;
}

/// Where a tenant is.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// `status.superCluster`.
    pub super_cluster: String,
    /// What the tenant is told of it.
    pub condition: Condition,
}
