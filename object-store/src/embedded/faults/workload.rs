//! What is written in these tests, and what has to be there afterwards.

use super::Dice;
use super::simulated::{Simulated, Step};
use crate::embedded::disk::Disk;
use crate::embedded::{EmbeddedOptions, EmbeddedStore, opening};
use crate::engine::{Batch, CommitError, Event, ObjectStore, Range, StoreError};
use crate::operation::{Commit, Space};
use api_types::{Revision, TenantId};
use bytes::Bytes;
use futures::future::join_all;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

const SPACES: u64 = 2;
const KEYS: u64 = 6;

/// Small tables, so that compaction has something to do; few pages in memory, so that reads are of the disk; a small log, so
/// that it is written over, and sometimes is too small.
pub fn options() -> EmbeddedOptions {
    let (page_cache_bytes, wal_half) = (64 << 10, 12 << 10);
    EmbeddedOptions { table_revisions: 6, page_cache_bytes, recent_bytes: 1, wal_half, ..Default::default() }
}

/// Opens the store of a disk, which gets an empty one when it is empty.
pub fn open(disk: Simulated) -> Result<EmbeddedStore, StoreError> {
    open_files(disk.files())
}

/// The same with these files, of which the second is the log.
pub fn open_files([file, log]: [impl StorageBackend; 2]) -> Result<EmbeddedStore, StoreError> {
    let empty = file.len().unwrap() == 0;
    let disk = Disk::new(file, log);
    if empty {
        opening::format("simulated", &disk, options().page_cache_bytes)?;
    }
    EmbeddedStore::on("simulated".to_owned(), disk, options())
}

/// What is done to some keys. The first is a put, so that every commit is one revision.
#[derive(Clone, Debug)]
pub struct Change(Vec<(Space, String, Option<Bytes>)>);

impl Change {
    /// Like no other of a run: `number` is in its values.
    pub fn of(dice: &mut Dice, number: u64) -> Self {
        let mut changes: Vec<(Space, String, Option<Bytes>)> = Vec::new();
        for index in 0..=dice.below(4) {
            let space = Space::new(TenantId::new(Uuid::from_u128(u128::from(dice.below(SPACES)))));
            let key = format!("key-{}", dice.below(KEYS));
            if changes.iter().any(|(other, known, _)| (other.tenant(), known) == (space.tenant(), &key)) {
                continue;
            }
            let size = if dice.below(8) == 0 { 9000 } else { dice.below(300) } as usize;
            let value = Bytes::from(format!("{number}/{index}/{}", "x".repeat(size)));
            let removed = index > 0 && dice.below(3) == 0;
            changes.push((space, key, (!removed).then_some(value)));
        }
        Change(changes)
    }

    pub fn commit(&self) -> Commit {
        let operations = self.0.iter().map(|(space, key, value)| match value {
            Some(value) => space.put(key, value.clone()),
            None => space.delete(key),
        });
        Commit { preconditions: Vec::new(), operations: operations.collect() }
    }

    /// What a watch shows of it when it comes after `contents`.
    fn events(&self, contents: &Contents) -> Vec<Event> {
        let shown = self.0.iter().filter(|(space, key, value)| {
            value.is_some() || contents.contains_key(&(space.tenant(), key.clone()))
        });
        let event = |(space, key, value): &(Space, String, Option<Bytes>)| Event {
            tenant: space.tenant(),
            key: key.clone(),
            value: value.clone(),
        };
        shown.map(event).collect()
    }
}

type Contents = BTreeMap<(TenantId, String), (Revision, Bytes)>;

/// What is known to be committed, at every revision from 0 on, and what may be.
#[derive(Clone, Default)]
pub struct History {
    changes: Vec<Change>,
    contents: Vec<Contents>,
    pub unknown: Vec<Change>,
    pub compacted: u64,
}

impl History {
    pub fn newest(&self) -> u64 {
        self.changes.len() as u64
    }

    fn contents(&self) -> Contents {
        self.contents.last().cloned().unwrap_or_default()
    }

    pub fn committed(&mut self, change: Change) {
        let revision = Revision(self.newest() + 1);
        let mut contents = self.contents();
        for event in change.events(&contents) {
            match event.value {
                Some(value) => contents.insert((event.tenant, event.key), (revision, value)),
                None => contents.remove(&(event.tenant, event.key)),
            };
        }
        self.contents.push(contents);
        self.changes.push(change);
    }

