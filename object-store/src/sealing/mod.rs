//! A store whose secrets are sealed: what is on disk, in etcd, in a backup or in a watch of either says nothing of them.
//!
//! Each plane has a data key, made with its first secret, in the same commit; it is stored in the plane's space, sealed
//! under the installation's [`SealingKeys`], which are not in the store. So the end of a plane is the end of its key, and
//! another sealing key means that data keys are written anew, and no secret is. Callers see neither data keys nor
//! sealed bytes.
//!
//! Read in this order: `cipher` (bytes), `keys` (the installation's keys), `data_keys` (those of planes), and here the
//! store; `renewal` is what is written anew, `copies` opens what is in copies.

mod cipher;
mod copies;
mod data_keys;
mod keys;
mod renewal;

pub use cipher::CipherError;
pub use copies::CopyOpener;
pub use keys::{KeyName, KeysError, MAX_KEYS, RotationError, SealingKeys};

use crate::engine::{
    Batch, CommitError, Event, Item, ObjectStore, Opener, Page, Range, Size, StoreError, Watch,
};
use crate::operation::{Action, Commit, Space};
use api_types::{Revision, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use cipher::sealed_by;
use data_keys::{DATA_KEY, DataKeys};
use parking_lot::Mutex;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often a commit is tried again because another one made or renewed the plane's data key.
const TRIES: usize = 16;

/// A store that seals the values of some keys. Cheap to clone. A commit with secrets takes less than others: an operation
/// and a precondition less for each plane that has secrets in it.
#[derive(Clone)]
pub struct SealedStore(Arc<Core>);

struct Core {
    store: Arc<dyn ObjectStore>,
    is_secret: fn(&str) -> bool,
    data_keys: DataKeys,
    /// Values that are not sealed, and data keys that are not sealed under the first key.
    outdated: Mutex<BTreeSet<(TenantId, String)>>,
}

impl SealedStore {
    /// Seals the values of those keys of a store that are secret.
    pub fn new(store: Arc<dyn ObjectStore>, keys: SealingKeys, is_secret: fn(&str) -> bool) -> Self {
        let outdated = Mutex::default();
        SealedStore(Arc::new(Core { store, is_secret, data_keys: DataKeys::new(keys), outdated }))
    }
}

impl SealedStore {
    /// The value of an item of [`SealedStore::engine`] as it was before it was sealed; `None` for a data key, which can
    /// be opened.
    pub async fn opened(&self, item: &Item) -> Result<Option<Bytes>, StoreError> {
        if item.key == DATA_KEY {
            self.0.learn(item.tenant, &item.value, item.modified)?;
            return Ok(None);
        }
        match (self.0.is_secret)(&item.key) {
            true => self.0.open(item.tenant, &item.key, &item.value).await.map(Some),
            false => Ok(Some(item.value.clone())),
        }
    }

    /// The store before which this one stands: what is in it is sealed.
    pub fn engine(&self) -> Arc<dyn ObjectStore> {
        self.0.store.clone()
    }
}

impl Core {
    /// What is stored for a commit: secrets sealed, with the planes' data keys expected as they are.
    async fn seal(&self, commit: &Commit) -> Result<Commit, StoreError> {
        let mut sealed = commit.clone();
        let mut keys = BTreeMap::new();
        for operation in &mut sealed.operations {
            let Action::Put(value) = &mut operation.action else { continue };
            if !(self.is_secret)(&operation.key) {
                continue;
            }
            let tenant = operation.tenant;
            let (key, _) = match keys.entry(tenant) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.key_for(tenant).await?),
            };
            *value = key.seal(tenant, &operation.key, value)?;
        }
        for (tenant, (key, made)) in keys {
            let space = Space::new(tenant);
            sealed.preconditions.push(space.expect(DATA_KEY, key.revision));
            sealed.operations.extend(made.map(|stored| space.put(DATA_KEY, stored)));
        }
        Ok(sealed)
    }

    /// The data key of a plane; when it has none, a new one, and how it is to be stored.
    async fn key_for(&self, tenant: TenantId) -> Result<(data_keys::DataKey, Option<Bytes>), StoreError> {
        match self.data_key(tenant).await? {
            Some(key) => Ok((key, None)),
            None => self.data_keys.make(tenant).map(|(key, stored)| (key, Some(stored))),
        }
    }

    /// The data key of a plane, read when it is not known.
    async fn data_key(&self, tenant: TenantId) -> Result<Option<data_keys::DataKey>, StoreError> {
        if let Some(known) = self.data_keys.known(tenant) {
            return Ok(Some(known));
        }
        let space = Some(Space::new(tenant));
        let range = Range { space, prefix: DATA_KEY.to_owned(), limit: 1, ..Range::default() };
        match self.store.range(range).await?.items.first() {
            Some(item) => self.learn(tenant, &item.value, item.modified).map(Some),
            None => Ok(None),
        }
    }

    /// Takes note of a stored data key.
    fn learn(&self, tenant: TenantId, stored: &[u8], at: Revision) -> Result<data_keys::DataKey, StoreError> {
        let key = self.data_keys.learn(tenant, stored, at)?;
        if !self.data_keys.is_under_first(&key) {
            self.outdated.lock().insert((tenant, DATA_KEY.to_owned()));
        }
        Ok(key)
    }

    /// A value as it was before it was sealed.
    async fn open(&self, tenant: TenantId, key: &str, value: &Bytes) -> Result<Bytes, StoreError> {
        if sealed_by(value).is_none() {
            return Ok(value.clone());
        }
        let data_key = self.data_key(tenant).await?.ok_or_else(|| StoreError::Sealed {
            what: format!("{key} of plane {tenant}"),
            why: "the plane has no data key".to_owned(),
        })?;
        data_key.open(tenant, key, value)
    }

    /// What callers see of a page.
    async fn opened(&self, mut page: Page) -> Result<Page, StoreError> {
        for item in page.items.iter().filter(|item| item.key == DATA_KEY) {
            self.learn(item.tenant, &item.value, item.modified)?;
        }
        page.items.retain(|item| item.key != DATA_KEY);
        for item in &mut page.items {
            if !(self.is_secret)(&item.key) {
                continue;
            }
            if sealed_by(&item.value).is_none() {
                self.outdated.lock().insert((item.tenant, item.key.clone()));
            }
            item.value = self.open(item.tenant, &item.key, &item.value).await?;
        }
        Ok(page)
    }

    async fn open_event(&self, event: &mut Event) {
        let Some(value) = &event.value else { return };
        if !(self.is_secret)(&event.key) {
            return;
        }
        match self.open(event.tenant, &event.key, value).await {
            Ok(opened) => event.value = Some(opened),
            // Who reads it finds that it is no object, and says so.
            Err(error) => tracing::error!(%error, "a stored value stays sealed"),
        }
    }
}

