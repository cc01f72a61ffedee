//! Signs what was approved, with the plane's client authority.
//!
//! Guarantees: a request is signed once; what may not be signed says why in its condition `Failed`. Other signers than
//! the built-in ones are left to those who are them.

use super::{conditions, has, is_issued, request, rules, signer, usages};
use crate::access::{Access, elements, number};
use crate::resources::CERTIFICATE_REQUESTS;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plane_client::{
    ApiError, CertificateOrder, CertificateSigner, Next, ObjectName, PlaneClient, Reconciler, Scope,
    SigningError, TenantId, Trigger,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long a certificate is valid that names no time, and the longest: a year.
const MAX_SECONDS: u32 = 365 * 24 * 3_600;
/// The shortest.
const MIN_SECONDS: u32 = 600;

/// The reconciler that signs.
pub(crate) struct Signing {
    access: Access,
    authority: Arc<dyn CertificateSigner>,
}

impl Signing {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, authority: Arc<dyn CertificateSigner>) -> Self {
        Signing { access: Access::new(client, "certificatesigningrequest-signing-controller"), authority }
    }

    /// The status after a signature, or after its refusal.
    async fn answer(&self, tenant: TenantId, object: &Value) -> Result<Value, ApiError> {
        let mut status = json!({"conditions": elements(object, "/status/conditions")});
        let signed = match order(object) {
            Ok(order) => self.authority.sign(tenant, &order).await.map_err(|error| match error {
                SigningError::Refused(why) => Ok(("SigningError", why)),
                SigningError::Unavailable(why) => Err(ApiError::internal(why)),
            }),
            Err(failure) => Err(Ok(failure)),
        };
        match signed {
            Ok(pem) => status["certificate"] = STANDARD.encode(pem).into(),
            Err(failure) => {
                let (reason, message) = failure?;
                let condition =
                    json!({"type": "Failed", "status": "True", "reason": reason, "message": message});
                status["conditions"].as_array_mut().into_iter().for_each(|all| all.push(condition.clone()));
            }
        }
        Ok(status)
    }
}

/// True when it is to be signed.
fn is_due(object: &Value) -> bool {
    let failed =
        conditions(object, "Failed").any(|c| matches!(c["status"].as_str(), None | Some("" | "True")));
    !is_issued(object)
        && !failed
        && has(object, "Approved")
        && !has(object, "Denied")
        && rules::is_ours(signer(object))
}

/// What is to be signed, or the reason and the message of why nothing is.
fn order(object: &Value) -> Result<CertificateOrder, (&'static str, String)> {
    let unreadable = || ("SigningError", "the certificate signing request cannot be read".to_owned());
    let der = request::der(object).ok_or_else(unreadable)?;
    let asked = request::read(&der).ok_or_else(unreadable)?;
    let usages = usages(object);
    if let Some(Err(why)) = rules::check(signer(object), &asked, &usages) {
        return Err(("SignerValidationFailure", why));
    }
    Ok(CertificateOrder {
        request: der,
        usages: usages.into_iter().map(str::to_owned).collect(),
        seconds: seconds(number(object, "/spec/expirationSeconds")),
    })
}

fn seconds(asked: Option<i64>) -> u32 {
    let asked = asked.map_or(MAX_SECONDS, |asked| u32::try_from(asked).unwrap_or(MIN_SECONDS));
    asked.clamp(MIN_SECONDS, MAX_SECONDS)
}

#[async_trait]
impl Reconciler for Signing {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(CERTIFICATE_REQUESTS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let found = self.access.get(tenant, &CERTIFICATE_REQUESTS, "", &key.name).await?;
        if let Some(found) = found.filter(is_due) {
            let status = self.answer(tenant, &found).await?;
            self.access.set_status(tenant, &CERTIFICATE_REQUESTS, &found, status).await?;
        }
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
pub(super) mod tests;
