//! The watchers of one collection: each gets the changes of its namespace, until it lags too much.
//!
//! What waits for a watcher is bounded in number and in bytes. One that lags more is ended at once, also while it is
//! stuck with a client that does not read, and what waited for it is given back when it notices.

use super::collection::Change;
use bytes::Bytes;
use compact_str::CompactString;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OnceCell, mpsc, watch};

/// How many changes a watcher may lag.
pub const MAX_CHANGES: usize = 1_024;
/// How many bytes of objects may wait for it. One change may always wait, however large it is.
pub const MAX_BYTES: usize = 16 << 20;

/// A change on its way to watchers, with what those who see the same have made of it.
pub struct Event {
    /// The change.
    pub change: Arc<Change>,
    /// As it is sent, for each form in which it has been asked for. It lasts as long as the event waits for someone.
    encoded: Mutex<Vec<(Form, Bytes)>>,
    /// The same for what has to be waited for.
    awaited: Mutex<Vec<(Form, Arc<OnceCell<Bytes>>)>>,
}

/// What an encoded event depends on, beside the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub of: &'static str,
    /// Encoding, view and version, told apart by the watch.
    pub shape: Arc<str>,
}

impl Event {
    fn new(change: Arc<Change>) -> Self {
        Event { change, encoded: Mutex::default(), awaited: Mutex::default() }
    }

    /// The event in a form: as another watcher has made it, or as `make` makes it.
    pub fn encoded(&self, form: &Form, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut encoded = self.encoded.lock();
        if let Some((_, bytes)) = encoded.iter().find(|(other, _)| other == form) {
            return bytes.clone();
        }
        let bytes = make();
        encoded.push((form.clone(), bytes.clone()));
        bytes
    }

    /// The event in a form that takes time to make: one makes it, and the others wait for that one. When it fails, or
    /// goes away, the next makes it.
    pub async fn awaited<E>(
        &self,
        form: &Form,
        make: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<Bytes, E> {
        let cell = {
            let mut awaited = self.awaited.lock();
            match awaited.iter().find(|(other, _)| other == form) {
                Some((_, cell)) => cell.clone(),
                None => {
                    let cell = Arc::new(OnceCell::new());
                    awaited.push((form.clone(), cell.clone()));
                    cell
                }
            }
        };
        cell.get_or_try_init(|| make).await.cloned()
    }
}

/// All watchers of a collection.
#[derive(Default)]
pub struct Watchers(Vec<Watcher>);

struct Watcher {
    namespace: CompactString,
    events: mpsc::Sender<Arc<Event>>,
    waiting: Arc<AtomicUsize>,
    /// Closed when the watcher is ended.
    _alive: watch::Sender<()>,
}

/// The changes that come to one watcher.
pub struct Changes {
    events: mpsc::Receiver<Arc<Event>>,
    waiting: Arc<AtomicUsize>,
    alive: watch::Receiver<()>,
}

impl Watchers {
    /// One more, of a namespace (empty: of all).
    pub fn add(&mut self, namespace: &str) -> Changes {
        let (sender, receiver) = mpsc::channel(MAX_CHANGES);
        let (alive, ended) = watch::channel(());
        let waiting = Arc::new(AtomicUsize::new(0));
        self.0.push(Watcher {
            namespace: namespace.into(),
            events: sender,
            waiting: waiting.clone(),
            _alive: alive,
        });
        Changes { events: receiver, waiting, alive: ended }
    }

    /// Sends a change to those whom it concerns, and ends those who lag too much.
    pub fn send(&mut self, change: &Arc<Change>) {
        if self.0.is_empty() {
            return;
        }
        let size = change.object.bytes.len();
        let event = Arc::new(Event::new(change.clone()));
        self.0.retain(|watcher| {
            let concerned = super::collection::in_namespace(change, &watcher.namespace);
            !watcher.events.is_closed() && (!concerned || watcher.take(&event, size))
        });
    }

