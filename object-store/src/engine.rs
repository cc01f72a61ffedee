//! What an engine promises.

use crate::operation::{Commit, Space};
use api_types::{Revision, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A store of versioned objects.
///
/// Guarantees: a commit that returned its revision survives `kill -9`; revisions grow by commit; a range shows
/// one revision of the whole store; a watch shows every later event once, in order of revision, all events of a
/// commit in one [`Batch`].
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Commits, and returns the new revision after the change is on disk. A commit whose operations change
    /// nothing (only deletions of absent keys) returns the current revision.
    async fn commit(&self, commit: Commit) -> Result<Revision, CommitError>;

    /// Reads keys in order.
    async fn range(&self, range: Range) -> Result<Page, StoreError>;

    /// Every event after `from`. [`StoreError::Compacted`] when the events after `from` are no longer kept.
    /// A consumer that lags by more than the engine's buffer sees the stream end, and watches again from the
    /// last revision it saw.
    async fn watch(&self, from: Revision) -> Result<Watch, StoreError>;

    /// The newest revision.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Forgets values that were replaced or removed at or before `at`; ranges and watches from before are then
    /// [`StoreError::Compacted`]. Returns when the decision is durable; space is given back in the background.
    async fn compact(&self, at: Revision) -> Result<(), StoreError>;

    /// Gives back all the space that compaction made free, and returns when it is done; false where that is left to
    /// the engine's own operators. Takes as long as writing what is kept anew; commits wait for the last part of it.
    async fn shrink(&self) -> Result<bool, StoreError>;

    /// Lets revisions go on after `floor`, in a store that holds no key: what another store issued up to there never
    /// comes again, and counts as compacted. [`StoreError::NotEmpty`] otherwise.
    async fn raise(&self, floor: Revision) -> Result<(), StoreError>;

    /// How large it is.
    async fn size(&self) -> Result<Size, StoreError>;

    /// An error when commits are not taken at the moment, with the reason.
    async fn writable(&self) -> Result<(), StoreError> {
        self.revision().await.map(drop)
    }

    /// Lets another process have it, where that would otherwise have to wait: the last that is asked of a store.
    async fn release(&self) {}
}

/// How large a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Which engine, and where it keeps things.
    pub engine: String,
    /// The newest revision.
    pub revision: Revision,
    /// The oldest that can be read, as far as it is known here.
    pub compacted: Revision,
    /// Bytes on disk. Of etcd: of the member that answers, with what others keep in it.
    pub disk_bytes: u64,
    /// Those of them that are in use.
    pub used_bytes: u64,
}

/// Which keys to read.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// One space, or all of them in order of tenant.
    pub space: Option<Space>,
    /// Only keys that start so.
    pub prefix: String,
    /// Only keys after this one (tenant and key): where the last page ended.
    pub after: Option<(TenantId, String)>,
    /// As of this revision; `None`: the newest.
    pub at: Option<Revision>,
    /// At most so many; `0`: all.
    pub limit: usize,
}

/// One stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whose.
    pub tenant: TenantId,
    /// The key in the tenant's space.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// When the key was last written.
    pub modified: Revision,
}

/// What a range read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The values in order of tenant and key.
    pub items: Vec<Item>,
    /// The revision that they show.
    pub revision: Revision,
    /// More keys follow the last one.
    pub more: bool,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub tenant: TenantId,
    /// The key in the tenant's space.
    pub key: String,
    /// The new value; `None`: removed.
    pub value: Option<Bytes>,
}

/// All changes of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The revision of the commit.
    pub revision: Revision,
    /// Its changes, in the order of its operations.
    pub events: Vec<Event>,
}

/// The stream of batches.
pub struct Watch {
    batches: mpsc::Receiver<Arc<Batch>>,
    opener: Option<Arc<dyn Opener>>,
    /// Received, and being opened.
    next: Option<Arc<Batch>>,
}

/// Makes what is stored into what is seen.
#[async_trait]
pub(crate) trait Opener: Send + Sync {
    /// True when the batch is not seen as it is stored.
    fn concerns(&self, batch: &Batch) -> bool;
    /// The batch as it is seen.
    async fn opened(&self, batch: &Batch) -> Batch;
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    pub(crate) fn new(batches: mpsc::Receiver<Arc<Batch>>) -> Self {
        Watch { batches, opener: None, next: None }
    }

    pub(crate) fn opened_by(self, opener: Arc<dyn Opener>) -> Self {
        Watch { opener: Some(opener), ..self }
    }

    /// The next batch; `None` says that the watch ended and must be made again. Nothing is lost when it is not waited
    /// for to the end.
    pub async fn recv(&mut self) -> Option<Arc<Batch>> {
        let batch = match self.next.take() {
            Some(batch) => batch,
            None => self.batches.recv().await?,
        };
        match &self.opener {
            Some(opener) if opener.concerns(&batch) => {
                self.next = Some(batch.clone());
                let opened = Arc::new(opener.opened(&batch).await);
                self.next = None;
                Some(opened)
            }
            _ => Some(batch),
        }
    }
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A precondition does not hold; nothing was done.
    #[error("precondition {index} does not hold: the key is at revision {actual}")]
    Precondition {
        /// Which of the preconditions, the first that fails.
        index: usize,
        /// Where the key is; zero when absent.
        actual: Revision,
    },
    /// The commit is malformed; nothing was done.
    #[error("malformed commit: {0}")]
    Malformed(&'static str),
    /// It is not known whether the commit happened: the connection was lost while it was under way.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The store cannot be used; nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store could not be read or opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was asked for is no longer kept.
    #[error("revision {requested} is compacted; the oldest kept is {oldest}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest that can be had.
        oldest: Revision,
    },
    /// The revision is not there yet.
    #[error("revision {requested} is in the future; the newest is {newest}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest there is.
        newest: Revision,
    },
    /// Another process has the store open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file.
        path: String,
    },
    /// The store was written by a newer release.
    #[error("{path} has format {found}; this release reads up to {supported}: use the newer release")]
    NewerFormat {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// The store holds something, where only an empty one will do.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The file, or the prefix of keys.
        path: String,
    },
    /// The store cannot be understood.
    #[error("{path} is corrupt: {why}")]
    Corrupt {
        /// The file or key.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A sealed value cannot be opened.
    #[error("{what} cannot be opened: {why}")]
    Sealed {
        /// Which.
        what: String,
        /// Why not.
        why: String,
    },
    /// The disk or the network failed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// What is wrong, for a message that says already that the store cannot be used.
    pub(crate) fn why(&self) -> String {
        match self {
            StoreError::Unavailable(why) => why.clone(),
            other => other.to_string(),
        }
    }
}
