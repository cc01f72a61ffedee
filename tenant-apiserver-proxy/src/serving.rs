//! The certificate that this server shows. It is made anew before it expires and when its authority changes; the next
//! handshake shows the new one, and open connections go on.
//!
//! During the overlap of two authorities the chain has the new one certified by the former: clients that know either
//! believe it.

use crate::dialer;
use crate::keyring::{Entry, Ring};
use crate::pki::{self, KeyedCertificate};
use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The certificate, once it was made.
#[derive(Default)]
pub struct Serving(ArcSwapOption<Shown>);

struct Shown {
    /// The certificate with its chain, PEM.
    pem: String,
    /// Who signed it, and who certified those: the names of the keys.
    chain: Vec<String>,
    /// How often such certificates were to be made anew when it was made.
    renewals: u64,
    shown: Arc<CertifiedKey>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serving")
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|shown| shown.shown.clone())
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// It cannot be signed.
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    /// It cannot be shown.
    #[error("the serving certificate cannot be used: {0}")]
    Tls(String),
}

/// The key that signs, and those before it that certified one another.
fn chain(ring: &Ring, now: i64) -> impl Iterator<Item = &Entry> {
    let current = ring.current(now);
    ring.standing(now).skip_while(move |entry| *entry != current)
}

impl Serving {
    /// The certificate with its chain, PEM; empty before there is one.
    pub fn pem(&self) -> String {
        self.0.load().as_ref().map_or(String::new(), |shown| shown.pem.clone())
    }

    /// Makes the certificate anew when it is due: its authorities have changed, it is to be
    /// another one than it was, or it nears its end. Gives when to look again.
    ///
    /// # Errors
    /// It cannot be made; the one that is there stays.
    pub fn renew(&self, ring: &Ring, names: &[String], now: i64) -> Result<i64, ServingError> {
        let authorities: Vec<String> = chain(ring, now).map(Entry::id).collect();
        if let Some(shown) = &*self.0.load()
            && let Some(at) = pki::renewal(&shown.pem)
            && shown.chain == authorities
            && shown.renewals == ring.renewals
            && now < at
        {
            return Ok(at);
        }
        let signed = pki::sign_serving(&ring.current(now).keyed(), names)?;
        let mut pem = signed.certificate_pem;
        // Each but the oldest has a certificate by the one before it.
        let believed: Vec<_> = chain(ring, now).collect();
        for entry in believed.iter().take(believed.len().saturating_sub(1)) {
            pem.push_str(&entry.crossed_pem);
        }
        let keyed = KeyedCertificate { certificate_pem: pem.clone(), key_pem: signed.key_pem };
        let shown = dialer::identity(&keyed).map_err(|error| ServingError::Tls(error.to_string()))?;
        let at = pki::renewal(&pem).unwrap_or(now);
        self.0.store(Some(Arc::new(Shown { pem, chain: authorities, renewals: ring.renewals, shown })));
        Ok(at)
    }
}
