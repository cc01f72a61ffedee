//! Tokens of one issuer.

use super::claims::{Claims, Mapper};
use super::keys::{ALGORITHMS, Key, Keys};
use crate::authentication::{Identity, User};
use crate::dialer::Dialer;
use crate::standing::Standing;
use crate::verified::Verified;
use api_types::tenancy::JwtAuthenticator;
use jiff::Timestamp;
use jsonwebtoken::Validation;
use serde_json::Value;
use std::sync::Arc;

/// Clocks of issuers may be ahead by this many seconds.
const AHEAD: i64 = 300;

/// One issuer, its keys, and what was proved by its tokens.
pub struct Authenticator {
    /// What the tenant says of it.
    pub said: JwtAuthenticator,
    mapper: Option<Mapper>,
    keys: Keys,
    proved: Verified<(User, i64)>,
}

/// Why a token is not taken.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// No key that is known can have signed it.
    UnknownKey,
    /// Something else.
    Wrong(String),
}

impl Authenticator {
    /// Compiles what is said.
    pub fn new(said: JwtAuthenticator) -> Self {
        let mapper = Mapper::new(&said);
        if let Err(error) = &mapper {
            tracing::error!(
                issuer = said.issuer.url,
                error,
                "an issuer is said in a way that cannot be read"
            );
        }
        Authenticator { mapper: mapper.ok(), said, keys: Keys::default(), proved: Verified::default() }
    }

    /// The bearer of a token; `None` when it is not taken.
    pub async fn authenticate(self: &Arc<Self>, dialer: &Dialer, token: &str) -> Option<Identity> {
        let now = Timestamp::now().as_second();
        match self.look(token, now) {
            Err(Refusal::UnknownKey) => {
                self.keys.refresh(dialer, &self.said.issuer).await;
                self.look(token, now)
            }
            other => other,
        }
        .inspect_err(|why| tracing::debug!(issuer = self.said.issuer.url, ?why, "a token is not taken"))
        .ok()
    }

    /// Looks at a token with the keys that are known.
    fn look(self: &Arc<Self>, token: &str, now: i64) -> Result<Identity, Refusal> {
        let mut refusal = Refusal::Wrong("it has expired".to_owned());
        let keys = self.keys.known();
        let verify = || match self.verify(token, &keys, now) {
            Ok((user, expires)) => Some(((user, expires), expires)),
            Err(why) => {
                refusal = why;
                None
            }
        };
        let proved = self.proved.get(token.as_bytes(), now, verify).ok_or(refusal)?;
        let standing = Standing::Issuer(Arc::downgrade(self));
        Ok(Identity { user: proved.0.clone(), expires: Some(proved.1), standing })
    }

    fn verify(&self, token: &str, keys: &[Key], now: i64) -> Result<(User, i64), Refusal> {
        let wrong = |why: &dyn std::fmt::Display| Refusal::Wrong(why.to_string());
        let mapper = self.mapper.as_ref().ok_or_else(|| wrong(&"the issuer cannot be read"))?;
        let header = jsonwebtoken::decode_header(token).map_err(|error| wrong(&error))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(wrong(&format_args!("{:?} is not taken", header.alg)));
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = 0;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.said.issuer.url]);
        validation.set_audience(&self.said.issuer.audiences);
        let mut refusal = Refusal::UnknownKey;
        for key in keys.iter().filter(|key| key.fits(header.kid.as_deref(), header.alg)) {
            match jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation) {
                Ok(found) => {
                    let claims = found.claims;
                    let second = |name: &str| claims.get(name).and_then(Value::as_f64).map(|at| at as i64);
                    if second("nbf").is_some_and(|from| from > now + AHEAD) {
                        return Err(wrong(&"it is not valid yet"));
                    }
                    let expires = second("exp").ok_or_else(|| wrong(&"it does not expire"))?;
                    let user = mapper.user(&claims).map_err(|error| wrong(&error))?;
                    return Ok((user, expires));
                }
                // Another key of the set may have signed it; a key of the same name may be a newer one.
                Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::InvalidSignature => {}
                Err(error) => refusal = wrong(&error),
            }
        }
        Err(refusal)
    }
}
