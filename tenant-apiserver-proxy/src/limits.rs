//! What a plane may take of the server, so that no tenant takes it from the others: requests under way, requests a
//! second, open watches and streams, objects and bytes (`spec.limits` of its `Tenant`).
//!
//! Who finds no seat, or comes too fast, waits in line for a short time, then gets 429 with `Retry-After`. Watches leave
//! their seat once they are initialized, and writes while they wait for a webhook, as many at a time as there are seats. The line is bounded by the number of seats times [`LINE_FACTOR`]. The
//! platform's own parts do not wait.
//!
//! Guarantees: a change of the limits forgets nothing that is taken. Caveats: objects and bytes are counted before a
//! write is committed, so that writes under way together may exceed them by as much as `concurrentRequests` of them
//! store; the requests of each process are counted alone.

mod places;

use crate::cache::Usage;
use crate::planes::Plane;
use crate::server::Server;
use api_schema::quantity::Quantity;
use api_types::{ApiError, GroupResource, tenancy};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use places::Places;
pub use places::Taken;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How many requests may wait for each seat.
const LINE_FACTOR: usize = 8;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(15);
/// So long a time's worth of requests may come at once.
const BURST: Duration = Duration::from_secs(1);
/// Requests under way in a plane that is no tenant's.
const PLATFORM_SEATS: usize = 400;
/// The share of such a plane: what it does is done for all tenants.
const PLATFORM_WEIGHT: u32 = 10;

/// How much a plane may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Requests a second; `None`: as many as come.
    pub requests_per_second: Option<u32>,
    /// Requests under way.
    pub concurrent_requests: usize,
    /// Open watches.
    pub watches: usize,
    /// Open streams into pods.
    pub streams: usize,
    /// Stored objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its share of processors and of the store's commits, where others want some too.
    pub weight: u32,
}

impl Amounts {
    /// Of the host plane and of embedded super clusters.
    pub fn platform() -> Self {
        Amounts {
            requests_per_second: None,
            concurrent_requests: PLATFORM_SEATS,
            watches: 20_000,
            streams: 20_000,
            objects: u64::MAX,
            bytes: u64::MAX,
            weight: PLATFORM_WEIGHT,
        }
    }

    /// Of a tenant with this weight.
    pub fn of_tenant(limits: &tenancy::Limits, weight: u32) -> Self {
        let bytes = Quantity::parse(&limits.bytes).map(|quantity| quantity.value());
        Amounts {
            requests_per_second: Some(limits.requests_per_second),
            concurrent_requests: (limits.concurrent_requests as usize).max(1),
            watches: limits.watches as usize,
            streams: limits.streams as usize,
            objects: limits.objects,
            // Validation lets only quantities pass.
            bytes: bytes.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(u64::MAX),
            weight,
        }
    }
}

/// The limits of one plane, and what is taken of them.
pub struct Limits {
    amounts: ArcSwap<Amounts>,
    seats: Arc<Places>,
    /// Of those who wait for somebody outside.
    outside: Arc<Places>,
    waiting: AtomicUsize,
    watches: Arc<Places>,
    streams: Arc<Places>,
    /// When the next request may come, were they evenly spread.
    next: Mutex<Instant>,
    served: AtomicU64,
}

/// When a request comes to its turn.
enum Turn<'a> {
    /// At once, on this seat.
    Now(Taken),
    /// At this time, when a seat is free; until then it stands in line.
    At(Instant, Waiting<'a>),
}

/// One who waits in line.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request is told for which there is no room, and when to come again.
fn refused(after: Duration) -> ApiError {
    let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
    ApiError::too_many_requests("too many requests for this plane, please try again later", seconds)
}

impl Limits {
    /// Limits of which nothing is taken.
    pub fn new(amounts: Amounts) -> Self {
        Limits {
            seats: Places::new(amounts.concurrent_requests),
            outside: Places::new(amounts.concurrent_requests),
            waiting: AtomicUsize::new(0),
            watches: Places::new(amounts.watches),
            streams: Places::new(amounts.streams),
            next: Mutex::new(Instant::now().checked_sub(BURST).unwrap_or_else(Instant::now)),
            served: AtomicU64::new(0),
            amounts: ArcSwap::from_pointee(amounts),
        }
    }

