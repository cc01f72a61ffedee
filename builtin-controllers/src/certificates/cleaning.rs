//! Removes requests that are of no more use: an hour after they were issued, denied or failed, a day after nobody
//! decided or signed, and once their certificate has expired.
//!
//! Guarantees: the request is read again before it goes, and only that one is deleted. Certificates outlive requests.

use super::{conditions, has, is_issued};
use crate::access::{Access, elements, text};
use crate::resources::CERTIFICATE_REQUESTS;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What was decided is kept for this.
const DECIDED: SignedDuration = SignedDuration::from_hours(1);
/// What waits for somebody, for this.
const WAITING: SignedDuration = SignedDuration::from_hours(24);

/// The reconciler that removes.
pub(crate) struct Cleaning {
    access: Access,
}

impl Cleaning {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Cleaning { access: Access::new(client, "certificatesigningrequest-cleaner-controller") }
    }
}

/// When a request goes; `None`: it stays as it is.
fn end(object: &Value) -> Option<Timestamp> {
    let issued = is_issued(object);
    let since = |kind: &str, lasts: SignedDuration| {
        let times = conditions(object, kind).filter_map(|c| c["lastUpdateTime"].as_str()?.parse().ok());
        times.min().and_then(|since: Timestamp| since.checked_add(lasts).ok())
    };
    let undecided = elements(object, "/status/conditions").is_empty();
    let created = || {
        let created: Timestamp = text(object, "/metadata/creationTimestamp").parse().ok()?;
        created.checked_add(WAITING).ok()
    };
    let ends = [
        since("Approved", if issued { DECIDED } else { WAITING }),
        since("Denied", DECIDED),
        since("Failed", DECIDED),
        if undecided { created() } else { None },
        if issued && has(object, "Approved") { expiry(object) } else { None },
    ];
    ends.into_iter().flatten().min()
}

/// When the certificate of a request expires.
fn expiry(object: &Value) -> Option<Timestamp> {
    let pem = STANDARD.decode(object["status"]["certificate"].as_str()?).ok()?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    Timestamp::from_second(block.parse_x509().ok()?.validity().not_after.timestamp()).ok()
}

#[async_trait]
impl Reconciler for Cleaning {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![Trigger::own(CERTIFICATE_REQUESTS.group_resource(), Scope::All)]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(found) = self.access.get(tenant, &CERTIFICATE_REQUESTS, "", &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let Some(end) = end(&found) else { return Ok(Next::OnEvent) };
        let rest = end.duration_since(Timestamp::now());
        if rest >= SignedDuration::ZERO {
            // What is exactly as old as it may be is not older yet.
            return Ok(Next::After(rest.unsigned_abs() + Duration::from_secs(1)));
        }
        self.access.delete(tenant, &CERTIFICATE_REQUESTS, &found, Delete::default()).await?;
        Ok(Next::OnEvent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use serde_json::json;
    use service_runtime::Shutdown;

    /// A certificate that has expired long ago.
    fn expired() -> String {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2001, 2, 3);
        let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        STANDARD.encode(pem)
    }

    #[test]
    fn requests_go_as_in_kubernetes() {
        let at = |hour: &str| format!("2026-01-01T{hour}:00:00Z");
        let decided = |kind: &str| json!([{"type": kind, "status": "True", "lastUpdateTime": at("10")}]);
        for (status, expected) in [
            (json!({}), Some("2026-01-02T08:00:00Z".to_owned())),
            (json!({"conditions": decided("Approved")}), Some("2026-01-02T10:00:00Z".to_owned())),
            (json!({"conditions": decided("Approved"), "certificate": "UEVN"}), Some(at("11"))),
            (json!({"conditions": decided("Denied")}), Some(at("11"))),
            (json!({"conditions": decided("Failed")}), Some(at("11"))),
            (json!({"conditions": decided("Other")}), None),
            (
                json!({"conditions": decided("Approved"), "certificate": expired()}),
                Some("2001-02-03T00:00:00Z".to_owned()),
            ),
        ] {
            let object = json!({"metadata": {"creationTimestamp": at("08")}, "status": status});
            assert_eq!(end(&object).map(|end| end.to_string()), expected, "{object}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_goes_and_what_is_new_stays() {
        let planes = FakePlanes::new();
        let denied = |name: &str, at: Timestamp| {
            json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
                "metadata": {"name": name}, "spec": {}, "status": {"conditions": [
                    {"type": "Denied", "status": "True", "lastUpdateTime": at.to_string()}]}})
        };
        let now = Timestamp::now();
        let (plane, resource) = (TenantId::HOST, CERTIFICATE_REQUESTS.group_resource());
        planes.put(plane, denied("new", now));
        planes.put(plane, denied("old", now - SignedDuration::from_hours(2)));
        let reconciler = Arc::new(Cleaning::new(planes.client()));
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(shutdown.clone()));
        planes.wait_for(plane, &resource, "", "old", |found| found.is_none()).await;
        assert!(planes.find(plane, &resource, "", "new").is_some());
        shutdown.trigger();
        running.await.unwrap();
    }
}
