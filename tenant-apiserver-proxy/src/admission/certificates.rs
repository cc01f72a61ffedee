//! Who asks for a certificate is written by the server, and who decides needs a permission for the signer.

use crate::authorization::{self, Attributes};
use crate::gateway::{Place, metadata};
use crate::request_info::ResourceRequest;
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::kinds::certificatesigningrequests as rules;
use api_types::{ApiError, Cause};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

const GROUP: &str = "certificates.k8s.io";
/// The signer whose certificates this server would take.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

fn is_request(place: &Place) -> bool {
    place.row.group == GROUP && place.row.plural == "certificatesigningrequests"
}

/// Writes into a new request who asks, and checks what is asked for.
pub fn ask(auth: &Authorized, place: &Place, object: &mut Value) -> Result<(), ApiError> {
    if !is_request(place) {
        return Ok(());
    }
    let user = auth.user();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for field in ["username", "uid", "groups", "extra"] {
            spec.remove(field);
        }
        let asked = [
            ("username", json!(user.name), user.name.is_empty()),
            ("uid", json!(user.uid), user.uid.is_empty()),
            ("groups", json!(user.groups), user.groups.is_empty()),
            ("extra", json!(user.extra), user.extra.is_empty()),
        ];
        let known = asked.into_iter().filter(|(_, _, unknown)| !unknown);
        spec.extend(known.map(|(field, value, _)| (field.to_owned(), value)));
    }
    let Some(der) = der(object["spec"]["request"].as_str().unwrap_or("")) else { return Ok(()) };
    let malformed = |why: &str| {
        let cause = Cause::invalid("spec.request", &object["spec"]["request"], why);
        place.invalid(metadata::text(object, "name"), vec![cause])
    };
    let (_, request) = X509CertificationRequest::from_der(&der)
        .map_err(|_| malformed("not a PKCS#10 certificate signing request"))?;
    request.verify_signature().map_err(|_| malformed("the signature is not that of the request's key"))?;
    let subject = &request.certification_request_info.subject;
    let is_master = subject.iter_organization().any(|o| o.as_str().is_ok_and(|name| name == MASTERS));
    if is_master && object["spec"]["signerName"] == CLIENT_SIGNER {
        let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(ApiError::forbidden(&place.resource(), metadata::text(object, "name"), &why));
    }
    Ok(())
}

/// The first block of PEM in base64; `None` for what the rules of the kind refuse.
fn der(request: &str) -> Option<Vec<u8>> {
    let pem = STANDARD.decode(request).ok()?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    (block.label == "CERTIFICATE REQUEST").then_some(block.contents)
}

/// Prepares a write of `approval` or `status`, and checks that its writer may decide for the signer or sign as it.
pub fn decide(
    server: &Server,
    auth: &Authorized,
    place: &Place,
    new: &mut Value,
    old: &Value,
) -> Result<(), ApiError> {
    if !is_request(place) {
        return Ok(());
    }
    let now = metadata::timestamp(jiff::Timestamp::now());
    match place.subresource.as_str() {
        "approval" => {
            rules::prepare_approval(new, old, &now);
            check(server, auth, place, old, "approve")
        }
        "status" => {
            rules::prepare_status(new, old, &now);
            check_issued(place, new, old)?;
            let signs = ["certificate", "conditions"].iter().any(|f| new["status"][*f] != old["status"][*f]);
            if signs { check(server, auth, place, old, "sign") } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// What a signer writes are certificates, and not only blocks of PEM that say so.
fn check_issued(place: &Place, new: &Value, old: &Value) -> Result<(), ApiError> {
    let issued = &new["status"]["certificate"];
    if *issued == old["status"]["certificate"] {
        return Ok(());
    }
    let pem = STANDARD.decode(issued.as_str().unwrap_or("")).unwrap_or_default();
    // Anything but certificates the rules of the kind refuse.
    let blocks = x509_parser::pem::Pem::iter_from_buffer(&pem).filter_map(Result::ok);
    let mut certificates = blocks.filter(|block| block.label == "CERTIFICATE");
    if certificates.all(|block| block.parse_x509().is_ok()) {
        return Ok(());
    }
    let shown = Value::from("<certificate data>");
    let cause = Cause::invalid("status.certificate", &shown, "x509: malformed certificate");
    Err(place.invalid(&place.name, vec![cause]))
}

/// The permission is for one signer, or for all of its domain.
fn check(server: &Server, auth: &Authorized, place: &Place, old: &Value, verb: &str) -> Result<(), ApiError> {
    let signer = old["spec"]["signerName"].as_str().unwrap_or("");
    let domain = signer.split('/').next().unwrap_or("");
    let may = |name: &str| {
        let request = ResourceRequest {
            verb: verb.into(),
            group: GROUP.into(),
            version: "*".into(),
            namespace: "".into(),
            resource: "signers".into(),
            name: name.into(),
            subresource: "".into(),
        };
        authorization::decide(server, auth.plane(), auth.user(), &Attributes::Resource(&request)).allowed
    };
    if may(signer) || may(&format!("{domain}/*")) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(ApiError::forbidden(&place.resource(), &place.name, &why))
}
