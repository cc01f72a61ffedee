//! The one dialer of addresses that tenants choose.
//!
//! Guarantees: a name is looked up once, each address that comes of it is checked, and the connection goes to an
//! address that was checked. No proxy of the environment is used and no redirect is followed. Requests and answers are
//! bounded in size and time. Lookups are bounded for each plane, since they hold a thread until the resolver gives up.
//! A pod of a tenant is reached where it runs, through the tunnel that the binary has plugged in, and never by an
//! address that a tenant has written.
//!
//! Read in this order: [`addresses`] (what may be reached), [`services`] (what a Service leads to), [`tls`] (who
//! answers), [`connection`] (how it is reached), [`exchange`] (what is said), [`webhooks`] (what is asked of webhooks).

pub mod addresses;
mod connection;
mod exchange;
pub mod services;
mod tls;
pub mod webhooks;

pub use connection::{Peer, To};
pub use exchange::{Answer, Ended, Exchange};
pub use tls::{Trust, identity};

use crate::cache::Cache;
use addresses::Reach;
use api_types::TenantId;
use arc_swap::{ArcSwap, ArcSwapOption};
use plane_client::{PodTunnel, TunnelError};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Lookups under way of one plane.
const MAX_LOOKUPS: usize = 8;

/// What all planes dial with: what their Services lead to, and how their pods are reached.
pub struct Network {
    cache: Arc<Cache>,
    tunnel: ArcSwapOption<Box<dyn PodTunnel>>,
}

impl Network {
    /// One without a tunnel: pods are dialled by their addresses.
    pub fn new(cache: Arc<Cache>) -> Self {
        Network { cache, tunnel: ArcSwapOption::empty() }
    }

    /// Who connects to tenants' pods where they run, if somebody does.
    pub fn tunnel(&self) -> Option<Arc<Box<dyn PodTunnel>>> {
        self.tunnel.load_full()
    }

    /// Who connects to tenants' pods where they run.
    pub fn set_tunnel(&self, tunnel: Box<dyn PodTunnel>) {
        self.tunnel.store(Some(Arc::new(tunnel)));
    }
}

/// Dials for one plane: what it may reach, and its lookups.
pub struct Dialer {
    network: Arc<Network>,
    plane: TenantId,
    reach: ArcSwap<Reach>,
    lookups: Arc<Semaphore>,
}

/// Why nothing was answered. Each says what to do about it where its cause cannot.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is none.
    #[error("{0:?} is no address of the form https://host[:port][/path]")]
    Address(String),
    /// The Service is not there, or has no such port, or no endpoints.
    #[error("{0}")]
    Service(String),
    /// The name leads nowhere.
    #[error("dial tcp: lookup {host}: {why}")]
    Lookup {
        /// The name.
        host: String,
        /// Why not.
        why: String,
    },
    /// Nothing that the name leads to may be reached.
    #[error(
        "{host} leads to {address}, which is not public: a platform admin allows it with spec.egress.allowedCIDRs of the \
         Tenant"
    )]
    Refused {
        /// The name.
        host: String,
        /// The first address.
        address: std::net::IpAddr,
    },
    /// Nobody answers there.
    #[error("dial tcp {address}: connect: {why}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// Why not.
        why: String,
    },
    /// The pod cannot be reached where it runs.
    #[error(transparent)]
    Pod(#[from] TunnelError),
    /// The certificate is not that of the caBundle, or not for the name.
    #[error("tls: failed to verify certificate: {0}")]
    Tls(String),
    /// The caBundle holds no certificate.
    #[error("unable to load root certificates: unable to parse bytes as PEM block")]
    Bundle,
    /// The conversation broke off.
    #[error("{0}")]
    Broken(String),
    /// It took too long.
    #[error("context deadline exceeded")]
    Timeout,
    /// It leads somewhere else.
    #[error("the answer is a redirect ({0}), which is not followed: name the final address")]
    Redirect(u16),
    /// It is no success.
    #[error("{0}")]
    Status(String),
    /// It is too large.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Dialer {
    /// A dialer of a plane.
    pub fn new(network: Arc<Network>, plane: TenantId, reach: Reach) -> Self {
        let lookups = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Dialer { network, plane, reach: ArcSwap::from_pointee(reach), lookups }
    }

    /// Changes what may be reached, from the next connection on.
    pub fn set(&self, reach: Reach) {
        self.reach.store(Arc::new(reach));
    }

    /// The addresses of a host that may be reached, in the order of the resolver.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let lookup = |why: String| DialError::Lookup { host: host.to_owned(), why };
        // The permit goes with the thread: who gives up waiting does not make room for another thread.
        let permit = self.lookups.clone().acquire_owned().await.map_err(|e| lookup(e.to_string()))?;
        let name = host.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
        });
        let found = match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(lookup(error.to_string())),
            Err(error) => return Err(lookup(error.to_string())),
        };
        let first = found.first().copied().ok_or_else(|| lookup("no such host".into()))?;
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|at| self.allows(at)).collect();
        if allowed.is_empty() {
            return Err(DialError::Refused { host: host.to_owned(), address: first.ip() });
        }
        Ok(allowed)
    }

    fn allows(&self, address: &SocketAddr) -> bool {
        self.reach.load().allows(address.ip())
    }
}
