//! The data keys of planes: one for each, sealed under a key of the installation.

use super::cipher::{CipherError, Key, NAME, sealed_by};
use super::keys::{KeyName, SealingKeys};
use crate::engine::StoreError;
use api_types::{Revision, TenantId};
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where a plane's data key is stored in its space: before everything that is sealed with it.
pub const DATA_KEY: &str = ".sealing/data-keys//1";
/// How sealed values name it.
const NUMBER: [u8; NAME] = 1u32.to_le_bytes();

/// The data key of a plane.
#[derive(Clone, Debug)]
pub struct DataKey {
    /// When it was written; zero when it is to be.
    pub revision: Revision,
    key: Key,
    under: KeyName,
}

impl DataKey {
    /// Seals a value of the plane.
    pub fn seal(&self, tenant: TenantId, key: &str, value: &[u8]) -> Result<Bytes, StoreError> {
        self.key.seal(NUMBER, &place(tenant, key), value).map_err(|error| broken(tenant, key, &error))
    }

    /// Opens a value of the plane.
    pub fn open(&self, tenant: TenantId, key: &str, sealed: &[u8]) -> Result<Bytes, StoreError> {
        if sealed_by(sealed) != Some(NUMBER) {
            return Err(broken(tenant, key, &"it was sealed by a newer release: use that one"));
        }
        self.key.open(&place(tenant, key), sealed).map_err(|_| {
            broken(tenant, key, &"it is damaged, or was written for another place or with another data key")
        })
    }
}

/// Those that are known, and the keys of the installation.
pub struct DataKeys {
    sealing: RwLock<Arc<SealingKeys>>,
    known: RwLock<HashMap<TenantId, DataKey>>,
}

impl DataKeys {
    pub fn new(keys: SealingKeys) -> Self {
        DataKeys { sealing: RwLock::new(Arc::new(keys)), known: RwLock::default() }
    }

    /// The keys of the installation.
    pub fn sealing(&self) -> Arc<SealingKeys> {
        self.sealing.read().clone()
    }

    /// From now on data keys are sealed under the first of these.
    pub fn set_sealing(&self, keys: SealingKeys) {
        *self.sealing.write() = Arc::new(keys);
    }

    /// The data key of a plane, if it is known.
    pub fn known(&self, tenant: TenantId) -> Option<DataKey> {
        self.known.read().get(&tenant).cloned()
    }

    /// A new one, which is known only once it has been stored so.
    pub fn make(&self, tenant: TenantId) -> Result<(DataKey, Bytes), StoreError> {
        let key = Key::random().map_err(|error| broken(tenant, DATA_KEY, &error))?;
        self.stored(tenant, &key)
    }

    /// The same key, as it is to be stored under the first key of the installation.
    pub fn renewed(&self, tenant: TenantId, key: &DataKey) -> Result<Bytes, StoreError> {
        self.stored(tenant, &key.key).map(|(_, stored)| stored)
    }

    fn stored(&self, tenant: TenantId, key: &Key) -> Result<(DataKey, Bytes), StoreError> {
        let sealing = self.sealing();
        let (under, with) =
            sealing.first().ok_or_else(|| broken(tenant, DATA_KEY, &"there is no sealing key"))?;
        let stored = with.seal(under.0, &place(tenant, DATA_KEY), key.bytes());
        let stored = stored.map_err(|error: CipherError| broken(tenant, DATA_KEY, &error))?;
        Ok((DataKey { revision: Revision::ZERO, key: key.clone(), under }, stored))
    }

    /// Takes note of a stored one, unless a newer one is known.
    pub fn learn(&self, tenant: TenantId, stored: &[u8], revision: Revision) -> Result<DataKey, StoreError> {
        let name =
            sealed_by(stored).map(KeyName).ok_or_else(|| broken(tenant, DATA_KEY, &"it is damaged"))?;
        let sealing = self.sealing();
        let with = sealing.get(name).ok_or_else(|| {
            let why = format!(
                "it is sealed under the key {name}, which is not among the sealing keys: put it back"
            );
            broken(tenant, DATA_KEY, &why)
        })?;
        let opened = with.open(&place(tenant, DATA_KEY), stored).ok();
        let key = opened.and_then(|bytes| Key::from_bytes(&bytes));
        let key = key.ok_or_else(|| broken(tenant, DATA_KEY, &"it is damaged"))?;
        let key = DataKey { revision, key, under: name };
        let mut known = self.known.write();
        if known.get(&tenant).is_none_or(|known| known.revision < revision) {
            known.insert(tenant, key.clone());
        }
        Ok(key)
    }

    /// True for one that is sealed under the first key of the installation.
    pub fn is_under_first(&self, key: &DataKey) -> bool {
        self.sealing().names().next() == Some(key.under)
    }

    /// The plane has none any more, or another one.
    pub fn forget(&self, tenant: TenantId) {
        self.known.write().remove(&tenant);
    }

    /// How many of those that are known are sealed under each key of the installation, in the order of the keys.
    pub fn uses(&self) -> Vec<(KeyName, usize)> {
        let mut counts: BTreeMap<KeyName, usize> = BTreeMap::new();
        for key in self.known.read().values() {
            *counts.entry(key.under).or_default() += 1;
        }
        self.sealing().names().map(|name| (name, counts.get(&name).copied().unwrap_or(0))).collect()
    }
}

/// What sealed bytes are bound to.
fn place(tenant: TenantId, key: &str) -> Vec<u8> {
    format!("{tenant}/{key}").into_bytes()
}

/// What is told of a value that cannot be opened.
pub fn broken(tenant: TenantId, key: &str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Sealed { what: format!("{key} of plane {tenant}"), why: why.to_string() }
}
