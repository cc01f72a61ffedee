//! Who asks a plane's extension servers: a client certificate of the plane's front proxy, which has an authority of its
//! own so that no certificate of a user is ever taken for it.

use crate::dialer;
use crate::keyring::{self, Ring};
use crate::pki::{self, KeyedCertificate};
use crate::plane_keys;
use crate::planes::{self, Plane};
use crate::server::Server;
use api_types::ApiError;
use arc_swap::ArcSwapOption;
use rustls::sign::CertifiedKey;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The common name of the certificate.
const NAME: &str = "front-proxy-client";
/// A certificate is replaced after this, long before it expires.
const RENEWED_AFTER: Duration = Duration::from_secs(90 * 24 * 3_600);

/// The identity, once it was needed.
pub type IdentityCell = ArcSwapOption<Identity>;

/// The certificate that is shown, and who signed it.
pub struct Identity {
    /// The name of the key that signed it.
    authority: String,
    /// What is shown.
    pub shown: Arc<CertifiedKey>,
    made: Instant,
}

/// The identity of a plane's front proxy, made when it is first needed.
pub async fn of(server: &Server, plane: &Plane) -> Result<Arc<Identity>, ApiError> {
    let ring = authorities(server, plane).await?;
    let authority = ring.current(plane_keys::now());
    let fresh = |identity: &Arc<Identity>| {
        identity.made.elapsed() < RENEWED_AFTER && identity.authority == authority.id()
    };
    if let Some(found) = plane.front_proxy.load_full().filter(fresh) {
        return Ok(found);
    }
    let made = Arc::new(sign(&authority.keyed()).map_err(|error| {
        tracing::error!(plane = %plane.id, %error, "the plane's front proxy has no certificate");
        ApiError::internal("the plane's front proxy has no certificate")
    })?);
    plane.front_proxy.store(Some(made.clone()));
    Ok(made)
}

async fn authorities(server: &Server, plane: &Plane) -> Result<Ring, ApiError> {
    let make = || pki::make_authority(&format!("insula-front-proxy-{}", plane.id));
    server.plane_ring(plane, planes::FRONT_PROXY_CA, make).await
}

fn sign(authority: &KeyedCertificate) -> Result<Identity, Box<dyn std::error::Error + Send + Sync>> {
    let certificate = pki::sign_client(authority, NAME, None, pki::CLIENT_VALID)?;
    Ok(Identity {
        authority: keyring::id(&authority.certificate_pem),
        shown: dialer::identity(&certificate)?,
        made: Instant::now(),
    })
}

/// By what extension servers of a plane know who asks them: the data of the ConfigMap
/// `extension-apiserver-authentication`, as kube-apiserver writes it.
pub async fn authentication(server: &Server, plane: &Plane) -> Result<BTreeMap<String, String>, ApiError> {
    let now = plane_keys::now();
    let proxies = authorities(server, plane).await?.bundle(now);
    let users = server.client_authorities(plane).ok_or_else(|| planes::ended(plane))?;
    let list = |name: &str| json!([name]).to_string();
    let entries = [
        ("client-ca-file", users.1.ring.bundle(now)),
        ("requestheader-allowed-names", list(NAME)),
        ("requestheader-client-ca-file", proxies),
        ("requestheader-extra-headers-prefix", list("X-Remote-Extra-")),
        ("requestheader-group-headers", list("X-Remote-Group")),
        ("requestheader-uid-headers", list("X-Remote-Uid")),
        ("requestheader-username-headers", list("X-Remote-User")),
    ];
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
