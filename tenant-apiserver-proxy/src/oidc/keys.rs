//! The keys of an issuer: found by OpenID Connect Discovery 1.0, read as a JSON Web Key Set (RFC 7517), and kept.
//!
//! They are fetched when the first token comes, and anew for a token of a key that is not known, once in ten seconds at
//! most: whoever brings such a token waits for it, and nobody else does. Keys that were fetched stay when their issuer
//! cannot be reached.

use crate::dialer::{Dialer, Exchange, Peer, Trust};
use api_types::tenancy::JwtIssuer;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long one answer of an issuer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// An issuer is asked again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// The largest answer.
const MAX_ANSWER: usize = 1 << 20;
/// The most keys that are kept of one issuer.
const MAX_KEYS: usize = 64;
/// Where discovery is below an issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// How tokens may be signed: never with a shared secret, and never not at all.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
];

/// A public key.
pub struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    /// What verifies.
    pub verifying: DecodingKey,
}

impl Key {
    /// Whether it can have signed a token whose header says this.
    pub fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        let named = id.is_none_or(|id| self.id.as_deref() == Some(id));
        let of_family = self.verifying.family() == algorithm.family();
        named && of_family && self.algorithm.as_ref().is_none_or(|own| *own == format!("{algorithm:?}"))
    }
}

/// The keys of one issuer.
#[derive(Default)]
pub struct Keys {
    known: RwLock<Arc<Vec<Key>>>,
    /// When the issuer was asked last; held while it is asked.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    /// Those that are known.
    pub fn known(&self) -> Arc<Vec<Key>> {
        self.known.read().clone()
    }

    /// Asks the issuer, unless it was asked a moment ago. Who waits while another asks has that one's answer.
    pub async fn refresh(&self, dialer: &Dialer, issuer: &JwtIssuer) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        let found = fetch(dialer, issuer).await;
        *asked = Some(Instant::now());
        match found {
            Ok(keys) => *self.known.write() = Arc::new(keys),
            Err(error) => {
                tracing::warn!(issuer = issuer.url, error, "the keys of an issuer cannot be fetched");
            }
        }
    }
}

async fn fetch(dialer: &Dialer, issuer: &JwtIssuer) -> Result<Vec<Key>, String> {
    let discovery = match issuer.discovery_url.as_str() {
        "" => format!("{}{WELL_KNOWN}", issuer.url.trim_end_matches('/')),
        other => other.to_owned(),
    };
    let document = get(dialer, issuer, &discovery).await?;
    if document["issuer"] != issuer.url.as_str() {
        return Err(format!("{discovery} is of the issuer {}", document["issuer"]));
    }
    let Some(address) = document["jwks_uri"].as_str() else {
        return Err(format!("{discovery} names no jwks_uri"));
    };
    Ok(read(&get(dialer, issuer, address).await?))
}

async fn get(dialer: &Dialer, issuer: &JwtIssuer, url: &str) -> Result<Value, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let trust = Trust::bundle(issuer.certificate_authority.as_bytes());
    let (peer, _) = Peer::of_url(url, trust).map_err(|error| failed(&error))?;
    let uri: Uri = url.parse().map_err(|error| failed(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "insula")
        .body(Full::new(Bytes::new()))
        .map_err(|error| failed(&error))?;
    let exchange = Exchange { peer: &peer, request, timeout: PATIENCE, max_answer: MAX_ANSWER };
    let answer = dialer.exchange(exchange).await.map_err(|error| failed(&error))?;
    if !answer.status.is_success() {
        return Err(failed(&answer.status));
    }
    serde_json::from_slice(&answer.body).map_err(|error| failed(&error))
}

/// The keys of a set that can verify signatures. Others, and those of kinds that are not known, are passed over.
fn read(set: &Value) -> Vec<Key> {
    let all = set["keys"].as_array().into_iter().flatten();
    let keys = all.filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        let public =
            matches!(jwk.algorithm, AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_));
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let verifying = DecodingKey::from_jwk(&jwk).ok().filter(|_| public && signs)?;
        let algorithm = key["alg"].as_str().map(str::to_owned);
        Some(Key { id: jwk.common.key_id, algorithm, verifying })
    });
    keys.take(MAX_KEYS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_public_keys_that_sign_are_kept() {
        let rsa = |id: &str, of: &str| json!({"kty": "RSA", "kid": id, "use": of, "n": "AQAB", "e": "AQAB"});
        let set = json!({"keys": [rsa("a", "sig"), rsa("b", "enc"), {"kty": "oct", "kid": "c", "k": "c2VjcmV0"},
            {"kty": "new"}, {"kty": "RSA", "kid": "d", "alg": "RS512", "n": "AQAB", "e": "AQAB"}]});
        let keys = read(&set);
        let ids: Vec<_> = keys.iter().map(|key| key.id.as_deref().unwrap()).collect();
        assert_eq!(ids, ["a", "d"]);
        assert!(keys[0].fits(Some("a"), Algorithm::RS256) && keys[0].fits(None, Algorithm::PS256));
        assert!(!keys[0].fits(Some("b"), Algorithm::RS256) && !keys[0].fits(Some("a"), Algorithm::ES256));
        assert!(!keys[1].fits(Some("d"), Algorithm::RS256) && keys[1].fits(Some("d"), Algorithm::RS512));
        assert!(read(&json!("nonsense")).is_empty());
        let many: Vec<Value> = (0..100).map(|n| rsa(&n.to_string(), "sig")).collect();
        assert_eq!(read(&json!({"keys": many})).len(), MAX_KEYS);
    }
}
