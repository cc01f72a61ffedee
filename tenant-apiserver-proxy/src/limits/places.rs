//! Places of which so many can be taken at a time, and whose number can change meanwhile.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
pub struct Places {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

struct Size {
    /// How many there are.
    places: usize,
    /// How many are taken that are no longer there: they do not become free.
    owed: usize,
}

/// A place that is free again when dropped.
pub struct Taken {
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many, all free.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Places {
            free: Arc::new(Semaphore::new(places)),
            size: Mutex::new(Size { places, owed: 0 }),
        })
    }

    /// Changes how many there are.
    pub fn resize(&self, places: usize) {
        let mut size = self.size.lock();
        if places > size.places {
            let more = places - size.places;
            let kept = more.min(size.owed);
            size.owed -= kept;
            self.free.add_permits(more - kept);
        } else {
            let fewer = size.places - places;
            size.owed += fewer - self.free.forget_permits(fewer);
        }
        size.places = places;
    }

    /// Takes a place, if one is free.
    pub fn try_take(self: &Arc<Self>) -> Option<Taken> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Taken { places: self.clone(), permit: Some(permit) })
    }

    /// Takes a place once one is free.
    pub async fn take(self: &Arc<Self>) -> Option<Taken> {
        let permit = self.free.clone().acquire_owned().await.ok()?;
        Some(Taken { places: self.clone(), permit: Some(permit) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut size = self.places.size.lock();
        if size.owed > 0 {
            size.owed -= 1;
            permit.forget();
        }
    }
}
