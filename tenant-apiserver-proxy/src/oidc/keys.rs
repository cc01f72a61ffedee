//! The keys of an issuer: found by OpenID Connect Discovery 1.0, read as a JSON Web Key Set (RFC 7517), and kept.
//!
//! They are fetched when the first token comes, and anew for a token of a key that is not known, once in ten seconds at
//! most: whoever brings such a token waits for it, and nobody else does. Keys that were fetched stay when their issuer
//! cannot be reached.

use super::signatures::PublicKey;
use crate::dialer::{Dialer, Exchange, Peer, Trust};
use api_types::tenancy::JwtIssuer;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use parking_lot::RwLock;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
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

/// A public key.
pub struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    /// What verifies.
    pub public: PublicKey,
}

impl Key {
    /// Whether it can have signed a token whose header says this.
    pub fn fits(&self, id: Option<&str>, algorithm: &str) -> bool {
        let named = id.is_none_or(|id| self.id.as_deref() == Some(id));
        let own = self.algorithm.as_ref().is_none_or(|own| own == algorithm);
        named && own && self.public.fits(algorithm)
    }
}

/// The most that wait for one issuer at a time: nobody knows yet who they are, so that none has a seat of the plane.
const MAX_WAITING: usize = 64;

/// The keys of one issuer.
pub struct Keys {
    known: RwLock<Arc<Vec<Key>>>,
    /// When the issuer was asked last; held while it is asked.
    asked: Mutex<Option<Instant>>,
    waiting: Semaphore,
}

impl Default for Keys {
    fn default() -> Self {
        Keys { known: RwLock::default(), asked: Mutex::default(), waiting: Semaphore::new(MAX_WAITING) }
    }
}

impl Keys {
    /// Those that are known.
    pub fn known(&self) -> Arc<Vec<Key>> {
        self.known.read().clone()
    }

    /// Asks the issuer, unless it was asked a moment ago. Who waits while another asks has that one's answer. False: too
    /// many wait already.
    pub async fn refresh<F>(&self, issuer: &JwtIssuer, fetch: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Result<Vec<Key>, String>>,
    {
        let Ok(_place) = self.waiting.try_acquire() else { return false };
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < AGAIN) {
            return true;
        }
        let found = fetch().await;
        *asked = Some(Instant::now());
        match found {
            Ok(keys) => *self.known.write() = Arc::new(keys),
            Err(error) => {
                tracing::warn!(issuer = issuer.url, error, "the keys of an issuer cannot be fetched");
            }
        }
        true
    }
}

/// Asks an issuer for its keys.
pub async fn fetch(dialer: &Dialer, issuer: &JwtIssuer) -> Result<Vec<Key>, String> {
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
        if key["use"].as_str().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let text = |name: &str| key[name].as_str().map(str::to_owned);
        Some(Key { id: text("kid"), algorithm: text("alg"), public: PublicKey::of_jwk(key)? })
    });
    keys.take(MAX_KEYS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn an_issuer_is_asked_once_in_ten_seconds_and_few_wait_for_it() {
        let (keys, issuer, fetched) = (Keys::default(), JwtIssuer::default(), AtomicUsize::new(0));
        let slow = || async {
            fetched.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(3)).await;
            Err("it is slow".to_owned())
        };
        let all = (0..MAX_WAITING + 10).map(|_| keys.refresh(&issuer, slow));
        let answered = futures::future::join_all(all).await;
        assert_eq!(answered.iter().filter(|answered| **answered).count(), MAX_WAITING);
        assert_eq!(fetched.load(Ordering::Relaxed), 1, "the others had its answer");
        tokio::time::advance(AGAIN - Duration::from_millis(1)).await;
        assert!(keys.refresh(&issuer, slow).await);
        assert_eq!(fetched.load(Ordering::Relaxed), 1, "it was asked a moment ago");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(keys.refresh(&issuer, slow).await);
        assert_eq!(fetched.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn only_public_keys_that_sign_are_kept() {
        let rsa = |id: &str, of: &str| json!({"kty": "RSA", "kid": id, "use": of, "n": "AQAB", "e": "AQAB"});
        let set = json!({"keys": [rsa("a", "sig"), rsa("b", "enc"), {"kty": "oct", "kid": "c", "k": "c2VjcmV0"},
            {"kty": "new"}, {"kty": "RSA", "kid": "d", "alg": "RS512", "n": "AQAB", "e": "AQAB"}]});
        let keys = read(&set);
        let ids: Vec<_> = keys.iter().map(|key| key.id.as_deref().unwrap()).collect();
        assert_eq!(ids, ["a", "d"]);
        assert!(keys[0].fits(Some("a"), "RS256") && keys[0].fits(None, "PS256"));
        assert!(!keys[0].fits(Some("b"), "RS256") && !keys[0].fits(Some("a"), "ES256"));
        assert!(!keys[1].fits(Some("d"), "RS256") && keys[1].fits(Some("d"), "RS512"));
        assert!(read(&json!("nonsense")).is_empty());
        let many: Vec<Value> = (0..100).map(|n| rsa(&n.to_string(), "sig")).collect();
        assert_eq!(read(&json!({"keys": many})).len(), MAX_KEYS);
    }
}
