//! Signing on the fake.

use super::super::CLIENT;
use super::*;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use service_runtime::Shutdown;

const PLANE: TenantId = TenantId::HOST;

/// A request that has not been decided.
pub(in crate::certificates) fn request(
    signer: &str,
    name: &str,
    organizations: &[&str],
    usages: &Value,
) -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    for organization in organizations {
        params.distinguished_name.push(rcgen::DnType::OrganizationName, *organization);
    }
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"signerName": signer, "usages": usages, "request": STANDARD.encode(pem)}})
}

/// Signs everything with a text, or refuses everything.
struct Authority(Result<&'static str, SigningError>);

#[async_trait]
impl CertificateSigner for Authority {
    async fn sign(&self, _: TenantId, order: &CertificateOrder) -> Result<String, SigningError> {
        assert_eq!(order.seconds, MAX_SECONDS);
        self.0.clone().map(str::to_owned)
    }
}

async fn signed_by(authority: Authority, mut object: Value) -> Value {
    let planes = FakePlanes::new();
    object["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    planes.put(PLANE, object);
    let reconciler = Arc::new(Signing::new(planes.client(), Arc::new(authority)));
    let shutdown = Shutdown::new();
    let running = tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(shutdown.clone()));
    let answered =
        |found: Option<&Value>| found.is_some_and(|found| is_issued(found) || has(found, "Failed"));
    let resource = CERTIFICATE_REQUESTS.group_resource();
    planes.wait_for(PLANE, &resource, "", &name, answered).await;
    shutdown.trigger();
    running.await.unwrap();
    planes.find(PLANE, &resource, "", &name).unwrap()["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_was_approved_is_signed_or_says_why_not() {
    let user = |usages: &Value| request(CLIENT, "ann", &[], usages);
    let status = signed_by(Authority(Ok("PEM")), user(&json!(["client auth"]))).await;
    assert_eq!(status["certificate"], STANDARD.encode("PEM"));
    assert_eq!(status["conditions"].as_array().unwrap().len(), 1);
    let status = signed_by(Authority(Ok("PEM")), user(&json!(["server auth"]))).await;
    let failed = &status["conditions"][1];
    assert_eq!(failed["type"], "Failed");
    assert_eq!(failed["reason"], "SignerValidationFailure");
    assert_eq!(failed["message"], "invalid usage for client certificate: server auth");
    let refusal = Err(SigningError::Refused("no".into()));
    let status = signed_by(Authority(refusal), user(&json!(["client auth"]))).await;
    assert_eq!(status["conditions"][1]["reason"], "SigningError");
    assert_eq!(status["certificate"], Value::Null);
}

#[test]
fn only_what_was_approved_is_due() {
    let approved = json!({"type": "Approved", "status": "True"});
    let with =
        |conditions: Value| json!({"spec": {"signerName": CLIENT}, "status": {"conditions": conditions}});
    assert!(is_due(&with(json!([approved]))));
    assert!(!is_due(&with(json!([]))));
    assert!(!is_due(&with(json!([approved, {"type": "Denied", "status": "True"}]))));
    assert!(!is_due(&with(json!([approved, {"type": "Failed", "status": "True"}]))));
    let mut issued = with(json!([approved]));
    issued["status"]["certificate"] = json!("UEVN");
    assert!(!is_due(&issued));
    let mut other = with(json!([approved]));
    other["spec"]["signerName"] = json!("example.com/mine");
    assert!(!is_due(&other));
}

#[test]
fn a_certificate_lives_a_year_at_most() {
    for (asked, given) in [
        (None, MAX_SECONDS),
        (Some(3_600), 3_600),
        (Some(i64::from(MAX_SECONDS) + 1), MAX_SECONDS),
        (Some(1), 600),
    ] {
        assert_eq!(seconds(asked), given, "{asked:?}");
    }
}
