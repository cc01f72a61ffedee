//! How long a failed daemon pod stays before it is replaced: 1 s, doubled with each failure on its node, at most
//! 15 minutes. Half an hour without a failure is a new start.

use plane_client::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(900);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1800);
/// From so many entries on, those that are forgotten are removed.
const MANY: usize = 1024;

/// Whose failures: a daemon set by its UID, its generation, and a node.
pub(super) type Key = (TenantId, String, i64, String);

#[derive(Clone, Copy)]
struct Entry {
    since: Instant,
    wait: Duration,
}

/// What failed.
#[derive(Default)]
pub(super) struct Backoff(Mutex<HashMap<Key, Entry>>);

impl Backoff {
    /// How long the pod that failed has to stay; `None`: it may be replaced.
    pub(super) fn rest(&self, key: &Key) -> Option<Duration> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.get(key)?;
        let rest = entry.wait.saturating_sub(entry.since.elapsed());
        (!rest.is_zero()).then_some(rest)
    }

    /// A pod that failed is replaced.
    pub(super) fn replaced(&self, key: Key) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY {
            all.retain(|_, entry| entry.since.elapsed() < FORGOTTEN_AFTER);
        }
        let known = all.get(&key).filter(|entry| entry.since.elapsed() < FORGOTTEN_AFTER);
        let wait = known.map_or(FIRST, |entry| (2 * entry.wait).min(LONGEST));
        all.insert(key, Entry { since: Instant::now(), wait });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_are_doubled_up_to_a_limit_and_forgotten() {
        let backoff = Backoff::default();
        let key = |node: &str| (TenantId::HOST, "uid".to_owned(), 1, node.to_owned());
        assert_eq!(backoff.rest(&key("n")), None);
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            backoff.replaced(key("n"));
            assert_eq!(backoff.rest(&key("n")), Some(Duration::from_secs(wait)));
            assert_eq!(backoff.rest(&key("m")), None);
            tokio::time::advance(Duration::from_secs(wait)).await;
            assert_eq!(backoff.rest(&key("n")), None);
        }
        tokio::time::advance(FORGOTTEN_AFTER).await;
        backoff.replaced(key("n"));
        assert_eq!(backoff.rest(&key("n")), Some(FIRST));
    }
}
