//! Log lines of a trouble that every request meets: the first is said, then one for each interval with the number of
//! those that were not.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// What was said of one trouble, and when.
pub struct Seldom {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// At most one line in `every`.
    pub const fn new(every: Duration) -> Self {
        Seldom { every, state: Mutex::new(State { said: None, unsaid: 0 }) }
    }

    /// Whether to say it now; then how often it was not said since the last time.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if state.said.is_some_and(|said| now.duration_since(said) < self.every) {
            state.unsaid += 1;
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_then_one_for_each_interval() {
        let seldom = Seldom::new(Duration::from_secs(10));
        let start = Instant::now();
        // Seconds since the start, and what is due.
        let table =
            [(0, Some(0)), (1, None), (9, None), (10, Some(2)), (19, None), (40, Some(1)), (51, Some(0))];
        for (seconds, due) in table {
            assert_eq!(seldom.due_at(start + Duration::from_secs(seconds)), due, "after {seconds} s");
        }
    }
}
