//! How long a failed pod waits to be replaced: 10 s, doubled with each failure, at most 10 minutes.

use super::facts::{Pod, finished_at};
use jiff::Timestamp;
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures of a job since its last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: usize,
    last: Option<Timestamp>,
}

impl Backoff {
    /// The same after pods that ended since.
    pub(super) fn after(self, succeeded: &[&Pod<'_>], failed: &[&Pod<'_>]) -> Self {
        let times = |pods: &[&Pod<'_>]| -> Vec<Timestamp> {
            pods.iter().map(|pod| finished_at(pod.value).unwrap_or(Timestamp::UNIX_EPOCH)).collect()
        };
        let (succeeded, failed) = (times(succeeded), times(failed));
        match succeeded.iter().max() {
            None if failed.is_empty() => self,
            None => Backoff { failures: self.failures + failed.len(), last: failed.iter().max().copied() },
            Some(success) => {
                let since: Vec<&Timestamp> = failed.iter().filter(|at| *at > success).collect();
                Backoff { failures: since.len(), last: since.into_iter().max().copied() }
            }
        }
    }

    /// What is left to wait.
    pub(super) fn rest(self, now: Timestamp) -> Duration {
        self.last.map_or(Duration::ZERO, |last| rest(self.failures, last, now))
    }
}

/// What is left to wait after so many failures, the last of which was then.
pub(super) fn rest(failures: usize, last: Timestamp, now: Timestamp) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(6);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    whole.saturating_sub(Duration::try_from(now.duration_since(last)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::facts::Job;
    use super::*;
    use serde_json::{Value, json};
    use std::collections::HashSet;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_doubles() {
        for (failures, expected) in [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (99, 600)] {
            assert_eq!(rest(failures, at(0), at(0)).as_secs(), expected, "{failures}");
        }
        assert_eq!(rest(2, at(100), at(115)), Duration::from_secs(5));
        assert_eq!(rest(2, at(100), at(130)), Duration::ZERO);
    }

    #[test]
    fn a_success_starts_anew() {
        let ended = |second: i64| -> Value {
            let finished = at(second).to_string();
            json!({"status": {"containerStatuses": [{"state": {"terminated": {"finishedAt": finished}}}]}})
        };
        let (job, none) = (json!({}), HashSet::new());
        let values: Vec<Value> = [100, 110, 120].into_iter().map(ended).collect();
        let job = Job::new(&job);
        let pods: Vec<Pod<'_>> = values.iter().map(|value| Pod::new(&job, value, &none)).collect();
        let two = Backoff::default().after(&[], &[&pods[0], &pods[1]]);
        assert_eq!(two, Backoff { failures: 2, last: Some(at(110)) });
        assert_eq!(two.after(&[], &[]), two);
        assert_eq!(two.after(&[&pods[2]], &[]), Backoff::default());
        assert_eq!(
            two.after(&[&pods[1]], &[&pods[0], &pods[2]]),
            Backoff { failures: 1, last: Some(at(120)) }
        );
    }
}
