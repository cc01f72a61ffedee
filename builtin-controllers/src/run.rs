//! Runs all controllers.

use crate::api_services::availability::Availability;
use crate::api_services::registration::Registration;
use crate::api_services::trust::Trust;
use crate::authorities::{self, Publishers};
use crate::autoscaling::Autoscalers;
use crate::certificates::approving::Approving;
use crate::certificates::cleaning::Cleaning;
use crate::certificates::signing::Signing;
use crate::cron_jobs::CronJobs;
use crate::custom_resources::CustomResources;
use crate::daemonsets::DaemonSets;
use crate::deployments::Deployments;
use crate::disruption_budgets::DisruptionBudgets;
use crate::disruption_budgets::targets::DisruptionTargets;
use crate::endpoint_slice_mirroring::EndpointSliceMirroring;
use crate::endpoint_slices::EndpointSlices;
use crate::ephemeral_volumes::EphemeralVolumes;
use crate::event_expiry::EventExpiry;
use crate::garbage_collector::GarbageCollector;
use crate::gate::{Gated, Switches};
use crate::jobs::Jobs;
use crate::load_balancers::LoadBalancers;
use crate::namespaces::Namespaces;
use crate::node_lifecycle::NodeLifecycle;
use crate::pods::OrphanedPods;
use crate::pods_by_node::PodsByNode;
use crate::policy_status::PolicyStatus;
use crate::replicasets::{self, ReplicaSets};
use crate::resource_quotas::ResourceQuotas;
use crate::role_aggregation::RoleAggregation;
use crate::root_ca::{self, RootCa};
use crate::scheduler;
use crate::service_accounts::ServiceAccounts;
use crate::simulated_nodes::Template;
use crate::simulated_nodes::nodes::{self, Nodes};
use crate::simulated_nodes::pods::Kubelets;
use crate::simulated_nodes::pressure::Pressure;
use crate::statefulsets::StatefulSets;
use crate::storage_protection::{Protected, StorageProtection};
use crate::taint_eviction::TaintEviction;
use crate::token_cleaning::TokenCleaning;
use crate::token_secrets::{self, TokenAccounts, TokenSecrets};
use crate::ttl_after_finished::FinishedJobs;
use crate::volumes::{self, Volumes};
use plane_client::{
    Authorities, CertificateSigner, Controller, ExtensionServers, PlaneClient, PolicyTypes, Reconciler,
    ServedApis, TenantId, TokenSigner,
};
use service_runtime::{FairQueue, Shutdown};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the controllers need to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The embedded super cluster; `None` when there is none, and then neither scheduler nor nodes run.
    pub simulated_nodes: Option<SimulatedNodes>,
    /// How long events stay that nothing changes.
    pub event_ttl: Duration,
}

/// Nodes that run nothing and say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedNodes {
    /// The plane that has them.
    pub plane: TenantId,
    /// How many are registered at the start, at most 5,000.
    pub count: u32,
    /// Whether pods are put on them here, or by a scheduler from elsewhere.
    pub scheduler: bool,
    /// What they are like; several take turns.
    pub templates: Vec<Template>,
}

/// What the API server does for controllers beside reading and writing objects.
#[derive(Clone)]
pub struct ApiServer {
    /// Knows the servers behind APIServices.
    pub extensions: Arc<dyn ExtensionServers>,
    /// Signs certificates.
    pub authority: Arc<dyn CertificateSigner>,
    /// Signs tokens.
    pub tokens: Arc<dyn TokenSigner>,
    /// Knows the types of kinds.
    pub types: Arc<dyn PolicyTypes>,
    /// Knows by whom clients are to know it.
    pub authorities: Arc<dyn Authorities>,
    /// Reads what planes serve.
    pub served: Arc<dyn ServedApis>,
}

