//! Whose turn it is: deficit round robin by weight, in which tenants with little to do do not stand behind those with much
//! (as flows do in RFC 8290).
//!
//! Guarantees: a tenant that had nothing waiting when its last turn came takes its first turn before those that did; then
//! it stands in the round like all others, also when it has run out of keys meanwhile, so that none can come first again and
//! again. In a round each tenant is served at most twice its weight.

use super::line::{Line, Rank};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use tokio::time::Instant;

/// The keys that wait, of all tenants.
pub struct Turns<T, K> {
    /// Of each tenant that stands in one of the two queues below. An empty one takes part in the round once more.
    lines: HashMap<T, Line<K>>,
    fresh: VecDeque<T>,
    round: VecDeque<T>,
    len: usize,
}

impl<T, K> Default for Turns<T, K> {
    fn default() -> Self {
        Turns { lines: HashMap::new(), fresh: VecDeque::new(), round: VecDeque::new(), len: 0 }
    }
}

impl<T: Clone + Eq + Hash, K: Clone + Eq + Hash> Turns<T, K> {
    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many keys of each tenant wait.
    pub fn lengths(&self) -> Vec<(T, usize)> {
        let waiting = self.lines.iter().filter(|(_, line)| !line.is_empty());
        waiting.map(|(tenant, line)| (tenant.clone(), line.len())).collect()
    }

    /// True when the key waits.
    pub fn contains(&self, tenant: &T, key: &K) -> bool {
        self.lines.get(tenant).is_some_and(|line| line.contains(key))
    }

    /// Adds a key, or gives it a better rank.
    pub fn add(&mut self, tenant: T, key: K, rank: Rank, since: Instant, weight: u32) {
        let fresh = &mut self.fresh;
        let line = self.lines.entry(tenant).or_insert_with_key(|tenant| {
            fresh.push_back(tenant.clone());
            Line::new(weight)
        });
        let before = line.len();
        line.add(key, rank, since);
        self.len += line.len() - before;
    }

    /// Takes the next key.
    pub fn take(&mut self, weight: impl Fn(&T) -> u32) -> Option<(T, K, Rank, Instant)> {
        loop {
            let first = self.fresh.pop_front();
            let is_fresh = first.is_some();
            let tenant = first.or_else(|| self.round.pop_front())?;
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            let Some((key, rank, since)) = line.take() else {
                // The round has come to it, and there was nothing.
                self.lines.remove(&tenant);
                continue;
            };
            self.len -= 1;
            line.credit = line.credit.saturating_sub(1);
            if line.credit == 0 {
                line.credit = weight(&tenant);
                self.round.push_back(tenant.clone());
            } else if line.is_empty() {
                self.round.push_back(tenant.clone());
            } else if is_fresh {
                self.fresh.push_front(tenant.clone());
            } else {
                self.round.push_front(tenant.clone());
            }
            return Some((tenant, key, rank, since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Queue = Turns<char, u32>;

    fn add(queue: &mut Queue, tenant: char, keys: std::ops::Range<u32>, weight: u32) {
        for key in keys {
            queue.add(tenant, key, Rank::Usual, Instant::now(), weight);
        }
    }

    fn take(queue: &mut Queue, count: usize) -> String {
        let weight = |tenant: &char| if *tenant == 'w' { 3 } else { 1 };
        std::iter::from_fn(|| queue.take(weight)).map(|(tenant, ..)| tenant).take(count).collect()
    }

    #[test]
    fn who_had_nothing_to_do_does_not_wait_for_those_with_much() {
        let mut queue = Queue::default();
        add(&mut queue, 'g', 0..9, 1);
        add(&mut queue, 'h', 0..9, 1);
        assert_eq!(take(&mut queue, 4), "ghgh");
        add(&mut queue, 'r', 0..1, 1);
        assert_eq!(take(&mut queue, 3), "rgh");
        // The round has come to it meanwhile.
        add(&mut queue, 'r', 1..2, 1);
        assert_eq!(queue.lengths().iter().map(|(_, length)| length).sum::<usize>(), queue.len());
        assert_eq!(take(&mut queue, 9), "rghghghgh");
        assert_eq!(take(&mut queue, 99), "ghgh");
        assert!(queue.lines.is_empty() && queue.fresh.is_empty() && queue.round.is_empty());
    }

    #[test]
    fn none_comes_first_again_and_again() {
        let mut queue = Queue::default();
        add(&mut queue, 'g', 0..50, 1);
        let mut served = String::new();
        for key in 0..20 {
            // Always something, and never more than one.
            add(&mut queue, 'r', key..key + 1, 1);
            served += &take(&mut queue, 1);
        }
        let greedy = served.chars().filter(|tenant| *tenant == 'g').count();
        assert!((9..=11).contains(&greedy), "{served}");
    }

    #[test]
    fn weights_hold_for_those_with_much() {
        let mut queue = Queue::default();
        add(&mut queue, 'g', 0..50, 1);
        add(&mut queue, 'w', 0..50, 3);
        assert_eq!(take(&mut queue, 12), "gwwwgwwwgwww");
    }

    #[test]
    fn a_key_is_counted_once() {
        let mut queue = Queue::default();
        add(&mut queue, 'a', 0..2, 1);
        add(&mut queue, 'a', 0..2, 1);
        queue.add('a', 1, Rank::First, Instant::now(), 1);
        assert_eq!((queue.len(), queue.lengths(), queue.contains(&'a', &1)), (2, vec![('a', 2)], true));
        let keys: Vec<u32> = std::iter::from_fn(|| queue.take(|_| 1)).map(|(_, key, ..)| key).collect();
        assert_eq!((keys, queue.len()), (vec![1, 0], 0));
    }
}
