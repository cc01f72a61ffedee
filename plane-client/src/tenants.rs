//! The tenants, and what their specs come to: their own values over their profile's over the defaults.
//!
//! Guarantees: a change of a profile is told as a change of each tenant that names it; no tenant is told before the
//! profiles are known that were there at the start. Caveat: a tenant whose profile was just made may be told
//! without it first, and with it a moment later.

use crate::client::{Object, PlaneClient, Scope, WatchItem};
use crate::watch::Watch;
use api_types::tenancy::{TENANT_PROFILES, TENANTS, Tenant, TenantProfile, TenantProfileSpec, TenantSpec};
use api_types::{ApiError, TenantId};
use service_runtime::Shutdown;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What is told of tenants.
#[derive(Clone, Debug)]
pub enum TenantItem {
    /// The tenant is there, as it is now.
    Applied(Box<TenantNow>),
    /// The tenant is gone.
    Deleted(TenantId),
    /// Every tenant that was there has been told.
    Synced,
}

/// One tenant.
#[derive(Clone, Debug)]
pub struct TenantNow {
    /// Its plane.
    pub id: TenantId,
    /// The `Tenant`.
    pub object: Object,
    /// What its spec comes to.
    pub spec: TenantSpec,
}

/// Watches the tenants until shutdown.
pub struct TenantWatch {
    tenants: Watch,
    profiles: Watch,
    known_profiles: HashMap<String, TenantProfileSpec>,
    profiles_are_known: bool,
    /// The tenants that name a profile.
    profiled: HashMap<TenantId, (String, Object)>,
    pending: VecDeque<TenantItem>,
}

impl TenantWatch {
    /// Begins to watch.
    pub fn new(client: Arc<dyn PlaneClient>, shutdown: Shutdown) -> Self {
        let watch = |resource: api_types::GroupResource| {
            Watch::new(client.clone(), resource, Scope::One(TenantId::HOST), shutdown.clone())
        };
        TenantWatch {
            tenants: watch(TENANTS.group_resource()),
            profiles: watch(TENANT_PROFILES.group_resource()),
            known_profiles: HashMap::new(),
            profiles_are_known: false,
            profiled: HashMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// The next item; `None` at shutdown.
    pub async fn next(&mut self) -> Option<TenantItem> {
        while !self.profiles_are_known {
            let item = self.profiles.next().await?;
            self.profile(item);
        }
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Some(item);
            }
            tokio::select! {
                item = self.tenants.next() => if let Some(item) = self.tenant(item?) {
                    return Some(item);
                },
                item = self.profiles.next() => {
                    let item = item?;
                    self.profile(item);
                }
            }
        }
    }

    fn tenant(&mut self, item: WatchItem) -> Option<TenantItem> {
        match item {
            WatchItem::Synced => Some(TenantItem::Synced),
            WatchItem::Deleted(object) => {
                let id = TenantId::parse(&object.meta.uid)?;
                self.profiled.remove(&id);
                Some(TenantItem::Deleted(id))
            }
            WatchItem::Applied(object) => {
                let id = TenantId::parse(&object.meta.uid)?;
                match self.read(id, &object) {
                    Ok((profile, now)) => {
                        if profile.is_empty() {
                            self.profiled.remove(&id);
                        } else {
                            self.profiled.insert(id, (profile, object));
                        }
                        Some(TenantItem::Applied(Box::new(now)))
                    }
                    Err(error) => {
                        tracing::error!(tenant = %object.name, %error, "a Tenant cannot be read; it stays as it was known");
                        None
                    }
                }
            }
        }
    }

    /// The name of its profile, and the tenant with what its spec comes to.
    fn read(&self, id: TenantId, object: &Object) -> Result<(String, TenantNow), ApiError> {
        let own: Tenant = object.decode()?;
        let profile = own.spec.profile.clone();
        let spec = match self.known_profiles.get(&profile) {
            Some(known) => known.effective(&object.value()?["spec"]).map_err(ApiError::internal)?,
            None => own.spec,
        };
        Ok((profile, TenantNow { id, object: object.clone(), spec }))
    }

    fn profile(&mut self, item: WatchItem) {
        let name = match &item {
            WatchItem::Synced => {
                self.profiles_are_known = true;
                return;
            }
            WatchItem::Applied(object) | WatchItem::Deleted(object) => object.name.name.to_string(),
        };
        match item {
            WatchItem::Applied(object) => match object.decode::<TenantProfile>() {
                Ok(profile) => drop(self.known_profiles.insert(name.clone(), profile.spec)),
                Err(error) => {
                    tracing::error!(profile = %name, %error, "a TenantProfile cannot be read; it stays as it was known");
                }
            },
            _ => drop(self.known_profiles.remove(&name)),
        }
        let named = self.profiled.iter().filter(|(_, (profile, _))| *profile == name);
        let changed: Vec<TenantItem> = named
            .filter_map(|(id, (_, object))| {
                let read = self.read(*id, object);
                read.inspect_err(|error| {
                    tracing::error!(tenant = %object.name, profile = %name, %error, "a Tenant cannot be read with its profile; it stays as it was known");
                })
                .ok()
            })
            .map(|(_, now)| TenantItem::Applied(Box::new(now)))
            .collect();
        self.pending.extend(changed);
    }
}

#[cfg(all(test, feature = "fake"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fake::FakePlanes;
    use serde_json::{Value, json};

    fn put(planes: &FakePlanes, kind: &str, name: &str, spec: Value) {
        let uid = format!("00000000-0000-0000-0000-0000000000{:02}", name.len());
        planes.put(
            TenantId::HOST,
            json!({"apiVersion": api_types::tenancy::API_VERSION, "kind": kind,
                "metadata": {"name": name, "uid": uid}, "spec": spec}),
        );
    }

    async fn applied(watch: &mut TenantWatch) -> (String, u32, bool) {
        loop {
            if let TenantItem::Applied(now) = watch.next().await.unwrap() {
                return (now.object.name.name.to_string(), now.spec.weight, now.spec.oam.disabled);
            }
        }
    }

    #[tokio::test]
    async fn tenants_are_told_with_their_profiles_and_again_when_those_change() {
        let planes = FakePlanes::new();
        put(&planes, "Tenant", "acme", json!({"profile": "gold", "weight": 2}));
        put(&planes, "Tenant", "plain", json!({}));
        put(&planes, "TenantProfile", "gold", json!({"defaults": {"weight": 9, "oam": {"disabled": true}}}));
        let shutdown = Shutdown::new();
        let mut watch = TenantWatch::new(planes.client(), shutdown.clone());
        assert_eq!(applied(&mut watch).await, ("acme".into(), 2, true));
        assert_eq!(applied(&mut watch).await, ("plain".into(), 1, false));
        assert!(matches!(watch.next().await, Some(TenantItem::Synced)));
        put(&planes, "TenantProfile", "gold", json!({"defaults": {"oam": {"disabled": false}}}));
        assert_eq!(applied(&mut watch).await, ("acme".into(), 2, false));
        put(&planes, "Tenant", "acme", json!({"profile": "gold", "oam": {"disabled": true}}));
        assert_eq!(applied(&mut watch).await, ("acme".into(), 1, true));
        planes.remove(TenantId::HOST, &TENANTS.group_resource(), "", "acme");
        assert!(matches!(watch.next().await, Some(TenantItem::Deleted(_))));
        shutdown.trigger();
        assert!(watch.next().await.is_none());
    }
}