impl ApiServer {
    /// One that does all of it.
    pub fn new(
        server: Arc<
            impl ExtensionServers + CertificateSigner + TokenSigner + PolicyTypes + Authorities + ServedApis,
        >,
    ) -> Self {
        ApiServer {
            extensions: server.clone(),
            authority: server.clone(),
            tokens: server.clone(),
            types: server.clone(),
            authorities: server.clone(),
            served: server,
        }
    }
}

/// Sets a tenant's share in one queue.
type Weigh = Box<dyn Fn(TenantId, u32) + Send + Sync>;

fn weigh<K: Clone + Eq + Hash + Send + 'static>(queue: FairQueue<TenantId, K>) -> Weigh {
    Box::new(move |tenant, weight| queue.set_weight(tenant, weight))
}

/// The controllers that work in every plane, with the number of their workers: at least two, since one may have to wait
/// for a slow webhook of one plane. The garbage collector is one more.
fn everywhere(client: &Arc<dyn PlaneClient>, server: &ApiServer) -> Vec<(Arc<dyn Reconciler>, usize)> {
    vec![
        (Arc::new(Namespaces::new(client.clone())), 4),
        (Arc::new(ServiceAccounts::new(client.clone())), 2),
        (Arc::new(TokenSecrets::new(client.clone(), server.authorities.clone(), server.tokens.clone())), 2),
        (Arc::new(TokenAccounts::new(client.clone())), 2),
        (Arc::new(TokenCleaning::new(client.clone())), 2),
        (Arc::new(RootCa::new(client.clone(), server.authorities.clone())), 2),
        (Arc::new(PolicyStatus::new(client.clone(), server.types.clone())), 2),
        (Arc::new(RoleAggregation::new(client.clone())), 2),
        (Arc::new(Deployments::new(client.clone())), 8),
        (Arc::new(ReplicaSets::new(client.clone(), replicasets::SETS)), 8),
        (Arc::new(ReplicaSets::new(client.clone(), replicasets::CONTROLLERS)), 2),
        (Arc::new(StatefulSets::new(client.clone())), 8),
        (Arc::new(DaemonSets::new(client.clone())), 4),
        (Arc::new(Jobs::new(client.clone())), 8),
        (Arc::new(CronJobs::new(client.clone())), 4),
        (Arc::new(FinishedJobs::new(client.clone())), 2),
        (Arc::new(EndpointSlices::new(client.clone())), 4),
        (Arc::new(EndpointSliceMirroring::new(client.clone())), 2),
        (Arc::new(DisruptionBudgets::new(client.clone())), 4),
        (Arc::new(DisruptionTargets::new(client.clone())), 2),
        (Arc::new(Autoscalers::new(client.clone(), server.served.clone())), 4),
        (Arc::new(ResourceQuotas::new(client.clone())), 4),
        (Arc::new(EphemeralVolumes::new(client.clone())), 4),
        (Arc::new(StorageProtection::new(client.clone(), Protected::Claims)), 2),
        (Arc::new(StorageProtection::new(client.clone(), Protected::Volumes)), 2),
        (Arc::new(StorageProtection::new(client.clone(), Protected::Classes)), 2),
        (Arc::new(Approving::new(client.clone())), 2),
        (Arc::new(Signing::new(client.clone(), server.authority.clone())), 2),
        (Arc::new(Cleaning::new(client.clone())), 2),
    ]
}

