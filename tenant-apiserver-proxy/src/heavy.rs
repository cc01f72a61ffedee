//! Long computations, kept off the few threads that serve everybody's requests.
//!
//! At most as many run at a time as there are processors; the others wait, and hold the seat of their request
//! meanwhile. What has begun is not broken off when its client goes away.

use api_types::ApiError;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Up to this size a YAML document is read or written where the request is served.
pub const YAML_BYTES: usize = 32 << 10;
/// The same for other formats.
pub const OTHER_BYTES: usize = 256 << 10;

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
        let place = self.computing.clone().acquire_owned().await.map_err(ApiError::internal)?;
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
        let place = self.driving.clone().acquire_owned().await.map_err(ApiError::internal)?;
        let runtime = tokio::runtime::Handle::current();
        let driven = tokio::task::spawn_blocking(move || {
            let _place = place;
            runtime.block_on(work)
        });
        driven.await.map_err(ApiError::internal)
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

    #[tokio::test]
    async fn a_defect_in_one_is_an_error_of_that_one() {
        let heavy = Heavy::default();
        let broken: Result<(), ApiError> = heavy.compute(true, || panic!("a defect")).await;
        assert_eq!(broken.unwrap_err().code(), 500);
        assert!(heavy.compute(true, || ()).await.is_ok());
    }
}
