//! The commit thread: takes what is queued, checks it, writes it with one fsync, tells watchers, answers.

use super::format::{LOGS, META, META_COMPACTED, Position, Record, encode, log_name, log_table};
use super::index::{Index, Version};
use super::{Log, Shared, file_error};
use crate::engine::{Batch, CommitError, Event, StoreError};
use crate::operation::{Action, Commit, Precondition};
use api_types::{Revision, TenantId};
use redb::{Database, WriteTransaction};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tokio::sync::oneshot;

/// The most bytes of keys and values that share an fsync; one commit may be larger.
const GROUP_BYTES: usize = 8 << 20;

/// What callers ask of the thread.
pub(super) enum Job {
    Commit { commit: Commit, reply: oneshot::Sender<Result<Revision, CommitError>> },
    Compact { at: Revision, reply: oneshot::Sender<Result<(), StoreError>> },
    Shrink { reply: Shrunk },
    Raise { floor: Revision, reply: oneshot::Sender<Result<(), StoreError>> },
}

/// Who waits for the file to be smaller.
pub(super) type Shrunk = oneshot::Sender<Result<bool, StoreError>>;

type CommitJob = (Commit, oneshot::Sender<Result<Revision, CommitError>>);

/// Starts the thread. It ends when every sender of jobs is gone and the queue is empty. A panic, which only
/// damage in the file can cause, fails the store: it is logged, and nothing is committed any more.
pub(super) fn start(shared: Arc<Shared>, jobs: Receiver<Job>) -> Result<JoinHandle<()>, StoreError> {
    let run = move || {
        let mut committer =
            Committer { shared, buffer: Vec::new(), background: true, cleaning: None, shrinking: Vec::new() };
        if catch_unwind(AssertUnwindSafe(|| committer.run(jobs))).is_err() {
            committer.fail("the commit thread ended by a panic".into());
        }
    };
    std::thread::Builder::new()
        .name("store-commit".into())
        .spawn(run)
        .map_err(|error| StoreError::Unavailable(format!("the commit thread cannot start: {error}")))
}

pub(super) struct Committer {
    pub shared: Arc<Shared>,
    pub buffer: Vec<u8>,
    /// Compaction has, or may have, something to do.
    background: bool,
    /// The table that is being cleaned, and where to go on in it.
    pub cleaning: Option<(u32, Position)>,
    /// Who waits until there is nothing left to compact.
    pub shrinking: Vec<Shrunk>,
}

/// A commit whose preconditions hold, and its events.
struct Planned {
    batch: Batch,
}

