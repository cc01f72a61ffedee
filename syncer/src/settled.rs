//! What was worked through to its end: in which versions a tenant's object and the super cluster's agreed.
//!
//! Guarantees: an entry says that a worker looked at just these two versions and left both as they are. So what has
//! other versions and is not on its way was missed by a watch: that is how the patrol finds it without reading it. As
//! large as the tenants' objects in namespaces that have a super namespace, some hundred bytes each.

use crate::kinds::{Key, Kind};
use crate::reconcile::services::KUBERNETES;
use crate::state::SuperCluster;
use crate::super_cache::Cached;
use crate::tenants::TenantView;
use api_types::{ApiError, ObjectName, Revision, TenantId};
use compact_str::CompactString;
use parking_lot::Mutex;
use plane_client::PlaneClient;
use std::collections::HashMap;

/// The versions of an object on both sides; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// In the tenant.
    pub above: Option<Revision>,
    /// In the super cluster.
    pub below: Option<CompactString>,
}

impl Stand {
    /// From what is known of both sides.
    pub fn of(above: Option<Revision>, below: Option<&Cached>) -> Stand {
        Stand { above, below: below.map(|cached| cached.version.clone()) }
    }

    /// As it is now. `None` for objects that nobody settles.
    pub async fn read(
        client: &dyn PlaneClient,
        cluster: &SuperCluster,
        tenant: &TenantView,
        key: &Key,
    ) -> Result<Option<Stand>, ApiError> {
        let Key::Object(kind, at) = key else { return Ok(None) };
        if !is_settled_by_work(cluster, tenant, *kind, at) {
            return Ok(None);
        }
        let above = client.get(tenant.id, &kind.group_resource(), at).await?.map(|object| object.revision);
        let below = cluster.in_place_of(tenant, *kind, at);
        Ok(Some(Stand::of(above, below.as_deref())))
    }
}

/// False for objects that have nothing in the super cluster and need no work to see it: most objects of a tenant at
/// rest.
pub fn is_settled_by_work(cluster: &SuperCluster, tenant: &TenantView, kind: Kind, at: &ObjectName) -> bool {
    let has = |space: &str| cluster.cache.get(Kind::Namespace, "", &tenant.super_namespace(space)).is_some();
    match kind {
        Kind::Service if (at.namespace.as_str(), at.name.as_str()) == KUBERNETES => false,
        Kind::Namespace => has(&at.name),
        kind if follows_its_namespace(kind) => has(&at.namespace),
        // With the others, the super namespace comes to be.
        kind => kind.goes_down(),
    }
}

/// True for kinds of which nothing is done before there is the super namespace, and all when there is.
pub fn follows_its_namespace(kind: Kind) -> bool {
    kind.goes_down() && !matches!(kind, Kind::Namespace | Kind::Pod | Kind::Service | Kind::Claim)
}

/// The stands of all tenants in one super cluster.
#[derive(Default)]
pub struct Settled(Mutex<HashMap<TenantId, HashMap<Key, Stand>>>);

impl Settled {
    /// A worker has seen this stand and left it as it is.
    pub fn note(&self, tenant: TenantId, key: &Key, stand: Stand) {
        let mut all = self.0.lock();
        let of_tenant = all.entry(tenant).or_default();
        if stand == Stand::default() {
            of_tenant.remove(key);
        } else {
            of_tenant.insert(key.clone(), stand);
        }
        if of_tenant.is_empty() {
            all.remove(&tenant);
        }
    }

    /// Those of a tenant's keys that do not stand as a worker left them; what is on neither side is as it should be.
    pub fn others(&self, tenant: TenantId, stands: impl Iterator<Item = (Key, Stand)>) -> Vec<Key> {
        let all = self.0.lock();
        let known = all.get(&tenant);
        let is_settled = |key: &Key, stand: &Stand| {
            known.and_then(|known| known.get(key)).map_or(*stand == Stand::default(), |known| known == stand)
        };
        stands.filter(|(key, stand)| !is_settled(key, stand)).map(|(key, _)| key).collect()
    }

    /// The stand in which a worker left it last.
    pub fn get(&self, tenant: TenantId, key: &Key) -> Option<Stand> {
        self.0.lock().get(&tenant)?.get(key).cloned()
    }

    /// Forgets a tenant.
    pub fn forget(&self, tenant: TenantId) {
        self.0.lock().remove(&tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_stands_otherwise_than_it_was_left_is_told() {
        let (tenant, settled) = (TenantId::new(Uuid::from_u128(7)), Settled::default());
        let key = |name: &str| Key::object(Kind::Pod, "shop", name);
        let stand = |above: u64, below: &str| Stand {
            above: (above > 0).then_some(Revision(above)),
            below: (!below.is_empty()).then(|| below.into()),
        };
        settled.note(tenant, &key("a"), stand(1, "1"));
        settled.note(tenant, &key("refused"), stand(2, ""));
        let others = |name: &str, now: Stand| settled.others(tenant, [(key(name), now)].into_iter());
        for (name, now, is_other) in [
            ("a", stand(1, "1"), false),
            ("a", stand(2, "1"), true),
            ("a", stand(1, "2"), true),
            ("a", stand(1, ""), true),
            ("a", stand(0, "1"), true),
            ("refused", stand(2, ""), false),
            ("new", stand(1, ""), true),
            ("stray", stand(0, "1"), true),
            ("gone", stand(0, ""), false),
        ] {
            assert_eq!(!others(name, now.clone()).is_empty(), is_other, "{name} {now:?}");
        }
        settled.note(tenant, &key("a"), Stand::default());
        settled.note(tenant, &key("refused"), Stand::default());
        assert!(settled.0.lock().is_empty());
    }
}
