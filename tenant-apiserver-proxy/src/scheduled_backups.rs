//! Backups of everything that are made by the clock.
//!
//! Guarantees: a backup is there when it is whole, and older ones go only then, the oldest first, until as many are left as
//! are kept; what is not a backup made by the clock is left alone. What was missed while the process was down is made up
//! for at the start by one backup, as the first one is made at the start. A failure is logged, counted, told by `insula store
//! status`, and tried again after [`AGAIN`].
//!
//! Caveat: one process of an installation makes them.

use crate::server::Server;
use crate::storage;
use api_resources::cron::Schedule;
use backup_storage::{Source, Storage, StorageError, chain, names};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use object_store::StoreError;
use object_store::backup::{Backup, Damage, Reader};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon to try again after a failure.
const AGAIN: Duration = Duration::from_secs(60);
/// The clock is looked at this often at least: it may be set.
const LOOK: Duration = Duration::from_secs(600);

/// When they are made, and where they are kept.
pub struct Plan {
    /// As it was asked for.
    pub text: String,
    /// The same, read.
    pub schedule: Schedule,
    /// In which its times are.
    pub zone: TimeZone,
    /// As it was asked for.
    pub address: String,
    /// The same, opened.
    pub storage: Storage,
    /// How many are kept, at least one.
    pub keep: usize,
}

/// A plan, and what became of it since the process started.
pub struct Scheduled {
    plan: Plan,
    told: Mutex<Told>,
}

/// What is told of it.
#[derive(Clone, Default)]
struct Told {
    made: u64,
    failed: u64,
    under_way: bool,
    next: Option<Timestamp>,
    last: Option<Made>,
    /// The last attempt was none: when and why.
    failure: Option<(Timestamp, String)>,
}

#[derive(Clone)]
struct Made {
    name: String,
    bytes: u64,
    took: Duration,
    at: Timestamp,
}

/// A family of metrics.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// What it means.
    pub about: &'static str,
    /// The label `result`, where there is one, and the value.
    pub values: Vec<(Option<&'static str>, f64)>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("{0} is not there after it was kept")]
    Gone(String),
    #[error("the schedule never comes")]
    Never,
}

impl Scheduled {
    /// By a plan.
    pub fn new(plan: Plan) -> Self {
        Scheduled { plan, told: Mutex::default() }
    }

    /// As operators see it.
    pub fn shown(&self) -> Value {
        let (plan, told) = (&self.plan, self.told.lock().clone());
        let seconds = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let zone = plan.zone.iana_name().unwrap_or("UTC");
        let last = told.last.as_ref().map(|made| {
            json!({"name": made.name, "bytes": made.bytes, "seconds": made.took.as_secs_f64(), "at": seconds(made.at)})
        });
        let failure = told.failure.map(|(at, why)| json!({"at": seconds(at), "message": why}));
        json!({"to": plan.address, "schedule": plan.text, "timeZone": zone, "keep": plan.keep, "next": told.next.map(seconds),
            "underWay": told.under_way, "made": told.made, "failed": told.failed, "last": last, "failure": failure})
    }

    /// What `/metrics` tells of it.
    pub fn metrics(&self) -> Vec<Family> {
        let told = self.told.lock();
        let runs = vec![(Some("success"), told.made as f64), (Some("failure"), told.failed as f64)];
        let (name, about) = ("insula_backup_runs_total", "Backups by the clock since the start.");
        let mut found = vec![Family { name, kind: "counter", about, values: runs }];
        if let Some(made) = &told.last {
            for (name, about, value) in [
                (
                    "insula_backup_last_success_timestamp_seconds",
                    "When the last whole backup began, in seconds since 1970.",
                    made.at.as_second() as f64,
                ),
                ("insula_backup_last_size_bytes", "How large it is.", made.bytes as f64),
                ("insula_backup_last_duration_seconds", "How long it took.", made.took.as_secs_f64()),
            ] {
                found.push(Family { name, kind: "gauge", about, values: vec![(None, value)] });
            }
        }
        found
    }

    /// When the next one is due.
    async fn due(&self) -> Result<Timestamp, Failure> {
        let now = Timestamp::now();
        let names = self.plan.storage.backups().await?;
        // One of the future is of a clock that was wrong.
        let Some(newest) = names.last().and_then(|name| names::time(name)) else { return Ok(now) };
        self.plan.schedule.next(newest.min(now), &self.plan.zone).ok_or(Failure::Never)
    }

    async fn make(&self, server: &Server) -> Result<Made, Failure> {
        let (at, begun) = (Timestamp::now(), Instant::now());
        let (plan, name) = (&self.plan, names::name(at));
        if let Err(error) = plan.storage.tidy().await {
            tracing::warn!(%error, to = plan.address, "what was cut off cannot be removed");
        }
        let held = server.backups.hold(server.cache.revision());
        let backup = Backup::begin(server.store.engine(), None, storage::note(json!({})).into()).await?;
        let bytes = plan.storage.put(&name, checked(backup, held)).await?;
        let there = plan.storage.backups().await?;
        if !there.contains(&name) {
            return Err(Failure::Gone(name));
        }
        for old in names::superfluous(&there, plan.keep).iter().filter(|old| **old != name) {
            plan.storage.remove(old).await?;
        }
        Ok(Made { name, bytes, took: begun.elapsed(), at })
    }

    fn say_failed(&self, error: &Failure) {
        let why = chain(error);
        tracing::error!(to = self.plan.address, error = why, "a backup by the clock failed");
        let mut told = self.told.lock();
        told.failed += 1;
        told.failure = Some((Timestamp::now(), why));
    }
}

/// The bytes of a backup, read as they go: what is kept is known to be whole.
fn checked(backup: Backup, held: storage::Held) -> Source {
    let damaged = |damage: Damage| std::io::Error::other(damage);
    let start = (backup, Reader::default(), held);
    Box::pin(futures::stream::try_unfold(start, move |(mut backup, mut reader, held)| async move {
        let Some(bytes) = backup.next().await.map_err(std::io::Error::other)? else {
            return reader.end().map(|()| None).map_err(damaged);
        };
        reader.push(&bytes);
        while reader.entry().map_err(damaged)?.is_some() {}
        Ok(Some((bytes, (backup, reader, held))))
    }))
}

/// Makes them until shutdown.
pub async fn run(server: Arc<Server>, scheduled: Arc<Scheduled>) {
    let shutdown = server.shutdown.clone();
    tokio::select! {
        () = work(&server, &scheduled) => {}
        // What is under way is broken off, and is not there.
        () = shutdown.requested() => {}
    }
}

async fn work(server: &Server, scheduled: &Scheduled) {
    loop {
        let done = round(server, scheduled).await;
        scheduled.told.lock().under_way = false;
        if let Err(error) = done {
            scheduled.say_failed(&error);
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Waits for the next time, and makes a backup.
async fn round(server: &Server, scheduled: &Scheduled) -> Result<(), Failure> {
    let due = scheduled.due().await?;
    scheduled.told.lock().next = Some(due);
    loop {
        let left = due.duration_since(Timestamp::now());
        if left <= SignedDuration::ZERO {
            break;
        }
        tokio::time::sleep(Duration::try_from(left).unwrap_or_default().min(LOOK)).await;
    }
    scheduled.told.lock().under_way = true;
    let made = scheduled.make(server).await?;
    tracing::info!(
        name = made.name,
        bytes = made.bytes,
        to = scheduled.plan.address,
        "a backup was made by the clock"
    );
    let mut told = scheduled.told.lock();
    (told.made, told.failure, told.last) = (told.made + 1, None, Some(made));
    Ok(())
}
