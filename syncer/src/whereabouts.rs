//! Whose the addresses are that packets come from, in all super clusters together.
//!
//! Guarantees: an address that pods of two tenants say to have is nobody's; what is known stays known while a super cluster
//! is connected anew. Caveat: between the end of a pod and the word
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
        let holders = clusters.iter().flat_map(|cluster| cluster.at_address(kind, address));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership;
    use crate::story_tests::harness::cluster;
    use crate::tenants::TenantView;
    use serde_json::json;

    #[test]
    fn addresses_stay_known_while_a_super_cluster_is_connected_anew() {
        let acme = TenantView::for_tests("acme", 7);
        let own = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}});
        let pod = |ip: &str| {
            let mut metadata = ownership::downward(&acme, "acme-shop-h", "web", &own);
            metadata["uid"] = json!(ip);
            metadata["resourceVersion"] = json!("1");
            json!({"metadata": metadata, "status": {"podIPs": [{"ip": ip}]}})
        };
        let state = Arc::new(State::default());
        let whereabouts = Whereabouts::new(state.clone());
        let knows = |ip: &str| whereabouts.pod_at(ip.parse().unwrap()).is_some_and(|(of, _)| of == acme.id);
        let first = cluster("one");
        state.put_super_cluster(first.clone());
        first.cache.apply(Kind::Pod, pod("10.1.0.1"));
        Kind::ALL.into_iter().for_each(|kind| drop(first.cache.synced(kind)));
        assert!(knows("10.1.0.1"));
        // Twice, before it is listed.
        let again = cluster("one");
        state.put_super_cluster(cluster("one"));
        state.put_super_cluster(again.clone());
        assert!(knows("10.1.0.1"));
        again.cache.apply(Kind::Pod, pod("10.1.0.2"));
        assert!(knows("10.1.0.1") && knows("10.1.0.2"));
        again.forget_former();
        assert!(!knows("10.1.0.1") && knows("10.1.0.2"));
    }
}
