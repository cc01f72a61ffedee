//! What the syncer knows of tenants.

use crate::kinds::Kind;
use crate::names;
use api_types::tenancy::{StringMap, Tenant, TenantProfileSpec, TenantSpec};
use api_types::{ObjectName, TenantId, labels};
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A tenant as the syncer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantView {
    /// Its plane.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: StringMap,
    /// Its spec over its profile's defaults over the built-in ones.
    pub spec: TenantSpec,
    /// The `SuperCluster` that it is placed on.
    pub super_cluster: Option<String>,
    /// The URL of its API.
    pub endpoint: Option<String>,
    /// It is being deleted.
    pub deleting: bool,
    /// It carries our finalizer: something of it may be in a super cluster.
    pub finalizer: bool,
    /// `metadata.generation`.
    pub generation: i64,
}

impl TenantView {
    /// Reads a `Tenant`. `None` when it is not one (its spec does not decode), which the API server prevents.
    pub fn of(object: &Value, profiles: &HashMap<String, TenantProfileSpec>) -> Option<TenantView> {
        let tenant: Tenant = serde_json::from_value(object.clone()).ok()?;
        let none = TenantProfileSpec::default();
        let profile = profiles.get(&tenant.spec.profile).unwrap_or(&none);
        Some(TenantView {
            id: TenantId::parse(&tenant.metadata.uid)?,
            spec: profile.effective(&object["spec"]).unwrap_or(tenant.spec),
            super_cluster: tenant.status.super_cluster,
            endpoint: tenant.status.endpoint,
            deleting: tenant.metadata.deletion_timestamp.is_some(),
            finalizer: tenant.metadata.finalizers.iter().any(|f| f == labels::SUPER_FINALIZER),
            generation: tenant.metadata.generation.unwrap_or(0),
            name: tenant.metadata.name,
            labels: tenant.metadata.labels,
        })
    }

    /// True when its objects go to a super cluster.
    pub fn synced(&self) -> bool {
        !self.spec.sync.disabled && !self.deleting
    }

    /// The super namespace of its namespace.
    pub fn super_namespace(&self, namespace: &str) -> String {
        names::super_namespace(&self.name, self.id, namespace)
    }

    /// What stands for its object in a super cluster; `None` when the object's name is reserved.
    pub fn super_object(&self, kind: Kind, at: &ObjectName) -> Option<ObjectName> {
        Some(match kind {
            Kind::Namespace => ObjectName::cluster(self.super_namespace(&at.name)),
            _ => ObjectName::new(self.super_namespace(&at.namespace), names::super_name(kind, &at.name)?),
        })
    }

    #[cfg(test)]
    pub(crate) fn for_tests(name: &str, uid: u128) -> TenantView {
        TenantView {
            id: TenantId::new(uuid::Uuid::from_u128(uid)),
            name: name.to_owned(),
            labels: StringMap::new(),
            spec: TenantSpec::default(),
            super_cluster: Some("local".to_owned()),
            endpoint: None,
            deleting: false,
            finalizer: true,
            generation: 1,
        }
    }
}

/// All tenants. Shared by the loops and the reserver.
pub struct Tenants {
    inner: RwLock<Inner>,
    /// Counts changes.
    progress: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<TenantId, Known>,
    profiles: HashMap<String, TenantProfileSpec>,
    /// How many tenants each super cluster has.
    placed: HashMap<String, usize>,
}

struct Known {
    view: Arc<TenantView>,
    /// The `Tenant`, to read anew when its profile changes; `None` where it names none.
    object: Option<Value>,
    revision: u64,
}

impl Inner {
    /// What is known of a tenant, from now on (`None`: nothing). What was known before.
    fn set(&mut self, id: TenantId, known: Option<Known>) -> Option<Known> {
        if let Some(cluster) = known.as_ref().and_then(|known| known.view.super_cluster.clone()) {
            *self.placed.entry(cluster).or_default() += 1;
        }
        let before = match known {
            Some(known) => self.known.insert(id, known),
            None => self.known.remove(&id),
        };
        if let Some(cluster) = before.as_ref().and_then(|known| known.view.super_cluster.as_deref())
            && let Some(count) = self.placed.get_mut(cluster)
        {
            *count -= 1;
            if *count == 0 {
                self.placed.remove(cluster);
            }
        }
        before
    }
}

