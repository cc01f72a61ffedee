//! Certificates for the controllers that sign requests, and authorities for those that publish them: the keys of planes
//! do not leave this crate.

use crate::in_process::InProcess;
use crate::pki::requests;
use crate::{plane_keys, planes};
use api_types::TenantId;
use async_trait::async_trait;
use plane_client::{Authorities, CertificateOrder, CertificateSigner, SigningError};
use time::OffsetDateTime;
use tokio::sync::broadcast;

#[async_trait]
impl CertificateSigner for InProcess {
    async fn sign(&self, tenant: TenantId, order: &CertificateOrder) -> Result<String, SigningError> {
        let authority = plane_keys::signing(&self.server().cache, tenant, planes::CLIENT_CA)
            .ok_or_else(|| SigningError::Unavailable("the plane has no client CA".to_owned()))?;
        requests::sign(&authority, order, OffsetDateTime::now_utc())
    }
}

impl Authorities for InProcess {
    fn serving(&self) -> String {
        self.server().ca_pem()
    }

    fn changes(&self) -> broadcast::Receiver<TenantId> {
        self.server().renewal.changes()
    }
}
