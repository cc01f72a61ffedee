//! Whether a private key is that of a certificate, as far as their bytes tell.
//!
//! Of a key only what is public of it is read (RFC 8017, RFC 5915, RFC 5958); in the certificate it is looked for as bytes,
//! which are too many to be there by chance. Nothing is verified.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// The second optional part of an elliptic key: what is public of it.
const PUBLIC: u8 = 0xa1;

/// How keys are made, and their object identifiers as DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    Elliptic,
    Ed25519,
}

const KINDS: &[(Kind, &[u8])] = &[
    (Kind::Rsa, &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]),
    (Kind::Elliptic, &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]),
    // Last: signatures have the same identifier.
    (Kind::Ed25519, &[0x06, 0x03, 0x2b, 0x65, 0x70]),
];

/// Why a key is not that of a certificate, both in DER; `None` also when that cannot be told.
pub(super) fn mismatch(certificate: &[u8], key: &[u8]) -> Option<&'static str> {
    let (kind, public) = read(key)?;
    let (certified, _) = KINDS.iter().find(|(_, id)| contains(certificate, id))?;
    if kind != *certified {
        return Some("private key type does not match public key type");
    }
    let same = public.is_none_or(|public| contains(certificate, public));
    (!same).then_some("private key does not match public key")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

/// The kind of a key, and what is public of it.
fn read(key: &[u8]) -> Option<(Kind, Option<&[u8]>)> {
    let (_, fields, _) = element(key).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, _, fields) = element(fields).filter(|(tag, ..)| *tag == INTEGER)?;
    match element(fields)? {
        (INTEGER, modulus, _) => Some((Kind::Rsa, Some(modulus))),
        (OCTETS, _, optional) => Some((Kind::Elliptic, point(optional))),
        (SEQUENCE, algorithm, rest) => {
            let (kind, _) = KINDS.iter().find(|(_, id)| algorithm.starts_with(id))?;
            let (_, own, _) = element(rest).filter(|(tag, ..)| *tag == OCTETS)?;
            let public = match kind {
                Kind::Ed25519 => None,
                Kind::Rsa | Kind::Elliptic => read(own)?.1,
            };
            Some((*kind, public))
        }
        _ => None,
    }
}

/// The point that an elliptic key may say.
fn point(mut fields: &[u8]) -> Option<&[u8]> {
    while let Some((tag, content, rest)) = element(fields) {
        if tag == PUBLIC {
            let (_, bits, _) = element(content).filter(|(tag, ..)| *tag == BIT_STRING)?;
            // The first octet counts unused bits.
            return bits.get(1..);
        }
        fields = rest;
    }
    None
}

/// The first element of DER: tag, content, and what comes after.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = content.len();
        let head = if length < 128 { vec![tag, length as u8] } else { vec![tag, 0x81, length as u8] };
        [head, content].concat()
    }

    fn id(kind: Kind) -> &'static [u8] {
        KINDS.iter().find(|(of, _)| *of == kind).unwrap().1
    }

    #[test]
    fn keys_are_told_apart() {
        let version = der(INTEGER, &[&[0]]);
        let rsa = der(SEQUENCE, &[&version, &der(INTEGER, &[&[7; 200]]), &der(INTEGER, &[&[3]])]);
        let public = der(PUBLIC, &[&der(BIT_STRING, &[&[0], &[9; 65]])]);
        let elliptic = der(SEQUENCE, &[&version, &der(OCTETS, &[&[1; 32]]), &public]);
        let wrapped = |kind: Kind, key: &[u8]| {
            der(SEQUENCE, &[&version, &der(SEQUENCE, &[id(kind)]), &der(OCTETS, &[key])])
        };
        let certificate = |kind: Kind, public: &[u8]| [id(kind), public].concat();
        let kinds = Some("private key type does not match public key type");
        let keys = Some("private key does not match public key");
        for (certificate, key, expected) in [
            (certificate(Kind::Rsa, &[7; 200]), &rsa, None),
            (certificate(Kind::Rsa, &[7; 200]), &wrapped(Kind::Rsa, &rsa), None),
            (certificate(Kind::Rsa, &[8; 200]), &rsa, keys),
            (certificate(Kind::Elliptic, &[9; 65]), &elliptic, None),
            (certificate(Kind::Elliptic, &[8; 65]), &wrapped(Kind::Elliptic, &elliptic), keys),
            (certificate(Kind::Elliptic, &[9; 65]), &rsa, kinds),
            (certificate(Kind::Rsa, &[7; 200]), &elliptic, kinds),
            (certificate(Kind::Ed25519, &[]), &wrapped(Kind::Ed25519, &[1]), None),
            (certificate(Kind::Ed25519, &[]), &rsa, kinds),
            (b"abc".to_vec(), &rsa, None),
            (certificate(Kind::Rsa, &[7; 200]), &b"abc".to_vec(), None),
        ] {
            assert_eq!(mismatch(&certificate, key), expected, "{certificate:?} {key:?}");
        }
    }
}
