//! Copies of a store, or of one space of it, as of one revision: made while everything runs, and put into an empty store.
//!
//! Read in this order: `frames` (the bytes of a copy), [`Backup`] (makes one), [`Reader`] (reads it), [`Restore`] (puts it
//! into a store). What is sealed stays sealed: a copy is worth nothing without the installation's sealing keys.
//!
//! Guarantees: a copy shows one revision. One that is cut off or damaged is refused. Revisions of the restored store
//! begin [`GAP`] above the copy's, so that none that was issued since comes again. A restore that did not end is found by
//! [`is_unfinished`].

mod frames;

pub use frames::{Damage, Entry, Head, Reader};

use crate::engine::{CommitError, Item, ObjectStore, Range, StoreError};
use crate::operation::{Commit, Space};
use crate::paging::Paging;
use api_types::{Revision, TenantId};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// How far above a copy's revision those of the store begin into which it is put.
pub const GAP: u64 = 1_000_000_000;

/// The most values of a commit of a restore: it has room for the data keys of planes, where values are sealed.
const COMMIT_ITEMS: usize = 50;
/// The most bytes of one, unless one value is larger: less than etcd takes.
const COMMIT_BYTES: usize = 1 << 20;

/// Stands in a store for as long as a restore into it is under way.
const UNFINISHED: &str = ".restore//unfinished";

/// A copy that is being made.
pub struct Backup {
    store: Arc<dyn ObjectStore>,
    range: Range,
    revision: Revision,
    items: u64,
    paging: Paging,
    state: State,
}

enum State {
    Head(Bytes),
    Items,
    Done,
}

impl Backup {
    /// Begins a copy of a space, or of all, as it is now. `note` is the maker's, and is read back as it is.
    pub async fn begin(
        store: Arc<dyn ObjectStore>,
        space: Option<Space>,
        note: Bytes,
    ) -> Result<Self, StoreError> {
        let revision = store.revision().await?;
        let range = Range { space, at: Some(revision), ..Range::default() };
        Ok(Backup { store, range, revision, items: 0, paging: Paging::default(), state: State::Head(note) })
    }

    /// The revision that it shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many values it has so far.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// The next bytes; `None` when it is whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut out = BytesMut::new();
        match std::mem::replace(&mut self.state, State::Items) {
            State::Head(note) => frames::write_head(&Head { revision: self.revision, note }, &mut out),
            State::Items => {
                self.range.limit = self.paging.limit();
                let page = self.store.range(self.range.clone()).await?;
                for item in &page.items {
                    frames::write_item(item, &mut out);
                }
                self.items += page.items.len() as u64;
                self.paging.had(out.len());
                self.range.after = page.items.last().map(|last| (last.tenant, last.key.clone()));
                if !page.more {
                    frames::write_end(self.items, &mut out);
                    self.state = State::Done;
                }
            }
            State::Done => {
                self.state = State::Done;
                return Ok(None);
            }
        }
        Ok(Some(out.freeze()))
    }
}

/// A copy that is being put into a store.
pub struct Restore<'a> {
    store: &'a dyn ObjectStore,
    commit: Commit,
    bytes: usize,
    items: u64,
}

impl<'a> Restore<'a> {
    /// Begins: the store must hold nothing.
    pub async fn begin(store: &'a dyn ObjectStore, head: &Head) -> Result<Self, CommitError> {
        store.raise(Revision(head.revision.0.saturating_add(GAP))).await?;
        let mark = Space::new(TenantId::HOST).put(UNFINISHED, Bytes::from_static(b"1"));
        store.commit(Commit { operations: vec![mark], ..Commit::default() }).await?;
        Ok(Restore { store, commit: Commit::default(), bytes: 0, items: 0 })
    }

    /// Puts a value.
    pub async fn put(&mut self, item: Item) -> Result<(), CommitError> {
        let size = item.key.len() + item.value.len();
        if self.commit.operations.len() == COMMIT_ITEMS || self.bytes + size > COMMIT_BYTES {
            self.flush().await?;
        }
        self.bytes += size;
        self.items += 1;
        self.commit.operations.push(Space::new(item.tenant).put(item.key, item.value));
        Ok(())
    }

    /// Ends: from now on the store is whole. Returns how many values were put.
    pub async fn finish(mut self) -> Result<u64, CommitError> {
        self.flush().await?;
        let unmark = Space::new(TenantId::HOST).delete(UNFINISHED);
        self.store.commit(Commit { operations: vec![unmark], ..Commit::default() }).await?;
        Ok(self.items)
    }

    async fn flush(&mut self) -> Result<(), CommitError> {
        let commit = std::mem::take(&mut self.commit);
        self.bytes = 0;
        if !commit.operations.is_empty() {
            self.store.commit(commit).await?;
        }
        Ok(())
    }
}

/// True for a store into which a restore began and did not end.
pub async fn is_unfinished(store: &dyn ObjectStore) -> Result<bool, StoreError> {
    let space = Some(Space::new(TenantId::HOST));
    let range = Range { space, prefix: UNFINISHED.to_owned(), limit: 1, ..Range::default() };
    Ok(!store.range(range).await?.items.is_empty())
}
