//! Who fails too often before anybody knows them: where connections and requests come from, and how many failures each
//! of these places has left.
//!
//! Guarantees: the table is bounded; whoever fails seldom is never refused; what a failing source loses comes back with
//! time. An address of version 6 counts by its first 64 bits, which one customer has.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::time::Instant;

/// The most sources that are remembered.
const MAX_SOURCES: usize = 10_000;

/// Where something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The source of an address.
    pub fn of(address: IpAddr) -> Self {
        Source(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(six) => match six.to_ipv4_mapped() {
                Some(four) => IpAddr::V4(four),
                None => {
                    let [a, b, c, d, ..] = six.segments();
                    IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
                }
            },
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(four) => four.fmt(f),
            IpAddr::V6(six) => write!(f, "{six}/64"),
        }
    }
}

/// How often each source may fail.
pub struct Failures {
    /// So many times at once.
    burst: u32,
    /// Then once in this time.
    every: Duration,
    /// When a source has all of them again. Who has all is not there.
    whole: Mutex<HashMap<Source, Instant>>,
}

impl Failures {
    /// So many at once, and then one in a time.
    pub fn new(burst: u32, every: Duration) -> Self {
        Failures { burst, every, whole: Mutex::default() }
    }

    /// How long a source that has none left waits for the next; `None`: it has some.
    pub fn wait(&self, source: Source) -> Option<Duration> {
        let whole = self.whole.lock().get(&source).copied()?;
        let missing = whole.saturating_duration_since(Instant::now());
        let enough = self.every * self.burst.saturating_sub(1);
        missing.checked_sub(enough).filter(|wait| !wait.is_zero())
    }

    /// A source has failed. True when that was the last time that it may for now.
    pub fn failed(&self, source: Source) -> bool {
        let now = Instant::now();
        let mut whole = self.whole.lock();
        if whole.len() >= MAX_SOURCES && !whole.contains_key(&source) {
            whole.retain(|_, at| *at > now);
            // Still full: those who lack the least make room, half of them at once so that this is seldom done.
            if whole.len() >= MAX_SOURCES {
                let mut times: Vec<Instant> = whole.values().copied().collect();
                let (_, middle, _) = times.select_nth_unstable(MAX_SOURCES / 2);
                let middle = *middle;
                whole.retain(|_, at| *at > middle);
            }
        }
        let at = whole.entry(source).or_insert(now);
        let before = (*at).max(now);
        let last = now + self.every * self.burst.saturating_sub(1);
        *at = (before + self.every).min(now + self.every * self.burst);
        before <= last && *at > last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn one_customer_is_one_source() {
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_too_often_waits_and_nobody_else_does() {
        let failures = Failures::new(3, Duration::from_secs(10));
        let [bad, good] = ["192.0.2.1", "192.0.2.2"].map(source);
        assert_eq!([(); 3].map(|()| failures.failed(bad)), [false, false, true]);
        assert_eq!(failures.wait(bad), Some(Duration::from_secs(10)));
        assert_eq!(failures.wait(good), None);
        // Whoever goes on failing does not wait for longer than that.
        assert!(!failures.failed(bad));
        assert_eq!(failures.wait(bad), Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(failures.wait(bad), None);
        assert!(failures.failed(bad), "it had one");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!([(); 3].map(|()| failures.failed(bad)), [false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_has_an_end_and_keeps_the_worst() {
        let failures = Failures::new(2, Duration::from_secs(10));
        let worst = source("192.0.2.1");
        assert_eq!([failures.failed(worst), failures.failed(worst)], [false, true]);
        for n in 0..u32::try_from(2 * MAX_SOURCES).unwrap() {
            failures.failed(Source::of(IpAddr::V4(n.into())));
            assert!(failures.whole.lock().len() <= MAX_SOURCES);
        }
        assert!(failures.wait(worst).is_some());
    }
}
