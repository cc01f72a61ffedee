//! The thread of the tables: brings what was committed from the write-ahead log into the tables, many commits with one
//! transaction, and does what else writes there.
//!
//! Guarantees: a commit is read from memory until it is in the tables, and is in the log until its transaction is on the
//! disk. Limits: no more is in memory than the log has room for, and some hundred bytes for each commit.

use super::format::{LOGS, META_CLOSED, META_COMPACTED, Position, Record, encode, log_name, log_table};
use super::opening::change_meta;
use super::{Shared, Unapplied, file_error};
use crate::engine::StoreError;
use api_types::Revision;
use redb::{Database, ReadableTable, WriteTransaction};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
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
pub(super) fn start(shared: &Arc<Shared>, tasks: Receiver<Task>) -> Result<JoinHandle<()>, StoreError> {
    let of = shared.clone();
    shared.thread("store-apply", move || {
        let (buffer, shrinking) = (Vec::new(), Vec::new());
        Applier { shared: of, buffer, background: true, cleaning: None, shrinking }.run(&tasks);
    })
}

/// What comes next.
enum Next {
    Task(Task),
    /// Nothing until its time.
    Nothing,
    /// Nobody can ask any more.
    Over,
}

impl Next {
    /// Waits for so long; `None`: until there is something.
    fn wait(tasks: &Receiver<Task>, time: Option<Duration>) -> Self {
        let task = match time {
            None => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(time) => tasks.recv_timeout(time),
        };
        match task {
            Ok(task) => Next::Task(task),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Over,
        }
    }
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
            match Next::wait(tasks, if self.background { Some(Duration::ZERO) } else { wait }) {
                Next::Nothing | Next::Task(Task::Wait) => {}
                Next::Task(Task::Apply) => due = Some(Instant::now()),
                Next::Task(Task::Compact { at, reply }) => {
                    // An answer that nobody waits for any more is not missed, here and below.
                    let _ = reply.send(self.compact(at));
                    self.background = true;
                }
                Next::Task(Task::Shrink { reply }) => {
                    // What is not in the tables cannot be cleaned out of them.
                    self.settle(Self::apply_all);
                    self.shrinking.push(reply);
                    self.background = true;
                }
                Next::Task(Task::Close { reply }) => {
                    self.close();
                    let _ = reply.send(());
                }
                Next::Over => {
                    if self.shared.check_failed().is_ok() {
                        self.close();
                    }
                    return;
                }
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
        let newest = self.shared.state.read().index.newest();
        while !self.shared.state.read().is_applied(newest) {
            let waiting: Vec<Unapplied> = {
                let state = self.shared.state.read();
                let mut bytes = 0;
                let some = state.unapplied.iter().take_while(|unapplied| {
                    let before = bytes;
                    bytes += unapplied.bytes;
                    before < AT_ONCE
                });
                some.cloned().collect()
            };
            self.shared.apply(&waiting)?;
            self.shared.applied(waiting.len());
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

    /// Makes numbers of the store durable. They only grow: what two threads decide does not depend on who comes last.
    pub(super) fn note(&self, numbers: &[(&str, u64)]) -> Result<(), StoreError> {
        let database = self.database.read();
        let Some(database) = database.as_ref() else { return Err(self.closed()) };
        let written = change_meta(database, |meta| {
            for (name, number) in numbers {
                let known = meta.get(*name)?.map_or(0, |known| known.value());
                meta.insert(*name, known.max(*number))?;
            }
            Ok(())
        });
        let written = written.map_err(|error| file_error(&self.path, error));
        written.and_then(|()| self.check_disk()).inspect_err(|error| self.fail(error.why()))
    }

    /// So many of the oldest commits are in the tables.
    fn applied(&self, count: usize) {
        let mut state = self.state.write();
        let gone: Vec<Unapplied> = state.unapplied.drain(..count).collect();
        state.unapplied_bytes -= gone.iter().map(|gone| gone.bytes).sum::<usize>();
        drop(state);
        // Nobody is to wait for the memory of it.
        drop(gone);
        self.tell();
    }

    /// Waits until all up to a revision is in the tables; false when the store failed.
    pub(super) fn wait_until_applied(&self, revision: Revision) -> bool {
        let mut told = self.told.lock();
        loop {
            {
                let state = self.state.read();
                if state.is_applied(revision) || state.failed.is_some() {
                    return state.is_applied(revision);
                }
            }
            self.changed.wait(&mut told);
        }
    }

    /// Tells those who wait that something has changed.
    fn tell(&self) {
        drop(self.told.lock());
        self.changed.notify_all();
    }

    /// Commits nothing any more. The first reason is the one that is told.
    pub(super) fn fail(&self, why: String) {
        let why = self.check_disk().err().map_or(why, |first| first.why());
        tracing::error!(path = %self.path, %why, "the store commits nothing any more: start it again");
        self.state.write().failed.get_or_insert(why);
        self.tell();
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
