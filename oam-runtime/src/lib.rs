//! Open Application Model: applications rendered into a plan, the plan into objects.
//!
//! Read in this order, which is that of the data: [`directory`] (whose applications), [`render`] and what it uses (a
//! plan from an application, pure), then the controllers: components, applications, containerized workloads, scalers,
//! bindings.
//! Everything that a tenant asked for is written as the author of the object that asks for it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod directory;

pub mod binding;
pub mod containerized;
pub mod cycle;
pub mod definition;
pub mod field_path;
pub mod health;
pub mod names;
pub mod parameters;
pub mod plan;
pub mod pod_template;
pub mod problem;
pub mod render;
pub mod selector;

mod author;
mod drift;
mod gather;
mod index;
mod report;
mod status;

mod applications;
mod apply;
mod bindings;
mod components;
mod containerized_workloads;
mod scalers;

pub use plan::{Outcome, Plan, PlannedComponent, PlannedObject, Rendered};
pub use problem::{Cause, Problem};
pub use render::{Application, Inputs, Revision, render};

use api_types::{Resource, TenantId, oam};
use applications::Applications;
use bindings::Bindings;
use components::Components;
use containerized_workloads::ContainerizedWorkloads;
use directory::Directory;
use index::Index;
use plane_client::{Controller, ObjectName, PlaneClient, Reconciler};
use scalers::Scalers;
use service_runtime::{FairQueue, Shutdown};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

/// How the runtime runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Workers of each controller, over all tenants.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 4 }
    }
}

/// Runs the application model for all tenants until shutdown; workers finish the key they are at.
pub async fn run(client: Arc<dyn PlaneClient>, options: Options, shutdown: Shutdown) {
    let directory = Arc::new(Directory::default());
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (directory, client, shutdown) = (directory.clone(), client.clone(), shutdown.clone());
        async move { directory.follow(client, shutdown).await }
    });
    tokio::select! {
        () = directory.filled() => {}
        () = shutdown.requested() => return,
    }

    let components = Components { client: client.clone(), directory: directory.clone() };
    let workloads = ContainerizedWorkloads { client: client.clone(), directory: directory.clone() };
    let scalers = Scalers { client: client.clone(), directory: directory.clone(), index: Arc::default() };
    let bindings = Bindings { client: client.clone(), directory: directory.clone() };
    let index = Arc::new(Index::default());
    let applications =
        Applications { client: client.clone(), directory: directory.clone(), index: index.clone() };

    let workers = options.workers;
    let applications = Controller::new(client.clone(), Arc::new(applications), workers);
    // A tenant that is switched on starts with its applications; the rest follows from what they write, and what was
    // left undone of the other kinds is found by listing them.
    let switched = (directory.switched_on(), applications.queue());
    tasks.spawn(requeue(switched.0, switched.1, index, shutdown.clone()));
    tasks.spawn(applications.run(shutdown.clone()));
    let others: [(Resource, Arc<dyn Reconciler>); 4] = [
        (oam::COMPONENTS, Arc::new(components)),
        (oam::CONTAINERIZED_WORKLOADS, Arc::new(workloads)),
        (oam::MANUAL_SCALER_TRAITS, Arc::new(scalers)),
        (oam::SERVICE_BINDINGS, Arc::new(bindings)),
    ];
    for (resource, reconciler) in others {
        let controller = Controller::new(client.clone(), reconciler, workers);
        let switched = directory.switched_on();
        tasks.spawn(relist(
            client.clone(),
            resource.group_resource(),
            switched,
            controller.queue(),
            shutdown.clone(),
        ));
        tasks.spawn(controller.run(shutdown.clone()));
    }
    // Every task ends on shutdown by itself; one that fails is told here, and the others go on.
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the application runtime failed");
        }
    }
}

/// Makes the applications of a tenant due when it is switched on.
async fn requeue(
    mut switched: broadcast::Receiver<TenantId>,
    queue: FairQueue<TenantId, ObjectName>,
    index: Arc<Index<applications::Used>>,
    shutdown: Shutdown,
) {
    while let Some(tenant) = next(&mut switched, &shutdown).await {
        for key in index.of_tenant(tenant) {
            queue.add(tenant, key);
        }
    }
}

/// Makes all objects of a resource due when their tenant is switched on.
async fn relist(
    client: Arc<dyn PlaneClient>,
    resource: api_types::GroupResource,
    mut switched: broadcast::Receiver<TenantId>,
    queue: FairQueue<TenantId, ObjectName>,
    shutdown: Shutdown,
) {
    while let Some(tenant) = next(&mut switched, &shutdown).await {
        match client.list(tenant, &resource, "").await {
            Ok(objects) => objects.into_iter().for_each(|object| queue.add(tenant, object.name)),
            Err(error) => tracing::warn!(%tenant, %resource, %error, "cannot be listed"),
        }
    }
}

async fn next(switched: &mut broadcast::Receiver<TenantId>, shutdown: &Shutdown) -> Option<TenantId> {
    loop {
        let received = tokio::select! {
            received = switched.recv() => received,
            () = shutdown.requested() => return None,
        };
        match received {
            Ok(tenant) => return Some(tenant),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "tenants were switched on faster than they could be looked at");
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests;
