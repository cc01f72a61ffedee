//! Decides what to compact, by age: history older than a duration is forgotten.

use api_types::Revision;
use std::collections::VecDeque;
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
