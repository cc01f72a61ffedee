//! How values are spread over ranges with fixed bounds.

/// Upper bounds for how long requests take, in seconds: those of Kubernetes, so that its dashboards fit.
pub const SECONDS: [f64; 22] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0,
];

/// Upper bounds for the sizes of answers, in bytes.
pub const BYTES: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Values by ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram<const N: usize> {
    ranges: [u32; N],
    /// How many values there were.
    pub count: u64,
    /// What they are together.
    pub sum: f64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram { ranges: [0; N], count: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts a value.
    pub fn add(&mut self, bounds: &[f64; N], value: f64) {
        if let Some(range) = bounds.iter().position(|bound| value <= *bound) {
            self.ranges[range] = self.ranges[range].saturating_add(1);
        }
        self.count += 1;
        self.sum += value;
    }

    /// How many values are at most each bound.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.ranges.iter().scan(0u64, |below, range| {
            *below += u64::from(*range);
            Some(*below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_counts_all_below_it() {
        let mut histogram = Histogram::<3>::default();
        let bounds = [1.0, 2.0, 4.0];
        for value in [0.5, 1.0, 3.0, 3.5, 100.0] {
            histogram.add(&bounds, value);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [2, 2, 4]);
        assert_eq!((histogram.count, histogram.sum), (5, 108.0));
    }
}
