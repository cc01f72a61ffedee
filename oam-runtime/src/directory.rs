//! Which tenants have no application model (`Tenant.spec.oam.disabled`), or are going.

use api_types::{TenantId, tenancy};
use parking_lot::Mutex;
use plane_client::{Object, PlaneClient, Scope, WatchItem};
use serde_json::Value;
use service_runtime::Shutdown;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
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
        loop {
            let mut watch = client.list_watch(&tenancy::TENANTS.group_resource(), Scope::One(TenantId::HOST));
            loop {
                let item = tokio::select! {
                    item = watch.recv() => item,
                    () = shutdown.requested() => return,
                };
                match item {
                    Some(WatchItem::Applied(tenant)) => self.take(&tenant, false),
                    Some(WatchItem::Deleted(tenant)) => self.take(&tenant, true),
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

    fn take(&self, object: &Object, deleted: bool) {
        let Some(tenant) = TenantId::parse(&object.meta.uid) else { return };
        let disabled = || object.value().is_ok_and(|value| is_disabled(&value));
        let on = !deleted && !object.meta.deleting && !disabled();
        let was_off = if on {
            self.off.lock().remove(&tenant)
        } else {
            // A tenant that is gone has no objects, so nothing needs to be remembered of it.
            if deleted {
                self.off.lock().remove(&tenant)
            } else {
                self.off.lock().insert(tenant)
            };
            false
        };
        if was_off {
            // An error means that nobody listens.
            let _ = self.changed.send(tenant);
        }
    }
}

fn is_disabled(tenant: &Value) -> bool {
    tenant["spec"]["oam"]["disabled"].as_bool().unwrap_or(false)
}
