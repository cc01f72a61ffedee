//! The store of one process: a write-ahead log, and the tables of a revision log in a file beside it.
//!
//! Callers queue commits; one thread takes what is queued, checks preconditions against an index in memory, appends the
//! whole group to the write-ahead log with one sync, then gives the batches to watchers and answers the callers. Another one
//! brings what is in the log into the tables, many groups at once, in order of revision, which a B-tree takes several times
//! faster than random keys. In memory are keys and revisions, and the values that are not in the tables yet; all others
//! are read from the file.
//!
//! Read in this order: `format` (what lies in the file), `disk`, `wal`, `opening`, `index` (what is in memory), `committing`,
//! `applying`, `compaction`, `reading`, `maintenance`; and `faults`, the proof that disks which fail lose nothing.
//!
//! Guarantees: those of [`ObjectStore`], over `kill -9` and power loss on disks that honour fsync. A failure of
//! the disk stops all further commits, since what is on disk is then not known; reading goes on.
//! Caveats: opening reads the whole file. Space that compaction gives back is used again, but the file shrinks only
//! when it is asked for.

mod applying;
mod committing;
mod compaction;
mod disk;
#[cfg(test)]
mod faults;
mod format;
mod index;
mod maintenance;
mod opening;
mod reading;
mod wal;

use crate::engine::{Batch, CommitError, ObjectStore, Page, Range, Size, StoreError, Watch};
use crate::feed::{Feed, FeedLimits, Joined};
use crate::operation::Commit;
use api_types::Revision;
use applying::Task;
use async_trait::async_trait;
use bytes::Bytes;
use committing::Job;
use disk::Disk;
use index::{Index, Version};
use opening::Opened;
use parking_lot::{Condvar, Mutex, RwLock};
use redb::Database;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// The files in the store's directory.
const FILE: &str = "objects.redb";
const LOG: &str = "objects.wal";
/// So many may ask the thread of the tables for something.
const TASKS: usize = 64;

/// Limits of an [`EmbeddedStore`].
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// Bytes of file pages kept in memory.
    pub page_cache_bytes: usize,
    /// Commits waiting for the commit thread; more wait outside.
    pub queue: usize,
    /// The most commits that share an fsync.
    pub group: usize,
    /// Batches that a watcher may lag behind before its stream ends.
    pub watch_buffer: usize,
    /// Bytes of recent batches kept in memory for watches that start a little in the past.
    pub recent_bytes: usize,
    /// Revisions in one table of the log, the unit in which compaction gives space back.
    pub table_revisions: u64,
    /// A table of so many bytes is closed earlier.
    pub table_bytes: u64,
    /// Bytes of each half of the write-ahead log of a store that is new, or was closed; 4 KiB at least.
    pub wal_half: u64,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            page_cache_bytes: 16 << 20,
            queue: 1024,
            group: 256,
            watch_buffer: 4096,
            recent_bytes: 8 << 20,
            table_revisions: 65_536,
            table_bytes: 64 << 20,
            wal_half: 8 << 20,
        }
    }
}

/// A store in a directory of this machine. Dropping it ends its threads and gives the files free.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    jobs: Option<mpsc::Sender<Job>>,
    tasks: Option<SyncSender<Task>>,
    committing: Option<JoinHandle<()>>,
    applying: Option<JoinHandle<()>>,
}

/// What the threads and the callers share. Locks are taken in the order of the fields.
struct Shared {
    /// For messages.
    path: String,
    options: EmbeddedOptions,
    /// Both files.
    disk: Arc<Disk>,
    /// `None` once the store is closed.
    database: RwLock<Option<Database>>,
    /// For who waits until something is in the tables, or the store has failed.
    told: Mutex<()>,
    changed: Condvar,
    state: RwLock<State>,
    feed: Feed,
}

/// What is in memory of the file.
#[derive(Debug, Default)]
struct State {
    index: Index,
    /// The log tables by number.
    logs: BTreeMap<u32, Log>,
    /// The commits that are not in the tables yet, oldest first, and their bytes.
    unapplied: VecDeque<Unapplied>,
    unapplied_bytes: usize,
    /// Why nothing can be committed any more.
    failed: Option<String>,
}

/// One log table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Log {
    /// The first revision appended to it.
    first: u64,
    /// The bytes of its records.
    bytes: u64,
}

/// A commit, and where in the tables it belongs.
#[derive(Clone, Debug)]
struct Unapplied {
    batch: Arc<Batch>,
    table: u32,
    /// Of its records.
    bytes: usize,
}

/// Which tables the next commits belong into.
struct Tables<'a> {
    options: &'a EmbeddedOptions,
    newest: Option<(u32, Log)>,
}

