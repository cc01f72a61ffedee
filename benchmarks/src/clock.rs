//! How long a load ran, and how much of the machine it had meanwhile.
//!
//! A virtual machine gets the processors that its host has left. What was wanted and not given is its *steal time*
//! (`/proc/stat`, proc(5)): figures that were taken while there was much of it say little about the server.

use std::fs;
use std::time::{Duration, Instant};

/// Runs from its start on.
#[derive(Clone, Copy)]
pub struct Clock {
    begun: Instant,
    processors: Option<Processors>,
}

/// What a clock showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elapsed {
    /// How long it ran.
    pub time: Duration,
    /// Which share of the processor time that this machine wanted it did not get, in percent; `None` where the system does
    /// not say.
    pub stolen: Option<f64>,
}

/// Ticks of all processors of this machine, since it started.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Processors {
    /// On which they worked.
    given: u64,
    /// On which they would have, had the host let them.
    stolen: u64,
}

impl Clock {
    /// Starts one.
    pub fn start() -> Self {
        let processors = Processors::now();
        Clock { begun: Instant::now(), processors }
    }

    /// What it shows.
    pub fn elapsed(&self) -> Elapsed {
        let time = self.begun.elapsed();
        let both = self.processors.zip(Processors::now());
        Elapsed { time, stolen: both.and_then(|(before, after)| after.stolen_since(before)) }
    }
}

impl Processors {
    fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// From the first line: user, nice, system, idle, iowait, irq, softirq, steal.
    fn read(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        let ticks: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
        let &[user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = ticks.as_slice() else {
            return None;
        };
        Some(Processors { given: user + nice + system + irq + softirq, stolen })
    }

    /// The share that was not given, in percent; `None` when nothing was wanted.
    fn stolen_since(self, before: Self) -> Option<f64> {
        let stolen = self.stolen.checked_sub(before.stolen)?;
        let wanted = self.given.checked_sub(before.given)? + stolen;
        (wanted > 0).then(|| 100.0 * stolen as f64 / wanted as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_kept_is_a_share_of_what_was_wanted() {
        let before = Processors::read("cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!(before, Processors { given: 163, stolen: 8 });
        let after = Processors::read("cpu  170 20 35 9000 50 6 7 33 0 0\n").unwrap();
        assert_eq!(after.stolen_since(before), Some(25.0));
        assert_eq!(before.stolen_since(before), None);
        assert_eq!(before.stolen_since(after), None, "a counter that went back says nothing");
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for stat in ["", "cpu", "cpu  1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu  a b c d e f g h"] {
            assert_eq!(Processors::read(stat), None, "{stat}");
        }
    }
}
