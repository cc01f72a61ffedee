//! How durations are spread over ranges with fixed bounds.

use std::time::Duration;

/// Upper bounds, in seconds, where nothing else is said.
pub const BOUNDS: [f64; 13] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0];

/// Durations by ranges.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    ranges: Box<[u64]>,
    /// How many there were.
    pub count: u64,
    /// What they are together, in seconds.
    pub sum: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::of(&BOUNDS)
    }
}

impl Histogram {
    /// With these upper bounds, in seconds.
    pub fn of(bounds: &'static [f64]) -> Self {
        Histogram { bounds, ranges: vec![0; bounds.len()].into(), count: 0, sum: 0.0 }
    }

    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(range) = self.bounds.iter().position(|bound| seconds <= *bound) {
            self.ranges[range] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// How many are at most each bound.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.ranges.iter().zip(self.bounds).scan(0, |below, (range, bound)| {
            *below += range;
            Some((*bound, *below))
        })
    }
}
