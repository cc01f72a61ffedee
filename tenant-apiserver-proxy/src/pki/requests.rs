//! Certificates for keys that others made: what a PKCS #10 request asks for, signed (RFC 5280).
//!
//! As in Kubernetes, the subject's well-known attributes come into the certificate with all of their values, and so do
//! alternative names; no other attribute or extension of the request does. It is written here because `rcgen` keeps
//! one value of each attribute.

use super::KeyedCertificate;
use plane_client::{CertificateOrder, SigningError};
use rcgen::{KeyPair, SigningKey};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};
use x509_parser::x509::X509Name;
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag};

/// Certificates are valid from a little before now, since clocks differ.
const BACKDATE: Duration = Duration::minutes(5);
/// What is valid for longer than this ends earlier by the same.
const SHORT: Duration = Duration::hours(8);

const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const AUTHORITY_KEY_ID: &[u64] = &[2, 5, 29, 35];
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// The attributes of a subject that are kept, in the order in which they are written: country, organization, unit,
/// locality, province, street, postal code, common name, serial number.
const ATTRIBUTES: &[&[u64]] = &[
    &[2, 5, 4, 6],
    &[2, 5, 4, 10],
    &[2, 5, 4, 11],
    &[2, 5, 4, 7],
    &[2, 5, 4, 8],
    &[2, 5, 4, 9],
    &[2, 5, 4, 17],
    COMMON_NAME,
    &[2, 5, 4, 5],
];

/// What a usage is in a certificate.
enum Usage {
    /// A bit of the key usage.
    Bit(usize),
    /// An extended key usage.
    Purpose(&'static [u64]),
}

/// The usages that the built-in signers give.
const USAGES: &[(&str, Usage)] = &[
    ("digital signature", Usage::Bit(0)),
    ("key encipherment", Usage::Bit(2)),
    ("server auth", Usage::Purpose(&[1, 3, 6, 1, 5, 5, 7, 3, 1])),
    ("client auth", Usage::Purpose(&[1, 3, 6, 1, 5, 5, 7, 3, 2])),
];

/// Signs what is ordered, as PEM.
pub fn sign(
    authority: &KeyedCertificate,
    order: &CertificateOrder,
    now: OffsetDateTime,
) -> Result<String, SigningError> {
    let (_, request) = X509CertificationRequest::from_der(&order.request)
        .map_err(|_| refused("not a PKCS#10 certificate signing request"))?;
    request.verify_signature().map_err(|_| refused("the signature is not that of the request's key"))?;
    let key = KeyPair::from_pem(&authority.key_pem).map_err(unavailable)?;
    let (_, pem) =
        x509_parser::pem::parse_x509_pem(authority.certificate_pem.as_bytes()).map_err(unavailable)?;
    let authority = pem.parse_x509().map_err(unavailable)?;
    let signed_part = signed_part(&authority, &request, order, now)?;
    let signature = key.sign(&signed_part).map_err(unavailable)?;
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_der(&signed_part);
            algorithm(parts.next());
            parts.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
    });
    Ok(super::pem("CERTIFICATE", &der))
}

fn refused(why: impl Into<String>) -> SigningError {
    SigningError::Refused(why.into())
}

fn unavailable(why: impl std::fmt::Display) -> SigningError {
    SigningError::Unavailable(format!("the plane's authority cannot sign: {why}"))
}

/// `TBSCertificate`.
fn signed_part(
    authority: &X509Certificate<'_>,
    request: &X509CertificationRequest<'_>,
    order: &CertificateOrder,
    now: OffsetDateTime,
) -> Result<Vec<u8>, SigningError> {
    let asked = &request.certification_request_info;
    let subject = subject(&asked.subject)?;
    let names = alternative_names(request)?;
    let (bits, purposes) = usages(&order.usages)?;
    let (from, until) = validity(order.seconds, authority.validity().not_after.to_datetime(), now)?;
    let serial: [u8; 16] = rand::random();
    Ok(yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            parts.next().write_tagged(Tag::context(0), |version| version.write_u8(2));
            parts.next().write_bigint_bytes(&serial, true);
            algorithm(parts.next());
            parts.next().write_der(authority.subject().as_raw());
            parts.next().write_sequence(|validity| {
                date(validity.next(), from);
                date(validity.next(), until);
            });
            write_name(parts.next(), &subject);
            parts.next().write_der(asked.subject_pki.raw);
            parts.next().write_tagged(Tag::context(3), |all| {
                all.write_sequence(|all| {
                    if bits != 0 {
                        extension(all, KEY_USAGE, true, &key_usage(bits));
                    }
                    if !purposes.is_empty() {
                        let list = yasna::construct_der(|writer| {
                            writer.write_sequence(|list| {
                                purposes
                                    .iter()
                                    .for_each(|of| list.next().write_oid(&ObjectIdentifier::from_slice(of)));
                            });
                        });
                        extension(all, EXTENDED_KEY_USAGE, false, &list);
                    }
                    let no_authority = yasna::construct_der(|writer| writer.write_sequence(|_| ()));
                    extension(all, BASIC_CONSTRAINTS, true, &no_authority);
                    if let Some(id) = key_id(authority) {
                        let of = yasna::construct_der(|writer| {
                            writer.write_sequence(|of| implicit(of.next(), 0, id));
                        });
                        extension(all, AUTHORITY_KEY_ID, false, &of);
                    }
                    if !names.is_empty() {
                        let list = yasna::construct_der(|writer| {
                            writer.write_sequence(|list| {
                                names.iter().for_each(|(tag, name)| implicit(list.next(), *tag, name));
                            });
                        });
                        extension(all, ALTERNATIVE_NAMES, subject.is_empty(), &list);
                    }
                });
            });
        });
    }))
}

