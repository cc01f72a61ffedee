//! The port through which controllers have certificates signed by a plane's client authority.
//!
//! The keys of planes stay in the API server: it hands out certificates, not what signs them. Who may have one, and
//! what for, the controllers decide before they ask.

use api_types::TenantId;
use async_trait::async_trait;

/// Signs what certificate signing requests ask for. Implemented by the API server.
#[async_trait]
pub trait CertificateSigner: Send + Sync + 'static {
    /// The certificate, as PEM. Takes no longer than the signature.
    async fn sign(&self, tenant: TenantId, order: &CertificateOrder) -> Result<String, SigningError>;
}

/// A certificate that is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateOrder {
    /// The PKCS #10 request, DER: its key, its subject and its alternative names come into the certificate.
    pub request: Vec<u8>,
    /// What the certificate is for, in the words of `spec.usages`: `client auth`, `server auth`, `digital signature`
    /// and `key encipherment`.
    pub usages: Vec<String>,
    /// How long it is valid, in seconds; no longer than its authority.
    pub seconds: u32,
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The request can never be signed.
    #[error("{0}")]
    Refused(String),
    /// The plane cannot sign now.
    #[error("{0}")]
    Unavailable(String),
}
