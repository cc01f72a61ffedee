//! Which tenants have no application model (`Tenant.spec.oam.disabled`), or are going.

use api_types::TenantId;
use parking_lot::Mutex;
use plane_client::{PlaneClient, TenantItem, TenantWatch};
use service_runtime::Shutdown;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Tenants that are left alone.
pub struct Directory {
    off: Mutex<HashSet<TenantId>>,
    changed: broadcast::Sender<TenantId>,
    ready: watch::Sender<bool>,
}

impl Default for Directory {
    fn default() -> Self {
        Directory {
            off: Mutex::default(),
            changed: broadcast::Sender::new(256),
            ready: watch::Sender::new(false),
        }
    }
}

impl Directory {
    /// True when the tenant's applications are left alone.
    pub fn is_off(&self, tenant: TenantId) -> bool {
        self.off.lock().contains(&tenant)
    }

    /// Tells each tenant that was switched on. A receiver that is late misses some; the patrol finds them.
    pub fn switched_on(&self) -> broadcast::Receiver<TenantId> {
        self.changed.subscribe()
    }

    /// Waits until all tenants have been read.
    pub async fn filled(&self) {
        let mut ready = self.ready.subscribe();
        // The sender is in `self`: it cannot be gone.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Follows the tenants until shutdown.
    pub async fn follow(&self, client: Arc<dyn PlaneClient>, shutdown: Shutdown) {
        let mut watch = TenantWatch::new(client, shutdown);
        while let Some(item) = watch.next().await {
            match item {
                TenantItem::Applied(now) => {
                    self.turn(now.id, now.object.meta.deleting || now.spec.oam.disabled);
                }
                // A tenant that is gone has no objects, so nothing needs to be remembered of it.
                TenantItem::Deleted(id) => drop(self.off.lock().remove(&id)),
                TenantItem::Synced => drop(self.ready.send_replace(true)),
            }
        }
    }

    fn turn(&self, tenant: TenantId, off: bool) {
        if off {
            self.off.lock().insert(tenant);
        } else if self.off.lock().remove(&tenant) {
            // An error means that nobody listens.
            let _ = self.changed.send(tenant);
        }
    }
}
