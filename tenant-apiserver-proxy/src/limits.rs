//! What a plane may take of the server, so that no tenant takes it from the others: requests under way, requests a
//! second, open watches, objects and bytes (`spec.limits` of its `Tenant`).
//!
//! Who finds no seat, or comes too fast, waits in line for a short time, then gets 429 with `Retry-After`. Watches leave
//! their seat once they are initialized. The line is bounded by the number of seats times [`LINE_FACTOR`]. The
//! platform's own parts do not wait.
//!
//! `requestsPerSecond` is enforced when the tenant or its profile says it; the other limits have their defaults.

use crate::cache::Usage;
use crate::planes::Plane;
use crate::server::Server;
use api_schema::quantity::Quantity;
use api_types::{ApiError, GroupResource, tenancy};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many requests may wait for each seat.
const LINE_FACTOR: usize = 8;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(15);
/// So long a time's worth of requests may come at once.
const BURST: Duration = Duration::from_secs(1);
/// Requests under way in a plane that is no tenant's.
const PLATFORM_SEATS: usize = 400;

/// How much a plane may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Requests a second; `None`: as many as come.
    pub requests_per_second: Option<u32>,
    /// Requests under way.
    pub concurrent_requests: usize,
    /// Open watches.
    pub watches: usize,
    /// Stored objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Amounts {
    /// Of the host plane and of embedded super clusters.
    pub fn platform() -> Self {
        Amounts {
            requests_per_second: None,
            concurrent_requests: PLATFORM_SEATS,
            watches: 20_000,
            objects: u64::MAX,
            bytes: u64::MAX,
        }
    }

    /// Of a tenant. `rate_is_said`: the tenant or its profile says `requestsPerSecond`.
    pub fn of_tenant(limits: &tenancy::Limits, rate_is_said: bool) -> Self {
        let bytes = Quantity::parse(&limits.bytes).map(|quantity| quantity.value());
        Amounts {
            requests_per_second: rate_is_said.then_some(limits.requests_per_second),
            concurrent_requests: (limits.concurrent_requests as usize).max(1),
            watches: limits.watches as usize,
            objects: limits.objects,
            // Validation lets only quantities pass.
            bytes: bytes.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(u64::MAX),
        }
    }
}

/// The limits of one plane, and what is taken of them.
pub struct Limits {
    amounts: Amounts,
    seats: Arc<Semaphore>,
    waiting: AtomicUsize,
    watches: Arc<Semaphore>,
    /// When the next request may come, were they evenly spread.
    next: Mutex<Instant>,
}

/// A place that is free again when dropped.
pub struct Taken(#[allow(dead_code)] OwnedSemaphorePermit);

impl Limits {
    /// Limits of which nothing is taken.
    pub fn new(amounts: Amounts) -> Self {
        Limits {
            seats: Arc::new(Semaphore::new(amounts.concurrent_requests)),
            waiting: AtomicUsize::new(0),
            watches: Arc::new(Semaphore::new(amounts.watches)),
            next: Mutex::new(Instant::now().checked_sub(BURST).unwrap_or_else(Instant::now)),
            amounts,
        }
    }

    /// How much there is.
    pub fn amounts(&self) -> &Amounts {
        &self.amounts
    }

    /// Takes a seat for a request, or waits for one.
    pub async fn seat(&self) -> Result<Taken, ApiError> {
        let refused =
            || ApiError::too_many_requests("too many requests for this plane, please try again later", 1);
        let delay = self.delay();
        if delay.is_none()
            && let Ok(permit) = self.seats.clone().try_acquire_owned()
        {
            return Ok(Taken(permit));
        }
        let line = self.amounts.concurrent_requests.saturating_mul(LINE_FACTOR);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= line {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(refused());
        }
        let waited = tokio::time::timeout(PATIENCE, async {
            if let Some(until) = delay {
                tokio::time::sleep_until(until).await;
            }
            self.seats.clone().acquire_owned().await
        })
        .await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match waited {
            Ok(Ok(permit)) => Ok(Taken(permit)),
            _ => Err(refused()),
        }
    }

    /// Until when a request has to wait for its turn; a second's worth of requests may come at once.
    fn delay(&self) -> Option<Instant> {
        let rate = self.amounts.requests_per_second?.max(1);
        let now = Instant::now();
        let mut next = self.next.lock();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        *next = (*next).max(earliest) + Duration::from_secs(1) / rate;
        (*next > now).then_some(*next)
    }

    /// Takes the place of an open watch.
    pub fn watch(&self) -> Result<Taken, ApiError> {
        let taken = self.watches.clone().try_acquire_owned();
        taken.map(Taken).map_err(|_| {
            let limit = self.amounts.watches;
            ApiError::too_many_requests(format!("too many open watches: this plane may have {limit}"), 10)
        })
    }

    /// Why a plane that stores so much may not store so much more: `(objects, bytes)`.
    fn refusal(&self, stored: Usage, (objects, bytes): (u64, u64)) -> Option<String> {
        let over = |name: &str, used: u64, more: u64, limit: u64| {
            (more > 0 && used.saturating_add(more) > limit).then(|| {
                format!(
                    "exceeded the tenant's limit of {name}: requested: {more}, used: {used}, limited: {limit}"
                )
            })
        };
        over("objects", stored.objects, objects, self.amounts.objects)
            .or_else(|| over("bytes", stored.bytes, bytes, self.amounts.bytes))
    }
}

/// May a plane store so much more: `(objects, bytes)`? What makes nothing more is always allowed, so that a full plane
/// can be tidied up.
pub fn check(
    server: &Server,
    plane: &Plane,
    resource: &GroupResource,
    name: &str,
    more: (u64, u64),
) -> Result<(), ApiError> {
    match plane.limits.load().refusal(server.cache.usage(plane.id), more) {
        None => Ok(()),
        Some(why) => Err(ApiError::forbidden(resource, name, &why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests_per_second: Option<u32>) -> Limits {
        Limits::new(Amounts {
            requests_per_second,
            concurrent_requests: 2,
            watches: 1,
            objects: 3,
            bytes: 100,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_seat_waits_and_the_line_ends() {
        let limits = Arc::new(limits(None));
        let taken = (limits.seat().await.unwrap(), limits.seat().await.unwrap());
        let line: Vec<_> = (0..2 * LINE_FACTOR)
            .map(|_| {
                tokio::spawn({
                    let limits = limits.clone();
                    async move { limits.seat().await.is_ok() }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(limits.seat().await.err().unwrap().code(), 429);
        drop(taken);
        for waiter in line {
            assert!(waiter.await.unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_comes_at_once_and_the_rest_is_spread() {
        let limits = limits(Some(10));
        let start = Instant::now();
        for _ in 0..30 {
            limits.seat().await.unwrap();
        }
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_millis(1_900) && waited <= Duration::from_millis(2_100),
            "{waited:?}"
        );
    }

    #[test]
    fn watches_objects_and_bytes_have_an_end() {
        let limits = limits(None);
        let open = limits.watch().unwrap();
        assert_eq!(limits.watch().err().unwrap().code(), 429);
        drop(open);
        assert!(limits.watch().is_ok());
        let stored = Usage { objects: 3, bytes: 90 };
        assert_eq!(limits.refusal(stored, (0, 10)), None);
        assert!(limits.refusal(stored, (1, 0)).unwrap().contains("objects"));
        assert!(limits.refusal(stored, (0, 11)).unwrap().contains("bytes"));
    }
}
