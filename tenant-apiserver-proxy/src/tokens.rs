//! Service account tokens: signed with the plane's own key, bound to an audience, a time and, if asked, an object.
//!
//! The claims are those of Kubernetes' bound service account tokens (KEP-1205).

use crate::keyring::{self, Entry};
use crate::pki::KeyedCertificate;
use crate::plane_keys::Parsed;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData, SubjectPublicKeyInfo};
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

    /// Signs.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        header.typ = None;
        let signing = self.signing.as_ref().ok_or(TokenError::Former)?;
        Ok(jsonwebtoken::encode(&header, claims, signing)?)
    }

    /// Verifies signature, issuer, audience (one of these each) and time. Whether what it is bound to still exists is the caller's to
    /// check.
    pub fn verify(
        &self,
        token: &str,
        issuers: &[String],
        audiences: &[String],
    ) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(issuers);
        validation.set_audience(audiences);
        validation.validate_nbf = true;
        validation.leeway = 10;
        Ok(jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation)?.claims)
    }
}

/// Verifies a token with that of a plane's keys which it names.
pub fn verify(
    keys: &Parsed<TokenKey>,
    token: &str,
    issuers: &[String],
    audiences: &[String],
    now: i64,
) -> Option<Proved> {
    let named = jsonwebtoken::decode_header(token).ok()?.kid?;
    let key = keys.standing(now).find(|key| key.id == named)?;
    let claims = key.key.verify(token, issuers, audiences).ok()?;
    Some(Proved { claims, key: named })
}

/// The issuer that a token claims, without verifying anything: enough to choose the plane whose key verifies it.
pub fn unverified_issuer(token: &str) -> Option<String> {
    use base64::Engine;
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Issuer>(&bytes).ok().map(|issuer| issuer.iss)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let far = jiff::Timestamp::now().as_second() + 3600;
        let key = TokenKey::read(&make_key().unwrap()).unwrap();
        let other = TokenKey::read(&make_key().unwrap()).unwrap();
        let token = key.sign(&claims(far)).unwrap();
        let one = |text: &str| vec![text.to_owned()];
        let (issuer, audience) = (one("https://i"), one("a"));
        assert_eq!(key.verify(&token, &issuer, &audience).unwrap().sub, "system:serviceaccount:n:s");
        let former = ["https://now".to_owned(), "https://i".to_owned()];
        assert!(key.verify(&token, &former, &audience).is_ok());
        assert!(other.verify(&token, &issuer, &audience).is_err());
        assert!(key.verify(&token, &one("https://other"), &audience).is_err());
        assert!(key.verify(&token, &issuer, &one("b")).is_err());
        assert!(key.verify(&key.sign(&claims(1000)).unwrap(), &issuer, &audience).is_err());
        assert_eq!(unverified_issuer(&token).as_deref(), Some("https://i"));
        assert_eq!(unverified_issuer("nonsense"), None);
    }
}
