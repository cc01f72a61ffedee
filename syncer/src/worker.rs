//! A worker: takes key by key, and settles those on which nothing is left to do.
//!
//! Before it works on a key, the key has all that it needs of its super cluster ([`admit`]): a seat, and for a pod that is
//! to be made a place before the scheduler. A key that has to wait for one is with the next that is free, and the worker with
//! the next key.

use crate::kinds::{Key, Kind, LeasedKey};
use crate::metrics::Turn;
use crate::reconcile;
use crate::seats::Seat;
use crate::settled::Stand;
use crate::state::{Health, State, SuperCluster, UNREACHABLE};
use crate::translation::text;
use crate::unscheduled::Place;
use crate::work::Work;
use api_types::{ApiError, ObjectName, Reason, TenantId};
use parking_lot::Mutex;
use plane_client::{Keep, Next, PlaneClient};
use service_runtime::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// What of a pod says that it was scheduled.
const NODE: Keep = Keep::Only(&[("spec", Keep::Only(&[("nodeName", Keep::All)]))]);

/// A key, with what it holds of its super cluster while it is worked on.
struct Admitted<'a> {
    lease: LeasedKey,
    _seat: Option<Seat<'a>>,
    place: Option<Place<'a>>,
}

/// Works until it is let go.
pub async fn worker(state: Arc<State>, client: Arc<dyn PlaneClient>, stop: Shutdown) {
    loop {
        let lease = tokio::select! {
            lease = state.queue.next() => lease,
            () = stop.requested() => return,
        };
        let Some(lease) = lease else { return };
        let cluster = cluster_of(&state, lease.tenant, &lease.key);
        let Some(Admitted { lease, place, _seat }) = admit(&state, &*client, cluster.as_deref(), lease).await
        else {
            continue;
        };
        let tenant = lease.tenant;
        let turn = Arc::new(state.metrics.taken(tenant, &lease.key, lease.waited));
        let done = step(&state, &client, tenant, &lease.key, &turn).await;
        if let (Some(place), Some(cluster)) = (place, &cluster) {
            place.keep_if(|pod| cluster.cache.get(Kind::Pod, &pod.namespace, &pod.name).is_some());
        }
        match &done {
            Ok(_) => state.metrics.done(tenant, &lease.key, &turn),
            Err(error) => state.metrics.failed(tenant, &lease.key, &turn, error),
        }
        settle(lease, done);
    }
}

/// Gives a key what it needs of its super cluster. `None` when it has to wait for that: then it comes again.
async fn admit<'a>(
    state: &'a State,
    client: &dyn PlaneClient,
    cluster: Option<&'a SuperCluster>,
    lease: LeasedKey,
) -> Option<Admitted<'a>> {
    let Some(cluster) = cluster else { return Some(Admitted { lease, _seat: None, place: None }) };
    let (seat, lease) = cluster.seats.take(&state.queue, lease)?;
    let (place, lease) = match pod_to_be_made(state, client, cluster, &lease).await {
        None => (None, lease),
        Some(pod) => {
            let (place, lease) = cluster.unscheduled.take(&state.queue, pod, lease)?;
            (Some(place), lease)
        }
    };
    Some(Admitted { lease, _seat: Some(seat), place })
}

/// What becomes of a key that was worked on.
fn settle(lease: LeasedKey, done: Result<Next, ApiError>) {
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
            let patience = error.retry_after_seconds().filter(|_| error.reason() == Reason::TooManyRequests);
            lease.failed_for(Duration::from_secs(patience.unwrap_or(0).into()));
        }
    }
}

/// Which super cluster work on a key has to wait for.
fn cluster_of(state: &State, tenant: TenantId, key: &Key) -> Option<Arc<SuperCluster>> {
    let asks = !matches!(key, Key::Everything);
    state.placed_on(&*state.tenants.get(tenant).filter(|_| asks)?)
}

/// The super pod of a tenant's pod that has none yet and is to run.
async fn pod_to_be_made(
    state: &State,
    client: &dyn PlaneClient,
    cluster: &SuperCluster,
    lease: &LeasedKey,
) -> Option<ObjectName> {
    let Key::Object(Kind::Pod, at) = &lease.key else { return None };
    let tenant =
        state.tenants.get(lease.tenant).filter(|tenant| tenant.synced() && !tenant.spec.suspended)?;
    let super_pod = tenant.super_object(Kind::Pod, at)?;
    if cluster.cache.get(Kind::Pod, &super_pod.namespace, &super_pod.name).is_some() {
        return None;
    }
    let pod = client.get(tenant.id, &Kind::Pod.group_resource(), at).await.ok()??;
    let is_bound = || NODE.read(&pod.bytes).is_ok_and(|pod| !text(&pod["spec"], "nodeName").is_empty());
    (!pod.meta.deleting && !is_bound()).then_some(super_pod)
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
