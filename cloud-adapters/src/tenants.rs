//! What the platform knows of tenants: their names, and the accounts that they may use.

use api_types::tenancy::{self, TenantProfile};
use api_types::{ApiError, ObjectName, TenantId};
use parking_lot::Mutex;
use plane_client::{Object, PlaneClient, Scope, WatchItem};
use serde_json::Value;
use service_runtime::Shutdown;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Finalizer on a `Tenant` while something of it may be on an account.
pub const FINALIZER: &str = "cloud.insula.dev/resources";

/// One tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// It is being deleted.
    pub deleting: bool,
    /// It has our finalizer.
    pub held: bool,
    spec: Arc<Value>,
}

/// All tenants.
pub struct Tenants {
    known: Mutex<HashMap<TenantId, Tenant>>,
    ready: watch::Sender<bool>,
}

impl Default for Tenants {
    fn default() -> Self {
        Tenants { known: Mutex::default(), ready: watch::Sender::new(false) }
    }
}

impl Tenants {
    /// A tenant; `None` when its `Tenant` has not been seen yet, or is gone.
    pub fn get(&self, tenant: TenantId) -> Option<Tenant> {
        self.known.lock().get(&tenant).cloned()
    }

    /// Waits until all tenants have been read.
    pub async fn filled(&self) {
        let mut ready = self.ready.subscribe();
        // The sender is in `self`: it cannot be gone.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Follows the tenants until shutdown; `changed` is called after each change.
    pub async fn follow(&self, client: Arc<dyn PlaneClient>, shutdown: Shutdown, changed: impl Fn(TenantId)) {
        loop {
            let mut watch = client.list_watch(&tenancy::TENANTS.group_resource(), Scope::One(TenantId::HOST));
            loop {
                let item = tokio::select! {
                    item = watch.recv() => item,
                    () = shutdown.requested() => return,
                };
                match item {
                    Some(WatchItem::Applied(object)) => self.take(&object, &changed),
                    Some(WatchItem::Deleted(object)) => {
                        if let Some(tenant) = TenantId::parse(&object.meta.uid) {
                            self.known.lock().remove(&tenant);
                        }
                    }
                    Some(WatchItem::Synced) => {
                        self.ready.send_replace(true);
                    }
                    None => break,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = shutdown.requested() => return,
            }
        }
    }

    fn take(&self, object: &Object, changed: &impl Fn(TenantId)) {
        let Some(id) = TenantId::parse(&object.meta.uid) else { return };
        let spec = match object.value() {
            Ok(mut value) => value["spec"].take(),
            Err(error) => {
                tracing::warn!(tenant = %object.name, %error, "a tenant cannot be read");
                return;
            }
        };
        let tenant = Tenant {
            name: object.name.name.to_string(),
            deleting: object.meta.deleting,
            held: object.meta.finalizers.iter().any(|f| f == FINALIZER),
            spec: Arc::new(spec),
        };
        self.known.lock().insert(id, tenant);
        changed(id);
    }
}

impl Tenant {
    /// The accounts that the tenant may use, preferred first: its own list, else its profile's.
    pub async fn accounts(&self, client: &dyn PlaneClient) -> Result<Vec<String>, ApiError> {
        let list = |value: &Value| -> Option<Vec<String>> {
            Some(value.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let own = list(&self.spec["cloud"]["accounts"]);
        let profile = self.spec["profile"].as_str().filter(|profile| !profile.is_empty());
        if let (Some(profile), true) = (profile, own.as_ref().is_none_or(Vec::is_empty)) {
            let resource = tenancy::TENANT_PROFILES.group_resource();
            if let Some(object) = client.get(TenantId::HOST, &resource, &ObjectName::cluster(profile)).await?
            {
                let profile: TenantProfile = object.decode()?;
                let defaults = Value::Object(profile.spec.defaults);
                return Ok(own
                    .into_iter()
                    .flatten()
                    .chain(list(&defaults["cloud"]["accounts"]).unwrap_or_default())
                    .collect());
            }
        }
        Ok(own.unwrap_or_default())
    }
}
