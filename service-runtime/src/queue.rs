//! A work queue that is fair to tenants.
//!
//! Guarantees: a key is worked on by one worker at a time; a key added while it is worked on comes again after;
//! tenants take turns in proportion to their weights, however long their own lines are, and one that had nothing to do in the
//! last round comes before those that have much ([`turns`]); within a tenant, the better rank comes first, but for every eighth key, which is the one that waits longest, and in a rank first come, first served. A failed key comes again after a growing delay, for ever: nothing is dropped.
//!
//! Bounds: a key stands in the queue at most once, so the queue is no longer than the number of live keys.

mod line;
mod turns;

pub use line::Rank;

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use turns::Turns;

/// How long failed keys wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// The first delay; it doubles with each failure in a row.
    pub base_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        QueueLimits { base_delay: Duration::from_millis(5), max_delay: Duration::from_secs(30) }
    }
}

/// The queue. Clones share it.
pub struct FairQueue<T, K>(Arc<Shared<T, K>>);

impl<T, K> Clone for FairQueue<T, K> {
    fn clone(&self) -> Self {
        FairQueue(self.0.clone())
    }
}

struct Shared<T, K> {
    state: Mutex<State<T, K>>,
    ready: Notify,
    delayed: Notify,
    limits: QueueLimits,
}

struct State<T, K> {
    waiting: Turns<T, K>,
    working: HashSet<(T, K)>,
    /// Those of them that were added meanwhile.
    again: HashMap<(T, K), Rank>,
    failures: HashMap<(T, K), u32>,
    /// Delayed keys by time; the number tells apart those of one instant.
    delays: BTreeMap<(Instant, u64), (T, K)>,
    delay_of: HashMap<(T, K), (Instant, u64)>,
    delay_count: u64,
    weights: HashMap<T, u32>,
    closed: bool,
}

impl<T, K> Default for FairQueue<T, K>
where
    T: Clone + Eq + Hash + Send,
    K: Clone + Eq + Hash + Send,
{
    fn default() -> Self {
        Self::new(QueueLimits::default())
    }
}

impl<T, K> FairQueue<T, K>
where
    T: Clone + Eq + Hash + Send,
    K: Clone + Eq + Hash + Send,
{
    /// An empty queue.
    pub fn new(limits: QueueLimits) -> Self {
        FairQueue(Arc::new(Shared {
            state: Mutex::new(State {
                waiting: Turns::default(),
                working: HashSet::new(),
                again: HashMap::new(),
                failures: HashMap::new(),
                delays: BTreeMap::new(),
                delay_of: HashMap::new(),
                delay_count: 0,
                weights: HashMap::new(),
                closed: false,
            }),
            ready: Notify::new(),
            delayed: Notify::new(),
            limits,
        }))
    }

    /// Sets a tenant's share, 1 to 1000; the default is 1.
    pub fn set_weight(&self, tenant: T, weight: u32) {
        let mut state = self.0.state.lock();
        // What is the default needs no memory: tenants come and go.
        if weight <= 1 {
            state.weights.remove(&tenant);
        } else {
            state.weights.insert(tenant, weight.min(1000));
        }
    }

    /// Adds a key, unless it stands in the queue already.
    pub fn add(&self, tenant: T, key: K) {
        self.add_ranked(tenant, key, Rank::Usual);
    }

    /// The same in another rank; a better one than it stands in already is taken.
    pub fn add_ranked(&self, tenant: T, key: K, rank: Rank) {
        self.add_since(tenant, key, rank, Instant::now());
    }

    fn add_since(&self, tenant: T, key: K, rank: Rank, since: Instant) {
        let mut state = self.0.state.lock();
        state.enqueue(tenant, key, rank, since);
        drop(state);
        self.0.ready.notify_one();
    }

    /// Adds a key after a delay. An earlier time already set stays.
    pub fn add_after(&self, tenant: T, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(tenant, key);
        }
        let mut state = self.0.state.lock();
        let member = (tenant, key);
        let deadline = Instant::now() + delay;
        if let Some(known) = state.delay_of.get(&member).copied() {
            if known.0 <= deadline {
                return;
            }
            state.delays.remove(&known);
        }
        state.delay_count += 1;
        let slot = (deadline, state.delay_count);
        state.delays.insert(slot, member.clone());
        state.delay_of.insert(member, slot);
        drop(state);
        self.0.delayed.notify_waiters();
    }

    /// Ends the queue: waiting and later calls of [`FairQueue::next`] return `None`.
    pub fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.ready.notify_waiters();
        self.0.delayed.notify_waiters();
        self.0.ready.notify_one();
    }

    /// The number of keys that wait, delayed ones not counted.
    pub fn len(&self) -> usize {
        self.0.state.lock().waiting.len()
    }

    /// True when no key waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys of each tenant wait, delayed ones not counted.
    pub fn lengths(&self) -> Vec<(T, usize)> {
        self.0.state.lock().waiting.lengths()
    }

    /// How many keys of each tenant failed last and are to come again.
    pub fn failing(&self) -> Vec<(T, usize)> {
        let mut count: HashMap<T, usize> = HashMap::new();
        for (tenant, _) in self.0.state.lock().failures.keys() {
            *count.entry(tenant.clone()).or_insert(0) += 1;
        }
        count.into_iter().collect()
    }

    /// True when the key waits, is delayed or is worked on: it is on its way.
    pub fn is_pending(&self, tenant: &T, key: &K) -> bool {
        let state = self.0.state.lock();
        let member = (tenant.clone(), key.clone());
        state.working.contains(&member)
            || state.delay_of.contains_key(&member)
            || state.waiting.contains(tenant, key)
    }

    /// The next key, if one waits; those that were left when the queue was closed, too.
    pub fn try_next(&self) -> Option<Lease<T, K>> {
        let mut state = self.0.state.lock();
        state.expire_delays();
        let taken = state.take()?;
        Some(self.lease(taken))
    }

    fn lease(&self, (tenant, key, rank, since): (T, K, Rank, Instant)) -> Lease<T, K> {
        Lease { queue: self.clone(), tenant, key, rank, waited: since.elapsed(), settled: false }
    }

    /// Moves the next keys into another queue, so many at most, each as it stands here ([`Lease::move_to`]).
    pub fn hand_over(&self, other: &Self, count: usize) {
        for _ in 0..count {
            let Some(next) = self.try_next() else { return };
            next.move_to(other);
        }
    }

    /// Waits for the next key. `None` once the queue is closed.
    pub async fn next(&self) -> Option<Lease<T, K>> {
        loop {
            let ready = self.0.ready.notified();
            let delayed = self.0.delayed.notified();
            let wake_at = {
                let mut state = self.0.state.lock();
                if state.closed {
                    self.0.ready.notify_one();
                    return None;
                }
                state.expire_delays();
                if let Some(taken) = state.take() {
                    if state.waiting.len() > 0 {
                        self.0.ready.notify_one();
                    }
                    return Some(self.lease(taken));
                }
                state.delays.first_key_value().map(|((at, _), _)| *at)
            };
            let timer = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ready => {}
                () = delayed => {}
                () = timer => {}
            }
        }
    }
}

