//! Connections to tenants' pods, through the API of the super cluster that runs them.
//!
//! Guarantees: a tenant reaches pods of its own only: the pod that stands for the one that it names, which carries the
//! tenant's UID, and has a network of its own. Errors are in words for the tenant, and name nothing of the super cluster. Caveat: the port is one of
//! the pod's loopback address, as with `kubectl port-forward`.

use crate::kinds::Kind;
use crate::names;
use crate::state::State;
use crate::super_api::At;
use api_types::{ObjectName, Reason, TenantId, labels};
use async_trait::async_trait;
use plane_client::{Duplex, PodTunnel, TunnelError};
use std::sync::Arc;

/// The syncer's side of [`PodTunnel`].
pub struct PodTunnels {
    state: Arc<State>,
}

impl PodTunnels {
    pub(crate) fn new(state: Arc<State>) -> Self {
        PodTunnels { state }
    }
}

#[async_trait]
impl PodTunnel for PodTunnels {
    async fn connect(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        port: u16,
    ) -> Result<Box<dyn Duplex>, TunnelError> {
        let no = |why: &str| TunnelError { pod: pod.clone(), why: why.to_owned() };
        let view = self.state.tenants.get(tenant).filter(|view| view.synced());
        let view = view.ok_or_else(|| no("the tenant's pods run nowhere: it is not synced"))?;
        let cluster = self.state.placed_on(&view).filter(|cluster| cluster.is_known());
        let cluster = cluster.ok_or_else(|| no("the tenant's super cluster is not known yet"))?;
        let namespace = names::super_namespace(&view.name, view.id, &pod.namespace);
        let found = names::super_name(Kind::Pod, &pod.name)
            .and_then(|name| cluster.cache.get(Kind::Pod, &namespace, &name))
            .filter(|found| {
                found.identity.as_ref().is_some_and(|of| {
                    (of.tenant, &of.namespace, &of.name) == (tenant, &pod.namespace, &pod.name)
                })
            });
        let found = found.ok_or_else(|| no("it does not run yet"))?;
        // What was cached can be read.
        let object = found.value().unwrap_or_default();
        if object["metadata"]["labels"][labels::SIMULATED] == "true" {
            return Err(no(SIMULATED));
        }
        if object["spec"]["hostNetwork"] == true {
            return Err(no("it has the network of its node, whose ports are not its own"));
        }
        let at = At::new(&found.at.namespace, &found.at.name);
        cluster.api.connect(&at, port).await.map_err(|error| {
            tracing::debug!(%tenant, %pod, %error, "a pod cannot be connected to");
            no(match error.reason() {
                Reason::NotFound => "it is gone",
                Reason::Forbidden => "the super cluster does not let the platform forward ports of pods",
                _ => "it cannot be reached where it runs",
            })
        })
    }
}

/// Of pods that no kubelet runs.
const SIMULATED: &str =
    "it is simulated: on the embedded super cluster no container runs, so that nobody answers";
