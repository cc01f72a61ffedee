//! The port through which controllers read what a plane serves by path, whoever answers: the API server, or the server
//! behind an APIService of the plane.

use api_types::{ApiError, TenantId};
use async_trait::async_trait;
use serde_json::Value;

/// Reads as a user of the plane would. Implemented by the API server.
#[async_trait]
pub trait ServedApis: Send + Sync + 'static {
    /// GETs a path, with its query, as this service account of the plane, by its RBAC. Takes no longer than some
    /// seconds, and no answer longer than 16 MiB.
    async fn get(&self, tenant: TenantId, account: ServiceAccount, path: &str) -> Result<Value, ApiError>;

    /// The versions of a group that the plane serves, the preferred one first; none when it is not served.
    async fn versions(&self, tenant: TenantId, group: &str) -> Vec<String>;
}

/// A service account of `kube-system`, by its name: as which a controller of Kubernetes acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceAccount(pub &'static str);