impl Committer {
    fn run(&mut self, mut jobs: Receiver<Job>) {
        let mut next = None;
        loop {
            let job = match next.take() {
                Some(job) => Some(job),
                None if self.background => match jobs.try_recv() {
                    Ok(job) => Some(job),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return,
                },
                None => match jobs.blocking_recv() {
                    Some(job) => Some(job),
                    None => return,
                },
            };
            match job {
                None => {}
                Some(Job::Compact { at, reply }) => {
                    // An answer that nobody waits for any more is not missed, here and below.
                    let _ = reply.send(self.compact(at));
                    self.background = true;
                }
                Some(Job::Shrink { reply }) => {
                    self.shrinking.push(reply);
                    self.background = true;
                }
                Some(Job::Raise { floor, reply }) => {
                    let _ = reply.send(self.raise(floor));
                }
                Some(Job::Commit { commit, reply }) => {
                    let mut bytes = weight(&commit);
                    let mut group = vec![(commit, reply)];
                    while group.len() < self.shared.options.group && bytes < GROUP_BYTES {
                        match jobs.try_recv() {
                            Ok(Job::Commit { commit, reply }) => {
                                bytes += weight(&commit);
                                group.push((commit, reply));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(group);
                }
            }
            if self.background {
                self.background = match self.compact_some() {
                    Ok(more) => more,
                    Err(error) => {
                        self.fail(error.why());
                        false
                    }
                };
                if !self.background {
                    self.shrink();
                }
            }
        }
    }

    /// Commits a group at once: all its commits are on disk, or none is.
    fn commit(&mut self, group: Vec<CommitJob>) {
        let shared = self.shared.clone();
        let database = shared.database.read();
        let failed = shared.state.read().failed.clone();
        let (Some(database), None) = (database.as_ref(), &failed) else {
            let why = failed.unwrap_or_else(|| "the store is closed".into());
            for (_, reply) in group {
                let _ = reply.send(Err(StoreError::Unavailable(why.clone()).into()));
            }
            return;
        };

        let (planned, answers) = plan_group(&shared.state.read().index, group);
        let done = if planned.is_empty() { Ok(()) } else { self.write(database, planned) };
        match done {
            Ok(()) => {
                for (reply, answer) in answers {
                    let _ = reply.send(answer);
                }
            }
            Err(failure) => {
                self.fail(failure.why());
                for (reply, _) in answers {
                    let _ = reply.send(Err(failure.answer()));
                }
            }
        }
    }

    /// Writes, then shows to readers and watchers.
    fn write(&mut self, database: &Database, planned: Vec<Planned>) -> Result<(), Failure> {
        let shared = self.shared.clone();
        let before = |error: redb::Error| Failure::Before(file_error(&shared.path, error));
        let mut logs = shared.state.read().logs.clone();
        let transaction = database.begin_write().map_err(|error| before(error.into()))?;
        let versions = self.append(&transaction, &mut logs, &planned).map_err(before)?;
        shared.check_disk().map_err(Failure::Before)?;
        transaction.commit().map_err(|error| Failure::During(file_error(&shared.path, error)))?;
        shared.check_disk().map_err(Failure::During)?;

        {
            let mut state = shared.state.write();
            state.logs = logs;
            for (planned, versions) in planned.iter().zip(&versions) {
                for (event, version) in planned.batch.events.iter().zip(versions) {
                    state.index.append(event.tenant, &event.key, *version);
                }
            }
        }
        for planned in planned {
            shared.feed.publish(Arc::new(planned.batch));
        }
        Ok(())
    }

    /// Appends the records of a group, with a new table where the newest is full. Returns where they lie.
    fn append(
        &mut self,
        transaction: &WriteTransaction,
        logs: &mut BTreeMap<u32, Log>,
        planned: &[Planned],
    ) -> Result<Vec<Vec<Version>>, redb::Error> {
        let options = self.shared.options;
        let mut all = Vec::with_capacity(planned.len());
        let mut rest = planned;
        while let Some(first) = rest.first().map(|planned| planned.batch.revision.0) {
            let (number, mut log) = match logs.last_key_value() {
                Some((number, log))
                    if first - log.first < options.table_revisions && log.bytes < options.table_bytes =>
                {
                    (*number, *log)
                }
                last => {
                    let number = last.map_or(1, |(number, _)| number + 1);
                    transaction.open_table(LOGS)?.insert(number, first)?;
                    (number, Log { first, bytes: 0 })
                }
            };
            let name = log_name(number);
            let mut table = transaction.open_table(log_table(&name))?;
            while let Some((planned, others)) = rest.split_first() {
                let revision = planned.batch.revision.0;
                if revision - log.first >= options.table_revisions || log.bytes >= options.table_bytes {
                    break;
                }
                let mut versions = Vec::with_capacity(planned.batch.events.len());
                for (index, event) in (0u32..).zip(&planned.batch.events) {
                    let record =
                        Record { tenant: event.tenant, key: &event.key, value: event.value.as_deref() };
                    encode((revision, index), &record, &mut self.buffer);
                    table.insert((revision, index), self.buffer.as_slice())?;
                    // A value is at most 3 MiB.
                    let size = self.buffer.len() as u32;
                    log.bytes += u64::from(size);
                    let removed = event.value.is_none();
                    versions.push(Version { revision, table: number, index, size, removed });
                }
                all.push(versions);
                rest = others;
            }
            logs.insert(number, log);
        }
        Ok(all)
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
        self.note(&[(META_COMPACTED, at.0)])?;
        shared.state.write().index.set_compacted(at);
        Ok(())
    }

    /// Makes numbers of the store durable.
    pub(super) fn note(&self, numbers: &[(&str, u64)]) -> Result<(), StoreError> {
        let shared = &self.shared;
        let database = shared.database.read();
        let Some(database) = database.as_ref() else {
            return Err(StoreError::Unavailable(format!("{} is closed", shared.path)));
        };
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                for (name, number) in numbers {
                    meta.insert(*name, *number)?;
                }
            }
            transaction.commit()?;
            Ok(())
        };
        let written = write().map_err(|error| file_error(&shared.path, error));
        written.and_then(|()| shared.check_disk()).inspect_err(|error| self.fail(error.why()))
    }

    /// Commits nothing any more. The first reason is the one that is told.
    pub(super) fn fail(&self, why: String) {
        let why = self.shared.check_disk().err().map_or(why, |first| first.why());
        tracing::error!(path = %self.shared.path, %why, "the store commits nothing any more: start it again");
        self.shared.state.write().failed.get_or_insert(why);
    }
}

/// Why a group could not be written.
enum Failure {
    /// Nothing was written.
    Before(StoreError),
    /// It may have been.
    During(StoreError),
}

impl Failure {
    fn why(&self) -> String {
        let (Failure::Before(error) | Failure::During(error)) = self;
        error.why()
    }