    /// Changes how much there is; what is taken stays taken, and counts.
    pub fn set(&self, amounts: Amounts) {
        if **self.amounts.load() == amounts {
            return;
        }
        self.seats.resize(amounts.concurrent_requests);
        self.outside.resize(amounts.concurrent_requests);
        self.watches.resize(amounts.watches);
        self.streams.resize(amounts.streams);
        self.amounts.store(Arc::new(amounts));
    }

    /// The share of the plane.
    pub fn weight(&self) -> u32 {
        self.amounts.load().weight
    }

    /// How many requests have had a seat.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Takes a seat for a request, or waits for one.
    pub async fn seat(&self) -> Result<Taken, ApiError> {
        let (turn, _waiting) = match self.turn()? {
            Turn::Now(taken) => return Ok(self.serve(taken)),
            Turn::At(at, waiting) => (at, waiting),
        };
        let seated = tokio::time::timeout(PATIENCE, async {
            tokio::time::sleep_until(turn).await;
            self.seats.take().await
        });
        seated.await.ok().flatten().map(|taken| self.serve(taken)).ok_or_else(|| refused(Duration::ZERO))
    }

    /// Gives a seat up for a place among those who wait for somebody outside. There are as many places as seats; who
    /// finds none waits in line for one.
    pub async fn leave(&self, seat: Taken) -> Result<Taken, ApiError> {
        drop(seat);
        if let Some(taken) = self.outside.try_take() {
            return Ok(taken);
        }
        let _waiting = self.stand_in_line().ok_or_else(|| refused(Duration::ZERO))?;
        let taken = tokio::time::timeout(PATIENCE, self.outside.take()).await;
        taken.ok().flatten().ok_or_else(|| refused(Duration::ZERO))
    }

    /// Takes a seat again, and then leaves the place.
    pub async fn back(&self, outside: Taken) -> Result<Taken, ApiError> {
        let seat = tokio::time::timeout(PATIENCE, self.seats.take()).await;
        drop(outside);
        seat.ok().flatten().ok_or_else(|| refused(Duration::ZERO))
    }

