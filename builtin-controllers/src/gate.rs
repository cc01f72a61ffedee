//! Which controllers are switched off for which tenants (`Tenant.spec.controllers.disabled`), and whose work counts
//! how much (`Tenant.spec.weight`).
//!
//! Guarantees: after the first list of tenants is read, no key of a tenant reaches a controller that its
//! `Tenant` switches off; a controller that is switched on again gets every key that it was not given meanwhile.
//! Caveat: the plane of a tenant made later may be seen a moment before its `Tenant`; until then its controllers
//! are on.

use api_types::tenancy::OLD_NAMES;
use async_trait::async_trait;
use plane_client::{
    ApiError, Next, ObjectName, PlaneClient, Reconciler, TenantId, TenantItem, TenantWatch, Trigger,
};
use service_runtime::{FairQueue, Shutdown};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, watch};

/// The names of controllers that are off, by tenant.
#[derive(Default)]
pub(crate) struct Switches {
    off: Mutex<HashMap<TenantId, HashSet<String>>>,
    changes: watch::Sender<u64>,
}

impl Switches {
    /// True when this controller is off for this tenant.
    pub(crate) fn is_off(&self, tenant: TenantId, controller: &str) -> bool {
        let off = self.off.lock().unwrap_or_else(PoisonError::into_inner);
        off.get(&tenant).is_some_and(|names| names.contains("*") || names.contains(controller))
    }

    fn set(&self, tenant: TenantId, names: HashSet<String>) {
        let mut off = self.off.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if names.is_empty() { off.remove(&tenant) } else { off.insert(tenant, names.clone()) };
        drop(off);
        if before.unwrap_or_default() != names {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Follows the tenants until shutdown. `ready` is told when all that are there have been read, `weigh` each
    /// tenant's share of the controllers' work.
    pub(crate) async fn follow(
        &self,
        client: Arc<dyn PlaneClient>,
        weigh: impl Fn(TenantId, u32),
        ready: watch::Sender<bool>,
        shutdown: Shutdown,
    ) {
        let mut tenants = TenantWatch::new(client, shutdown);
        while let Some(item) = tenants.next().await {
            match item {
                TenantItem::Applied(tenant) => {
                    weigh(tenant.id, tenant.spec.weight);
                    let names = tenant.spec.controllers.disabled.into_iter().map(name_of_now);
                    self.set(tenant.id, names.collect());
                }
                TenantItem::Deleted(id) => {
                    weigh(id, 1);
                    self.set(id, HashSet::new());
                }
                TenantItem::Synced => drop(ready.send_replace(true)),
            }
        }
    }
}

/// The name that a controller has now, for one that it had before.
fn name_of_now(name: String) -> String {
    OLD_NAMES.iter().find(|(old, _)| *old == name).map_or(name, |(_, now)| (*now).to_owned())
}

/// A reconciler that is not given keys of tenants for whom it is off.
pub(crate) struct Gated {
    inner: Arc<dyn Reconciler>,
    switches: Arc<Switches>,
    held: Arc<Mutex<HashSet<(TenantId, ObjectName)>>>,
}

impl Gated {
    pub(crate) fn new(inner: Arc<dyn Reconciler>, switches: Arc<Switches>) -> Self {
        Gated { inner, switches, held: Arc::default() }
    }

    /// Puts keys that were held back into the queue once their tenant's switch is on; until shutdown.
    pub(crate) fn release(
        &self,
        queue: FairQueue<TenantId, ObjectName>,
        shutdown: Shutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (held, switches, name) = (self.held.clone(), self.switches.clone(), self.inner.name());
        let mut changes = switches.changes.subscribe();
        async move {
            loop {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = shutdown.requested() => return,
                }
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                held.retain(|(tenant, key)| {
                    let off = switches.is_off(*tenant, name);
                    if !off {
                        queue.add(*tenant, key.clone());
                    }
                    off
                });
            }
        }
    }
}

#[async_trait]
impl Reconciler for Gated {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        self.inner.triggers()
    }

    fn found_triggers(&self) -> Option<mpsc::Receiver<Trigger>> {
        self.inner.found_triggers()
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        if self.switches.is_off(tenant, self.inner.name()) {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant, key.clone()));
            // The switch may have been turned between the question and the note.
            if self.switches.is_off(tenant, self.inner.name()) {
                return Ok(Next::OnEvent);
            }
        }
        self.inner.reconcile(tenant, key).await
    }
}