/// A tenant before and after what was learnt of it.
#[derive(Debug)]
pub struct Learnt {
    /// As it was known before.
    pub before: Option<Arc<TenantView>>,
    /// As it is known now.
    pub now: Arc<TenantView>,
}

impl Learnt {
    /// True when the change touches what is in super clusters.
    pub fn matters(&self) -> bool {
        let now = &self.now;
        self.before.as_ref().is_none_or(|before| {
            before.spec != now.spec
                || before.super_cluster != now.super_cluster
                || before.endpoint != now.endpoint
        })
    }
}

impl Default for Tenants {
    fn default() -> Self {
        Tenants { inner: RwLock::default(), progress: watch::Sender::new(0) }
    }
}

impl Tenants {
    /// A tenant; `None` when there is none of this identity.
    pub fn get(&self, id: TenantId) -> Option<Arc<TenantView>> {
        self.inner.read().known.get(&id).map(|known| known.view.clone())
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<TenantView>> {
        self.inner.read().known.values().map(|known| known.view.clone()).collect()
    }

    /// How many of them are on a super cluster.
    pub fn placed_on(&self, cluster: &str) -> usize {
        self.inner.read().placed.get(cluster).copied().unwrap_or(0)
    }

    /// Takes a `Tenant` in that a watch told of. An older one than is known changes nothing. `None` when it cannot be
    /// decoded.
    pub fn apply(&self, object: Value) -> Option<Learnt> {
        self.take(object, true)
    }

    /// Takes a `Tenant` in that was read beside the watch, and may be ahead of it or behind it. `None` when the watch has
    /// not told of it or has told of its end, or when it cannot be decoded.
    pub fn refresh(&self, object: Value) -> Option<Learnt> {
        self.take(object, false)
    }

    fn take(&self, object: Value, may_be_new: bool) -> Option<Learnt> {
        let mut inner = self.inner.write();
        let view = Arc::new(TenantView::of(&object, &inner.profiles)?);
        let revision =
            object["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse().ok()).unwrap_or(0);
        let before = match inner.known.get(&view.id) {
            None if !may_be_new => return None,
            None => None,
            Some(known) if known.revision > revision => {
                return Some(Learnt { before: Some(known.view.clone()), now: known.view.clone() });
            }
            Some(known) => Some(known.view.clone()),
        };
        let object = (!view.spec.profile.is_empty()).then_some(object);
        inner.set(view.id, Some(Known { view: view.clone(), object, revision }));
        drop(inner);
        self.progress.send_modify(|n| *n += 1);
        Some(Learnt { before, now: view })
    }

    /// Forgets a tenant.
    pub fn remove(&self, id: TenantId) -> Option<Arc<TenantView>> {
        self.inner.write().set(id, None).map(|known| known.view)
    }

    /// Takes a profile in (`None`: removes it). What that changes.
    pub fn apply_profile(&self, name: &str, profile: Option<TenantProfileSpec>) -> Vec<Learnt> {
        let mut inner = self.inner.write();
        let Inner { known, profiles, .. } = &mut *inner;
        match profile {
            Some(profile) => profiles.insert(name.to_owned(), profile),
            None => profiles.remove(name),
        };
        let mut changed = Vec::new();
        for tenant in known.values_mut().filter(|tenant| tenant.view.spec.profile == name) {
            let Some(object) = &tenant.object else { continue };
            let Some(now) = TenantView::of(object, profiles).map(Arc::new) else { continue };
            if now != tenant.view {
                let before = std::mem::replace(&mut tenant.view, now.clone());
                changed.push(Learnt { before: Some(before), now });
            }
        }
        drop(inner);
        self.progress.send_modify(|n| *n += 1);
        changed
    }

    /// Waits until the tenant is known and as the condition wants it.
    pub async fn wait_for(&self, id: TenantId, condition: impl Fn(&TenantView) -> bool) -> Arc<TenantView> {
        let mut progress = self.progress.subscribe();
        loop {
            progress.mark_unchanged();
            if let Some(view) = self.get(id).filter(|view| condition(view)) {
                return view;
            }
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, uid: u8, revision: u32, spec: Value) -> Value {
        json!({"metadata": {"name": name, "uid": format!("00000000-0000-0000-0000-0000000000{uid}"),
            "resourceVersion": revision.to_string()}, "spec": spec})
    }

    #[test]
    fn a_profile_changes_the_tenants_that_name_it() {
        let tenants = Tenants::default();
        tenants.apply(object("a", 10, 1, json!({"profile": "gold"}))).unwrap();
        tenants.apply(object("b", 11, 2, json!({"profile": "plain"}))).unwrap();
        let profile = serde_json::from_value(json!({"defaults": {"weight": 9}})).unwrap();
        let changed = tenants.apply_profile("gold", Some(profile));
        let told: Vec<_> = changed.iter().map(|t| (t.now.name.as_str(), t.now.spec.weight)).collect();
        assert_eq!(told, [("a", 9)]);
        assert!(changed[0].matters());
        assert_eq!(tenants.apply_profile("gold", None)[0].now.spec.weight, 1);
    }

    #[test]
    fn what_is_read_beside_the_watch_neither_goes_back_nor_makes_a_tenant() {
        let tenants = Tenants::default();
        let of = |revision: u32, weight: u32| object("a", 10, revision, json!({"weight": weight}));
        assert!(tenants.refresh(of(4, 4)).is_none(), "the watch has not told of it");
        assert!(tenants.apply(of(5, 5)).unwrap().matters());
        let ahead = tenants.refresh(of(7, 7)).unwrap();
        assert!(ahead.matters() && ahead.now.spec.weight == 7);
        for behind in [tenants.apply(of(6, 6)), tenants.refresh(of(5, 5)), tenants.apply(of(7, 7))] {
            let behind = behind.unwrap();
            assert!(!behind.matters() && behind.now.spec.weight == 7);
        }
        tenants.remove(ahead.now.id).unwrap();
        assert!(tenants.refresh(of(8, 8)).is_none(), "the watch has told of its end");
        assert!(tenants.all().is_empty());
    }

    #[test]
    fn tenants_are_counted_where_they_are() {
        let tenants = Tenants::default();
        let of = |uid: u8, revision: u32, cluster: Option<&str>| {
            let mut tenant = object("a", uid, revision, json!({}));
            tenant["status"]["superCluster"] = json!(cluster);
            tenants.apply(tenant).unwrap().now.id
        };
        let counts = || (tenants.placed_on("one"), tenants.placed_on("two"));
        let first = of(10, 1, None);
        assert_eq!(counts(), (0, 0));
        of(10, 2, Some("one"));
        of(11, 3, Some("one"));
        of(11, 4, Some("one"));
        assert_eq!(counts(), (2, 0));
        of(11, 5, Some("two"));
        assert_eq!(counts(), (1, 1));
        tenants.remove(first);
        tenants.remove(first);
        assert_eq!(counts(), (0, 1));
    }

    #[tokio::test]
    async fn waits_for_a_tenant_to_come() {
        let tenants = Arc::new(Tenants::default());
        let id = TenantId::parse("00000000-0000-0000-0000-000000000010").unwrap();
        let waiting = tokio::spawn({
            let tenants = tenants.clone();
            async move { tenants.wait_for(id, |_| true).await.name.clone() }
        });
        tokio::task::yield_now().await;
        tenants.apply(json!({"metadata": {"name": "a", "uid": id.to_string()}})).unwrap();
        assert_eq!(waiting.await.unwrap(), "a");
        assert!(tenants.remove(id).is_some() && tenants.get(id).is_none());
    }
}