    /// A place in line, if there is one.
    fn stand_in_line(&self) -> Option<Waiting<'_>> {
        let line = self.amounts.load().concurrent_requests.saturating_mul(LINE_FACTOR);
        let waiting = Waiting(&self.waiting);
        (self.waiting.fetch_add(1, Ordering::Relaxed) < line).then_some(waiting)
    }

    fn serve(&self, taken: Taken) -> Taken {
        self.served.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// The turn of a request that comes now. One that is refused takes no turn: who asks too fast does not get later
    /// by it.
    fn turn(&self) -> Result<Turn<'_>, ApiError> {
        let amounts = self.amounts.load();
        let now = Instant::now();
        let mut next = self.next.lock();
        let mine = match amounts.requests_per_second {
            None => now,
            Some(rate) => {
                let earliest = now.checked_sub(BURST).unwrap_or(now);
                (*next).max(earliest) + Duration::from_secs(1) / rate.max(1)
            }
        };
        if mine <= now
            && let Some(taken) = self.seats.try_take()
        {
            *next = mine;
            return Ok(Turn::Now(taken));
        }
        let delay = mine.saturating_duration_since(now);
        let waiting = self.stand_in_line().filter(|_| delay <= PATIENCE).ok_or_else(|| refused(delay))?;
        *next = mine;
        Ok(Turn::At(mine, waiting))
    }

    /// Takes the place of an open watch.
    pub fn watch(&self) -> Result<Taken, ApiError> {
        self.watches.try_take().ok_or_else(|| {
            let limit = self.amounts.load().watches;
            ApiError::too_many_requests(format!("too many open watches: this plane may have {limit}"), 10)
        })
    }

    /// Takes the place of an open stream into a pod.
    pub fn stream(&self) -> Result<Taken, ApiError> {
        self.streams.try_take().ok_or_else(|| {
            let limit = self.amounts.load().streams;
            let why = format!("too many open streams into pods: this plane may have {limit}");
            ApiError::too_many_requests(why, 10)
        })
    }

    /// Why a plane that stores so much may not store so much more: `(objects, bytes)`.
    fn refusal(&self, stored: Usage, (objects, bytes): (u64, u64)) -> Option<String> {
        let amounts = self.amounts.load();
        let over = |name: &str, used: u64, more: u64, limit: u64| {
            (more > 0 && used.saturating_add(more) > limit).then(|| {
                format!(
                    "exceeded the tenant's limit of {name}: requested: {more}, used: {used}, limited: {limit}"
                )
            })
        };
        over("objects", stored.objects, objects, amounts.objects)
            .or_else(|| over("bytes", stored.bytes, bytes, amounts.bytes))
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
    match plane.limits.refusal(server.cache.usage(plane.id), more) {
        None => Ok(()),
        Some(why) => Err(ApiError::forbidden(resource, name, &why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(requests_per_second: Option<u32>, seats: usize, watches: usize) -> Amounts {
        Amounts {
            requests_per_second,
            concurrent_requests: seats,
            watches,
            streams: 1,
            objects: 3,
            bytes: 100,
            weight: 1,
        }
    }

    fn limits(requests_per_second: Option<u32>) -> Limits {
        Limits::new(amounts(requests_per_second, 2, 1))
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

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_somebody_outside_leaves_the_seat_to_others() {
        let limits = limits(None);
        let mut outside = Vec::new();
        for _ in 0..2 {
            outside.push(limits.leave(limits.seat().await.unwrap()).await.unwrap());
        }
        // All seats are free again, but nobody else waits outside.
        let seats = (limits.seat().await.unwrap(), limits.seat().await.unwrap());
        assert_eq!(limits.leave(seats.0).await.err().unwrap().code(), 429);
        let back = limits.back(outside.pop().unwrap()).await.unwrap();
        assert!(limits.leave(seats.1).await.is_ok());
        assert!(limits.seat().await.is_ok());
        drop(back);
        assert_eq!(limits.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn watches_objects_and_bytes_have_an_end() {
        let limits = limits(None);
        let open = limits.watch().unwrap();
        assert_eq!(limits.watch().err().unwrap().code(), 429);
        drop(open);
        assert!(limits.watch().is_ok());
        let stream = limits.stream().unwrap();
        let refused = limits.stream().err().unwrap();
        assert_eq!(refused.code(), 429);
        assert!(refused.message().contains("streams into pods"));
        drop(stream);
        assert!(limits.stream().is_ok());
        let stored = Usage { objects: 3, bytes: 90 };
        assert_eq!(limits.refusal(stored, (0, 10)), None);
        assert!(limits.refusal(stored, (1, 0)).unwrap().contains("objects"));
        assert!(limits.refusal(stored, (0, 11)).unwrap().contains("bytes"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_fast_is_told_when_to_come_and_gets_no_later_by_asking() {
        let limits = limits(Some(1));
        limits.seat().await.unwrap();
        for _ in 0..1_000 {
            // Nobody waits here: each request is given up before its turn, or refused.
            let asked = futures::poll!(std::pin::pin!(limits.seat()));
            assert!(match asked {
                std::task::Poll::Pending => true,
                std::task::Poll::Ready(answer) =>
                    answer.err().is_some_and(|e| e.code() == 429 && e.retry_after_seconds() >= Some(1)),
            });
        }
        assert_eq!(limits.waiting.load(Ordering::Relaxed), 0, "who gives up leaves the line");
        tokio::time::sleep(PATIENCE + BURST).await;
        assert!(limits.turn().is_ok_and(|turn| matches!(turn, Turn::Now(_))));
        assert_eq!(limits.served(), 1);
    }

    #[tokio::test]
    async fn a_change_of_the_limits_forgets_nothing() {
        let limits = limits(None);
        let open = limits.watch().unwrap();
        limits.set(amounts(None, 2, 2));
        let second = limits.watch().unwrap();
        assert!(limits.watch().is_err(), "the one that was open before counts");
        limits.set(amounts(None, 2, 1));
        drop(second);
        assert!(limits.watch().is_err(), "one is open, and one is what there is");
        drop(open);
        let only = limits.watch().unwrap();
        assert!(limits.watch().is_err());
        limits.set(amounts(None, 2, 3));
        let others = (limits.watch(), limits.watch());
        assert!(others.0.is_ok() && others.1.is_ok() && limits.watch().is_err());
        drop(only);
    }
}
