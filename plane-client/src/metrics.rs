//! The port through which the API server learns what services count, for the host plane's `/metrics`.

/// Tells what a service counts.
pub trait MetricSource: Send + Sync + 'static {
    /// What it counts, in the order in which it is told. The number of series has a bound that does not grow with the
    /// number of tenants.
    fn families(&self) -> Vec<MetricFamily>;
}

/// Series of one name, as Prometheus' text format has them.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// A sentence about it.
    pub about: &'static str,
    /// The series.
    pub samples: Vec<MetricSample>,
}

impl MetricFamily {
    /// A family without series.
    pub fn new(name: &'static str, kind: &'static str, about: &'static str) -> Self {
        MetricFamily { name, kind, about, samples: Vec::new() }
    }

    /// With one more series.
    #[must_use]
    pub fn with(mut self, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        self.samples.push(MetricSample { suffix: "", labels, value });
        self
    }
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSample {
    /// What follows the family's name: empty, or `_bucket`, `_sum`, `_count` of a histogram.
    pub suffix: &'static str,
    /// Labels, in the order in which they are written.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}
