//! The port through which a controller has the tokens signed that are kept in Secrets.
//!
//! The keys of planes stay in the API server: it hands out tokens, not what signs them. Which Secret may have one, and of
//! which account, the controller decides before it asks.

use crate::certificate_signer::SigningError;
use api_types::TenantId;
use async_trait::async_trait;

/// Signs tokens of service accounts that do not expire. Implemented by the API server.
#[async_trait]
pub trait TokenSigner: Send + Sync + 'static {
    /// The token of a Secret, signed by the key that signs now.
    async fn sign_token(&self, tenant: TenantId, order: &TokenOrder) -> Result<String, SigningError>;

    /// True when a token is the one of this order, and was signed by a key that signs no more. False for whatever else
    /// somebody has written into the Secret.
    fn is_former(&self, tenant: TenantId, order: &TokenOrder, token: &str) -> bool;
}

/// The token of one Secret for one service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOrder {
    /// The namespace of both.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The account's name.
    pub account: String,
    /// The account's UID.
    pub uid: String,
}
