//! Service account tokens: signed with the plane's own key, bound to an audience, a time and, if asked, an object.
//!
//! The claims are those of Kubernetes' bound service account tokens (KEP-1205).

use crate::keyring::{self, Entry};
use crate::pki::KeyedCertificate;
use crate::plane_keys::Parsed;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The shortest life of a token, in seconds.
pub const MIN_SECONDS: i64 = 600;
/// The longest life of a token, in seconds.
pub const MAX_SECONDS: i64 = 1 << 32;

/// The key that signs and verifies a plane's tokens.
pub struct TokenKey {
    id: String,
    point: Vec<u8>,
    /// `None`: it verifies only.
    signing: Option<EncodingKey>,
    verifying: DecodingKey,
}

/// A key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The key.
    #[error("token key: {0}")]
    Key(#[from] rcgen::Error),
    /// The key signs no more.
    #[error("the token key is a former one")]
    Former,
    /// The token.
    #[error("token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// Makes a key as it is stored: the certificate's place holds the public key.
pub fn make_key() -> Result<KeyedCertificate, TokenError> {
    let pair = KeyPair::generate()?;
    Ok(KeyedCertificate { certificate_pem: pair.public_key_pem(), key_pem: pair.serialize_pem() })
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// For whom it is.
    pub aud: Vec<String>,
    /// Until when, in seconds since 1970.
    pub exp: i64,
    /// Since when.
    pub iat: i64,
    /// Who issued it.
    pub iss: String,
    /// Its own identity.
    pub jti: String,
    /// What it is bound to.
    #[serde(rename = "kubernetes.io")]
    pub bound: Bound,
    /// Not before.
    pub nbf: i64,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
}

/// What a token is bound to: it dies with any of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// The namespace of the service account.
    pub namespace: String,
    /// The pod, if it is bound to one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pod: Option<Reference>,
    /// The secret, if it is bound to one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub secret: Option<Reference>,
    /// The node, if it is bound to one; of a token of a pod, the node that the pod runs on, to which it is not bound.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<Reference>,
    /// The service account.
    pub serviceaccount: Reference,
    /// When the bearer should have asked for another one, which is before it expires.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warnafter: Option<i64>,
}

/// A named object that must still have this UID.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// The UID.
    pub uid: String,
}

/// A token whose signature has been verified.
#[derive(Clone, Debug)]
pub struct Proved {
    /// What it says.
    pub claims: Claims,
    /// The name of the key that signed it.
    pub key: String,
}

impl TokenKey {
    /// Reads a key of a ring. One that signs no more verifies only.
    pub fn of(entry: &Entry) -> Option<Self> {
        TokenKey::read(&entry.keyed())
            .inspect_err(|error| tracing::error!(%error, "a token key cannot be read"))
            .ok()
    }

    /// Reads a stored key.
    pub fn read(stored: &KeyedCertificate) -> Result<Self, TokenError> {
        let signing = match stored.key_pem.as_str() {
            "" => None,
            pem => Some(EncodingKey::from_ec_pem(pem.as_bytes())?),
        };
        Ok(TokenKey {
            point: SubjectPublicKeyInfo::from_pem(&stored.certificate_pem)?.der_bytes().to_vec(),
            id: keyring::id(&stored.certificate_pem),
            signing,
            verifying: DecodingKey::from_ec_pem(stored.certificate_pem.as_bytes())?,
        })
    }

    /// The public key as a JSON Web Key (RFC 7517).
    pub fn jwk(&self) -> Option<serde_json::Value> {
        use base64::Engine;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        // An uncompressed point: 4, x, y.
        let (x, y) = (self.point.get(1..33)?, self.point.get(33..65)?);
        Some(serde_json::json!({"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": encode(x), "y": encode(y)}))
    }

    /// Its name, which tokens say.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        header.typ = None;
        let signing = self.signing.as_ref().ok_or(TokenError::Former)?;
        Ok(jsonwebtoken::encode(&header, claims, signing)?)
    }

    /// Verifies the signature alone. What a token says is the caller's to check.
    pub fn verify_signature<T: DeserializeOwned>(&self, token: &str) -> Result<T, TokenError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(jsonwebtoken::decode::<T>(token, &self.verifying, &validation)?.claims)
    }
}

/// The name of the key by which a token says that it is signed.
pub fn named_key(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).ok()?.kid
}

/// Clocks differ by as many seconds.
const LEEWAY: i64 = 10;