    /// Forgets those who have gone.
    pub fn tidy(&mut self) {
        self.0.retain(|watcher| !watcher.events.is_closed());
    }
}

impl Watcher {
    /// False: it lags too much.
    fn take(&self, event: &Arc<Event>, size: usize) -> bool {
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        (before == 0 || before + size <= MAX_BYTES) && self.events.try_send(event.clone()).is_ok()
    }
}

impl Changes {
    /// The next one; `None`: it lags too much.
    pub async fn recv(&mut self) -> Option<Arc<Event>> {
        let event = self.events.recv().await?;
        Some(self.taken(event))
    }

    /// The next one, if it waits already.
    pub fn try_recv(&mut self) -> Result<Arc<Event>, mpsc::error::TryRecvError> {
        let event = self.events.try_recv()?;
        Ok(self.taken(event))
    }

    fn taken(&self, event: Arc<Event>) -> Arc<Event> {
        self.waiting.fetch_sub(event.change.object.bytes.len(), Ordering::Relaxed);
        event
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Resolves when the watcher is ended since it lags too much.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut alive = self.alive.clone();
        async move { while alive.changed().await.is_ok() {} }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::Revision;

    #[test]
    fn a_watcher_that_lags_in_number_is_ended() {
        let mut watchers = Watchers::default();
        let mut changes = watchers.add("");
        for revision in 0..=MAX_CHANGES as u64 {
            watchers.send(&Change::of_size(revision, 1));
        }
        assert!(watchers.0.is_empty());
        for _ in 0..MAX_CHANGES {
            changes.try_recv().unwrap();
        }
        assert_eq!(changes.try_recv().err(), Some(mpsc::error::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn a_watcher_that_lags_in_bytes_is_ended_at_once_and_one_large_change_is_not_too_much() {
        let mut watchers = Watchers::default();
        let (slow, mut quick) = (watchers.add("a"), watchers.add("a"));
        let other = watchers.add("b");
        watchers.send(&Change::of_size(1, MAX_BYTES));
        assert_eq!(watchers.0.len(), 3);
        quick.recv().await.unwrap();
        assert!(futures::poll!(std::pin::pin!(slow.ended())).is_pending());
        watchers.send(&Change::of_size(2, 1));
        slow.ended().await;
        assert_eq!(watchers.0.len(), 2, "only the one that does not read is ended");
        assert_eq!(quick.recv().await.unwrap().change.revision, Revision(2));
        assert!(other.is_empty());
        // What has been read does not count.
        for revision in 3..6 {
            watchers.send(&Change::of_size(revision, MAX_BYTES / 2));
            quick.recv().await.unwrap();
        }
    }

    #[test]
    fn those_who_see_the_same_share_it() {
        let mut watchers = Watchers::default();
        let (mut first, mut second) = (watchers.add(""), watchers.add("a"));
        watchers.send(&Change::of_size(1, 1));
        let form = |of| Form { of, shape: "json v1".into() };
        let made = first.try_recv().unwrap().encoded(&form("ADDED"), || Bytes::from("made once".to_owned()));
        let event = second.try_recv().unwrap();
        let shared = event.encoded(&form("ADDED"), || panic!("made again"));
        assert_eq!(shared.as_ptr(), made.as_ptr());
        assert_eq!(event.encoded(&form("MODIFIED"), || Bytes::from_static(b"other")), "other");
    }

    #[tokio::test]
    async fn what_has_to_be_waited_for_is_made_once_and_again_only_after_a_failure() {
        let event = Event::new(Change::of_size(1, 1));
        let form = Form { of: "ADDED", shape: "json v1".into() };
        let failed = event.awaited(&form, async { Err("no") }).await;
        assert_eq!(failed, Err("no"));
        let gone = event.awaited(&form, std::future::pending::<Result<Bytes, &str>>());
        assert!(futures::poll!(std::pin::pin!(gone)).is_pending());
        let made = event.awaited::<&str>(&form, async { Ok(Bytes::from_static(b"made")) }).await;
        assert_eq!(made, Ok(Bytes::from_static(b"made")));
        let shared = event.awaited::<&str>(&form, async { panic!("made again") }).await;
        assert_eq!(shared, made);
    }
}
