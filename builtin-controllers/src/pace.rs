//! How often a key that costs much is worked on.
//!
//! Whoever counts pods reads all of them, for each of their events: the work would grow with the square of their
//! number. So a key is worked on at most once in half a millisecond for each object that it read: ten pods
//! are not slowed down that anyone could see, a thousand are counted twice a second.

use plane_client::{ObjectName, TenantId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const FOR_EACH: Duration = Duration::from_micros(500);
/// Below this, no pace is kept.
const SMALL: usize = 16;
const LONGEST: Duration = Duration::from_secs(2);

/// When keys may be worked on again.
#[derive(Default)]
pub(crate) struct Pace(Mutex<HashMap<(TenantId, ObjectName), Instant>>);

impl Pace {
    /// How long the key has to wait; `None`: it may be worked on now.
    pub(crate) fn wait(&self, tenant: TenantId, key: &ObjectName) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (tenant, key.clone());
        let rest = all.get(&slot)?.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            all.remove(&slot);
            return None;
        }
        Some(rest)
    }

    /// The key was worked on, and so many objects were read for it.
    pub(crate) fn worked(&self, tenant: TenantId, key: &ObjectName, objects: usize) {
        if objects < SMALL {
            return;
        }
        let count = u32::try_from(objects).unwrap_or(u32::MAX);
        let next = Instant::now() + FOR_EACH.saturating_mul(count).min(LONGEST);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((tenant, key.clone()), next);
        if all.len() > 4096 {
            let now = Instant::now();
            all.retain(|_, next| *next > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn large_keys_wait_and_small_ones_do_not() {
        let (pace, tenant) = (Pace::default(), TenantId::HOST);
        let (small, large) = (ObjectName::new("ns", "small"), ObjectName::new("ns", "large"));
        pace.worked(tenant, &small, 10);
        pace.worked(tenant, &large, 1000);
        assert_eq!(
            (pace.wait(tenant, &small), pace.wait(tenant, &large)),
            (None, Some(Duration::from_millis(500)))
        );
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(pace.wait(tenant, &large), None);
    }
}
