//! Which Services an event of a node makes due: those with pods on nodes that are not known yet, and those whose hints
//! follow the nodes' CPU.

use plane_client::{ObjectName, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The Services that look at nodes, by tenant.
#[derive(Default)]
pub(super) struct OnNodes(Mutex<BTreeMap<TenantId, BTreeSet<ObjectName>>>);

impl OnNodes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<TenantId, BTreeSet<ObjectName>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether a Service looks at nodes.
    pub(super) fn set(&self, tenant: TenantId, key: &ObjectName, looks: bool) {
        let mut all = self.all();
        if looks {
            all.entry(tenant).or_default().insert(key.clone());
        } else if let Some(keys) = all.get_mut(&tenant) {
            keys.remove(key);
            if keys.is_empty() {
                all.remove(&tenant);
            }
        }
    }

    /// The Services of a tenant that look at nodes.
    pub(super) fn due(&self, tenant: TenantId) -> Vec<ObjectName> {
        self.all().get(&tenant).into_iter().flatten().cloned().collect()
    }
}
