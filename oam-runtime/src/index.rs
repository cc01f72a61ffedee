//! Which keys are to be looked at when something that they use changes.
//!
//! Filled from the events of the keys' own objects; an entry that is left over causes one more look, nothing else.

use api_types::{ObjectName, TenantId};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Keys by what they use. `U` names what is used within a namespace.
pub struct Index<U>(Mutex<State<U>>);

struct State<U> {
    users: HashMap<(TenantId, U), BTreeSet<ObjectName>>,
    uses: HashMap<(TenantId, ObjectName), BTreeSet<U>>,
    by_tenant: HashMap<TenantId, BTreeSet<ObjectName>>,
}

impl<U> Default for Index<U> {
    fn default() -> Self {
        Index(Mutex::new(State { users: HashMap::new(), uses: HashMap::new(), by_tenant: HashMap::new() }))
    }
}

impl<U: Clone + Eq + Hash + Ord> Index<U> {
    /// Says all that a key uses, in place of what was said before.
    pub fn put(&self, tenant: TenantId, key: &ObjectName, uses: BTreeSet<U>) {
        let mut state = self.0.lock();
        state.forget(tenant, key);
        for used in &uses {
            state.users.entry((tenant, used.clone())).or_default().insert(key.clone());
        }
        state.uses.insert((tenant, key.clone()), uses);
        state.by_tenant.entry(tenant).or_default().insert(key.clone());
    }

    /// Forgets a key that is gone.
    pub fn remove(&self, tenant: TenantId, key: &ObjectName) {
        self.0.lock().forget(tenant, key);
    }

    /// The keys that use this.
    pub fn users(&self, tenant: TenantId, used: U) -> Vec<ObjectName> {
        let state = self.0.lock();
        state.users.get(&(tenant, used)).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Every key of a tenant.
    pub fn of_tenant(&self, tenant: TenantId) -> Vec<ObjectName> {
        let state = self.0.lock();
        state.by_tenant.get(&tenant).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}

impl<U: Clone + Eq + Hash + Ord> State<U> {
    fn forget(&mut self, tenant: TenantId, key: &ObjectName) {
        for used in self.uses.remove(&(tenant, key.clone())).unwrap_or_default() {
            let entry = (tenant, used);
            if let Some(keys) = self.users.get_mut(&entry) {
                keys.remove(key);
                if keys.is_empty() {
                    self.users.remove(&entry);
                }
            }
        }
        if let Some(keys) = self.by_tenant.get_mut(&tenant) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_tenant.remove(&tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_users_are_found_and_forgotten() {
        let index = Index::<&str>::default();
        let (a, b) = (ObjectName::new("ns", "a"), ObjectName::new("ns", "b"));
        index.put(TenantId::HOST, &a, BTreeSet::from(["x", "y"]));
        index.put(TenantId::HOST, &b, BTreeSet::from(["x"]));
        assert_eq!(index.users(TenantId::HOST, "x"), [a.clone(), b.clone()]);
        assert!(index.users(TenantId::LOCAL_SUPER, "x").is_empty());
        index.put(TenantId::HOST, &a, BTreeSet::from(["y"]));
        assert_eq!(index.users(TenantId::HOST, "x"), std::slice::from_ref(&b));
        assert_eq!(index.of_tenant(TenantId::HOST).len(), 2);
        index.remove(TenantId::HOST, &a);
        index.remove(TenantId::HOST, &b);
        let state = index.0.lock();
        assert!(state.users.is_empty() && state.uses.is_empty() && state.by_tenant.is_empty());
    }
}
