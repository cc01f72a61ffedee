//! DNS for tenants' pods: one server for all of them, which answers each for their own cluster, and asks other resolvers
//! for what is not a cluster's.
//!
//! Read in this order: [`question`] (what a name asks for), [`endpoints`] (what Services say), [`zone`] (what a tenant's
//! cluster answers), [`upstream`] (all other names), [`limits`] and [`counts`], [`answer`] (from bytes to bytes),
//! [`listen`] (the sockets).
//!
//! Guarantees: a tenant hears of their own objects alone. Assumes that packets arrive with the address of the pod that sent
//! them. Caveat: where pods of two tenants have one address, in super clusters whose networks overlap, both are refused.

pub mod question;

pub mod endpoints;

pub mod zone;

pub mod upstream;

pub mod limits;

pub mod counts;

pub mod answer;

pub mod listen;

pub use counts::Counts;
pub use listen::Sockets;

use crate::answer::Answerer;
use crate::upstream::Upstreams;
use crate::zone::Zone;
use plane_client::{PlaneClient, PodDirectory};
use service_runtime::Shutdown;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Answers on all sockets until shutdown. `upstreams` are asked in order for names that are not a cluster's.
pub async fn run(
    sockets: Vec<Sockets>,
    client: Arc<dyn PlaneClient>,
    directory: Arc<dyn PodDirectory>,
    upstreams: Vec<SocketAddr>,
    counts: Arc<Counts>,
    shutdown: Shutdown,
) {
    let zone = Zone::new(client, directory.clone());
    let answerer = Arc::new(Answerer::new(zone, directory, Upstreams::new(upstreams), counts.clone()));
    let mut tasks = JoinSet::new();
    for sockets in sockets {
        // Each ends at shutdown; what fails in it is tried again inside.
        tasks.spawn(listen::serve(sockets, answerer.clone(), counts.clone(), shutdown.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the DNS server failed");
        }
    }
}
