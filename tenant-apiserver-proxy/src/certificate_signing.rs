//! Certificates for the controllers that sign requests: the keys of planes do not leave this crate.

use crate::in_process::InProcess;
use crate::pki::requests;
use crate::planes;
use api_types::TenantId;
use async_trait::async_trait;
use plane_client::{CertificateOrder, CertificateSigner, SigningError};
use time::OffsetDateTime;

#[async_trait]
impl CertificateSigner for InProcess {
    async fn sign(&self, tenant: TenantId, order: &CertificateOrder) -> Result<String, SigningError> {
        let authority = planes::stored_key(&self.server().cache, tenant, planes::CLIENT_CA)
            .ok_or_else(|| SigningError::Unavailable("the plane has no client CA".to_owned()))?;
        requests::sign(&authority, order, OffsetDateTime::now_utc())
    }
}
