//! What comes into certificates, read by other code than that which writes them.

use super::*;
use rcgen::{CertificateParams, SanType};
use x509_parser::prelude::ParsedExtension;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The DER of a request for a subject of these attributes.
fn request(attributes: &[(&[u64], &str)], names: &[&str]) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    let der = params.serialize_request(&key).unwrap();
    // What rcgen asks for, with another subject.
    let (_, asked) = X509CertificationRequest::from_der(der.der()).unwrap();
    let info = yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_u8(0);
            parts.next().write_sequence(|name| {
                for (id, value) in attributes {
                    name.next().write_set_of(|set| {
                        set.next().write_sequence(|pair| {
                            pair.next().write_oid(&ObjectIdentifier::from_slice(id));
                            pair.next().write_utf8_string(value);
                        });
                    });
                }
            });
            parts.next().write_der(asked.certification_request_info.subject_pki.raw);
            parts.next().write_der(&attributes_of(asked.certification_request_info.raw));
        });
    });
    let signature = key.sign(&info).unwrap();
    yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_der(&info);
            algorithm(parts.next());
            parts.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
    })
}

/// The last field of the information of a request: its attributes.
fn attributes_of(info: &[u8]) -> Vec<u8> {
    yasna::parse_der(info, |reader| {
        reader.read_sequence(|parts| {
            for _ in 0..3 {
                parts.next().read_der()?;
            }
            parts.next().read_der()
        })
    })
    .unwrap()
}

const ORGANIZATION: &[u64] = &[2, 5, 4, 10];

fn order(request: Vec<u8>, seconds: u32) -> CertificateOrder {
    let usages = ["client auth", "digital signature", "key encipherment"].map(str::to_owned).to_vec();
    CertificateOrder { request, usages, seconds }
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

#[test]
fn every_organization_and_name_comes_through_and_nothing_else() {
    let authority = crate::pki::make_authority("an authority").unwrap();
    let asked = request(
        &[
            (COMMON_NAME, "ann"),
            (ORGANIZATION, "developers"),
            (ORGANIZATION, "operators"),
            (crate::pki::UID_ATTRIBUTE, "somebody's"),
        ],
        &["a.example.com", "b.example.com"],
    );
    let signed = der(&sign(&authority, &order(asked, 3_600), now()).unwrap());
    let (_, certificate) = X509Certificate::from_der(&signed).unwrap();
    let authority = der(&authority.certificate_pem);
    let (_, authority) = X509Certificate::from_der(&authority).unwrap();
    certificate.verify_signature(Some(authority.public_key())).unwrap();
    assert_eq!(certificate.issuer(), authority.subject());
    assert_eq!(certificate.version(), x509_parser::x509::X509Version::V3);
    assert!(!certificate.is_ca());
    let subject = certificate.subject();
    let said: Vec<&str> = subject.iter_attributes().map(|a| a.as_str().unwrap()).collect();
    // DER sorts the values of an attribute, short ones first.
    assert_eq!(said, ["operators", "developers", "ann"]);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(!names.critical);
    assert_eq!(
        names.value.general_names,
        [GeneralName::DNSName("a.example.com"), GeneralName::DNSName("b.example.com")]
    );
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 0b101, "digital signature and key encipherment");
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && !purposes.server_auth && !purposes.any);
    let knows_its_authority = certificate.extensions().iter().any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(id)
            if id.key_identifier.as_ref().map(|id| id.0) == key_id(&authority))
    });
    assert!(knows_its_authority);
}

#[test]
fn a_certificate_is_valid_for_what_was_asked_and_no_longer_than_its_authority() {
    let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    let far = now + Duration::days(3_650);
    let lasts = |seconds, authority| {
        let (from, until) = validity(seconds, authority, now).unwrap();
        assert_eq!(from, now - BACKDATE);
        (until - now).whole_seconds()
    };
    assert_eq!(lasts(600, far), 600);
    assert_eq!(lasts(28_799, far), 28_799);
    assert_eq!(lasts(28_800, far), 28_800 - 300);
    assert_eq!(lasts(86_400, now + Duration::hours(1)), 3_600);
    assert!(matches!(validity(600, now, now), Err(SigningError::Unavailable(_))));
}

#[test]
fn what_cannot_be_signed_is_told() {
    let authority = crate::pki::make_authority("an authority").unwrap();
    let told = |order: &CertificateOrder| match sign(&authority, order, now()) {
        Err(SigningError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    let two = request(&[(COMMON_NAME, "ann"), (COMMON_NAME, "root")], &[]);
    assert_eq!(told(&order(two, 600)), "the subject has more than one common name");
    assert_eq!(told(&order(b"no".to_vec(), 600)), "not a PKCS#10 certificate signing request");
    let mut forged = request(&[(COMMON_NAME, "ann")], &[]);
    let at = forged.windows(3).position(|text| text == b"ann").unwrap();
    forged[at] = b'A';
    assert_eq!(told(&order(forged, 600)), "the signature is not that of the request's key");
    let mut authorities = order(request(&[(COMMON_NAME, "ann")], &[]), 600);
    authorities.usages.push("cert sign".into());
    assert_eq!(told(&authorities), "unrecognized usage values: \"cert sign\"");
}

#[test]
fn an_attribute_that_is_no_text_is_refused() {
    // A requested subject that is read differently by different readers is nobody's.
    let name = yasna::construct_der(|writer| {
        writer.write_sequence(|name| {
            name.next().write_set_of(|set| {
                set.next().write_sequence(|pair| {
                    pair.next().write_oid(&ObjectIdentifier::from_slice(ORGANIZATION));
                    pair.next().write_u8(7);
                });
            });
        });
    });
    let (_, name) = X509Name::from_der(&name).unwrap();
    assert!(matches!(subject(&name), Err(SigningError::Refused(_))));
}
