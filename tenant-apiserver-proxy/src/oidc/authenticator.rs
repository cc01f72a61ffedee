//! Tokens of one issuer.

use super::claims::Mapper;
use super::keys::{self, Key, Keys};
use super::signatures::Token;
use crate::authentication::{Identity, User};
use crate::dialer::Dialer;
use crate::standing::Standing;
use crate::verified::Verified;
use api_types::ApiError;
use api_types::tenancy::JwtAuthenticator;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Clocks of issuers may be ahead by this many seconds, as in Kubernetes 1.36.
const AHEAD: i64 = 60;

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

    /// The bearer of a token.
    ///
    /// # Errors
    /// 401: it is not taken. 503: too many wait for the issuer's keys.
    pub async fn authenticate(self: &Arc<Self>, dialer: &Dialer, token: &str) -> Result<Identity, ApiError> {
        let now = Timestamp::now().as_second();
        let mut looked = self.look(token, now);
        if looked.as_ref().is_err_and(|why| *why == Refusal::UnknownKey) {
            let fetch = || Box::pin(keys::fetch(dialer, &self.said.issuer));
            if !self.keys.refresh(&self.said.issuer, fetch).await {
                return Err(ApiError::unavailable("too many wait for the keys of the token's issuer", 1));
            }
            looked = self.look(token, now);
        }
        looked.map_err(|why| {
            tracing::debug!(issuer = self.said.issuer.url, ?why, "a token is not taken");
            ApiError::unauthorized()
        })
    }

    /// Whether a token has been proved, and is still valid.
    pub fn knows(&self, token: &str, now: i64) -> bool {
        self.proved.knows(token.as_bytes(), now)
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
        let token = Token::read(token).map_err(|error| wrong(&error))?;
        let claims = &token.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(self.said.issuer.url.as_str()) {
            return Err(wrong(&"it is of another issuer"));
        }
        let ours = |audience: &str| self.said.issuer.audiences.iter().any(|own| own == audience);
        let is_for_us = match claims.get("aud") {
            Some(Value::String(one)) => ours(one),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(ours),
            _ => false,
        };
        if !is_for_us {
            return Err(wrong(&"it is for others"));
        }
        // Some issuers put times into quotes.
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let second = |name: &str| claims.get(name).and_then(number).map(|at| at as i64);
        let expires = second("exp").ok_or_else(|| wrong(&"it does not expire"))?;
        if expires <= now {
            return Err(wrong(&"it has expired"));
        }
        if claims.get("iat").is_some_and(|at| !at.is_null() && number(at).is_none()) {
            return Err(wrong(&"the time of its issue is none"));
        }
        if second("nbf").is_some_and(|from| from > now + AHEAD) {
            return Err(wrong(&"it is not valid yet"));
        }
        // Another key of the set may have signed it; a key of the same name may be a newer one.
        let mut fitting = keys.iter().filter(|key| key.fits(token.key.as_deref(), &token.algorithm));
        if !fitting.any(|key| key.public.has_signed(&token)) {
            return Err(Refusal::UnknownKey);
        }
        let user = mapper.user(claims).map_err(|error| wrong(&error))?;
        Ok((user, expires))
    }
}
