//! What kube-controller-manager, the scheduler and the kubelets of the embedded super cluster do, for all planes
//! at once.
//!
//! Each controller is a [`Reconciler`](plane_client::Reconciler) in a file of its own, whose documentation says
//! what it guarantees, what it assumes and where its limits are. All read and write through
//! [`PlaneClient`](plane_client::PlaneClient) only, with merge patches bound to what they were computed from.
//!
//! Not here yet, and so doing nothing in any plane: volumes.

mod access;
mod claims;
mod conditions;
mod events;
mod expectations;
mod hash;
mod node_rules;
mod pace;
mod pod_control;
mod pod_facts;
mod pods_by_node;
mod quantities;
mod ranking;
mod resources;
mod revisions;
mod selectors;
mod shares;
mod slim;

mod gate;
mod run;

mod api_services;
mod authorities;
mod certificates;
mod custom_resources;
mod event_expiry;
mod namespaces;
mod policy_status;
mod role_aggregation;
mod root_ca;
mod service_accounts;
mod token_cleaning;
mod token_secrets;

mod daemonsets;
mod deployments;
mod replicasets;
mod statefulsets;

mod cron_jobs;
mod jobs;
mod ttl_after_finished;

mod autoscaling;
mod disruption_budgets;
mod endpoint_slice_mirroring;
mod endpoint_slices;
mod garbage_collector;
mod resource_quotas;

mod ephemeral_volumes;
mod load_balancers;
mod node_lifecycle;
mod pods;
mod scheduler;
mod simulated_nodes;
mod storage_protection;
mod taint_eviction;
mod volumes;

pub use deployments::{Action as DeploymentAction, plan as plan_deployment};
pub use run::{ApiServer, Options, SimulatedNodes, run};
pub use scheduler::Placing;
pub use simulated_nodes::{SimulatedUsage, Template};
