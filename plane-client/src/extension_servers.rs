//! The port through which controllers ask the API server about the servers behind APIServices.

use api_types::{ApiError, TenantId};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// What the API server knows of extension servers, since it is the one that speaks to them.
#[async_trait]
pub trait ExtensionServers: Send + Sync + 'static {
    /// Asks the server behind an APIService for what it serves, and remembers that for discovery. Takes some seconds
    /// at most.
    async fn check(&self, tenant: TenantId, api_service: &str) -> Checked;

    /// The data of the ConfigMap by which extension servers of a plane know who asks them.
    async fn authentication(&self, tenant: TenantId) -> Result<BTreeMap<String, String>, ApiError>;
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The APIService is not there, or no other server answers for it.
    NotRemote,
    /// Too many of this plane's servers are being asked: come again.
    Busy,
    /// So it is.
    Is(Availability),
}

/// The condition `Available` of an APIService.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// Whether requests are sent to its server.
    pub available: bool,
    /// `Passed`, `ServiceNotFound`, …
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
}