impl<T, K> State<T, K>
where
    T: Clone + Eq + Hash,
    K: Clone + Eq + Hash,
{
    fn forget_delay(&mut self, member: &(T, K)) {
        if let Some(slot) = self.delay_of.remove(member) {
            self.delays.remove(&slot);
        }
    }

    /// Moves keys whose delay is over into the queue.
    fn expire_delays(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.delays.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let member = entry.remove();
            self.delay_of.remove(&member);
            self.enqueue(member.0, member.1, Rank::Usual, Instant::now());
        }
    }

    fn enqueue(&mut self, tenant: T, key: K, rank: Rank, since: Instant) {
        let member = (tenant, key);
        if self.working.contains(&member) {
            let known = self.again.entry(member).or_insert(rank);
            *known = rank.min(*known);
            return;
        }
        let (tenant, key) = member;
        let weight = self.weights.get(&tenant).copied().unwrap_or(1);
        self.waiting.add(tenant, key, rank, since, weight);
    }

    fn take(&mut self) -> Option<(T, K, Rank, Instant)> {
        let weights = &self.weights;
        let taken = self.waiting.take(|tenant| weights.get(tenant).copied().unwrap_or(1))?;
        self.working.insert((taken.0.clone(), taken.1.clone()));
        Some(taken)
    }
}

/// A key under work. Dropped without a word (a panic, a cancelled task), it counts as failed.
pub struct Lease<T, K>
where
    T: Clone + Eq + Hash + Send,
    K: Clone + Eq + Hash + Send,
{
    queue: FairQueue<T, K>,
    /// Whose work it is.
    pub tenant: T,
    /// What to work on.
    pub key: K,
    /// In which rank it stood.
    pub rank: Rank,
    /// How long it stood in the queue.
    pub waited: Duration,
    settled: bool,
}

impl<T, K> Lease<T, K>
where
    T: Clone + Eq + Hash + Send,
    K: Clone + Eq + Hash + Send,
{
    /// The work is done; with `again_after`, the key comes again then, and not when an earlier answer said.
    pub fn done(mut self, again_after: Option<Duration>) {
        self.settled = true;
        let member = (self.tenant.clone(), self.key.clone());
        let mut state = self.queue.0.state.lock();
        state.failures.remove(&member);
        // Keys of what is gone would stay until their time, however far that is.
        state.forget_delay(&member);
        drop(state);
        self.release();
        if let Some(delay) = again_after {
            self.queue.add_after(member.0, member.1, delay);
        }
    }

    /// The key was not worked on, and goes into another queue as it stood in this: in its rank, and since it waits. What is
    /// known here of its failures stays.
    pub fn move_to(mut self, other: &FairQueue<T, K>) {
        self.settled = true;
        let since = Instant::now().checked_sub(self.waited).unwrap_or_else(Instant::now);
        // In this order: it is on its way all the time.
        other.add_since(self.tenant.clone(), self.key.clone(), self.rank, since);
        self.release();
    }

    /// The work failed; the key comes again after a delay that doubles with each failure in a row.
    pub fn failed(self) {
        self.failed_for(Duration::ZERO);
    }

    /// The same, where the delay is at least so long.
    pub fn failed_for(mut self, at_least: Duration) {
        self.settled = true;
        self.fail(at_least);
    }

    fn fail(&self, at_least: Duration) {
        let member = (self.tenant.clone(), self.key.clone());
        let count = {
            let mut state = self.queue.0.state.lock();
            let count = state.failures.entry(member.clone()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        self.release();
        let limits = self.queue.0.limits;
        let delay = limits.base_delay.saturating_mul(1 << (count - 1).min(16)).min(limits.max_delay);
        self.queue.add_after(member.0, member.1, delay.max(at_least.min(limits.max_delay)));
    }

    fn release(&self) {
        let member = (self.tenant.clone(), self.key.clone());
        let mut state = self.queue.0.state.lock();
        state.working.remove(&member);
        if let Some(rank) = state.again.remove(&member) {
            state.enqueue(member.0, member.1, rank, Instant::now());
            drop(state);
            self.queue.0.ready.notify_one();
        }
    }
}

impl<T, K> Drop for Lease<T, K>
where
    T: Clone + Eq + Hash + Send,
    K: Clone + Eq + Hash + Send,
{
    fn drop(&mut self) {
        if !self.settled {
            self.fail(Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;