#[async_trait]
impl Opener for Core {
    fn concerns(&self, batch: &Batch) -> bool {
        batch.events.iter().any(|event| event.key == DATA_KEY || (self.is_secret)(&event.key))
    }

    async fn opened(&self, batch: &Batch) -> Batch {
        for event in batch.events.iter().filter(|event| event.key == DATA_KEY) {
            match &event.value {
                None => self.data_keys.forget(event.tenant),
                Some(stored) => {
                    if let Err(error) = self.learn(event.tenant, stored, batch.revision) {
                        tracing::error!(%error, "a data key cannot be used");
                    }
                }
            }
        }
        let mut events: Vec<Event> =
            batch.events.iter().filter(|event| event.key != DATA_KEY).cloned().collect();
        for event in &mut events {
            self.open_event(event).await;
        }
        Batch { revision: batch.revision, events }
    }
}

#[async_trait]
impl ObjectStore for SealedStore {
    async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        let core = &*self.0;
        if !commit.operations.iter().any(|operation| (core.is_secret)(&operation.key)) {
            return core.store.commit(commit).await;
        }
        commit.check().map_err(CommitError::Malformed)?;
        let own = commit.preconditions.len();
        for _ in 0..TRIES {
            let sealed = core.seal(&commit).await?;
            let keys: Vec<TenantId> = sealed.preconditions[own..].iter().map(|key| key.tenant).collect();
            match core.store.commit(sealed).await {
                Err(CommitError::Precondition { index, .. }) if index >= own => {
                    keys.into_iter().for_each(|tenant| core.data_keys.forget(tenant));
                }
                done => return done,
            }
        }
        let why = "the plane's data key is being changed all the time";
        Err(StoreError::Unavailable(why.to_owned()).into())
    }

    async fn range(&self, mut range: Range) -> Result<Page, StoreError> {
        let limit = range.limit;
        let mut items = Vec::new();
        loop {
            let page = self.0.store.range(range.clone()).await?;
            let last = page.items.last().map(|item| (item.tenant, item.key.clone()));
            let Page { items: opened, revision, more } = self.0.opened(page).await?;
            items.extend(opened);
            if !more || items.len() >= limit {
                return Ok(Page { items, revision, more });
            }
            // Data keys were among them.
            range = Range { after: last, at: Some(revision), limit: limit - items.len(), ..range };
        }
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        Ok(self.0.store.watch(from).await?.opened_by(self.0.clone()))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.0.store.revision().await
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.0.store.compact(at).await
    }

    async fn shrink(&self) -> Result<bool, StoreError> {
        self.0.store.shrink().await
    }

    async fn raise(&self, floor: Revision) -> Result<(), StoreError> {
        self.0.store.raise(floor).await
    }

    async fn size(&self) -> Result<Size, StoreError> {
        self.0.store.size().await
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.0.store.writable().await
    }

    async fn release(&self) {
        self.0.store.release().await;
    }
}
