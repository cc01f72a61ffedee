//! How much a tenant may ask.
//!
//! Guarantees: what is kept is bounded by the number of tenants with pods; those that ask nothing are forgotten.

use api_types::TenantId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Questions a second of one tenant, for ever.
pub const RATE: f64 = 2_000.0;
/// Questions at once, after a time without any.
const BURST: f64 = 4_000.0;
/// Questions of one tenant that other resolvers are asked at a time.
pub const UNDER_WAY: u32 = 200;
/// Above so many, those that are as if new are forgotten.
const TIDY: usize = 1_024;

/// What tenants have left.
#[derive(Clone, Default)]
pub struct Limits(Arc<Mutex<HashMap<TenantId, Share>>>);

struct Share {
    left: f64,
    at: Instant,
    under_way: u32,
}

impl Share {
    fn new(now: Instant) -> Self {
        Share { left: BURST, at: now, under_way: 0 }
    }

    fn fill(&mut self, now: Instant) {
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * RATE).min(BURST);
        self.at = now;
    }

    fn is_as_new(&self) -> bool {
        self.left >= BURST && self.under_way == 0
    }
}

impl Limits {
    /// Takes one question; false when the tenant has asked too much.
    pub fn take(&self, tenant: TenantId) -> bool {
        let now = Instant::now();
        let mut shares = self.0.lock();
        if shares.len() >= TIDY && !shares.contains_key(&tenant) {
            shares.retain(|_, share| {
                share.fill(now);
                !share.is_as_new()
            });
        }
        let share = shares.entry(tenant).or_insert_with(|| Share::new(now));
        share.fill(now);
        let may = share.left >= 1.0;
        if may {
            share.left -= 1.0;
        }
        may
    }

    /// A place among the questions that other resolvers are asked, until it is dropped; `None` when all are taken.
    pub fn place(&self, tenant: TenantId) -> Option<Place> {
        let mut shares = self.0.lock();
        let share = shares.entry(tenant).or_insert_with(|| Share::new(Instant::now()));
        if share.under_way >= UNDER_WAY {
            return None;
        }
        share.under_way += 1;
        Some(Place { limits: self.clone(), tenant })
    }
}

/// A place that is given back when it is dropped.
pub struct Place {
    limits: Limits,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(share) = self.limits.0.lock().get_mut(&self.tenant) {
            share.under_way = share.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        TenantId::new(Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_asks_too_much_waits_and_no_other() {
        let limits = Limits::default();
        let taken = (0..10_000).filter(|_| limits.take(tenant(1))).count();
        assert_eq!(taken, 4_000);
        assert!(limits.take(tenant(2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..10_000).filter(|_| limits.take(tenant(1))).count(), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_given_back() {
        let limits = Limits::default();
        let all: Vec<Place> = std::iter::from_fn(|| limits.place(tenant(1))).collect();
        assert_eq!(all.len(), 200);
        assert!(limits.place(tenant(2)).is_some());
        drop(all);
        assert!(limits.place(tenant(1)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_that_ask_nothing_are_forgotten() {
        let limits = Limits::default();
        for n in 0..5_000 {
            limits.take(tenant(n));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(limits.0.lock().len() <= 1_024);
    }
}
