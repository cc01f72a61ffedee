//! The commit thread: takes what is queued, checks it, writes it to the log with one sync, tells watchers, answers.

use super::applying::Task;
use super::index::Index;
use super::wal::{Encoded, Wal};
use super::{Shared, Unapplied};
use crate::engine::{Batch, CommitError, Event, StoreError};
use crate::operation::{Action, Commit, Precondition};
use api_types::{Revision, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// The most bytes of keys and values that share a sync; one commit may be larger.
const GROUP_BYTES: usize = 2 << 20;

/// What callers ask of the thread.
pub(super) enum Job {
    Commit { commit: Commit, reply: oneshot::Sender<Result<Revision, CommitError>> },
    Raise { floor: Revision, reply: oneshot::Sender<Result<(), StoreError>> },
    Close { reply: oneshot::Sender<()> },
}

type CommitJob = (Commit, oneshot::Sender<Result<Revision, CommitError>>);

/// Starts the thread. It ends when every sender of jobs is gone and the queue is empty. A panic fails the store: it is
/// logged, and nothing is committed any more.
pub(super) fn start(
    shared: &Arc<Shared>,
    wal: Wal,
    jobs: Receiver<Job>,
    tasks: SyncSender<Task>,
) -> Result<JoinHandle<()>, StoreError> {
    let of = shared.clone();
    shared.thread("store-commit", move || Committer { shared: of, wal, tasks }.run(jobs))
}

pub(super) struct Committer {
    pub shared: Arc<Shared>,
    wal: Wal,
    /// For the thread of the tables.
    tasks: SyncSender<Task>,
}

impl Committer {
    fn run(&mut self, mut jobs: Receiver<Job>) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
            match job {
                Job::Raise { floor, reply } => {
                    // An answer that nobody waits for any more is not missed, here and below.
                    let _ = reply.send(self.raise(floor));
                }
                Job::Close { reply } => self.close(reply),
                Job::Commit { commit, reply } => {
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
        }
    }

    /// Commits nothing any more, and lets all be brought into the tables.
    fn close(&self, reply: oneshot::Sender<()>) {
        let shared = &self.shared;
        if shared.check_failed().is_err() {
            return;
        }
        let why = format!("{} is closed", shared.path);
        shared.state.write().failed.get_or_insert(why);
        // Nothing that is on the disk already is lost when there is no room to ask.
        let _ = self.tasks.try_send(Task::Close { reply });
    }

    /// Commits a group at once: all its commits are on disk, or none is.
    fn commit(&mut self, group: Vec<CommitJob>) {
        let shared = self.shared.clone();
        if let Err(error) = shared.check_failed() {
            for (_, reply) in group {
                let _ = reply.send(Err(StoreError::Unavailable(error.why()).into()));
            }
            return;
        }
        let (planned, answers) = plan_group(&shared.state.read().index, group);
        let done = if planned.is_empty() { Ok(()) } else { self.write(planned) };
        match done {
            Ok(()) => {
                for (reply, answer) in answers {
                    let _ = reply.send(answer);
                }
            }
            Err(failure) => {
                shared.fail(failure.why());
                for (reply, _) in answers {
                    let _ = reply.send(Err(failure.answer()));
                }
            }
        }
    }

    /// Writes, then shows to readers and watchers.
    fn write(&mut self, planned: Vec<Batch>) -> Result<(), Failure> {
        let shared = self.shared.clone();
        let (encoded, sizes) = self.wal.encode(&planned);
        let commits: Vec<Unapplied> = {
            let state = shared.state.read();
            let mut tables = state.tables(&shared.options);
            let each = planned.into_iter().zip(&sizes);
            each.map(|(batch, sizes)| tables.place(Arc::new(batch), sizes)).collect()
        };
        let is_in_log = match self.wal.needs(&encoded) {
            Some(needed) => self.append(encoded, needed).map(|()| true)?,
            None => self.append_large(&commits).map(|()| false)?,
        };
        shared.check_disk().map_err(Failure::During)?;
        let (before, after) = {
            let mut state = shared.state.write();
            let before = state.unapplied_bytes;
            for (commit, sizes) in commits.iter().zip(&sizes) {
                state.committed(commit, sizes);
                if is_in_log {
                    state.wait(commit.clone());
                }
            }
            (before, state.unapplied_bytes)
        };
        let much = usize::try_from(shared.options.wal_half / 2).unwrap_or(usize::MAX);
        if before < much && after >= much {
            self.call_applier(Task::Apply);
        } else if before == 0 {
            self.call_applier(Task::Wait);
        }
        for commit in commits {
            shared.feed.publish(commit.batch);
        }
        Ok(())
    }

    /// Writes a group to the log, when all that it is written over is in the tables.
    fn append(&mut self, group: Encoded, needed: Revision) -> Result<(), Failure> {
        self.wait_until_applied(needed)?;
        let path = &self.shared.path;
        let failed = |error| Failure::During(StoreError::Unavailable(format!("{path}: {error}")));
        self.wal.append(group).map_err(failed)
    }

    /// Writes a group for which the log is too small into the tables, after all before it.
    fn append_large(&mut self, commits: &[Unapplied]) -> Result<(), Failure> {
        let newest = self.shared.state.read().index.newest();
        self.wait_until_applied(newest)?;
        self.shared.apply(commits).map_err(Failure::During)
    }

    fn wait_until_applied(&self, revision: Revision) -> Result<(), Failure> {
        let shared = &self.shared;
        if shared.state.read().is_applied(revision) {
            return Ok(());
        }
        self.call_applier(Task::Apply);
        match shared.wait_until_applied(revision) {
            true => Ok(()),
            false => Err(Failure::Before(shared.check_failed().err().unwrap_or_else(|| shared.closed()))),
        }
    }

    fn call_applier(&self, task: Task) {
        // When there is no room to call it, it looks after what it does now.
        let _ = self.tasks.try_send(task);
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
fn plan_group(index: &Index, group: Vec<CommitJob>) -> (Vec<Batch>, Vec<Answer>) {
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
                    planned.push(Batch { revision, events });
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
