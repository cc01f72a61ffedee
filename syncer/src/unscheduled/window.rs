//! How many pods may wait for a scheduler: as many as it takes without making them wait, learnt from how long they do.
//!
//! As congestion control by delay does (RFC 6817): while a pod that is let in is scheduled as soon as ever, there may
//! be more; when pods wait several times as long, they wait for each other, and there are to be less.
//!
//! Guarantees: between [`LEAST`] and [`MOST`]. What is usual is learnt anew, so that a super cluster that has become slower is
//! not held for a busy one for ever.

use std::time::Duration;
use tokio::time::Instant;

/// So many always.
const LEAST: f64 = 4.0;
/// Never more.
const MOST: f64 = 64.0;
/// What is begun with.
const FIRST: f64 = 16.0;
/// By how much pods may wait longer, on average, than twice what is usual.
const SLACK: Duration = Duration::from_millis(20);
/// The usual time is the shortest of this time, and of as much before it.
const EPOCH: Duration = Duration::from_secs(300);
/// The weight of the last pod in the average.
const NEWEST: f64 = 0.125;
/// What is left of the window when pods wait for each other.
const CUT: f64 = 0.75;

/// How many pods there may be.
#[derive(Debug)]
pub struct Window {
    size: f64,
    /// How long pods waited, the last ones most of all, in seconds.
    average: f64,
    /// The shortest time of this epoch.
    shortest: Duration,
    /// That of the one before.
    before: Duration,
    epoch: Instant,
    /// What was asked for before this was let in by a larger window.
    cut: Instant,
}

impl Default for Window {
    fn default() -> Self {
        let now = Instant::now();
        let longest = Duration::MAX;
        Window { size: FIRST, average: 0.0, shortest: longest, before: longest, epoch: now, cut: now }
    }
}

impl Window {
    /// How many there may be.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// A pod that the super cluster was asked for then is scheduled now; `is_full` says whether others wait.
    pub fn learn(&mut self, asked: Instant, now: Instant, is_full: bool) {
        if now.duration_since(self.epoch) >= EPOCH {
            (self.before, self.shortest, self.epoch) = (self.shortest, Duration::MAX, now);
        }
        let took = now.duration_since(asked);
        self.shortest = self.shortest.min(took);
        self.average += (took.as_secs_f64() - self.average) * NEWEST;
        let usual = self.shortest.min(self.before);
        if self.average <= (usual * 2 + SLACK).as_secs_f64() {
            // One more for each round of all.
            self.size = if is_full { (self.size + 1.0 / self.size).min(MOST) } else { self.size };
        } else if asked >= self.cut {
            // Once for each round: those that are on their way say the same.
            (self.size, self.cut) = ((self.size * CUT).max(LEAST), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scheduler that takes one pod after the other, and each of them through a way that does not get longer by others.
    fn settled(each: Duration, way: Duration, rounds: usize) -> Window {
        let (mut window, mut now) = (Window::default(), Instant::now());
        // The first pod is alone.
        window.learn(now, now + each + way, false);
        now += each + way;
        for _ in 0..rounds {
            let let_in = now;
            for place in 1..=window.size() {
                let wait = each * u32::try_from(place).unwrap() + way;
                now = let_in + wait;
                window.learn(let_in, now, true);
            }
        }
        window
    }

    #[test]
    fn as_many_wait_as_the_scheduler_takes_without_making_them_wait() {
        let milliseconds = Duration::from_millis;
        // 50 a second, 20 ms each: the second waits twice as long as the first.
        let slow = settled(milliseconds(20), milliseconds(10), 100);
        assert!((4..=6).contains(&slow.size()), "{slow:?}");
        // 1,000 a second through a way of 100 ms.
        let far = settled(milliseconds(1), milliseconds(100), 300);
        assert!(far.size() >= 48, "{far:?}");
        let quick = settled(milliseconds(1), milliseconds(5), 100);
        assert!((16..=48).contains(&quick.size()), "{quick:?}");
    }

    #[test]
    fn who_never_waits_needs_no_more_and_what_is_usual_is_learnt_anew() {
        let (mut window, start) = (Window::default(), Instant::now());
        let second = Duration::from_secs(1);
        for count in 0..1000 {
            window.learn(start + second * count, start + second * count + Duration::from_millis(9), false);
        }
        assert_eq!(window.size(), FIRST as usize);
        // It takes ten times as long from now on.
        let slower = Duration::from_millis(90);
        let mut sizes = Vec::new();
        for count in 1000..5000 {
            window.learn(start + second * count, start + second * count + slower, true);
            sizes.push(window.size());
        }
        assert_eq!(sizes.iter().min(), Some(&(LEAST as usize)));
        assert_eq!(sizes.last(), Some(&(MOST as usize)), "{window:?}");
    }
}
