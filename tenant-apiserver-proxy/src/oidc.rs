//! The issuers of a tenant's users (OpenID Connect): `spec.authentication.oidc` of the `Tenant`.
//!
//! Guarantees: a token is taken only when a key of its issuer signed it, for one of the audiences, in its time, and
//! the rules hold. The service account tokens of the plane come first: no issuer takes their place. What was proved is
//! kept until it expires or the issuers change. Issuers are dialled as every address is that a tenant chooses.
//!
//! A token of an issuer selects no plane: its bearer names one by path.
//!
//! Read in this order: [`signatures`] and [`keys`] (who signed), [`claims`] (who the bearer is), [`authenticator`] (both).

pub mod authenticator;
pub mod claims;
pub mod keys;
pub mod signatures;

use api_types::tenancy::JwtAuthenticator;
use arc_swap::ArcSwap;
use authenticator::Authenticator;
use std::sync::Arc;

/// The issuers of one plane.
#[derive(Default)]
pub struct Issuers(ArcSwap<Vec<Arc<Authenticator>>>);

impl Issuers {
    /// Follows a change of the tenant. Issuers that stay the same keep what they know. True when any changed.
    pub fn set(&self, said: &[JwtAuthenticator]) -> bool {
        let before = self.0.load_full();
        if before.iter().map(|one| &one.said).eq(said) {
            return false;
        }
        let after = said.iter().map(|said| {
            let same = before.iter().find(|one| one.said == *said);
            same.cloned().unwrap_or_else(|| Arc::new(Authenticator::new(said.clone())))
        });
        self.0.store(Arc::new(after.collect()));
        true
    }

    /// Whether an issuer is still one of the plane's, as it was.
    pub fn has(&self, issuer: &Arc<Authenticator>) -> bool {
        self.0.load().iter().any(|one| Arc::ptr_eq(one, issuer))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Whether a token has been proved by one of them, and is still valid.
    pub fn knows(&self, token: &str, now: i64) -> bool {
        self.0.load().iter().any(|one| one.knows(token, now))
    }

    /// The one of an issuer.
    pub fn of(&self, issuer: &str) -> Option<Arc<Authenticator>> {
        self.0.load().iter().find(|one| one.said.issuer.url == issuer).cloned()
    }
}
