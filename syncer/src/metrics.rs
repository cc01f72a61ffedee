//! What the syncer counts: how long work waits and takes, how far each side is behind the other, what failed, what the
//! patrol found.
//!
//! Guarantees: all of it in total, and of tenants only the few worst of the last minutes, so that the number of series
//! does not grow with the number of tenants. Caveat: each process counts alone, from its start.

pub mod families;
mod histogram;
mod stages;
mod worst;

use crate::kinds::{Key, Kind};
use crate::patrol::{Finding, Found, Round};
use api_types::{ApiError, ObjectName, TenantId};
use histogram::Histogram;
use parking_lot::Mutex;
use stages::Stages;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use worst::Worst;

/// In which direction something is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the tenant to the super cluster.
    Down,
    /// From the super cluster to the tenant.
    Up,
}

impl Direction {
    const ALL: [Direction; 2] = [Direction::Down, Direction::Up];

    fn name(self) -> &'static str {
        match self {
            Direction::Down => "down",
            Direction::Up => "up",
        }
    }
}

/// What one piece of work wrote.
#[derive(Debug, Default)]
pub struct Wrote([AtomicU32; 2]);

impl Wrote {
    /// One write.
    pub fn note(&self, direction: Direction) {
        self.0[direction as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, direction: Direction) -> u32 {
        self.0[direction as usize].load(Ordering::Relaxed)
    }
}

/// When a change of a key was first heard of that is not synced yet, by direction.
type Heard = [Option<Instant>; 2];

/// One piece of work, while it is done.
#[derive(Debug)]
pub struct Turn {
    /// What it wrote.
    pub wrote: Wrote,
    heard: Heard,
    /// Since when it stood in the queue.
    queued: Instant,
    taken: Instant,
}

impl Turn {
    /// Begins one that no change was heard for.
    pub fn begin() -> Self {
        let now = Instant::now();
        Turn { wrote: Wrote::default(), heard: Heard::default(), queued: now, taken: now }
    }
}

/// What the last patrol of a super cluster did.
#[derive(Clone, Copy, Debug, Default)]
struct Patrolled {
    objects: usize,
    unknown: usize,
    took: Duration,
}

#[derive(Default)]
struct Counts {
    queue: Histogram,
    work: BTreeMap<&'static str, Histogram>,
    lag: [Histogram; 2],
    writes: [u64; 2],
    errors: BTreeMap<String, u64>,
    found: BTreeMap<Finding, u64>,
    repaired: BTreeMap<Finding, u64>,
    patrols: Histogram,
    /// Rounds that were given up.
    given_up: u64,
    patrolled: BTreeMap<String, Patrolled>,
    worst: Worst,
    stages: Stages,
}

/// What the syncer counts.
#[derive(Default)]
pub struct Metrics {
    counts: Mutex<Counts>,
    /// No larger than the keys that are on their way.
    heard: Mutex<HashMap<(TenantId, Key), Heard>>,
}

impl Metrics {
    /// A change was heard of, which has to go in this direction.
    pub fn heard(&self, tenant: TenantId, key: &Key, direction: Direction) {
        let mut heard = self.heard.lock();
        let since = heard.entry((tenant, key.clone())).or_default();
        since[direction as usize].get_or_insert_with(Instant::now);
    }

    /// A worker took a key, with what it is to bring to the other side.
    pub fn taken(&self, tenant: TenantId, key: &Key, waited: Duration) -> Turn {
        let heard = self.heard.lock().remove(&(tenant, key.clone())).unwrap_or_default();
        let turn = Turn::begin();
        let queued = turn.taken.checked_sub(waited).unwrap_or(turn.taken);
        Turn { heard, queued, ..turn }
    }

    /// The worker is done with it.
    pub fn done(&self, tenant: TenantId, key: &Key, turn: &Turn) {
        let mut counts = self.counts.lock();
        counts.worked(tenant, key, turn);
        for direction in Direction::ALL {
            // What brought nothing to the other side was no news for it: an echo of our own write, mostly.
            if let Some(since) = turn.heard[direction as usize].filter(|_| turn.wrote.count(direction) > 0) {
                counts.lag[direction as usize].add(since.elapsed());
                counts.worst.behind(tenant, direction, since.elapsed());
            }
        }
    }

