//! What a PKCS #10 request asks for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// The names of a request that rules are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The common name; empty when there is none.
    pub(super) common_name: String,
    /// The organizations, in their order.
    pub(super) organizations: Vec<String>,
    /// Alternative names: hosts.
    pub(super) hosts: usize,
    /// Mail addresses.
    pub(super) mails: usize,
    /// IP addresses.
    pub(super) addresses: usize,
    /// URIs.
    pub(super) uris: usize,
}

/// The request of an object, DER.
pub(super) fn der(object: &Value) -> Option<Vec<u8>> {
    let pem = STANDARD.decode(object["spec"]["request"].as_str()?).ok()?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    (block.label == "CERTIFICATE REQUEST").then_some(block.contents)
}

/// Reads a request; `None` when it cannot be read, or can be read in several ways.
pub(super) fn read(der: &[u8]) -> Option<Asked> {
    let (_, request) = X509CertificationRequest::from_der(der).ok()?;
    let subject = &request.certification_request_info.subject;
    let mut asked = Asked::default();
    let mut names = subject.iter_common_name();
    if let Some(name) = names.next() {
        asked.common_name = name.as_str().ok()?.to_owned();
    }
    if names.next().is_some() {
        return None;
    }
    for organization in subject.iter_organization() {
        asked.organizations.push(organization.as_str().ok()?.to_owned());
    }
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(said) => {
                for name in &said.general_names {
                    match name {
                        GeneralName::DNSName(_) => asked.hosts += 1,
                        GeneralName::RFC822Name(_) => asked.mails += 1,
                        GeneralName::IPAddress(_) => asked.addresses += 1,
                        GeneralName::URI(_) => asked.uris += 1,
                        GeneralName::Invalid(..) => return None,
                        _ => {}
                    }
                }
            }
            ParsedExtension::ParseError { .. } => return None,
            _ => {}
        }
    }
    Some(asked)
}
