//! What is written anew: secrets of before there were keys, and data keys when there is another sealing key.

use super::cipher::sealed_by;
use super::data_keys::DATA_KEY;
use super::keys::{KeyName, SealingKeys};
use super::{Core, SealedStore};
use crate::engine::{CommitError, Item, ObjectStore, Range, StoreError};
use crate::operation::{Action, Commit, Operation, Space};
use api_types::{Revision, TenantId};
use bytes::Bytes;
use std::collections::VecDeque;

/// Data keys that are read at a time.
const PAGE: usize = 1_000;
/// Values that are written anew at a time. With the data keys of as many planes they are one commit.
const CHUNK: usize = 50;

impl SealedStore {
    /// Seals what has been read and was not sealed, and data keys that were not sealed under the first key. Returns how
    /// many values it wrote, and the last revision.
    pub async fn renew(&self) -> Result<(usize, Revision), CommitError> {
        let due: Vec<(TenantId, String)> = self.0.outdated.lock().iter().cloned().collect();
        let mut left: VecDeque<&[(TenantId, String)]> = due.chunks(CHUNK).collect();
        let (mut count, mut last) = (0, Revision::ZERO);
        while let Some(chunk) = left.pop_front() {
            let mut commit = Commit::default();
            for (tenant, key) in chunk {
                self.0.renewed(*tenant, key, &mut commit).await?;
            }
            let size = commit.operations.len();
            match self.written(commit).await? {
                Some(revision) => (count, last) = (count + size, revision),
                // Some were just written by others. Each for itself, so that the rest is written.
                None if chunk.len() > 1 => {
                    left.extend(chunk.chunks(1));
                    continue;
                }
                // Who wrote it has sealed it as it is to be.
                None => {}
            }
            let mut outdated = self.0.outdated.lock();
            chunk.iter().for_each(|done| {
                outdated.remove(done);
            });
        }
        Ok((count, last))
    }

    /// Commits, and takes note of the data keys in it. `None`: something of it was written by others meanwhile.
    async fn written(&self, commit: Commit) -> Result<Option<Revision>, CommitError> {
        let data_keys: Vec<Operation> =
            commit.operations.iter().filter(|operation| operation.key == DATA_KEY).cloned().collect();
        let revision = match self.commit(commit).await {
            Ok(revision) => revision,
            Err(CommitError::Precondition { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        for operation in data_keys {
            if let Action::Put(stored) = &operation.action {
                self.0.learn(operation.tenant, stored, revision)?;
            }
        }
        Ok(Some(revision))
    }

    /// Seals all data keys under the first of other keys. Returns how many were written anew, and the last revision.
    /// What was sealed under a key that is not among them can be read no more.
    pub async fn rotate(&self, keys: SealingKeys) -> Result<(usize, Revision), CommitError> {
        self.0.data_keys.set_sealing(keys);
        let mut range = Range { prefix: DATA_KEY.to_owned(), limit: PAGE, ..Range::default() };
        loop {
            let page = self.0.store.range(range.clone()).await?;
            for item in &page.items {
                self.0.learn(item.tenant, &item.value, item.modified)?;
            }
            match page.items.last() {
                Some(last) if page.more => {
                    (range.after, range.at) = (Some((last.tenant, last.key.clone())), Some(page.revision));
                }
                _ => return self.renew().await,
            }
        }
    }

    /// The keys of the installation, the one that seals first, and how many planes' data keys are under each.
    pub fn uses(&self) -> Vec<(KeyName, usize)> {
        self.0.data_keys.uses()
    }

    /// The keys of the installation.
    pub fn keys(&self) -> SealingKeys {
        SealingKeys::clone(&self.0.data_keys.sealing())
    }
}

impl Core {
    /// Adds to a commit what makes a value as it is to be, if it is not.
    async fn renewed(&self, tenant: TenantId, key: &str, commit: &mut Commit) -> Result<(), StoreError> {
        let Some(item) = self.stored(tenant, key).await? else { return Ok(()) };
        let Some(value) = self.as_it_is_to_be(&item)? else { return Ok(()) };
        let space = Space::new(tenant);
        commit.preconditions.push(space.expect(key, item.modified));
        commit.operations.push(space.put(key, value));
        Ok(())
    }

    /// What is to be committed for it; `None`: it is well as it is.
    fn as_it_is_to_be(&self, item: &Item) -> Result<Option<Bytes>, StoreError> {
        if item.key != DATA_KEY {
            return Ok(sealed_by(&item.value).is_none().then(|| item.value.clone()));
        }
        let known = self.data_keys.learn(item.tenant, &item.value, item.modified)?;
        if self.data_keys.is_under_first(&known) {
            return Ok(None);
        }
        self.data_keys.renewed(item.tenant, &known).map(Some)
    }

    /// A value as it is stored.
    async fn stored(&self, tenant: TenantId, key: &str) -> Result<Option<Item>, StoreError> {
        let space = Some(Space::new(tenant));
        let range = Range { space, prefix: key.to_owned(), limit: 1, ..Range::default() };
        Ok(self.store.range(range).await?.items.into_iter().find(|item| item.key == key))
    }
}