    /// The batch of a revision.
    pub fn batch(&self, revision: u64) -> Batch {
        let index = revision as usize - 1;
        let before = index.checked_sub(1).map(|before| self.contents[before].clone()).unwrap_or_default();
        Batch { revision: Revision(revision), events: self.changes[index].events(&before) }
    }

    fn at(&self, revision: u64) -> Contents {
        (revision as usize).checked_sub(1).map(|index| self.contents[index].clone()).unwrap_or_default()
    }

    /// Writes some groups, and compacts now and then, until something fails or all is written. The first failure.
    pub async fn write(
        &mut self,
        store: &EmbeddedStore,
        dice: &mut Dice,
        groups: u64,
        mut noted: impl FnMut(Step),
    ) -> Result<(), CommitError> {
        for group in 0..groups {
            let first = self.newest() + 1;
            let changes: Vec<Change> =
                (0..=dice.below(3)).map(|index| Change::of(dice, first + index)).collect();
            // All are queued before the first is answered.
            let answers = join_all(changes.iter().map(|change| store.commit(change.commit()))).await;
            let mut failure = None;
            for (change, answer) in changes.into_iter().zip(answers) {
                match answer {
                    Ok(revision) => {
                        assert_eq!(revision.0, self.newest() + 1);
                        assert!(failure.is_none(), "acknowledged after a failure");
                        self.committed(change);
                        noted(Step::Acknowledged(revision.0));
                    }
                    Err(error) => {
                        if matches!(error, CommitError::Unknown(_)) {
                            self.unknown.push(change);
                        }
                        failure.get_or_insert(error);
                    }
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            if group % 4 == 3 {
                let at = self.newest() - dice.below(3).min(self.newest());
                store.compact(Revision(at)).await?;
                self.compacted = self.compacted.max(at);
                noted(Step::Compacted(at));
            }
        }
        Ok(())
    }

    /// Asserts that a store has everything that was committed, and nothing that was not: of what may be committed
    /// each whole or not at all. Takes note of the latter.
    pub async fn check(&mut self, store: &EmbeddedStore) {
        let newest = store.revision().await.unwrap().0;
        assert!(newest >= self.newest(), "{newest} is the newest, and {} was acknowledged", self.newest());
        let size = store.size().await.unwrap();
        assert!(size.compacted.0 >= self.compacted, "{size:?}, and {} was compacted", self.compacted);
        let oldest = size.compacted.0;
        let mut watch = store.watch(Revision(oldest)).await.unwrap();
        for revision in oldest + 1..=newest {
            let batch = watch.recv().await.expect("the watch goes on");
            if revision > self.newest() {
                let contents = self.contents();
                let found = self.unknown.iter().position(|change| change.events(&contents) == batch.events);
                let found = found.unwrap_or_else(|| panic!("nobody wrote {batch:?}"));
                let change = self.unknown.remove(found);
                self.committed(change);
            }
            assert_eq!(*batch, self.batch(revision));
        }
        for at in [oldest, newest] {
            let page = store.range(Range { at: Some(Revision(at)), ..Range::default() }).await.unwrap();
            let items =
                page.items.into_iter().map(|item| ((item.tenant, item.key), (item.modified, item.value)));
            assert_eq!(items.collect::<Contents>(), self.at(at), "at {at}");
        }
    }

    /// The history that a crash left of a longer one.
    pub fn up_to(&self, acknowledged: u64, compacted: u64) -> History {
        let index = acknowledged as usize;
        History {
            changes: self.changes[..index].to_vec(),
            contents: self.contents[..index].to_vec(),
            unknown: self.changes[index..].to_vec(),
            compacted,
        }
    }
}

/// A history on a disk of its own, and the disk.
pub async fn written(seed: u64, groups: u64) -> (History, Simulated) {
    let disk = Simulated::default();
    let store = open(disk.clone()).unwrap();
    let mut history = History::default();
    let noted = |step| disk.note(step);
    history.write(&store, &mut Dice::of(seed), groups, noted).await.unwrap();
    drop(store);
    (history, disk)
}

/// What a watch has at once.
pub async fn ready(watch: &mut crate::engine::Watch) -> Option<Arc<Batch>> {
    tokio::select! {
        biased;
        batch = watch.recv() => Some(batch.expect("the watch goes on")),
        () = std::future::ready(()) => None,
    }
}
