//! Desired state down to super clusters, observed state up, and the patrol of both.
//!
//! Read in this order: [`kinds`], [`rights`], [`names`] and [`ownership`] (what is synced, what is needed for it, how it is called, whose it is), the
//! translations, one file for each resource, all pure ([`namespaces`], [`isolation`], [`policies`], [`service_accounts`], [`configmaps`], [`secrets`], [`claims`],
//! [`services`], [`pods`], [`nodes`], [`volumes`], [`classes`], [`events`]), [`super_api`] (what is asked of a super cluster), `reconcile`
//! (one key at a time), `worker` and the other loops around it.
//!
//! Guarantees: an object of a super cluster is written only after its tenant was checked, and by its UID; a tenant
//! that is deleted keeps a finalizer until a listing finds nothing of it; each kind of all tenants is watched
//! once; both directions wait in one queue that is fair to tenants by weight; nothing that failed is dropped. Assumes
//! that one process at a time works on a tenant. Caveat: custom resources do not go down yet.

pub mod kinds;

pub mod rights;

pub mod names;

pub mod ownership;

pub mod translation;

pub mod refusals;

pub mod difference;

pub mod namespaces;

pub mod isolation;

pub mod policies;

pub mod service_accounts;

pub mod configs;

pub mod configmaps;

pub mod secrets;

pub mod claims;

pub mod services;

pub mod mirrors;

pub mod pods;

pub mod nodes;

pub mod volumes;

pub mod classes;

pub mod events;

pub mod placement;

pub mod tenants;

pub mod super_api;

pub mod super_kube;

pub mod super_cache;

pub mod settled;

pub mod seats;

pub mod unscheduled;

pub mod state;

mod metrics;

mod work;

mod reconcile;

mod feed;

mod shared_service;

mod patrol;

mod cluster_watch;

mod clusters;

mod options;

mod pod_refusals;

mod pod_tunnel;

mod reserver;

mod usage;

mod whereabouts;

mod worker;

#[cfg(test)]
mod story_tests;

pub use metrics::families::SyncMetrics;
pub use options::{Embedded, LOCAL, Options};
pub use pod_tunnel::PodTunnels;
pub use pods::dns::PodDns;
pub use pods::environment::ApiAddress;
pub use reserver::Reserver;
pub use super_api::SuperApi;
pub use super_kube::{ConnectError, KubeSuper};
pub use usage::TenantUsage;
pub use whereabouts::Whereabouts;

use crate::kinds::Kind;
use plane_client::PlaneClient;
use service_runtime::Shutdown;
use std::sync::Arc;
use tokio::task::JoinSet;
use worker::worker;

/// Syncs all tenants until shutdown. `reserver` is the one that the API server was given; the two share what they
/// know.
pub async fn run(client: Arc<dyn PlaneClient>, options: Options, reserver: Reserver, shutdown: Shutdown) {
    let state = reserver.state();
    state.start(client.clone(), options.api_address.clone(), options.dns.clone());
    let mut tasks = JoinSet::new();
    // Feeds and workers end at shutdown; what fails in them is tried again inside.
    tasks.spawn(feed::profiles(state.clone(), client.clone(), shutdown.clone()));
    tasks.spawn(feed::tenants(state.clone(), client.clone(), shutdown.clone()));
    tasks.spawn(feed::rules(client.clone(), shutdown.clone()));
    for kind in Kind::ALL {
        tasks.spawn(feed::objects(state.clone(), client.clone(), kind, shutdown.clone()));
    }
    tasks.spawn(clusters::run(state.clone(), client.clone(), options.clone(), shutdown.clone()));
    // And as many for each super cluster.
    for _ in 0..options.workers.max(1) {
        tasks.spawn(worker(state.clone(), client.clone(), shutdown.clone()));
    }
    shutdown.requested().await;
    state.queue.close();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the syncer failed");
        }
    }
}