impl EmbeddedStore {
    /// Opens the store in a directory, which is made when it is not there. Reads the whole file: about a second
    /// for each million records.
    ///
    /// Errors: [`StoreError::InUse`], [`StoreError::NewerFormat`], [`StoreError::Corrupt`] with what is wrong,
    /// [`StoreError::Unavailable`] for what the file system refuses.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> Result<Self, StoreError> {
        let file = dir.join(FILE);
        let path = file.display().to_string();
        let disk = opening::disk(&file, options.page_cache_bytes)?;
        Self::on(path, disk, options)
    }

    /// The store on a disk that holds one.
    fn on(path: String, disk: Arc<Disk>, options: EmbeddedOptions) -> Result<Self, StoreError> {
        let Opened { database, state, wal } = opening::open(&path, &disk, options)?;
        let limits =
            FeedLimits { recent_batches: options.watch_buffer / 2, recent_bytes: options.recent_bytes };
        let feed = Feed::new(state.index.newest(), limits);
        let shared = Arc::new(Shared {
            path,
            options,
            disk,
            database: RwLock::new(Some(database)),
            told: Mutex::default(),
            changed: Condvar::new(),
            state: RwLock::new(state),
            feed,
        });
        let (jobs, queue) = mpsc::channel(options.queue.max(1));
        let (tasks, asked) = sync_channel(TASKS);
        let applying = Some(applying::start(&shared, asked)?);
        let committing = Some(committing::start(&shared, wal, queue, tasks.clone())?);
        Ok(EmbeddedStore { shared, jobs: Some(jobs), tasks: Some(tasks), committing, applying })
    }

    /// True when a store is in a directory.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Ends watches, finishes what is queued, and gives the file free. Dropping the store does the same.
    pub fn close(self) {
        drop(self);
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Lost> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Lost::BeforeWork)?;
        jobs.send(job(reply)).await.map_err(|_| Lost::BeforeWork)?;
        answer.await.map_err(|_| Lost::Unknown)
    }

    async fn ask_applier<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Task,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let tasks = self.tasks.as_ref().ok_or_else(|| self.stopped())?;
        tasks.try_send(task(reply)).map_err(|error| match error {
            TrySendError::Full(_) => {
                StoreError::Unavailable(format!("{}: too much is asked of it", self.shared.path))
            }
            TrySendError::Disconnected(_) => self.stopped(),
        })?;
        answer.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn stopped(&self) -> StoreError {
        let why = self.shared.state.read().failed.clone();
        StoreError::Unavailable(why.unwrap_or_else(|| format!("{} is closed", self.shared.path)))
    }
}

/// The commit thread did not answer.
enum Lost {
    /// It never saw the job.
    BeforeWork,
    /// It ended, perhaps in the middle of it.
    Unknown,
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        let path = self.shared.path.clone();
        let ends = |thread: &mut Option<JoinHandle<()>>| {
            if thread.take().is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(%path, "a thread of the store ended by a panic");
            }
        };
        self.jobs = None;
        ends(&mut self.committing);
        // It brings the last commits into the tables.
        self.tasks = None;
        ends(&mut self.applying);
        self.shared.feed.close();
        *self.shared.database.write() = None;
    }
}

#[async_trait]
impl ObjectStore for EmbeddedStore {
    async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        commit.check().map_err(CommitError::Malformed)?;
        match self.ask(|reply| Job::Commit { commit, reply }).await {
            Ok(result) => result,
            Err(Lost::BeforeWork) => Err(self.stopped().into()),
            Err(Lost::Unknown) => Err(CommitError::Unknown("the commit thread ended".into())),
        }
    }

    async fn range(&self, range: Range) -> Result<Page, StoreError> {
        let shared = self.shared.clone();
        let page = tokio::task::spawn_blocking(move || shared.read_range(&range));
        page.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        {
            let state = self.shared.state.read();
            state.check_readable(from)?;
        }
        let (sender, watch) = mpsc::channel(self.shared.options.watch_buffer.max(1));
        match self.shared.feed.join(from, &sender) {
            Joined::Live => {}
            Joined::Closed => return Err(self.stopped()),
            // The task ends by itself when it has gone live, when its watcher is gone, and when the store is
            // closed; an error ends the stream, and the watcher comes again.
            Joined::Behind => {
                tokio::spawn(reading::replay(Arc::downgrade(&self.shared), from, sender));
            }
        }
        Ok(Watch::new(watch))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.shared.state.read().index.newest())
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.ask_applier(|reply| Task::Compact { at, reply }).await
    }

    async fn shrink(&self) -> Result<bool, StoreError> {
        self.ask_applier(|reply| Task::Shrink { reply }).await
    }

    async fn raise(&self, floor: Revision) -> Result<(), StoreError> {
        self.ask(|reply| Job::Raise { floor, reply }).await.unwrap_or_else(|_| Err(self.stopped()))
    }

    async fn size(&self) -> Result<Size, StoreError> {
        self.shared.size()
    }

    async fn writable(&self) -> Result<(), StoreError> {
        self.shared.check_failed()
    }

    /// Brings all into the tables. The file is free when the store is dropped.
    async fn release(&self) {
        // When the thread is gone, there is nothing to bring.
        let _ = self.ask(|reply| Job::Close { reply }).await;
    }
}

