//! The port through which the API server reaches tenants' pods where they run.

use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What a subresource of a pod is asked: its logs, a command in it, its ports.
#[derive(Clone, Debug)]
pub struct PodRequest {
    /// `log`, `exec`, `attach` or `portforward`.
    pub subresource: &'static str,
    /// The method.
    pub method: Method,
    /// The query, encoded and checked, without `?`; may be empty.
    pub query: String,
    /// The headers that the other side is to see. Those that ask for an upgrade are among them.
    pub headers: HeaderMap,
}

/// What is answered.
pub enum PodAnswer {
    /// A success that is read to its end.
    Body {
        /// 200 or 204.
        code: StatusCode,
        /// What is said, as it comes.
        body: BoxStream<'static, io::Result<Bytes>>,
    },
    /// The connection goes on in the protocol that was asked for.
    Upgraded {
        /// The headers of the answer.
        headers: HeaderMap,
        /// The connection, after the head of the answer.
        connection: Box<dyn Duplex>,
    },
}

/// As whom a super cluster knows the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuperActor {
    /// The `SuperCluster`.
    pub cluster: String,
    /// The user there; `None` when the cluster does not say.
    pub user: Option<String>,
}

/// Reaches tenants' pods, however that is done. Implemented by the syncer.
#[async_trait]
pub trait PodTunnel: Send + Sync + 'static {
    /// False for a tenant whose pods run nowhere.
    fn leads_somewhere(&self, tenant: TenantId) -> bool;

    /// Opens a connection to a TCP port of a pod of a tenant. The error says why there is none, in words for the
    /// tenant.
    async fn connect(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        port: u16,
    ) -> Result<Box<dyn Duplex>, TunnelError>;

    /// Asks a subresource of a pod of a tenant where the pod runs. Errors, and refusals of the other side, are in words
    /// for the tenant.
    async fn open(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        request: PodRequest,
    ) -> Result<PodAnswer, ApiError>;

    /// As whom this is done for a tenant; `None` while its pods run nowhere.
    async fn actor(&self, tenant: TenantId) -> Option<SuperActor>;
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