/// Verifies a token: that it is signed with that of a plane's keys which it names, its issuer, its audience (one of these
/// each) and its time. Whether what it is bound to still exists is the caller's to check. Errors: why it is not taken, in
/// Kubernetes' words.
pub fn verify(
    keys: &Parsed<TokenKey>,
    token: &str,
    issuers: &[String],
    audiences: &[String],
    now: i64,
) -> Result<Proved, String> {
    let signature = || "go-jose/go-jose: error in cryptographic primitive".to_owned();
    let named = named_key(token).ok_or_else(signature)?;
    let key = keys.standing(now).find(|key| key.id == named).ok_or_else(signature)?;
    let claims: Claims = key.key.verify_signature(token).map_err(|_| signature())?;
    check(&claims, issuers, audiences, now)?;
    Ok(Proved { claims, key: named })
}

fn check(claims: &Claims, issuers: &[String], audiences: &[String], now: i64) -> Result<(), String> {
    if !issuers.contains(&claims.iss) {
        return Err(format!("token issuer {:?} is invalid", claims.iss));
    }
    if !claims.aud.iter().any(|audience| audiences.contains(audience)) {
        return Err(wrong_audience(&claims.aud, audiences));
    }
    if claims.exp.saturating_add(LEEWAY) <= now {
        return Err("service account token has expired".to_owned());
    }
    if claims.nbf > now.saturating_add(LEEWAY) {
        return Err("service account token is not valid yet".to_owned());
    }
    Ok(())
}

/// Why a token for other audiences is not taken.
pub fn wrong_audience(of_token: &[String], asked: &[String]) -> String {
    let shown = |all: &[String]| {
        let quoted: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
        format!("[{}]", quoted.join(" "))
    };
    format!("token audiences {} is invalid for the target audiences {}", shown(of_token), shown(asked))
}

/// What a token claims, without verifying anything.
pub fn unverified<T: DeserializeOwned>(token: &str) -> Option<T> {
    use base64::Engine;
    let mut parts = token.split('.');
    let (_, Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The issuer that a token claims: enough to choose the plane whose key verifies it.
pub fn unverified_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    unverified::<Issuer>(token).map(|issuer| issuer.iss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Ring;

    fn claims(exp: i64) -> Claims {
        Claims {
            aud: vec!["a".into()],
            exp,
            iat: 1,
            iss: "https://i".into(),
            jti: "j".into(),
            bound: Bound {
                namespace: "n".into(),
                pod: None,
                secret: None,
                node: None,
                serviceaccount: Reference { name: "s".into(), uid: "u".into() },
                warnafter: None,
            },
            nbf: 1,
            sub: "system:serviceaccount:n:s".into(),
        }
    }

    #[test]
    fn only_the_planes_own_key_issuer_audience_and_time_verify() {
        let entry = || Ring::new(make_key().unwrap());
        let (ring, former) = (entry(), ["https://now", "https://i"]);
        let [keys, others] = [ring, entry()].map(|ring| Parsed::new(ring, TokenKey::of).unwrap());
        let key = &keys.current(0).unwrap().key;
        let token = key.sign(&claims(1_000)).unwrap();
        let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let verify = |keys, issuers: &[&str], audiences: &[&str], now| {
            verify(keys, &token, &all(issuers), &all(audiences), now).map(|proved| proved.claims.sub)
        };
        assert_eq!(verify(&keys, &["https://i"], &["a"], 500).unwrap(), "system:serviceaccount:n:s");
        assert!(verify(&keys, &former, &["b", "a"], 1_009).is_ok());
        let signature = "go-jose/go-jose: error in cryptographic primitive";
        let audience = r#"token audiences ["a"] is invalid for the target audiences ["b" "c"]"#;
        for (refused, why) in [
            (verify(&others, &["https://i"], &["a"], 500), signature),
            (verify(&keys, &["https://other"], &["a"], 500), r#"token issuer "https://i" is invalid"#),
            (verify(&keys, &["https://i"], &["b", "c"], 500), audience),
            (verify(&keys, &["https://i"], &["a"], 1_010), "service account token has expired"),
            (verify(&keys, &["https://i"], &["a"], -10), "service account token is not valid yet"),
        ] {
            assert_eq!(refused.unwrap_err(), why);
        }
        assert_eq!(unverified_issuer(&token).as_deref(), Some("https://i"));
        assert_eq!(unverified_issuer("nonsense"), None);
    }
}
