//! How many pods may wait for a scheduler: as many as it takes without making them wait, learnt from how long they do.
//!
//! As congestion control by delay does (RFC 6817): while pods are scheduled soon after they are made, there may be more;
//! when they wait for each other, there are to be less. Soon is what is hardly longer than making them, which needs no
//! scheduler: scheduling one is a request as well, and a super cluster that is busy with something else is slow in both. Or
//! what is hardly longer than in the best case: a binding may take long for each.
//!
//! Guarantees: between [`LEAST`] and [`MOST`].

use std::time::Duration;
use tokio::time::Instant;

/// So many always: one that is scheduled, and the next.
const LEAST: f64 = 2.0;
/// Never more.
const MOST: f64 = 64.0;
/// What is begun with.
const FIRST: f64 = 8.0;
/// By how much longer than making a pod it may take to schedule it, on average.
const SLACK: Duration = Duration::from_millis(20);
/// Or by how many times longer than the shortest time.
const TIMES: f64 = 2.0;
/// By how much the shortest time grows with each pod: what was never seen again is forgotten after some thousand.
const FORGET: f64 = 1.001;
/// The weight of the last pod in the average of how long it takes to make one.
const NEWEST: f64 = 1.0 / 32.0;
/// A round has so many pods at least.
const ROUND: usize = 4;
/// What is left of the window, at least, when pods wait for each other.
const CUT: f64 = 0.25;

/// How a pod was scheduled.
#[derive(Clone, Copy, Debug)]
pub struct Scheduled {
    /// When the super cluster was asked to make it.
    pub asked: Instant,
    /// When it had.
    pub made: Instant,
    /// When it was heard where it runs.
    pub bound: Instant,
}

/// How many pods there may be.
#[derive(Debug)]
pub struct Window {
    size: f64,
    /// How long it takes on average to make a pod, in seconds; `None` before the first.
    making: Option<f64>,
    /// The shortest time in which one was scheduled then; `None` before the first.
    shortest: Option<f64>,
    /// How many pods were scheduled in this round, and how long they waited in all.
    scheduled: usize,
    waited: Duration,
    /// What was asked for before this was let in by a larger window, and says nothing about this one.
    cut: Instant,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            size: FIRST,
            making: None,
            shortest: None,
            scheduled: 0,
            waited: Duration::ZERO,
            cut: Instant::now(),
        }
    }
}

impl Window {
    /// How many there may be.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// A pod was scheduled; `is_full` says whether others wait to be made. After as many as there may be, a round is over.
    pub fn learn(&mut self, pod: Scheduled, is_full: bool) {
        let made = pod.made.duration_since(pod.asked).as_secs_f64();
        self.making = Some(self.making.map_or(made, |known| known + (made - known) * NEWEST));
        let waited = pod.bound.duration_since(pod.made).as_secs_f64();
        self.shortest = Some(self.shortest.map_or(waited, |known| (known * FORGET).min(waited)));
        self.count(pod, is_full);
    }

    /// A pod was not scheduled until now.
    pub fn give_up(&mut self, pod: Scheduled) {
        self.count(pod, false);
    }

    fn count(&mut self, pod: Scheduled, is_full: bool) {
        if pod.asked < self.cut {
            return;
        }
        self.scheduled += 1;
        self.waited += pod.bound.duration_since(pod.made);
        if self.scheduled < self.size().max(ROUND) {
            return;
        }
        let waited = (self.waited / u32::try_from(self.scheduled).unwrap_or(u32::MAX)).as_secs_f64();
        let soon = self.making.unwrap_or_default() + SLACK.as_secs_f64();
        let soon = soon.max(self.shortest.unwrap_or_default() * TIMES);
        if waited > soon {
            (self.size, self.cut) = ((self.size * (soon / waited).max(CUT)).max(LEAST), pod.bound);
        } else if is_full {
            self.size = (self.size + 1.0).min(MOST);
        }
        (self.scheduled, self.waited) = (0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(count: u32) -> Duration {
        Duration::from_millis(count.into())
    }

    /// A scheduler that takes one pod after the other, and binds each in so long, in a super cluster that is so far away and
    /// where a request takes so long.
    fn settled(each: Duration, request: Duration, binding: Duration, away: Duration) -> usize {
        let (mut window, mut now) = (Window::default(), Instant::now());
        for _ in 0..1_000 {
            let (asked, made) = (now, now + request + away);
            for place in 1..=window.size() {
                now = made + each * u32::try_from(place).unwrap() + request + binding;
                window.learn(Scheduled { asked, made, bound: now }, true);
            }
        }
        window.size()
    }

    #[test]
    fn as_many_wait_as_the_scheduler_takes_without_making_them_wait() {
        let near = Duration::ZERO;
        for (each, request, away, expected) in [
            // 50 a second.
            (milliseconds(20), milliseconds(4), near, 2..=3),
            // 1,000 a second.
            (milliseconds(1), milliseconds(5), near, 20..=40),
            (milliseconds(1), milliseconds(5), milliseconds(100), 60..=64),
            // All of it four times as slow.
            (milliseconds(4), milliseconds(20), near, 8..=16),
        ] {
            let size = settled(each, request, Duration::ZERO, away);
            assert!(expected.contains(&size), "{each:?} {request:?} {away:?}: {size}");
        }
    }

    #[test]
    fn bindings_that_take_long_do_not_make_a_scheduler_busy() {
        let slow = settled(milliseconds(1), milliseconds(5), milliseconds(60), Duration::ZERO);
        assert!(slow >= 48, "{slow}");
    }

    #[test]
    fn a_slow_super_cluster_is_slow_from_the_first_pod_on() {
        let (mut window, start) = (Window::default(), Instant::now());
        for count in 0..20 {
            let asked = start + milliseconds(count);
            let made = asked + milliseconds(200);
            window.learn(Scheduled { asked, made, bound: made + milliseconds(200) }, true);
        }
        assert!(window.size() > FIRST as usize, "{window:?}");
    }

    #[test]
    fn a_scheduler_that_becomes_slow_has_few_waiting_soon() {
        let (mut window, mut now) = (Window { size: 30.0, ..Window::default() }, Instant::now());
        let mut in_flight = std::collections::VecDeque::from(vec![now; 30]);
        for heard in 1.. {
            now += milliseconds(20);
            let asked = in_flight.pop_front().unwrap();
            window.learn(Scheduled { asked, made: asked + milliseconds(4), bound: now }, true);
            while in_flight.len() < window.size() {
                in_flight.push_back(now);
            }
            // Those that were there, and about as many again.
            assert!(heard <= 75, "{window:?}");
            if window.size() <= 3 {
                return;
            }
        }
    }

    #[test]
    fn who_never_waits_needs_no_more() {
        let (mut window, start) = (Window::default(), Instant::now());
        for count in 0..1000 {
            let asked = start + milliseconds(1000 * count);
            let made = asked + milliseconds(3);
            window.learn(Scheduled { asked, made, bound: made + milliseconds(6) }, false);
        }
        assert_eq!(window.size(), FIRST as usize);
    }
}
