//! How many requests a plane may have under way, so that no tenant takes the server from the others.
//!
//! Each plane has seats; who finds none waits in line for a short time, then gets 429. Watches leave their seat once
//! they are initialized. A plane's line is bounded by its seats' number times [`LINE_FACTOR`].

use api_types::ApiError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of one plane that are worked on at a time.
const SEATS: usize = 400;
/// How many may wait for each seat.
const LINE_FACTOR: usize = 8;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// The seats of one plane.
pub struct Seats {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Seats {
    fn default() -> Self {
        Seats { free: Arc::new(Semaphore::new(SEATS)), waiting: AtomicUsize::new(0) }
    }
}

/// A request's seat; free again when dropped.
pub struct Seat(#[allow(dead_code)] OwnedSemaphorePermit);

impl Seats {
    /// Takes a seat, or waits for one.
    pub async fn take(&self) -> Result<Seat, ApiError> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Ok(Seat(permit));
        }
        let refused =
            || ApiError::too_many_requests("too many requests for this plane, please try again later", 1);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= SEATS * LINE_FACTOR {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(refused());
        }
        let waited = tokio::time::timeout(PATIENCE, self.free.clone().acquire_owned()).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match waited {
            Ok(Ok(permit)) => Ok(Seat(permit)),
            _ => Err(refused()),
        }
    }
}
