//! The keys of one tenant that wait, in three ranks.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use tokio::time::Instant;

/// How soon a key comes among those of its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// What ends what was begun.
    First,
    /// What has no other rank.
    Usual,
    /// What nobody waits for.
    Last,
}

/// Of so many keys, one is taken that waits longest, whatever its rank: no rank waits for ever.
const LONGEST_EVERY: u32 = 8;

/// The line. A key stands in it once, in the best rank that it was given.
pub struct Line<K> {
    /// Those that have another rank by now, or are taken, are not members any more in this place.
    ranks: [VecDeque<(K, Instant)>; 3],
    members: HashMap<K, (Rank, Instant)>,
    taken: u32,
    /// How many more keys this tenant may take before the next tenant's turn.
    pub credit: u32,
}

impl<K: Clone + Eq + Hash> Line<K> {
    /// An empty line.
    pub fn new(credit: u32) -> Self {
        Line { ranks: Default::default(), members: HashMap::new(), taken: 0, credit }
    }

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// True when the key waits.
    pub fn contains(&self, key: &K) -> bool {
        self.members.contains_key(key)
    }

    /// Adds a key, or gives it a better rank. It waits since then, or since it was added first.
    pub fn add(&mut self, key: K, rank: Rank, since: Instant) {
        let since = match self.members.get(&key) {
            Some((known, _)) if *known <= rank => return,
            Some((_, since)) => *since,
            None => since,
        };
        self.members.insert(key.clone(), (rank, since));
        self.ranks[rank as usize].push_back((key, since));
    }

    /// Takes the next key, its rank, and since when it waited.
    pub fn take(&mut self) -> Option<(K, Rank, Instant)> {
        for (rank, waiting) in [Rank::First, Rank::Usual, Rank::Last].into_iter().zip(&mut self.ranks) {
            while waiting.front().is_some_and(|(key, since)| self.members.get(key) != Some(&(rank, *since))) {
                waiting.pop_front();
            }
        }
        self.taken = self.taken.wrapping_add(1);
        let fronts =
            self.ranks.iter().enumerate().filter_map(|(rank, waiting)| Some((rank, waiting.front()?.1)));
        let (rank, _) = match self.taken.is_multiple_of(LONGEST_EVERY) {
            true => fronts.min_by_key(|(_, since)| *since),
            false => fronts.min_by_key(|(rank, _)| *rank),
        }?;
        let (key, since) = self.ranks[rank].pop_front()?;
        let (rank, _) = self.members.remove(&key)?;
        Some((key, rank, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn all(line: &mut Line<u32>) -> Vec<u32> {
        std::iter::from_fn(|| line.take().map(|(key, ..)| key)).collect()
    }

    #[test]
    fn ranks_come_one_after_the_other() {
        let mut line = Line::new(1);
        for (key, rank) in
            [(1, Rank::Last), (2, Rank::Usual), (3, Rank::First), (4, Rank::Usual), (5, Rank::First)]
        {
            line.add(key, rank, Instant::now());
        }
        assert_eq!(all(&mut line), [3, 5, 2, 4, 1]);
        assert!(line.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_stands_once_and_keeps_its_best_rank_and_its_time() {
        let mut line = Line::new(1);
        let since = Instant::now();
        line.add(1, Rank::Last, Instant::now());
        line.add(2, Rank::Usual, Instant::now());
        tokio::time::advance(Duration::from_secs(5)).await;
        line.add(1, Rank::First, Instant::now());
        line.add(1, Rank::Usual, Instant::now());
        assert_eq!((line.len(), line.take()), (2, Some((1, Rank::First, since))));
        assert_eq!(all(&mut line), [2]);
        // Where it stood before counts no more.
        line.add(1, Rank::Usual, Instant::now());
        assert_eq!(all(&mut line), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_rank_waits_for_ever() {
        let mut line = Line::new(1);
        line.add(0, Rank::Last, Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut taken = Vec::new();
        for key in 1..20 {
            line.add(key, Rank::First, Instant::now());
            taken.extend(line.take().map(|(key, ..)| key));
        }
        assert!(taken.contains(&0), "{taken:?}");
    }
}
