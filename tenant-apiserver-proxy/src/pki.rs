//! Certificate authorities and the certificates that they sign: one serving CA for the installation, one client CA
//! for each plane. All keys are P-256.

pub mod requests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::net::IpAddr;
use time::{Duration, OffsetDateTime};

/// How long authorities are valid.
const AUTHORITY_VALID: Duration = Duration::days(3650);
/// How long the certificates of kubeconfigs are valid.
pub const CLIENT_VALID: Duration = Duration::days(365);
/// How long the serving certificate is valid; it is made anew at each start.
const SERVING_VALID: Duration = Duration::days(365);
/// Clocks of clients may be behind by this.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// A certificate and its private key.
#[derive(Clone)]
pub struct KeyedCertificate {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, PKCS #8 PEM.
    pub key_pem: String,
}

/// Certificates could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("certificates: {0}")]
pub struct PkiError(#[from] rcgen::Error);

/// Makes an authority.
pub fn make_authority(common_name: &str) -> Result<KeyedCertificate, PkiError> {
    let key = KeyPair::generate()?;
    let certificate = authority(common_name).self_signed(&key)?;
    Ok(KeyedCertificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// The same authority, certified by another: who believes that one believes it too.
pub fn cross_sign(
    of: &KeyedCertificate,
    common_name: &str,
    by: &KeyedCertificate,
) -> Result<String, PkiError> {
    let issuer = Issuer::from_ca_cert_pem(&by.certificate_pem, KeyPair::from_pem(&by.key_pem)?)?;
    let mut params = authority(common_name);
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(&KeyPair::from_pem(&of.key_pem)?, &issuer)?.pem())
}

fn authority(common_name: &str) -> CertificateParams {
    let mut params = base(common_name, AUTHORITY_VALID);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    params
}

/// When the first certificate of a PEM is made anew, in seconds since 1970: once a third of its time is left. `None`:
/// it cannot be read.
pub fn renewal(pem: &str) -> Option<i64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let validity = pem.parse_x509().ok()?.validity().clone();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Some(until - (until - from) / 3)
}

/// The attribute of a subject that says the user's UID, as Kubernetes numbers it.
pub const UID_ATTRIBUTE: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];

/// Signs a client certificate: the common name is the user, and its UID; the organization is the group. One group at
/// most: `rcgen` keeps one value of each attribute ([`requests`] keeps all).
pub fn sign_client(
    authority: &KeyedCertificate,
    user: &str,
    group: Option<&str>,
    valid: Duration,
) -> Result<KeyedCertificate, PkiError> {
    let mut params = base(user, valid);
    params.distinguished_name.push(DnType::CustomDnType(UID_ATTRIBUTE.to_vec()), user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(authority, params)
}

/// Signs the serving certificate for host names and addresses.
pub fn sign_serving(authority: &KeyedCertificate, names: &[String]) -> Result<KeyedCertificate, PkiError> {
    let mut params = base("insula", SERVING_VALID);
    for name in names {
        let alternative = match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        };
        params.subject_alt_names.push(alternative);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    sign(authority, params)
}

fn base(common_name: &str, valid: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + valid;
    params
}

fn sign(authority: &KeyedCertificate, mut params: CertificateParams) -> Result<KeyedCertificate, PkiError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate_pem, KeyPair::from_pem(&authority.key_pem)?)?;
    let key = KeyPair::generate()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(KeyedCertificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// One block of PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
