//! How long what a request opens may go on. Every watch, upgraded connection and other stream asks for its lifetime
//! when it begins, and ends when that is over.
//!
//! Guarantees: over at once when the plane refuses its users (suspended, deleted) or the server stops; when the
//! credentials expire; when what they stand on is gone: the plane's key, an issuer, the service account, pod, Secret or
//! node of a token. Nothing that happens after [`crate::stages::Authorized::lifetime`] is missed.

use crate::planes::Plane;
use crate::server::Server;
use crate::standing::Standing;
use api_types::ResourceKey;
use jiff::Timestamp;
use parking_lot::Mutex;
use service_runtime::Shutdown;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Clocks are looked at again after this: that of a machine which slept has gone on.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// The open streams of a plane, by the objects that their credentials stand on.
#[derive(Default)]
pub struct Grounds {
    waiting: Mutex<HashMap<ResourceKey, HashMap<u64, Arc<Notify>>>>,
    next: AtomicU64,
}

impl Grounds {
    /// An object has changed: whose credentials stand on it looks again.
    pub fn changed(&self, object: &ResourceKey) {
        if let Some(waiting) = self.waiting.lock().get(object) {
            // Who does not wait yet finds it when it does.
            waiting.values().for_each(|stream| stream.notify_one());
        }
    }

    fn register(&self, objects: &[ResourceKey], news: &Arc<Notify>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock();
        for object in objects {
            waiting.entry(object.clone()).or_default().insert(id, news.clone());
        }
        id
    }

    fn leave(&self, objects: &[ResourceKey], id: u64) {
        let mut waiting = self.waiting.lock();
        for object in objects {
            if let Some(streams) = waiting.get_mut(object) {
                streams.remove(&id);
                if streams.is_empty() {
                    waiting.remove(object);
                }
            }
        }
    }
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The server stops.
    Server,
    /// The plane refuses its users from now on, or is gone.
    Plane,
    /// The user's credentials are no longer valid.
    Credentials,
}

/// How long what was opened for one request may go on.
pub struct Lifetime {
    server: Arc<Server>,
    plane: Arc<Plane>,
    /// Given when the plane refuses its users.
    ended: Arc<Shutdown>,
    expires: Option<i64>,
    standing: Standing,
    grounds: Vec<ResourceKey>,
    id: u64,
    news: Arc<Notify>,
}

impl Lifetime {
    /// One that begins now. `ended`: the plane's signal, taken before it was seen to answer.
    pub(crate) fn begin(
        server: Arc<Server>,
        plane: Arc<Plane>,
        ended: Arc<Shutdown>,
        expires: Option<i64>,
        standing: Standing,
    ) -> Self {
        let (grounds, news) = (standing.grounds(), Arc::new(Notify::new()));
        let id = plane.grounds.register(&grounds, &news);
        Lifetime { server, plane, ended, expires, standing, grounds, id, news }
    }

    /// Resolves when it is over.
    pub async fn over(self) -> Over {
        loop {
            let Some(left) = self.left() else { return Over::Credentials };
            tokio::select! {
                () = self.server.shutdown.requested() => return Over::Server,
                () = self.ended.requested() => return Over::Plane,
                () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                () = self.news.notified() => {}
            }
        }
    }

    /// How long the credentials are valid as things are; `None`: no more.
    fn left(&self) -> Option<Duration> {
        let stands = self.standing.until(&self.server, &self.plane)?;
        let until = Timestamp::from_second(stands.min(self.expires.unwrap_or(i64::MAX)));
        // What no clock shows never comes.
        let until = until.unwrap_or(Timestamp::MAX);
        let left = Duration::try_from(until.duration_since(Timestamp::now())).ok()?;
        (!left.is_zero()).then_some(left)
    }
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        self.plane.grounds.leave(&self.grounds, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::GroupResource;

    #[test]
    fn only_those_are_told_who_stand_on_what_changed() {
        let grounds = Grounds::default();
        let object = |name: &str| ResourceKey::new(GroupResource::new("", "pods"), "ns", name);
        let [one, other] = [(); 2].map(|()| Arc::new(Notify::new()));
        let first = grounds.register(&[object("a"), object("b")], &one);
        let second = grounds.register(&[object("b")], &other);
        let told = |news: &Notify| {
            let mut heard = std::pin::pin!(news.notified());
            // A change that came before is kept for who waits later.
            heard.as_mut().enable()
        };
        grounds.changed(&object("a"));
        assert!(told(&one) && !told(&other));
        grounds.changed(&object("b"));
        assert!(told(&one) && told(&other));
        grounds.leave(&[object("a"), object("b")], first);
        grounds.changed(&object("b"));
        assert!(!told(&one) && told(&other));
        grounds.leave(&[object("b")], second);
        assert!(grounds.waiting.lock().is_empty());
    }
}
