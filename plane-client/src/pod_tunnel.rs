//! The port through which the API server reaches tenants' pods where they run.

use api_types::{ObjectName, TenantId};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects to ports of tenants' pods, however they are reached. Implemented by the syncer.
#[async_trait]
pub trait PodTunnel: Send + Sync + 'static {
    /// Opens a connection to a TCP port of a pod of a tenant. The error says why there is none, in words for the
    /// tenant.
    async fn connect(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        port: u16,
    ) -> Result<Box<dyn Duplex>, TunnelError>;
}

/// Why there is no connection to a pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pod {pod}: {why}")]
pub struct TunnelError {
    /// The pod.
    pub pod: ObjectName,
    /// Why not.
    pub why: String,
}
