//! Decides what to compact, by age: history older than a duration is forgotten.

use crate::engine::{ObjectStore, StoreError};
use api_types::Revision;
use std::collections::VecDeque;
use std::sync::Weak;
use std::time::{Duration, Instant};

/// Remembers which revision was the newest at which time. A pure table: the clock is the caller's.
///
/// After a restart nothing is remembered, so nothing is forgotten for one more duration.
#[derive(Debug)]
pub struct Retention {
    history: Duration,
    samples: VecDeque<(Instant, Revision)>,
}

impl Retention {
    /// Keeps at least `history` of changes.
    pub fn new(history: Duration) -> Self {
        Retention { history, samples: VecDeque::new() }
    }

    /// Notes the newest revision at `now`, and says up to which revision history can be forgotten, if any.
    pub fn sample(&mut self, now: Instant, newest: Revision) -> Option<Revision> {
        self.samples.push_back((now, newest));
        let mut due = None;
        while let Some((at, revision)) = self.samples.front()
            && now.saturating_duration_since(*at) >= self.history
        {
            due = Some(*revision);
            self.samples.pop_front();
        }
        due.filter(|revision| *revision > Revision::ZERO)
    }
}

/// Compacts a store for as long as it lives, keeping `history` (10 minutes is usual). To be spawned once for a
/// process, and supervised by the caller: it returns when the store is gone. A compaction that fails is logged
/// and tried again with the next sample, which comes after a tenth of `history`.
pub async fn keep_history(store: Weak<dyn ObjectStore>, history: Duration) {
    let mut retention = Retention::new(history);
    let mut ticks = tokio::time::interval((history / 10).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(store) = store.upgrade() else { return };
        if let Err(error) = step(&*store, &mut retention).await {
            tracing::warn!(%error, "history was not compacted");
        }
    }
}

async fn step(store: &dyn ObjectStore, retention: &mut Retention) -> Result<(), StoreError> {
    let newest = store.revision().await?;
    let Some(due) = retention.sample(Instant::now(), newest) else { return Ok(()) };
    match store.compact(due).await {
        // Another replica was faster.
        Err(StoreError::Compacted { .. }) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_forgotten_when_it_is_old_enough() {
        let start = Instant::now();
        let mut retention = Retention::new(Duration::from_secs(600));
        let table = [
            (0, 5, None),
            (60, 9, None),
            (599, 20, None),
            (600, 21, Some(5)),
            (650, 22, None),
            (1300, 30, Some(22)),
        ];
        for (seconds, newest, due) in table {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(retention.sample(now, Revision(newest)), due.map(Revision), "at {seconds} s");
        }
    }
}
