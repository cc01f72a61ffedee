//! What the platform knows of tenants: their names, and the accounts that they may use.

use api_types::TenantId;
use parking_lot::Mutex;
use plane_client::{PlaneClient, TenantItem, TenantWatch};
use service_runtime::Shutdown;
use std::collections::HashMap;
use std::sync::Arc;
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
    /// The accounts that it may use, preferred first.
    pub accounts: Arc<[String]>,
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
        let mut watch = TenantWatch::new(client, shutdown);
        while let Some(item) = watch.next().await {
            match item {
                TenantItem::Applied(now) => {
                    let meta = &now.object.meta;
                    let tenant = Tenant {
                        name: now.object.name.name.to_string(),
                        deleting: meta.deleting,
                        held: meta.finalizers.iter().any(|f| f == FINALIZER),
                        accounts: now.spec.cloud.accounts.into(),
                    };
                    self.known.lock().insert(now.id, tenant);
                    changed(now.id);
                }
                TenantItem::Deleted(id) => drop(self.known.lock().remove(&id)),
                TenantItem::Synced => drop(self.ready.send_replace(true)),
            }
        }
    }
}