    fn answer(&self) -> CommitError {
        match self {
            Failure::Before(_) => StoreError::Unavailable(self.why()).into(),
            Failure::During(_) => CommitError::Unknown(self.why()),
        }
    }
}

type Answer = (oneshot::Sender<Result<Revision, CommitError>>, Result<Revision, CommitError>);

/// What earlier commits of a group did to a key: the revision it is at, or `None` when it was removed.
type Overlay = BTreeMap<(TenantId, String), Option<Revision>>;

/// Decides each commit of a group by what is there and by what the group's earlier commits do.
fn plan_group(index: &Index, group: Vec<CommitJob>) -> (Vec<Planned>, Vec<Answer>) {
    let mut overlay = Overlay::new();
    let mut planned = Vec::new();
    let mut answers = Vec::with_capacity(group.len());
    let mut newest = index.newest();
    for (commit, reply) in group {
        let revision = Revision(newest.0 + 1);
        let answer = match failing(index, &overlay, &commit.preconditions) {
            Some((at, actual)) => Err(CommitError::Precondition { index: at, actual }),
            None => {
                let events = events(index, &overlay, commit);
                if !events.is_empty() {
                    newest = revision;
                    for event in &events {
                        let modified = event.value.as_ref().map(|_| revision);
                        overlay.insert((event.tenant, event.key.clone()), modified);
                    }
                    planned.push(Planned { batch: Batch { revision, events } });
                }
                Ok(newest)
            }
        };
        answers.push((reply, answer));
    }
    (planned, answers)
}

fn modified(index: &Index, overlay: &Overlay, tenant: TenantId, key: &str) -> Revision {
    match overlay.get(&(tenant, key.to_owned())) {
        Some(modified) => modified.unwrap_or(Revision::ZERO),
        None => index.modified(tenant, key),
    }
}

/// The first precondition that does not hold, and where its key is.
fn failing(index: &Index, overlay: &Overlay, preconditions: &[Precondition]) -> Option<(usize, Revision)> {
    preconditions.iter().enumerate().find_map(|(at, precondition)| {
        let actual = modified(index, overlay, precondition.tenant, &precondition.key);
        (actual != precondition.revision).then_some((at, actual))
    })
}

/// What the operations of a commit change, in their order.
fn events(index: &Index, overlay: &Overlay, commit: Commit) -> Vec<Event> {
    let mut events = Vec::with_capacity(commit.operations.len());
    for operation in commit.operations {
        let tenant = operation.tenant;
        match operation.action {
            Action::Put(value) => events.push(Event { tenant, key: operation.key, value: Some(value) }),
            Action::Delete => {
                if modified(index, overlay, tenant, &operation.key) != Revision::ZERO {
                    events.push(Event { tenant, key: operation.key, value: None });
                }
            }
            Action::DeleteAll => {
                let mut keys: Vec<String> = index.present(tenant).map(|key| key.to_string()).collect();
                let added = overlay.range((tenant, String::new())..).take_while(|((of, _), _)| *of == tenant);
                keys.extend(added.map(|((_, key), _)| key.clone()));
                keys.sort_unstable();
                keys.dedup();
                keys.retain(|key| modified(index, overlay, tenant, key) != Revision::ZERO);
                events.extend(keys.into_iter().map(|key| Event { tenant, key, value: None }));
            }
        }
    }
    events
}

fn weight(commit: &Commit) -> usize {
    let operations = commit.operations.iter();
    operations
        .map(|operation| match &operation.action {
            Action::Put(value) => operation.key.len() + value.len(),
            Action::Delete | Action::DeleteAll => operation.key.len(),
        })
        .sum()
}
