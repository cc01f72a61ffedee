//! A worker: takes key by key, and settles those on which nothing is left to do.
//!
//! Before it works on a key, the key has a seat of its super cluster, and before it makes a pod, a place before the
//! scheduler. A key that finds none is with the next that is free, and the worker with the next key.

use crate::kinds::{Key, LeasedKey};
use crate::metrics::Turn;
use crate::reconcile::{self, End};
use crate::settled::Stand;
use crate::state::{Health, State, SuperCluster, UNREACHABLE};
use crate::tenants::TenantView;
use crate::work::Work;
use api_types::{ApiError, Reason};
use parking_lot::Mutex;
use plane_client::{Next, PlaneClient};
use service_runtime::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// Works until it is let go.
pub async fn worker(state: Arc<State>, client: Arc<dyn PlaneClient>, stop: Shutdown) {
    loop {
        let lease = tokio::select! {
            lease = state.queue.next() => lease,
            () = stop.requested() => return,
        };
        let Some(lease) = lease else { return };
        let tenant = state.tenants.get(lease.tenant);
        let cluster = tenant.as_ref().and_then(|tenant| state.placed_on(tenant));
        // What makes others due asks nothing of the super cluster.
        let asked = cluster.as_ref().filter(|_| lease.key != Key::Everything);
        let (_seat, lease) = match asked.map(|cluster| &cluster.seats) {
            Some(seats) => match seats.take(&state.queue, lease) {
                Some((seat, lease)) => (Some(seat), lease),
                None => continue,
            },
            None => (None, lease),
        };
        let turn = Arc::new(state.metrics.taken(lease.tenant, &lease.key, lease.waited));
        let done = step(&state, &client, &lease, tenant, cluster.clone(), &turn).await;
        match &done {
            Ok(End::Done(_)) => state.metrics.done(lease.tenant, &lease.key, &turn),
            Ok(End::NoPlace(_)) => state.metrics.put_back(lease.tenant, &lease.key, &turn),
            Err(error) => state.metrics.failed(lease.tenant, &lease.key, &turn, error),
        }
        settle(&state, lease, done);
    }
}

/// What becomes of a key that was worked on.
fn settle(state: &State, lease: LeasedKey, done: Result<End, ApiError>) {
    match done {
        Ok(End::Done(Next::OnEvent)) => lease.done(None),
        Ok(End::Done(Next::After(delay))) => lease.done(Some(delay)),
        Ok(End::NoPlace(cluster)) => cluster.unscheduled.wait(&state.queue, lease),
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

async fn step(
    state: &Arc<State>,
    client: &Arc<dyn PlaneClient>,
    lease: &LeasedKey,
    tenant: Option<Arc<TenantView>>,
    placed: Option<Arc<SuperCluster>>,
    turn: &Arc<Turn>,
) -> Result<End, ApiError> {
    let key = &lease.key;
    if let Key::Tenant(name) = key {
        return reconcile::tenants::tenant(state, lease.tenant, name).await.map(End::Done);
    }
    let Some(view) = tenant.filter(|tenant| tenant.synced()) else { return Ok(End::Done(Next::OnEvent)) };
    // Once everything in its cluster is known, all of it becomes due.
    if placed.as_ref().is_some_and(|cluster| !cluster.is_known()) {
        return Ok(End::Done(Next::OnEvent));
    }
    if let Key::Everything = key {
        return state.all_due(&view).await.map(|()| End::Done(Next::OnEvent));
    }
    // Once it is placed, too.
    let Some(cluster) = placed else { return Ok(End::Done(Next::OnEvent)) };
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
    let end = match reconcile::reconcile(&work, key).await {
        Ok(End::Done(next)) => End::Done(next),
        Ok(waits) => return Ok(waits),
        Err(error) => {
            work.tell_refusal(key).await?;
            return Err(error);
        }
    };
    // Whatever changed meanwhile makes the key due again, our own writes too.
    if let Some(before) = before
        && stand().await?.as_ref() == Some(&before)
    {
        work.cluster.settled.note(lease.tenant, key, before);
    }
    Ok(end)
}
