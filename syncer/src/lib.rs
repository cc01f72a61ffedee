//! Desired state down to super clusters, observed state up, and the patrol of both.
//!
//! Read in this order: [`kinds`], [`rights`], [`names`] and [`ownership`] (what is synced, what is needed for it, how it is called, whose it is), the
//! translations, one file for each resource, all pure ([`namespaces`], [`isolation`], [`policies`], [`service_accounts`], [`configmaps`], [`secrets`], [`claims`],
//! [`services`], [`pods`], [`nodes`], [`volumes`], [`classes`], [`events`]), [`super_api`] (what is asked of a super cluster), `reconcile`
//! (one key at a time), and the loops around it.
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

use crate::kinds::{Key, Kind};
use crate::metrics::Turn;
use crate::settled::Stand;
use crate::state::{Health, State, SuperCluster, UNREACHABLE};
use crate::translation::text;
use crate::work::Work;
use api_types::{ApiError, ObjectName, Reason, TenantId};
use parking_lot::Mutex;
use plane_client::{Keep, Next, PlaneClient};
use service_runtime::{Lease, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

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

/// Takes key by key, and settles those on which nothing is left to do, until it is let go.
async fn worker(state: Arc<State>, client: Arc<dyn PlaneClient>, stop: Shutdown) {
    loop {
        let lease = tokio::select! {
            lease = state.queue.next() => lease,
            () = stop.requested() => return,
        };
        let Some(lease) = lease else { return };
        let cluster = cluster_of(&state, lease.tenant, &lease.key);
        let (_seat, lease) = match cluster.as_ref().map(|cluster| &cluster.seats) {
            None => (None, lease),
            Some(seats) => match seats.take(&state.queue, lease) {
                Some((seat, lease)) => (Some(seat), lease),
                None => continue,
            },
        };
        let to_be_made = match &cluster {
            Some(cluster) => pod_to_be_made(&state, &*client, cluster, &lease).await,
            None => None,
        };
        let (place, lease) = match (&cluster, &to_be_made) {
            (Some(cluster), Some(pod)) => match cluster.unscheduled.take(&state.queue, pod.clone(), lease) {
                Some((place, lease)) => (Some(place), lease),
                None => continue,
            },
            _ => (None, lease),
        };
        let tenant = lease.tenant;
        let turn = Arc::new(state.metrics.taken(tenant, &lease.key, lease.waited));
        let done = step(&state, &client, tenant, &lease.key, &turn).await;
        if let (Some(place), Some(cluster), Some(pod)) = (place, &cluster, &to_be_made)
            && cluster.cache.get(Kind::Pod, &pod.namespace, &pod.name).is_some()
        {
            place.keep();
        }
        match &done {
            Ok(_) => state.metrics.done(tenant, &lease.key, &turn),
            Err(error) => state.metrics.failed(tenant, &lease.key, &turn, error),
        }
        match done {
            Ok(Next::OnEvent) => lease.done(None),
            Ok(Next::After(delay)) => lease.done(Some(delay)),
            Err(error) => {
                // Conflicts and races are the ordinary way to learn of a newer state.
                let is_away = error.reason() == Reason::ServiceUnavailable;
                if is_away || error.is_conflict() || error.is_already_exists() || error.is_not_found() {
                    tracing::debug!(tenant = %lease.tenant, key = ?lease.key, %error, "again");
                } else {
                    tracing::warn!(tenant = %lease.tenant, key = ?lease.key, %error, "failed; it comes again");
                }
                // Who asks for time gets it.
                let patience =
                    error.retry_after_seconds().filter(|_| error.reason() == Reason::TooManyRequests);
                lease.failed_for(Duration::from_secs(patience.unwrap_or(0).into()));
            }
        }
    }
}

/// Which super cluster work on a key has to wait for.
fn cluster_of(state: &State, tenant: TenantId, key: &Key) -> Option<Arc<SuperCluster>> {
    let asks = !matches!(key, Key::Everything);
    state.placed_on(&*state.tenants.get(tenant).filter(|_| asks)?)
}

/// What of a pod says that it was scheduled.
const NODE: Keep = Keep::Only(&[("spec", Keep::Only(&[("nodeName", Keep::All)]))]);

/// The super pod of a tenant's pod that has none yet and is to run.
async fn pod_to_be_made(
    state: &State,
    client: &dyn PlaneClient,
    cluster: &SuperCluster,
    lease: &Lease<TenantId, Key>,
) -> Option<ObjectName> {
    let Key::Object(Kind::Pod, at) = &lease.key else { return None };
    let tenant =
        state.tenants.get(lease.tenant).filter(|tenant| tenant.synced() && !tenant.spec.suspended)?;
    let space = names::super_namespace(&tenant.name, tenant.id, &at.namespace);
    let name = names::super_name(Kind::Pod, &at.name)?;
    if cluster.cache.get(Kind::Pod, &space, &name).is_some() {
        return None;
    }
    let pod = client.get(tenant.id, &Kind::Pod.group_resource(), at).await.ok()??;
    let is_bound = || NODE.read(&pod.bytes).is_ok_and(|pod| !text(&pod["spec"], "nodeName").is_empty());
    (!pod.meta.deleting && !is_bound()).then(|| ObjectName::new(space, name))
}

async fn step(
    state: &Arc<State>,
    client: &Arc<dyn PlaneClient>,
    tenant: TenantId,
    key: &Key,
    turn: &Arc<Turn>,
) -> Result<Next, ApiError> {
    if let Key::Tenant(name) = key {
        return reconcile::tenants::tenant(state, tenant, name).await;
    }
    let Some(view) = state.tenants.get(tenant).filter(|t| t.synced()) else {
        return Ok(Next::OnEvent);
    };
    let placed = state.placed_on(&view);
    // Once everything in its cluster is known, all of it becomes due.
    if placed.as_ref().is_some_and(|cluster| !cluster.is_known()) {
        return Ok(Next::OnEvent);
    }
    if let Key::Everything = key {
        return state.all_due(&view).await.map(|()| Next::OnEvent);
    }
    // Once it is placed, too.
    let Some(cluster) = placed else { return Ok(Next::OnEvent) };
    let Some(api) = state.api_address(&view) else {
        return Err(ApiError::unavailable("the tenant has no endpoint yet", 1));
    };
    let turn = turn.clone();
    let (state, client_of_work, refused) = (state.clone(), client.clone(), Mutex::default());
    let work = Work { state, client: client_of_work, tenant: view, cluster, api, turn, refused };
    if let Health::Failed(UNREACHABLE, why) = work.cluster.health() {
        // Everything of its tenants is due when it is back. Meanwhile nobody waits for its answers.
        return Err(ApiError::unavailable(format!("the super cluster is away: {why}"), 1));
    }
    let stand = || Stand::read(&**client, &work.cluster, &work.tenant, key);
    let before = stand().await?;
    let next = match reconcile::reconcile(&work, key).await {
        Ok(next) => next,
        Err(error) => {
            work.tell_refusal(key).await?;
            return Err(error);
        }
    };
    // Whatever changed meanwhile makes the key due again, our own writes too.
    if let Some(before) = before
        && stand().await?.as_ref() == Some(&before)
    {
        work.cluster.settled.note(tenant, key, before);
    }
    Ok(next)
}