    /// The worker could not do it: it comes again, and is as late as it was.
    pub fn failed(&self, tenant: TenantId, key: &Key, turn: &Turn, error: &ApiError) {
        let mut counts = self.counts.lock();
        counts.worked(tenant, key, turn);
        *counts.errors.entry(format!("{:?}", error.reason())).or_insert(0) += 1;
        drop(counts);
        self.put_back(tenant, key, turn);
    }

    /// The worker left it as it is: it waits on, and is as late as it was.
    pub fn put_back(&self, tenant: TenantId, key: &Key, turn: &Turn) {
        if turn.heard == Heard::default() {
            return;
        }
        let mut all = self.heard.lock();
        let since = all.entry((tenant, key.clone())).or_default();
        for (known, before) in since.iter_mut().zip(turn.heard) {
            *known = before.or(*known);
        }
    }

    /// A worker made the super pod of a tenant's pod.
    pub fn made(&self, tenant: TenantId, pod: &ObjectName, turn: &Turn) {
        // Pods that were there before their tenant was placed are heard of too early, and made anew without a word.
        let heard = turn.heard[Direction::Down as usize].unwrap_or(turn.queued);
        self.counts.lock().stages.made(tenant, pod, heard, turn.taken);
    }

    /// It was heard that the super pod of a tenant's pod is ready.
    pub fn heard_ready(&self, tenant: TenantId, pod: &ObjectName) {
        self.counts.lock().stages.heard_ready(tenant, pod);
    }

    /// A worker wrote that a tenant's pod is ready.
    pub fn told_ready(&self, tenant: TenantId, pod: &ObjectName, turn: &Turn) {
        self.counts.lock().stages.told(tenant, pod, turn.taken);
    }

    /// A tenant's pod is gone.
    pub fn pod_gone(&self, tenant: TenantId, pod: &ObjectName) {
        self.counts.lock().stages.gone(tenant, pod);
    }

    /// A tenant is gone.
    pub fn forget(&self, tenant: TenantId) {
        self.counts.lock().stages.forget(tenant);
    }

    /// A patrol could not go round.
    pub fn patrol_failed(&self) {
        self.counts.lock().given_up += 1;
    }

    /// A patrol went round: what it found for the first time, and what is repaired of what was found before.
    pub fn patrolled(&self, cluster: &str, round: &Round, new: &Found, repaired: &BTreeMap<Finding, u64>) {
        let mut counts = self.counts.lock();
        counts.patrols.add(round.took);
        let (objects, unknown, took) = (round.objects, round.unknown, round.took);
        counts.patrolled.insert(cluster.to_owned(), Patrolled { objects, unknown, took });
        for finding in new.values().flat_map(|keys| keys.values()) {
            *counts.found.entry(*finding).or_insert(0) += 1;
        }
        for (finding, count) in repaired {
            *counts.repaired.entry(*finding).or_insert(0) += count;
        }
    }

    /// A super cluster was let go.
    pub fn forget_cluster(&self, cluster: &str) {
        self.counts.lock().patrolled.remove(cluster);
    }
}

impl Counts {
    fn worked(&mut self, tenant: TenantId, key: &Key, turn: &Turn) {
        let waited = turn.taken.saturating_duration_since(turn.queued);
        self.queue.add(waited);
        self.worst.waited(tenant, waited);
        self.work.entry(kind(key)).or_default().add(turn.taken.elapsed());
        for direction in Direction::ALL {
            self.writes[direction as usize] += u64::from(turn.wrote.count(direction));
        }
    }
}

/// What a key is about, as a label's value.
fn kind(key: &Key) -> &'static str {
    match key {
        Key::Tenant(_) | Key::Everything => "Tenant",
        Key::Object(kind, _) => Kind::name(*kind),
        Key::Event(_) => "Event",
    }
}
