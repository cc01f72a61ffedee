//! Tenants' pods reached through the API of the super cluster that runs them: connections to their ports, their logs,
//! commands in them.
//!
//! Guarantees: a tenant reaches pods of its own only: the pod that stands for the one that it names, which carries the
//! tenant's UID, and has a network of its own. Errors are in words for the tenant, and name nothing of the super cluster.
//! Caveats: a port is one of the pod's loopback address, as with `kubectl port-forward`; what an upgraded connection
//! carries is not read.

use crate::kinds::Kind;
use crate::pod_refusals::told;
use crate::state::{State, SuperCluster};
use crate::super_api::At;
use crate::tenants::TenantView;
use api_types::{ApiError, ObjectName, Reason, TenantId, labels};
use async_trait::async_trait;
use plane_client::{Duplex, PodAnswer, PodRequest, PodTunnel, SuperActor, TunnelError};
use serde_json::Value;
use std::sync::Arc;

/// The syncer's side of [`PodTunnel`].
pub struct PodTunnels {
    state: Arc<State>,
}

/// Where a pod runs.
struct Running {
    cluster: Arc<SuperCluster>,
    at: At,
    /// The pod there.
    object: Value,
}

impl Running {
    /// A pod on the network of its node has no ports of its own.
    fn has_node_network(&self) -> bool {
        self.object["spec"]["hostNetwork"] == true
    }
}

impl PodTunnels {
    pub(crate) fn new(state: Arc<State>) -> Self {
        PodTunnels { state }
    }

    /// A tenant and its super cluster.
    fn cluster(&self, tenant: TenantId) -> Result<(Arc<TenantView>, Arc<SuperCluster>), &'static str> {
        let view = self.state.tenants.get(tenant).filter(|view| view.synced());
        let view = view.ok_or("the tenant's pods run nowhere: it is not synced")?;
        let cluster = self.state.placed_on(&view).filter(|cluster| cluster.is_known());
        let cluster = cluster.ok_or("the tenant's super cluster is not known yet")?;
        Ok((view, cluster))
    }

    /// The pod that stands for a pod of a tenant.
    fn find(&self, tenant: TenantId, pod: &ObjectName) -> Result<Running, &'static str> {
        let (view, cluster) = self.cluster(tenant)?;
        let found = cluster.stands_for(&view, Kind::Pod, pod);
        let found = found.ok_or("it does not run yet")?;
        // What was cached can be read.
        let object = found.value().unwrap_or_default();
        Ok(Running { cluster, at: At::new(&found.at.namespace, &found.at.name), object })
    }
}

#[async_trait]
impl PodTunnel for PodTunnels {
    fn leads_somewhere(&self, tenant: TenantId) -> bool {
        self.state.tenants.get(tenant).is_some_and(|view| view.synced())
    }

    async fn connect(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        port: u16,
    ) -> Result<Box<dyn Duplex>, TunnelError> {
        let no = |why: &str| TunnelError { pod: pod.clone(), why: why.to_owned() };
        let running = self.find(tenant, pod).map_err(no)?;
        if running.object["metadata"]["labels"][labels::SIMULATED] == "true" {
            return Err(no(SIMULATED));
        }
        if running.has_node_network() {
            return Err(no(NODE_NETWORK));
        }
        running.cluster.api.connect(&running.at, port).await.map_err(|error| {
            tracing::debug!(%tenant, %pod, %error, "a pod cannot be connected to");
            no(match error.reason() {
                Reason::NotFound => "it is gone",
                Reason::Forbidden => "the super cluster does not let the platform forward ports of pods",
                _ => "it cannot be reached where it runs",
            })
        })
    }

    async fn open(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        request: PodRequest,
    ) -> Result<PodAnswer, ApiError> {
        let no = |why: &str| ApiError::unavailable(format!("pod {}: {why}", pod.name), 1);
        let running = self.find(tenant, pod).map_err(no)?;
        if request.subresource == "portforward" && running.has_node_network() {
            let pods = Kind::Pod.group_resource();
            return Err(ApiError::forbidden(&pods, &pod.name, NODE_NETWORK));
        }
        let at = running.at.subresource(request.subresource);
        let cluster = running.cluster;
        cluster.api.open(&at, request).await.map_err(|error| {
            tracing::debug!(%tenant, %pod, %error, "a super cluster refused a request for a pod");
            told(&error, pod, &at.namespace, &cluster.name)
        })
    }

    async fn actor(&self, tenant: TenantId) -> Option<SuperActor> {
        let (_, cluster) = self.cluster(tenant).ok()?;
        let user = cluster.user.get_or_try_init(|| cluster.api.user()).await;
        let user =
            user.inspect_err(|error| tracing::debug!(%error, "a super cluster does not say who we are"));
        Some(SuperActor { cluster: cluster.name.clone(), user: user.ok().cloned() })
    }
}

/// Of pods that no kubelet runs.
const SIMULATED: &str =
    "it is simulated: on the embedded super cluster no container runs, so that nobody answers";
/// Of pods whose ports are those of a machine.
const NODE_NETWORK: &str = "it has the network of its node, whose ports are not its own";
