//! The recent changes of a collection, and what those of all collections hold together.
//!
//! What is counted of a change is the object after it and the one before it: no less than what it keeps in memory, and
//! more where these are kept for others too.

use super::collection::{Change, Forgotten};
use api_types::Revision;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most changes kept for resuming watches and for lists at an older revision.
const MAX_CHANGES: usize = 8_192;
/// The most bytes that all histories of a process hold.
const MAX_BYTES: usize = 64 << 20;
/// What is left of them when there were more.
const LEFT_BYTES: usize = MAX_BYTES / 8 * 7;
/// An empty place or two of many are not given back.
const SPARE: usize = 64;

/// What all histories hold, in bytes.
#[derive(Debug, Default)]
pub struct Held(AtomicUsize);

impl Held {
    /// True when it is too much.
    pub fn is_too_much(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_BYTES
    }
}

/// The most bytes that one history may hold, so that of histories of these sizes enough is left and not too much: the
/// largest give, and a busy collection does not push out what a quiet one has.
pub fn share(sizes: Vec<usize>) -> usize {
    share_of(LEFT_BYTES, sizes)
}

fn share_of(all: usize, mut sizes: Vec<usize>) -> usize {
    sizes.sort_unstable();
    let (mut left, mut others) = (all, sizes.len());
    for size in sizes {
        let even = left / others;
        if size > even {
            return even;
        }
        left -= size;
        others -= 1;
    }
    usize::MAX
}

/// The recent changes of a collection.
#[derive(Debug)]
pub struct History {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Changes at or before this revision are no longer in it.
    floor: Revision,
    held: Arc<Held>,
}

impl History {
    /// Of which nothing is known before `floor`.
    pub fn new(floor: Revision, held: Arc<Held>) -> Self {
        History { changes: VecDeque::new(), bytes: 0, floor, held }
    }

    /// What it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes after a revision, if all of them are known.
    pub fn after(&self, at: Revision) -> Result<impl Iterator<Item = &Arc<Change>>, Forgotten> {
        if at < self.floor {
            return Err(Forgotten { oldest: self.floor });
        }
        let start = self.changes.partition_point(|change| change.revision <= at);
        Ok(self.changes.range(start..))
    }

    /// Takes in a change, and drops the oldest where there are too many. What a plane is born with is no history: nobody
    /// could have watched before.
    pub fn push(&mut self, change: Arc<Change>) {
        if change.revision <= self.floor {
            return;
        }
        let weight = weight(&change);
        self.bytes += weight;
        self.held.0.fetch_add(weight, Ordering::Relaxed);
        self.changes.push_back(change);
        while self.changes.len() > MAX_CHANGES {
            self.drop_oldest();
        }
    }

    /// Drops what is at or before a revision.
    pub fn trim(&mut self, at: Revision) {
        while self.changes.front().is_some_and(|change| change.revision <= at) {
            self.drop_oldest();
        }
        self.give_back();
    }

    /// Drops the oldest until it holds no more than this.
    pub fn shorten(&mut self, bytes: usize) {
        while self.bytes > bytes && !self.changes.is_empty() {
            self.drop_oldest();
        }
        self.give_back();
    }

    fn drop_oldest(&mut self) {
        if let Some(dropped) = self.changes.pop_front() {
            let weight = weight(&dropped);
            self.bytes -= weight;
            self.held.0.fetch_sub(weight, Ordering::Relaxed);
            self.floor = self.floor.max(dropped.revision);
        }
    }

    fn give_back(&mut self) {
        if self.changes.capacity() > self.changes.len() * 4 + SPARE {
            self.changes.shrink_to(self.changes.len() * 2);
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The most that a change keeps in memory.
fn weight(change: &Change) -> usize {
    let previous = change.previous.as_ref().filter(|previous| !previous.shared);
    size_of::<Change>() + change.object.weight() + previous.map_or(0, |previous| previous.weight())
}

#[cfg(test)]
mod tests {
    use super::super::{Cache, Incoming, SharedByPlane, SharedObjects};
    use super::*;
    use api_types::{GroupResource, TenantId};

    #[test]
    fn the_largest_give() {
        for (all, sizes, expected) in [
            (100, vec![], usize::MAX),
            (100, vec![40, 60], usize::MAX),
            (100, vec![0, 120], 100),
            (100, vec![90, 10, 90], 45),
            (100, vec![90, 30, 90, 1], 34),
            (0, vec![1, 1], 0),
        ] {
            assert_eq!(share_of(all, sizes.clone()), expected, "{sizes:?}");
        }
    }

    #[test]
    fn what_is_held_is_counted_until_it_is_dropped() {
        let held = Arc::<Held>::default();
        let total = || held.0.load(Ordering::Relaxed);
        let mut history = History::new(Revision::ZERO, held.clone());
        for revision in 1..=10 {
            history.push(Change::of_size(revision, 1000));
        }
        assert!(history.bytes() > 10_000 && total() == history.bytes());
        history.shorten(5_000);
        assert!(history.bytes() <= 5_000 && total() == history.bytes());
        let oldest = history.after(Revision(1)).err().unwrap().oldest;
        assert_eq!(history.after(oldest).unwrap().count() as u64, 10 - oldest.0);
        history.trim(Revision(9));
        assert_eq!(
            history.after(Revision(9)).unwrap().map(|change| change.revision.0).collect::<Vec<_>>(),
            [10]
        );
        let other = History::new(Revision::ZERO, held.clone());
        drop(history);
        assert_eq!((total(), other.bytes()), (0, 0));
    }

    #[test]
    fn a_busy_collection_does_not_push_out_a_quiet_one() {
        let [host, tenant, superior] = std::array::from_fn(|_| SharedObjects::default());
        let cache = Cache::new(SharedByPlane { host, tenant, superior });
        let [busy, quiet] = ["busy", "quiet"].map(|name| GroupResource::new("", name));
        let put = |resource: &GroupResource, revision, size| {
            let change = Change::of_size(revision, size);
            let name = change.object.name.clone();
            let record = change.object.at(Revision(revision));
            cache.apply(TenantId::HOST, resource, name, Incoming::Put(record));
        };
        put(&quiet, 1, 1);
        assert_eq!(cache.held.0.load(Ordering::Relaxed), 0, "with that the plane is born");
        put(&quiet, 2, 1);
        for revision in 3..40 {
            put(&busy, revision, 3 << 20);
        }
        assert!(!cache.held.is_too_much());
        let missed = |resource: &GroupResource| {
            cache.collection(TenantId::HOST, resource).watch("", Revision(1)).map(|(missed, _)| missed.len())
        };
        assert_eq!(missed(&quiet).unwrap(), 1);
        let oldest = missed(&busy).unwrap_err().oldest;
        assert!(cache.collection(TenantId::HOST, &busy).watch("", oldest).is_ok());
        cache.forget(TenantId::HOST);
        assert_eq!(cache.held.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut history = History::new(Revision::ZERO, Arc::default());
        for revision in 1..=MAX_CHANGES as u64 + 5 {
            history.push(Change::of_size(revision, 0));
        }
        assert_eq!(history.after(Revision(5)).unwrap().count(), MAX_CHANGES);
        assert!(history.after(Revision(4)).is_err());
        history.trim(Revision(MAX_CHANGES as u64));
        assert!(history.changes.capacity() < MAX_CHANGES);
    }
}
