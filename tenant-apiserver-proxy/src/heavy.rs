//! Long computations, kept off the few threads that serve everybody's requests.
//!
//! At most as many run at a time as there are processors; the others wait, and hold the seat of their request
//! meanwhile. What has begun is not broken off when its client goes away.

use api_types::ApiError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

    /// Does something whose steps take long, if they do, on another thread, which also waits where it waits.
    pub async fn drive<T: Send + 'static>(
        &self,
        long: bool,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ApiError> {
        if !long {
            return Ok(work.await);
        }
        let place = place(&self.driving).await?;
        let runtime = tokio::runtime::Handle::current();
        let driven = tokio::task::spawn_blocking(move || {
            let _place = place;
            runtime.block_on(work)
        });
        driven.await.map_err(ApiError::internal)
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
        assert_eq!(heavy.drive(false, async move { id() }).await.unwrap(), here);
        assert_ne!(heavy.drive(true, async move { id() }).await.unwrap(), here);
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
        let error = heavy.drive(true, async {}).await.unwrap_err();
        assert_eq!((error.code(), error.retry_after_seconds()), (429, Some(1)));
        drop(taken);
        assert!(heavy.drive(true, async {}).await.is_ok());
    }

    #[tokio::test]
    async fn a_defect_in_one_is_an_error_of_that_one() {
        let heavy = Heavy::default();
        let broken: Result<(), ApiError> = heavy.compute(true, || panic!("a defect")).await;
        assert_eq!(broken.unwrap_err().code(), 500);
        assert!(heavy.compute(true, || ()).await.is_ok());
    }
}
