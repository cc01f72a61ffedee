//! Whose the addresses are that packets come from, in all super clusters together.
//!
//! Guarantees: an address that pods of two tenants say to have is nobody's. Caveat: between the end of a pod and the word
//! of it, its address counts as its tenant's, who ever has it then.

use crate::kinds::Kind;
use crate::ownership::Identity;
use crate::state::State;
use api_types::{ObjectName, TenantId};
use plane_client::PodDirectory;
use std::net::IpAddr;
use std::sync::Arc;

/// The syncer's side of [`PodDirectory`].
pub struct Whereabouts {
    state: Arc<State>,
}

impl Whereabouts {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Whereabouts { state }
    }

    fn identities(&self, kind: Kind, address: IpAddr) -> Vec<Identity> {
        let clusters = self.state.super_clusters();
        let holders = clusters.iter().flat_map(|cluster| cluster.cache.at_address(kind, address));
        holders.filter_map(|holder| holder.identity.clone()).collect()
    }
}

impl PodDirectory for Whereabouts {
    fn pod_at(&self, address: IpAddr) -> Option<(TenantId, ObjectName)> {
        let all = self.identities(Kind::Pod, address);
        let first = all.last()?;
        let is_one = all.iter().all(|other| other.tenant == first.tenant);
        is_one.then(|| (first.tenant, ObjectName::new(&first.namespace, &first.name)))
    }

    fn service_at(&self, tenant: TenantId, address: IpAddr) -> Option<ObjectName> {
        let all = self.identities(Kind::Service, address);
        let own = all.iter().find(|of| of.tenant == tenant)?;
        Some(ObjectName::new(&own.namespace, &own.name))
    }
}
