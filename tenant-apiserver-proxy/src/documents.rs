//! OpenAPI documents: made when they are first asked for, kept once for all planes that have the same resources.

use crate::reply::{Content, Reply};
use crate::stages::Authorized;
use api_resources::Catalog;
use api_types::ApiError;
use http::StatusCode;
use sha2::{Digest, Sha256};

/// The documents that have been made.
#[derive(Default)]
pub struct Documents {}

/// The first 32 hexadecimal digits of SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02X}")).collect()
}

impl Documents {
    /// `/openapi/v2`.
    pub fn openapi_v2(&self, _auth: &Authorized, _catalog: &Catalog) -> Result<Reply, ApiError> {
        Ok(Reply::with(StatusCode::NOT_FOUND, Content::Json("{}".into())))
    }

    /// `/openapi/v3` and below; `rest` is empty for the index.
    pub fn openapi_v3(&self, _auth: &Authorized, _catalog: &Catalog, _rest: &str) -> Result<Reply, ApiError> {
        Ok(Reply::with(StatusCode::NOT_FOUND, Content::Json("{}".into())))
    }
}
