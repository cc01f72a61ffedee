//! What the syncer knows of tenants.

use api_types::tenancy::{StringMap, Tenant, TenantProfileSpec, TenantSpec};
use api_types::{TenantId, labels};
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
    by_id: RwLock<HashMap<TenantId, Arc<TenantView>>>,
    /// Raw objects by name, to read anew when a profile changes.
    raw: RwLock<HashMap<String, Value>>,
    profiles: RwLock<HashMap<String, TenantProfileSpec>>,
    /// Counts changes, and is above zero once the first list is complete.
    progress: watch::Sender<u64>,
}

impl Default for Tenants {
    fn default() -> Self {
        Tenants {
            by_id: RwLock::default(),
            raw: RwLock::default(),
            profiles: RwLock::default(),
            progress: watch::Sender::new(0),
        }
    }
}

impl Tenants {
    /// A tenant; `None` when there is none of this identity.
    pub fn get(&self, id: TenantId) -> Option<Arc<TenantView>> {
        self.by_id.read().get(&id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<TenantView>> {
        self.by_id.read().values().cloned().collect()
    }

    /// Takes a `Tenant` in. The view as it was before and as it is now.
    pub fn apply(&self, object: Value) -> Option<(Option<Arc<TenantView>>, Arc<TenantView>)> {
        let view = Arc::new(TenantView::of(&object, &self.profiles.read())?);
        self.raw.write().insert(view.name.clone(), object);
        let before = self.by_id.write().insert(view.id, view.clone());
        self.progress.send_modify(|n| *n += 1);
        Some((before, view))
    }

    /// Forgets a tenant.
    pub fn remove(&self, id: TenantId) -> Option<Arc<TenantView>> {
        let view = self.by_id.write().remove(&id)?;
        let mut raw = self.raw.write();
        if raw.get(&view.name).is_some_and(|o| o["metadata"]["uid"] == id.to_string()) {
            raw.remove(&view.name);
        }
        Some(view)
    }

    /// Takes a profile in (`None`: removes it). The tenants whose view changed.
    pub fn apply_profile(&self, name: &str, profile: Option<TenantProfileSpec>) -> Vec<Arc<TenantView>> {
        match profile {
            Some(profile) => self.profiles.write().insert(name.to_owned(), profile),
            None => self.profiles.write().remove(name),
        };
        let objects: Vec<Value> =
            self.raw.read().values().filter(|o| o["spec"]["profile"] == name).cloned().collect();
        let changes = objects.into_iter().filter_map(|object| self.apply(object));
        changes.filter(|(before, now)| before.as_ref() != Some(now)).map(|(_, now)| now).collect()
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

    #[test]
    fn a_profile_changes_the_tenants_that_name_it() {
        let tenants = Tenants::default();
        let object = |name: &str, uid: u8, profile: &str| {
            json!({"metadata": {"name": name, "uid": format!("00000000-0000-0000-0000-0000000000{uid}")},
                "spec": {"profile": profile}})
        };
        tenants.apply(object("a", 10, "gold")).unwrap();
        tenants.apply(object("b", 11, "plain")).unwrap();
        let profile = serde_json::from_value(json!({"defaults": {"weight": 9}})).unwrap();
        let changed = tenants.apply_profile("gold", Some(profile));
        assert_eq!(changed.iter().map(|t| (t.name.as_str(), t.spec.weight)).collect::<Vec<_>>(), [("a", 9)]);
        assert_eq!(tenants.apply_profile("gold", None)[0].spec.weight, 1);
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
