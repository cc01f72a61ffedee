//! The pods that wait for a node: the most important first, and of these the one that waits longest. A pod that fits
//! nowhere rests until something happens that may help it, and no less than a while that grows with its attempts.

use super::pod::PodInfo;
use compact_str::CompactString;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a pod rests after its first attempt; it doubles with each.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// A pod is tried again after so long, whatever happens.
const PATROL: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Its turn comes, with this number.
    Ready(u64),
    /// Its turn comes at a time.
    Resting(Instant, u64),
    /// It waits for one of these changes, since its last attempt.
    Stuck { helped_by: u8, since: Instant },
    /// It is being looked at.
    Out,
}

struct Entry {
    pod: Arc<PodInfo>,
    stand: Stand,
    attempts: u32,
}

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    entries: HashMap<CompactString, Entry>,
    /// Priority, number and UID. An entry that stands elsewhere by now is passed over.
    ready: BinaryHeap<(i64, Reverse<u64>, CompactString)>,
    resting: BTreeMap<(Instant, u64), CompactString>,
    count: u64,
}

fn rest(attempts: u32) -> Duration {
    let factor = 2u32.saturating_pow(attempts.saturating_sub(1).min(16));
    FIRST_REST.saturating_mul(factor).min(LONGEST_REST)
}

impl Queue {
    fn stand(&mut self, uid: &CompactString, stand: impl FnOnce(u64) -> Stand) {
        self.count += 1;
        let number = self.count;
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if let Stand::Resting(at, number) = entry.stand {
            self.resting.remove(&(at, number));
        }
        entry.stand = stand(number);
        match entry.stand {
            Stand::Ready(number) => self.ready.push((entry.pod.priority, Reverse(number), uid.clone())),
            Stand::Resting(at, number) => {
                self.resting.insert((at, number), uid.clone());
            }
            Stand::Stuck { .. } | Stand::Out => {}
        }
    }

    /// A pod that waits, as it is now. One that is stuck is tried again when it says something else than before.
    pub(super) fn set(&mut self, pod: Arc<PodInfo>) {
        let uid = pod.uid.clone();
        match self.entries.get_mut(&uid) {
            None => {
                self.entries.insert(uid.clone(), Entry { pod, stand: Stand::Out, attempts: 0 });
                self.stand(&uid, Stand::Ready);
            }
            Some(entry) => {
                let says_more = entry.pod.generation != pod.generation || entry.pod.labels != pod.labels;
                let is_stuck = matches!(entry.stand, Stand::Stuck { .. });
                entry.pod = pod;
                if says_more && is_stuck {
                    self.wake(&uid);
                }
            }
        }
    }

    /// A pod waits no longer.
    pub(super) fn remove(&mut self, uid: &str) {
        if let Some(Entry { stand: Stand::Resting(at, number), .. }) = self.entries.remove(uid) {
            self.resting.remove(&(at, number));
        }
    }

    /// Takes the next pod. It is to be removed, stuck or failed after.
    pub(super) fn next(&mut self, now: Instant) -> Option<Arc<PodInfo>> {
        while let Some(first) = self.resting.first_entry() {
            if first.key().0 > now {
                break;
            }
            let uid = first.remove();
            self.stand(&uid, Stand::Ready);
        }
        while let Some((_, Reverse(number), uid)) = self.ready.pop() {
            if let Some(entry) =
                self.entries.get_mut(&uid).filter(|entry| entry.stand == Stand::Ready(number))
            {
                entry.stand = Stand::Out;
                entry.attempts = entry.attempts.saturating_add(1);
                return Some(entry.pod.clone());
            }
        }
        None
    }

    /// A pod fits nowhere, until one of these changes.
    pub(super) fn stuck(&mut self, uid: &CompactString, helped_by: u8, now: Instant) {
        self.stand(uid, |_| Stand::Stuck { helped_by, since: now });
    }

    /// Something else failed: the pod is tried again after its rest.
    pub(super) fn failed(&mut self, uid: &CompactString, now: Instant) {
        let attempts = self.entries.get(uid).map_or(0, |entry| entry.attempts);
        self.stand(uid, |number| Stand::Resting(now + rest(attempts), number));
    }

    fn wake(&mut self, uid: &CompactString) {
        let Some(entry) = self.entries.get(uid) else { return };
        if let Stand::Stuck { since, .. } = entry.stand {
            let at = since + rest(entry.attempts);
            self.stand(uid, |number| Stand::Resting(at, number));
        }
    }

    fn wake_where(&mut self, is_due: impl Fn(u8, Instant) -> bool) {
        let stands = self.entries.iter().filter_map(|(uid, entry)| match entry.stand {
            Stand::Stuck { helped_by, since } if is_due(helped_by, since) => Some(uid.clone()),
            _ => None,
        });
        for uid in stands.collect::<Vec<_>>() {
            self.wake(&uid);
        }
    }

    /// Something happened.
    pub(super) fn changed(&mut self, change: u8) {
        self.wake_where(|helped_by, _| helped_by & change != 0);
    }

    /// Wakes those that are stuck for long, whatever happened.
    pub(super) fn patrol(&mut self, now: Instant) {
        self.wake_where(|_, since| now.saturating_duration_since(since) >= PATROL);
    }

    /// Everybody who waits.
    pub(super) fn uids(&self) -> impl Iterator<Item = &CompactString> {
        self.entries.keys()
    }

    /// True when it is somebody's turn.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the next rest is over.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.resting.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::json;

    fn waiting(name: &str, priority: i64) -> Arc<PodInfo> {
        Arc::new(pod(name, json!({"priority": priority})))
    }

    fn next(queue: &mut Queue, now: Instant) -> Option<String> {
        queue.next(now).map(|pod| pod.uid.to_string())
    }

    #[test]
    fn the_most_important_and_then_the_first_is_next() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (name, priority) in [("a", 0), ("b", 0), ("c", 9), ("d", 0)] {
            queue.set(waiting(name, priority));
        }
        queue.remove("b");
        let order: Vec<String> = std::iter::from_fn(|| next(&mut queue, now)).collect();
        assert_eq!(order, ["c", "a", "d"]);
        assert!(!queue.is_ready());
    }

    #[test]
    fn who_is_stuck_rests_longer_each_time_and_comes_by_what_helps() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.set(waiting("a", 0));
        let uid = CompactString::from("a");
        for expected in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            assert_eq!(next(&mut queue, now).as_deref(), Some("a"));
            queue.stuck(&uid, 0b10, now);
            queue.changed(0b01);
            assert_eq!(queue.wakes_at(), None, "it is not helped by that");
            queue.changed(0b11);
            assert_eq!(queue.wakes_at(), Some(now + Duration::from_millis(expected)));
            now += Duration::from_millis(expected);
        }
        assert!(next(&mut queue, now).is_some());
        queue.stuck(&uid, 0, now);
        queue.set(waiting("a", 0));
        assert_eq!(queue.wakes_at(), None, "it says nothing new");
        let mut other = pod("a", json!({"priority": 0}));
        other.labels.clear();
        queue.set(Arc::new(other));
        assert!(queue.wakes_at().is_some());
        queue.remove("a");
        assert_eq!((queue.wakes_at(), next(&mut queue, now + PATROL)), (None, None));
    }

    #[test]
    fn nobody_is_forgotten() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.set(waiting("a", 0));
        queue.next(now);
        queue.stuck(&"a".into(), 0, now);
        queue.patrol(now + PATROL);
        assert_eq!(next(&mut queue, now + PATROL).as_deref(), Some("a"));
        queue.failed(&"a".into(), now);
        assert!(queue.wakes_at().is_some());
    }
}
