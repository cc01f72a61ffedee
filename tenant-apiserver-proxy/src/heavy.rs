//! Long computations, kept off the few threads that serve everybody's requests.
//!
//! At most as many run at a time as there are processors; the others wait, and hold the seat of their request
//! meanwhile. A computation that has begun is not broken off when its client goes away, and keeps its place until it
//! is done.

use api_types::ApiError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Up to this size a YAML document is read or written where the request is served.
pub const YAML_BYTES: usize = 32 << 10;
/// The same for other formats.
pub const OTHER_BYTES: usize = 256 << 10;

/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where long computations run.
pub struct Heavy {
    computing: Arc<Semaphore>,
    // Of its own: a request that is driven may compute.
    driving: Arc<Semaphore>,
}

impl Default for Heavy {
    fn default() -> Self {
        let places = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
        Heavy { computing: Arc::new(Semaphore::new(places)), driving: Arc::new(Semaphore::new(places)) }
    }
}

impl Heavy {
    /// Computes something that takes long, if it does (`long`), on another thread.
    pub async fn compute<T: Send + 'static>(
        &self,
        long: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if !long {
            return Ok(work());
        }
        let place = place(&self.computing).await?;
        let computed = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        computed.await.map_err(ApiError::internal)
    }

    /// Does something whose steps take long on other threads. Where it waits, for a webhook or for the store, it holds
    /// neither a thread nor a place.
    pub async fn drive<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let mut place = place(&self.driving).await?;
        let mut work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
        let woken = Arc::new(Woken::default());
        loop {
            let waker = Waker::from(woken.clone());
            let step = tokio::task::spawn_blocking(move || {
                let _place = place;
                let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
                (work, polled)
            });
            let (rest, polled) = step.await.map_err(ApiError::internal)?;
            if let Poll::Ready(done) = polled {
                return Ok(done);
            }
            work = rest;
            woken.0.notified().await;
            // What has begun is not given up because others are busy.
            place = self.driving.clone().acquire_owned().await.map_err(ApiError::internal)?;
        }
    }
}

/// Notes that something can go on.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Waits for a place; 429 when none becomes free for long.
async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    let why = "too many large requests are under way, please try again later";
    match tokio::time::timeout(PATIENCE, places.clone().acquire_owned()).await {
        Ok(place) => place.map_err(ApiError::internal),
        Err(_) => Err(ApiError::too_many_requests(why, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_takes_long_goes_to_another_thread() {
        let heavy = Heavy::default();
        let here = std::thread::current().id();
        let id = || std::thread::current().id();
        assert_eq!(heavy.compute(false, id).await.unwrap(), here);
        assert_ne!(heavy.compute(true, id).await.unwrap(), here);
        assert_ne!(heavy.drive(async move { id() }).await.unwrap(), here);
    }

    #[tokio::test]
    async fn those_who_are_served_go_on_while_all_places_are_taken() {
        let heavy = Arc::new(Heavy::default());
        let places = heavy.computing.available_permits();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(parking_lot::Mutex::new(gate));
        let mut all: Vec<_> = (0..places + 1)
            .map(|_| {
                let (heavy, gate) = (heavy.clone(), gate.clone());
                tokio::spawn(async move { heavy.compute(true, move || gate.lock().recv()).await })
            })
            .collect();
        while heavy.computing.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(heavy.compute(false, || 1).await.unwrap(), 1);
        for _ in 0..=places {
            release.send(()).unwrap();
        }
        for one in all.drain(..) {
            one.await.unwrap().unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_again() {
        let heavy = Heavy::default();
        let all = u32::try_from(heavy.driving.available_permits()).unwrap();
        let taken = heavy.driving.clone().try_acquire_many_owned(all).unwrap();
        let error = heavy.drive(async {}).await.unwrap_err();
        assert_eq!((error.code(), error.retry_after_seconds()), (429, Some(1)));
        drop(taken);
        assert!(heavy.drive(async {}).await.is_ok());
    }

    #[tokio::test]
    async fn what_waits_holds_no_place() {
        let heavy = Arc::new(Heavy::default());
        let places = heavy.driving.available_permits();
        let gate = Arc::new(Semaphore::new(0));
        let waiting: Vec<_> = (0..places + 1)
            .map(|_| {
                let (heavy, gate) = (heavy.clone(), gate.clone());
                tokio::spawn(async move {
                    heavy.drive(async move { gate.acquire().await.map(|_| ()).is_ok() }).await
                })
            })
            .collect();
        // Served while more wait than there are places.
        assert_eq!(heavy.drive(async { 7 }).await.unwrap(), 7);
        gate.add_permits(places + 1);
        for one in waiting {
            assert!(one.await.unwrap().unwrap());
        }
    }

    #[tokio::test]
    async fn a_defect_in_one_is_an_error_of_that_one() {
        let heavy = Heavy::default();
        let broken: Result<(), ApiError> = heavy.compute(true, || panic!("a defect")).await;
        assert_eq!(broken.unwrap_err().code(), 500);
        assert!(heavy.compute(true, || ()).await.is_ok());
    }
}