impl Shared {
    /// A thread of the store. A panic fails the store.
    fn thread(
        self: &Arc<Self>,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, StoreError> {
        let shared = self.clone();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                shared.fail(format!("the thread {name} ended by a panic"));
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        thread.map_err(|error| StoreError::Unavailable(format!("the thread {name} cannot start: {error}")))
    }

    /// An error when the disk failed; to be asked after each transaction, which redb believes to be done.
    fn check_disk(&self) -> Result<(), StoreError> {
        let failure = self.disk.failure();
        failure.map_or(Ok(()), |why| Err(StoreError::Unavailable(format!("{}: {why}", self.path))))
    }

    /// An error when nothing is committed any more.
    fn check_failed(&self) -> Result<(), StoreError> {
        let failed = self.state.read().failed.clone();
        failed.map_or_else(|| self.check_disk(), |why| Err(StoreError::Unavailable(why)))
    }
}

impl Tables<'_> {
    /// A commit gets the newest table, or a new one where that is full.
    fn place(&mut self, batch: Arc<Batch>, sizes: &[u32]) -> Unapplied {
        let revision = batch.revision.0;
        let (table, log) = match self.newest {
            Some((number, log))
                if revision - log.first < self.options.table_revisions
                    && log.bytes < self.options.table_bytes =>
            {
                (number, log)
            }
            last => (last.map_or(1, |(number, _)| number + 1), Log { first: revision, bytes: 0 }),
        };
        let bytes = sizes.iter().map(|size| *size as usize).sum();
        self.newest = Some((table, Log { bytes: log.bytes + bytes as u64, ..log }));
        Unapplied { batch, table, bytes }
    }
}

impl State {
    /// The tables for what is committed next.
    fn tables<'a>(&self, options: &'a EmbeddedOptions) -> Tables<'a> {
        Tables { options, newest: self.logs.last_key_value().map(|(number, log)| (*number, *log)) }
    }

    /// Takes in a commit, whose records are of these lengths.
    fn committed(&mut self, Unapplied { batch, table, .. }: &Unapplied, sizes: &[u32]) {
        let revision = batch.revision.0;
        let log = self.logs.entry(*table).or_insert(Log { first: revision, bytes: 0 });
        for ((index, event), size) in (0u32..).zip(&batch.events).zip(sizes) {
            let removed = event.value.is_none();
            let version = Version { revision, table: *table, index, size: *size, removed };
            log.bytes += u64::from(*size);
            self.index.append(event.tenant, &event.key, version);
        }
    }

    /// A commit is in the log, and not in the tables yet.
    fn wait(&mut self, commit: Unapplied) {
        self.unapplied_bytes += commit.bytes;
        self.unapplied.push_back(commit);
    }

    /// Whether all commits up to this one are in the tables.
    fn is_applied(&self, revision: Revision) -> bool {
        self.unapplied.front().is_none_or(|first| first.batch.revision > revision)
    }

    /// The newest table that is in the file.
    fn newest_applied(&self) -> Option<u32> {
        let waits = self.unapplied.front();
        let is_there = |(number, log): &(&u32, &Log)| {
            waits.is_none_or(|waits| **number < waits.table || log.first < waits.batch.revision.0)
        };
        self.logs.iter().rev().find(is_there).map(|(number, _)| *number)
    }

    /// The value of a key that is not in the tables yet.
    fn unapplied_value(&self, version: &Version) -> Option<Bytes> {
        let first = self.unapplied.front()?.batch.revision.0;
        if version.revision < first {
            return None;
        }
        let at = self.unapplied.partition_point(|commit| commit.batch.revision.0 < version.revision);
        let commit = self.unapplied.get(at).filter(|commit| commit.batch.revision.0 == version.revision)?;
        commit.batch.events.get(version.index as usize)?.value.clone()
    }

    /// An error when what was there at a revision cannot be told.
    fn check_readable(&self, at: Revision) -> Result<(), StoreError> {
        let (oldest, newest) = (self.index.compacted(), self.index.newest());
        if at < oldest {
            return Err(StoreError::Compacted { requested: at, oldest });
        }
        if at > newest {
            return Err(StoreError::Future { requested: at, newest });
        }
        Ok(())
    }
}

/// Translates an error of the file's engine.
fn file_error(path: &str, error: impl Into<redb::Error>) -> StoreError {
    use redb::Error;
    use std::io::ErrorKind;
    let path = path.to_owned();
    match error.into() {
        Error::DatabaseAlreadyOpen => StoreError::InUse { path },
        Error::Corrupted(why) => StoreError::Corrupt { path, why },
        Error::Io(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            StoreError::Corrupt { path, why: error.to_string() }
        }
        error @ (Error::TableTypeMismatch { .. }
        | Error::TableDoesNotExist(_)
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. }
        | Error::UpgradeRequired(_)
        | Error::RepairAborted) => StoreError::Corrupt { path, why: error.to_string() },
        error => StoreError::Unavailable(format!("{path}: {error}")),
    }
}
