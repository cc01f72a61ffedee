//! What is counted of questions, over all tenants: the number of series does not grow with them.

use plane_client::{MetricFamily, MetricSource};
use std::sync::atomic::{AtomicU64, Ordering};

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered out of the tenant's own objects.
    Own,
    /// The same, that there is no such name or no such record.
    OwnNothing,
    /// Answered as another resolver did.
    Forwarded,
    /// No other resolver answered, or all places were taken.
    Failed,
    /// The source is no tenant's pod.
    UnknownSource,
    /// The tenant asked too much.
    Limited,
    /// It was no question, or of a kind that is not answered.
    NotUnderstood,
    /// Too many were under way.
    Dropped,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 8] = [
        Outcome::Own,
        Outcome::OwnNothing,
        Outcome::Forwarded,
        Outcome::Failed,
        Outcome::UnknownSource,
        Outcome::Limited,
        Outcome::NotUnderstood,
        Outcome::Dropped,
    ];

    /// As a label.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Own => "own",
            Outcome::OwnNothing => "own_nothing",
            Outcome::Forwarded => "forwarded",
            Outcome::Failed => "failed",
            Outcome::UnknownSource => "unknown_source",
            Outcome::Limited => "limited",
            Outcome::NotUnderstood => "not_understood",
            Outcome::Dropped => "dropped",
        }
    }
}

/// How many questions ended how.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Outcome::ALL.len()]);

impl Counts {
    /// One more.
    pub fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each, as it is now.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::ALL
            .into_iter()
            .map(|outcome| (outcome.name(), self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}

impl MetricSource for Counts {
    fn families(&self) -> Vec<MetricFamily> {
        let about = "Questions of tenants' pods, by how they ended.";
        let family = MetricFamily::new("insula_dns_questions_total", "counter", about);
        let told = |family: MetricFamily, (outcome, count): (&'static str, u64)| {
            family.with(vec![("outcome", outcome.to_owned())], count as f64)
        };
        vec![self.all().fold(family, told)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_under_their_names() {
        let counts = Counts::default();
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            (0..=index).for_each(|_| counts.add(outcome));
        }
        let all: Vec<_> = counts.all().collect();
        assert_eq!((all[0], all[7]), (("own", 1), ("dropped", 8)));
        let families = counts.families();
        let last = families[0].samples.last().unwrap();
        assert_eq!((last.labels.as_slice(), last.value), (&[("outcome", "dropped".to_owned())][..], 8.0));
    }
}
