//! Signatures of tokens (RFC 7515) by the algorithms that Kubernetes takes of issuers.
//!
//! `jsonwebtoken` verifies all but ES512, whose curve it does not know: that one `aws-lc-rs` verifies, as it does for the
//! others underneath.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The length of a coordinate on P-521.
const P521_BYTES: usize = 66;

/// How tokens may be signed: never with a shared secret, and never not at all.
const ALGORITHMS: &[(&str, Option<Algorithm>)] = &[
    ("RS256", Some(Algorithm::RS256)),
    ("RS384", Some(Algorithm::RS384)),
    ("RS512", Some(Algorithm::RS512)),
    ("PS256", Some(Algorithm::PS256)),
    ("PS384", Some(Algorithm::PS384)),
    ("PS512", Some(Algorithm::PS512)),
    ("ES256", Some(Algorithm::ES256)),
    ("ES384", Some(Algorithm::ES384)),
    ("ES512", None),
];

/// A token in its parts.
pub struct Token<'a> {
    /// How it is signed.
    pub algorithm: String,
    /// The key that its header names.
    pub key: Option<String>,
    /// What it says; nothing of it is proved.
    pub claims: Map<String, Value>,
    message: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// It is none, or signed in a way that is not taken.
    pub fn read(text: &'a str) -> Result<Self, String> {
        let (message, signature) = text.rsplit_once('.').ok_or("it has no signature")?;
        let (header, claims) = message.split_once('.').ok_or("it has no claims")?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| error.to_string());
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|error| format!("its header: {error}"))?;
        if header.crit.is_some() {
            return Err("its header asks for what is not known".to_owned());
        }
        if !ALGORITHMS.iter().any(|(name, _)| *name == header.alg) {
            return Err(format!("{:?} is not taken", header.alg));
        }
        let claims =
            serde_json::from_slice(&decoded(claims)?).map_err(|error| format!("its claims: {error}"))?;
        Ok(Token { algorithm: header.alg, key: header.kid, claims, message, signature })
    }
}

/// A public key.
pub enum PublicKey {
    /// One that the library knows.
    Known(Box<DecodingKey>),
    /// A point on P-521, uncompressed.
    P521(Vec<u8>),
}

impl PublicKey {
    /// A key of a set. `None`: it cannot verify signatures.
    pub fn of_jwk(key: &Value) -> Option<Self> {
        if key["kty"] == "EC" && key["crv"] == "P-521" {
            let mut point = vec![4];
            for name in ["x", "y"] {
                let coordinate = URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok()?;
                if coordinate.len() != P521_BYTES {
                    return None;
                }
                point.extend(coordinate);
            }
            return Some(PublicKey::P521(point));
        }
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        let public =
            matches!(jwk.algorithm, AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_));
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| public)?;
        Some(PublicKey::Known(Box::new(key)))
    }

    /// Whether its signatures can be of an algorithm.
    pub fn fits(&self, algorithm: &str) -> bool {
        match (self, known(algorithm)) {
            (PublicKey::Known(key), Some(algorithm)) => key.family() == algorithm.family(),
            (PublicKey::P521(_), None) => algorithm == "ES512",
            _ => false,
        }
    }

    /// Whether it signed a token.
    pub fn has_signed(&self, token: &Token<'_>) -> bool {
        match (self, known(&token.algorithm)) {
            (PublicKey::Known(key), Some(algorithm)) => {
                let verified =
                    jsonwebtoken::crypto::verify(token.signature, token.message.as_bytes(), key, algorithm);
                verified.unwrap_or(false)
            }
            (PublicKey::P521(point), None) if token.algorithm == "ES512" => {
                let Ok(signature) = URL_SAFE_NO_PAD.decode(token.signature) else { return false };
                let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point);
                key.verify(token.message.as_bytes(), &signature).is_ok()
            }
            _ => false,
        }
    }
}

fn known(algorithm: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(name, _)| *name == algorithm).and_then(|(_, known)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    };
    use serde_json::json;

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn message(algorithm: &str) -> String {
        format!("{}.{}", encode(json!({"alg": algorithm}).to_string()), encode("{}"))
    }

    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &str, name: &str) -> (Value, String) {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let point = pair.public_key().as_ref()[1..].to_vec();
        let (x, y) = point.split_at(point.len() / 2);
        let key = json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)});
        let message = message(name);
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        (key, format!("{message}.{}", encode(signature)))
    }

    #[test]
    fn every_algorithm_of_kubernetes_is_verified() {
        let mut signed = vec![
            ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", "ES256"),
            ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", "ES384"),
            ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521", "ES512"),
        ];
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let (n, e) = (public.modulus().big_endian_without_leading_zero(), public.exponent());
        let key = json!({"kty": "RSA", "n": encode(n), "e": encode(e.big_endian_without_leading_zero())});
        let encodings: [(&str, &'static dyn RsaEncoding); 6] = [
            ("RS256", &RSA_PKCS1_SHA256),
            ("RS384", &RSA_PKCS1_SHA384),
            ("RS512", &RSA_PKCS1_SHA512),
            ("PS256", &RSA_PSS_SHA256),
            ("PS384", &RSA_PSS_SHA384),
            ("PS512", &RSA_PSS_SHA512),
        ];
        for (name, encoding) in encodings {
            let message = message(name);
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
            signed.push((key.clone(), format!("{message}.{}", encode(signature))));
        }
        assert_eq!(signed.len(), ALGORITHMS.len());
        let keys: Vec<PublicKey> = signed.iter().map(|(key, _)| PublicKey::of_jwk(key).unwrap()).collect();
        for (index, (_, text)) in signed.iter().enumerate() {
            let token = Token::read(text).unwrap();
            for (other, key) in keys.iter().enumerate() {
                let same = signed[index].0 == signed[other].0;
                assert_eq!(key.has_signed(&token), same, "{} by {other}", token.algorithm);
                assert!(key.fits(&token.algorithm) || !same);
            }
            let changed = text.replace('.', &format!("{}.", encode("x")));
            assert!(Token::read(&changed).map_or(true, |token| !keys[index].has_signed(&token)));
        }
    }

    #[test]
    fn what_is_no_token_or_signed_otherwise_is_refused() {
        let with = |header: Value| format!("{}.{}.AA", encode(header.to_string()), encode("{}"));
        assert!(Token::read(&with(json!({"alg": "ES512", "kid": "a"}))).is_ok());
        for text in [
            "".to_owned(),
            "a.b".to_owned(),
            "a.b.c".to_owned(),
            with(json!({"alg": "none"})),
            with(json!({"alg": "HS256"})),
            with(json!({"alg": "EdDSA"})),
            with(json!({"alg": "ES512", "crit": ["b64"]})),
            format!("{}.{}.AA", encode(json!({"alg": "RS256"}).to_string()), encode("[]")),
        ] {
            assert!(Token::read(&text).is_err(), "{text}");
        }
        let short = json!({"kty": "EC", "crv": "P-521", "x": encode([1; 65]), "y": encode([1; 66])});
        assert!(PublicKey::of_jwk(&short).is_none());
    }
}