/// Runs every controller over every plane until shutdown, then waits until each has finished the keys it is at.
/// A controller's failures are logged and tried again by the controller; none ends this function.
pub async fn run(client: Arc<dyn PlaneClient>, server: ApiServer, options: Options, shutdown: Shutdown) {
    let switches = Arc::new(Switches::default());
    let controllers: Vec<(Arc<Gated>, Controller)> = everywhere(&client, &server)
        .into_iter()
        .map(|(reconciler, workers)| {
            let gated = Arc::new(Gated::new(reconciler, switches.clone()));
            (gated.clone(), Controller::new(client.clone(), gated, workers))
        })
        .collect();
    let collector = GarbageCollector::new(client.clone(), switches.clone());
    let mut queues: Vec<Weigh> =
        controllers.iter().map(|(_, controller)| weigh(controller.queue())).collect();
    queues.push(weigh(collector.queue()));

    let mut tasks = JoinSet::new();
    let (ready, mut is_ready) = watch::channel(false);
    tasks.spawn({
        let (switches, client, shutdown) = (switches.clone(), client.clone(), shutdown.clone());
        let weigh = move |tenant, weight| queues.iter().for_each(|queue| queue(tenant, weight));
        async move { switches.follow(client, weigh, ready, shutdown).await }
    });
    // Before the first list it is not known who wants no controllers.
    tokio::select! {
        _ = is_ready.wait_for(|ready| *ready) => {}
        () = shutdown.requested() => {}
    }
    let trust = Arc::new(Trust::new(client.clone(), server.extensions.clone()));
    let trust = Controller::new(client.clone(), trust, 1);
    let queue = |name: &str| {
        let found = controllers.iter().find(|(gated, _)| gated.name() == name);
        found.map(|(_, controller)| controller.queue())
    };
    // Of two controllers of one name, the first is that of the Secrets.
    if let (Some(root_ca), Some(token_secrets)) =
        (queue(root_ca::CONTROLLER), queue(token_secrets::CONTROLLER))
    {
        let publishers = Publishers { root_ca, trust: trust.queue(), token_secrets };
        let changes = server.authorities.changes();
        tasks.spawn(authorities::follow(client.clone(), changes, publishers, shutdown.clone()));
    }
    tasks.spawn(trust.run(shutdown.clone()));
    for (gated, controller) in controllers {
        tasks.spawn(gated.release(controller.queue(), shutdown.clone()));
        tasks.spawn(controller.run(shutdown.clone()));
    }
    let for_everybody: [(Arc<dyn Reconciler>, usize); 4] = [
        (Arc::new(EventExpiry::new(client.clone(), options.event_ttl)), 2),
        (Arc::new(CustomResources::new(client.clone())), 2),
        (Arc::new(Registration::new(client.clone())), 2),
        (Arc::new(Availability::new(client.clone(), server.extensions.clone())), 64),
    ];
    for (reconciler, workers) in for_everybody {
        tasks.spawn(Controller::new(client.clone(), reconciler, workers).run(shutdown.clone()));
    }
    tasks.spawn(collector.run(8, shutdown.clone()));
    if let Some(SimulatedNodes { plane, count, mut templates, scheduler }) = options.simulated_nodes {
        if templates.is_empty() {
            templates.push(Template::default());
        }
        tasks.spawn(volumes::make_default(client.clone(), plane, shutdown.clone()));
        tasks.spawn(nodes::register(client.clone(), plane, count, templates, shutdown.clone()));
        if scheduler {
            tasks.spawn(scheduler::keep_running(client.clone(), plane, shutdown.clone()));
        }
        let pods = Arc::<PodsByNode>::default();
        let pressure = Arc::<Pressure>::default();
        let of_the_plane: Vec<(Arc<dyn Reconciler>, usize)> = vec![
            (Arc::new(Nodes::new(client.clone(), plane, pods.clone(), pressure.clone())), 4),
            (Arc::new(Kubelets::new(client.clone(), plane, pods.clone(), pressure)), 8),
            (Arc::new(NodeLifecycle::new(client.clone(), plane, pods.clone())), 2),
            (Arc::new(TaintEviction::new(client.clone(), plane, pods.clone())), 4),
            (Arc::new(Volumes::new(client.clone(), plane)), 4),
            (Arc::new(LoadBalancers::new(client.clone(), plane)), 2),
            (Arc::new(OrphanedPods::new(client.clone(), plane, pods)), 1),
        ];
        for (reconciler, workers) in of_the_plane {
            tasks.spawn(Controller::new(client.clone(), reconciler, workers).run(shutdown.clone()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a controller ended");
        }
    }
}

#[cfg(test)]
mod fairness;
#[cfg(test)]
mod tests;
