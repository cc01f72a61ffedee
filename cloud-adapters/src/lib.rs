//! Cloud kinds against public and private clouds, and their connection secrets.
//!
//! Read in this order: [`names`] and [`connection`] (pure), [`postgresql`] (a server, step by step), then the
//! controllers: accounts, databases, and tenants that go. Tenants never see an account's credentials: they stay in the
//! host plane, and no message repeats what a server said.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod tenants;

pub mod connection;
pub mod fault;
pub mod names;
pub mod request;

pub mod postgresql;

mod account;
mod accounts;
mod databases;
mod status;
mod tenant_removal;

use accounts::Accounts;
use api_types::cloud::{CLOUD_ACCOUNTS, CLOUD_CLASSES};
use api_types::{GroupResource, ObjectName, TenantId};
use databases::Databases;
use parking_lot::Mutex;
use plane_client::{Controller, PlaneClient, Scope, Watch, WatchItem};
use postgresql::Sessions;
use service_runtime::{FairQueue, Shutdown};
use std::collections::HashSet;
use std::sync::Arc;
use tenant_removal::TenantRemoval;
use tenants::Tenants;
use tokio::task::JoinSet;

/// How the adapters run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Workers for databases, over all tenants. Each account has few sessions of its own, whatever this says.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 8 }
    }
}

type Pending = Arc<Mutex<HashSet<(TenantId, ObjectName)>>>;

/// Runs the cloud adapters for all tenants until shutdown; workers finish the key they are at.
pub async fn run(client: Arc<dyn PlaneClient>, options: Options, shutdown: Shutdown) {
    let tenants = Arc::new(Tenants::default());
    let sessions = Sessions::default();
    let pending = Pending::default();
    let databases = Arc::new(Databases {
        client: client.clone(),
        sessions: sessions.clone(),
        tenants: tenants.clone(),
        pending: pending.clone(),
    });
    let controller = Controller::new(client.clone(), databases.clone(), options.workers);
    let queue = controller.queue();

    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (tenants, client, shutdown) = (tenants.clone(), client.clone(), shutdown.clone());
        let (pending, queue) = (pending.clone(), queue.clone());
        async move {
            tenants.follow(client, shutdown, |tenant| poke(&pending, &queue, Some(tenant))).await;
        }
    });
    tokio::select! {
        () = tenants.filled() => {}
        () = shutdown.requested() => return,
    }
    for resource in [CLOUD_ACCOUNTS, CLOUD_CLASSES] {
        let (client, pending, queue) = (client.clone(), pending.clone(), queue.clone());
        tasks.spawn(poke_on_change(client, resource.group_resource(), pending, queue, shutdown.clone()));
    }
    let accounts = Accounts { client: client.clone(), sessions, known: Arc::default() };
    tasks.spawn(Controller::new(client.clone(), Arc::new(accounts), 2).run(shutdown.clone()));
    let removal = TenantRemoval { client: client.clone(), databases };
    tasks.spawn(Controller::new(client, Arc::new(removal), 2).run(shutdown.clone()));
    tasks.spawn(controller.run(shutdown));
    // Every task ends on shutdown by itself; one that fails is told here, and the others go on.
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the cloud adapters failed");
        }
    }
}

/// Makes the databases due that are not as they should be: of one tenant, or of all.
fn poke(pending: &Pending, queue: &FairQueue<TenantId, ObjectName>, of: Option<TenantId>) {
    let due: Vec<_> =
        pending.lock().iter().filter(|(tenant, _)| of.is_none_or(|of| of == *tenant)).cloned().collect();
    for (tenant, key) in due {
        queue.add(tenant, key);
    }
}

/// Makes them due whenever something of the platform changes.
async fn poke_on_change(
    client: Arc<dyn PlaneClient>,
    resource: GroupResource,
    pending: Pending,
    queue: FairQueue<TenantId, ObjectName>,
    shutdown: Shutdown,
) {
    let mut watch = Watch::new(client, resource, Scope::One(TenantId::HOST), shutdown);
    while let Some(item) = watch.next().await {
        if matches!(item, WatchItem::Applied(_) | WatchItem::Deleted(_)) {
            poke(&pending, &queue, None);
        }
    }
}

#[cfg(test)]
mod tests;
