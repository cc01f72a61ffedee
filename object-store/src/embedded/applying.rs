//! The thread of the tables: brings what was committed from the write-ahead log into the tables, many commits with one
//! transaction, and does what else writes there.
//!
//! Guarantees: a commit is read from memory until it is in the tables, and is in the log until its transaction is on the
//! disk. Limits: no more is in memory than the log has room for, and some hundred bytes for each commit.

use super::format::{LOGS, META, META_CLOSED, META_COMPACTED, Position, Record, encode, log_name, log_table};
use super::{Shared, Unapplied, file_error};
use crate::engine::StoreError;
use api_types::Revision;
use redb::{Database, ReadableTable, WriteTransaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A commit is in the tables so long after it was made, or earlier.
const EVERY: Duration = Duration::from_millis(500);
/// The most bytes of keys and values that share a transaction; one commit may be larger.
const AT_ONCE: usize = 4 << 20;

/// What is asked of the thread.
pub(super) enum Task {
    /// Something waits that is not in the tables yet.
    Wait,
    /// So much does that it shall not wait for its time.
    Apply,
    Compact {
        at: Revision,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    Shrink {
        reply: Shrunk,
    },
    /// Nothing is committed any more.
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// Who waits for the file to be smaller.
pub(super) type Shrunk = oneshot::Sender<Result<bool, StoreError>>;

/// Starts the thread. It ends when nobody can ask it any more and all is in the tables. A panic, which only damage in the
/// file can cause, fails the store.
pub(super) fn start(shared: Arc<Shared>, tasks: Receiver<Task>) -> Result<JoinHandle<()>, StoreError> {
    let run = move || {
        let mut applier =
            Applier { shared, buffer: Vec::new(), background: true, cleaning: None, shrinking: Vec::new() };
        if catch_unwind(AssertUnwindSafe(|| applier.run(&tasks))).is_err() {
            applier.shared.fail("the thread of the tables ended by a panic".into());
        }
    };
    std::thread::Builder::new()
        .name("store-apply".into())
        .spawn(run)
        .map_err(|error| StoreError::Unavailable(format!("the thread of the tables cannot start: {error}")))
}

pub(super) struct Applier {
    pub shared: Arc<Shared>,
    pub buffer: Vec<u8>,
    /// Compaction has, or may have, something to do.
    background: bool,
    /// The table that is being cleaned, and where to go on in it.
    pub cleaning: Option<(u32, Position)>,
    /// Who waits until there is nothing left to compact.
    pub shrinking: Vec<Shrunk>,
}

impl Applier {
    fn run(&mut self, tasks: &Receiver<Task>) {
        // When what waits is brought into the tables, once something does.
        let mut due: Option<Instant> = self.waits().then(|| Instant::now() + EVERY);
        loop {
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            let task = match if self.background { Some(Duration::ZERO) } else { wait } {
                None => tasks.recv().map_err(|_| true),
                Some(Duration::ZERO) => tasks.try_recv().map_err(|error| error == TryRecvError::Disconnected),
                Some(wait) => {
                    tasks.recv_timeout(wait).map_err(|error| error == RecvTimeoutError::Disconnected)
                }
            };
            match task {
                Ok(Task::Wait) => {}
                Ok(Task::Apply) => due = Some(Instant::now()),
                Ok(Task::Compact { at, reply }) => {
                    // An answer that nobody waits for any more is not missed, here and below.
                    let _ = reply.send(self.compact(at));
                    self.background = true;
                }
                Ok(Task::Shrink { reply }) => {
                    // What is not in the tables cannot be cleaned out of them.
                    self.settle(Self::apply_all);
                    self.shrinking.push(reply);
                    self.background = true;
                }
                Ok(Task::Close { reply }) => {
                    self.close();
                    let _ = reply.send(());
                }
                Err(true) => {
                    if self.shared.check_failed().is_ok() {
                        self.close();
                    }
                    return;
                }
                Err(false) => {}
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                self.settle(Self::apply_all);
                due = None;
                // There may be a table now that the oldest can be cleaned into.
                self.background = true;
            }
            if due.is_none() && self.waits() {
                due = Some(Instant::now() + EVERY);
            }
            if self.background {
                let mut more = false;
                self.settle(|applier| applier.compact_some().map(|goes_on| more = goes_on));
                self.background = more;
                if !self.background {
                    self.shrink();
                }
            }
        }
    }

    /// Whether something is not in the tables yet, and can come there.
    fn waits(&self) -> bool {
        let state = self.shared.state.read();
        !state.unapplied.is_empty() && state.failed.is_none()
    }

    /// Does something; a failure is that of the store.
    fn settle(&mut self, work: impl FnOnce(&mut Self) -> Result<(), StoreError>) {
        if self.shared.state.read().failed.is_some() {
            return;
        }
        if let Err(error) = work(self) {
            self.shared.fail(error.why());
        }
    }

    /// Brings all into the tables that is committed by now.
    pub(super) fn apply_all(&mut self) -> Result<(), StoreError> {
        let newest = self.shared.state.read().unapplied.back().map(|unapplied| unapplied.batch.revision);
        while self.shared.applied_up_to() < newest.unwrap_or_default() {
            let waiting: Vec<Unapplied> = {
                let state = self.shared.state.read();
                let mut bytes = 0;
                let some = state.unapplied.iter().take_while(|unapplied| {
                    let before = bytes;
                    bytes += unapplied.bytes();
                    before < AT_ONCE
                });
                some.cloned().collect()
            };
            let Some(last) = waiting.last().map(|unapplied| unapplied.batch.revision) else { break };
            self.shared.apply(&waiting)?;
            self.shared.applied(last);
        }
        Ok(())
    }

    /// Makes the decision durable that history up to `at` is forgotten.
    fn compact(&mut self, at: Revision) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        shared.check_failed()?;
        {
            let state = shared.state.read();
            let newest = state.index.newest();
            if at > newest {
                return Err(StoreError::Future { requested: at, newest });
            }
            if at <= state.index.compacted() {
                return Ok(());
            }
        }
        // What the file says of history is of what is in it.
        let applied = self.apply_all();
        applied.inspect_err(|error| shared.fail(error.why()))?;
        shared.note(&[(META_COMPACTED, at.0)])?;
        shared.state.write().index.set_compacted(at);
        Ok(())
    }

    /// Nothing comes any more: all is brought into the tables, and the file says so.
    fn close(&mut self) {
        let closed = self.apply_all().and_then(|()| self.shared.note(&[(META_CLOSED, 1)]));
        if let Err(error) = closed {
            self.shared.fail(error.why());
        }
    }
}

impl Shared {
    /// Brings commits into the tables, with one transaction.
    pub(super) fn apply(&self, commits: &[Unapplied]) -> Result<(), StoreError> {
        let database = self.database.read();
        let Some(database) = database.as_ref() else { return Err(self.closed()) };
        write(database, commits).map_err(|error| file_error(&self.path, error))?;
        self.check_disk()
    }

    /// Makes numbers of the store durable. History that is forgotten stays so.
    pub(super) fn note(&self, numbers: &[(&str, u64)]) -> Result<(), StoreError> {
        let database = self.database.read();
        let Some(database) = database.as_ref() else { return Err(self.closed()) };
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                for (name, number) in numbers {
                    let known = meta.get(*name)?.map_or(0, |known| known.value());
                    let number = if *name == META_COMPACTED { known.max(*number) } else { *number };
                    meta.insert(*name, number)?;
                }
            }
            transaction.commit()?;
            Ok(())
        };
        let written = write().map_err(|error| file_error(&self.path, error));
        written.and_then(|()| self.check_disk()).inspect_err(|error| self.fail(error.why()))
    }

    /// All commits up to this one are in the tables.
    pub(super) fn applied(&self, last: Revision) {
        let mut state = self.state.write();
        let count = state.unapplied.partition_point(|unapplied| unapplied.batch.revision <= last);
        let gone: Vec<Unapplied> = state.unapplied.drain(..count).collect();
        state.unapplied_bytes -= gone.iter().map(Unapplied::bytes).sum::<usize>();
        drop(state);
        // Nobody is to wait for the memory of it.
        drop(gone);
        let mut applied = self.applied.lock();
        *applied = last.max(*applied);
        self.applied_changed.notify_all();
    }

    /// Up to which commit all are in the tables.
    pub(super) fn applied_up_to(&self) -> Revision {
        *self.applied.lock()
    }

    /// Waits until all up to a revision is in the tables; false when the store failed.
    pub(super) fn wait_until_applied(&self, revision: Revision) -> bool {
        let mut applied = self.applied.lock();
        while *applied < revision {
            if self.state.read().failed.is_some() {
                return false;
            }
            self.applied_changed.wait(&mut applied);
        }
        true
    }

    /// Commits nothing any more. The first reason is the one that is told.
    pub(super) fn fail(&self, why: String) {
        let why = self.check_disk().err().map_or(why, |first| first.why());
        tracing::error!(path = %self.path, %why, "the store commits nothing any more: start it again");
        self.state.write().failed.get_or_insert(why);
        // Who waits for the tables is not to wait for ever.
        drop(self.applied.lock());
        self.applied_changed.notify_all();
    }
}

fn write(database: &Database, commits: &[Unapplied]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for same in commits.chunk_by(|one, other| one.table == other.table) {
        append(&transaction, same)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Appends the records of commits to their table.
fn append(transaction: &WriteTransaction, commits: &[Unapplied]) -> Result<(), redb::Error> {
    let Some(first) = commits.first() else { return Ok(()) };
    {
        let mut logs = transaction.open_table(LOGS)?;
        // Of a table that is not there yet these are the first commits.
        let is_known = logs.get(first.table)?.is_some();
        if !is_known {
            logs.insert(first.table, first.batch.revision.0)?;
        }
    }
    let name = log_name(first.table);
    let mut table = transaction.open_table(log_table(&name))?;
    let mut buffer = Vec::new();
    for Unapplied { batch, .. } in commits {
        for (index, event) in (0u32..).zip(&batch.events) {
            let record = Record { tenant: event.tenant, key: &event.key, value: event.value.as_deref() };
            let position = (batch.revision.0, index);
            encode(position, &record, &mut buffer);
            table.insert(position, buffer.as_slice())?;
        }
    }
    Ok(())
}