fn algorithm(writer: DERWriter<'_>) {
    let ecdsa = ObjectIdentifier::from_slice(ECDSA_WITH_SHA256);
    writer.write_sequence(|parts| parts.next().write_oid(&ecdsa));
}

fn implicit(writer: DERWriter<'_>, tag: u64, bytes: &[u8]) {
    writer.write_tagged_implicit(Tag::context(tag), |writer| writer.write_bytes(bytes));
}

fn extension(all: &mut DERWriterSeq<'_>, id: &[u64], critical: bool, value: &[u8]) {
    all.next().write_sequence(|parts| {
        parts.next().write_oid(&ObjectIdentifier::from_slice(id));
        if critical {
            parts.next().write_bool(true);
        }
        parts.next().write_bytes(value);
    });
}

/// Until 2049 as `UTCTime`, then as `GeneralizedTime`.
fn date(writer: DERWriter<'_>, at: OffsetDateTime) {
    match UTCTime::from_datetime_opt(at) {
        Some(at) => writer.write_utctime(&at),
        None => writer.write_generalized_time(&GeneralizedTime::from_datetime(at)),
    }
}

/// From when and until when a certificate is valid, in whole seconds.
fn validity(
    seconds: u32,
    authority_until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(OffsetDateTime, OffsetDateTime), SigningError> {
    let now = now.replace_nanosecond(0).unwrap_or(now);
    if now >= authority_until {
        return Err(unavailable("it has expired"));
    }
    let asked = Duration::seconds(seconds.into());
    let until = now + if asked < SHORT { asked } else { asked - BACKDATE };
    Ok((now - BACKDATE, until.min(authority_until)))
}

/// An attribute and its values.
type Attribute = (&'static [u64], Vec<String>);

/// The attributes of a subject that are kept.
fn subject(name: &X509Name<'_>) -> Result<Vec<Attribute>, SigningError> {
    let mut kept = Vec::new();
    for id in ATTRIBUTES {
        let oid =
            x509_parser::der_parser::Oid::from(id).map_err(|_| refused("the subject cannot be read"))?;
        let mut values = Vec::new();
        for value in name.iter_by_oid(&oid) {
            let text = value.as_str().map_err(|_| refused("the subject has an attribute that is no text"))?;
            values.push(text.to_owned());
        }
        if *id == COMMON_NAME && values.len() > 1 {
            return Err(refused("the subject has more than one common name"));
        }
        if !values.is_empty() {
            kept.push((*id, values));
        }
    }
    Ok(kept)
}

fn write_name(writer: DERWriter<'_>, subject: &[Attribute]) {
    writer.write_sequence(|name| {
        for (id, values) in subject {
            name.next().write_set_of(|set| {
                for value in values {
                    set.next().write_sequence(|pair| {
                        pair.next().write_oid(&ObjectIdentifier::from_slice(id));
                        pair.next().write_utf8_string(value);
                    });
                }
            });
        }
    });
}

/// Host names, mail addresses, IP addresses and URIs, with the tags of `GeneralName`.
fn alternative_names(request: &X509CertificationRequest<'_>) -> Result<Vec<(u64, Vec<u8>)>, SigningError> {
    let mut names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(said) => {
                for name in &said.general_names {
                    names.extend(match name {
                        GeneralName::DNSName(name) => Some((2, name.as_bytes().to_vec())),
                        GeneralName::RFC822Name(name) => Some((1, name.as_bytes().to_vec())),
                        GeneralName::IPAddress(bytes) if matches!(bytes.len(), 4 | 16) => {
                            Some((7, bytes.to_vec()))
                        }
                        GeneralName::URI(uri) => Some((6, uri.as_bytes().to_vec())),
                        GeneralName::IPAddress(_) | GeneralName::Invalid(..) => {
                            return Err(refused("the request has an alternative name that cannot be read"));
                        }
                        _ => None,
                    });
                }
            }
            ParsedExtension::ParseError { .. } => {
                return Err(refused("the request has an extension that cannot be read"));
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The bits of the key usage, and the extended key usages.
fn usages(said: &[String]) -> Result<(u16, Vec<&'static [u64]>), SigningError> {
    let (mut bits, mut purposes) = (0, Vec::new());
    for usage in said {
        match USAGES.iter().find(|(name, _)| name == usage).map(|(_, usage)| usage) {
            Some(Usage::Bit(bit)) => bits |= 1 << bit,
            Some(Usage::Purpose(purpose)) => purposes.push(*purpose),
            None => return Err(refused(format!("unrecognized usage values: {usage:?}"))),
        }
    }
    purposes.sort_unstable();
    Ok((bits, purposes))
}

/// A bit string without zeros at its end; the first bit is the highest.
fn key_usage(bits: u16) -> Vec<u8> {
    let length = (u16::BITS - bits.leading_zeros()) as usize;
    let bytes = bits.reverse_bits().to_be_bytes();
    yasna::construct_der(|writer| writer.write_bitvec_bytes(&bytes[..length.div_ceil(8)], length))
}

fn key_id<'a>(authority: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    authority.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
