//! The watchers of one collection: each gets the changes of its namespace, until it lags too much.
//!
//! What waits for a watcher is bounded in number and in bytes. One that lags more is ended at once, also while it is
//! stuck with a client that does not read, and what waited for it is given back.

use super::collection::Change;
use super::record::Record;
use bytes::Bytes;
use compact_str::CompactString;
use futures::future::poll_fn;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{Notify, OnceCell};

/// How many changes a watcher may lag.
pub const MAX_CHANGES: usize = 1_024;
/// How many bytes of objects may wait for it. One change may always wait, however large it is.
pub const MAX_BYTES: usize = 16 << 20;
/// For how many room is kept when none waits.
const KEPT: usize = 8;

/// A change on its way to watchers, with what those who see the same have made of it.
pub struct Event {
    /// The change.
    pub change: Arc<Change>,
    /// As it is sent, for each form in which it has been asked for. It lasts as long as the event waits for someone.
    encoded: Mutex<Vec<(Form, Bytes)>>,
    /// The object as a webhook has converted it, for each form.
    awaited: Mutex<Vec<(Form, Converted)>>,
}

/// An object that one converts for all.
type Converted = Arc<OnceCell<Arc<Record>>>;

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

    /// The object in a form that takes time to make: one makes it, and the others wait for that one, which must not
    /// wait for its own client meanwhile. When it fails, or goes away, the next makes it.
    pub async fn awaited<E>(
        &self,
        form: &Form,
        make: impl Future<Output = Result<Arc<Record>, E>>,
    ) -> Result<Arc<Record>, E> {
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
    waiting: Arc<Waiting>,
}

/// What waits for a watcher.
#[derive(Default)]
struct Waiting {
    line: Mutex<Line>,
    reader: AtomicWaker,
    over: Notify,
}

#[derive(Default)]
struct Line {
    events: VecDeque<Arc<Event>>,
    /// Of their objects.
    bytes: usize,
    /// It lagged too much, the collection is gone, or nobody reads any more.
    is_over: bool,
}

/// The changes that come to one watcher.
pub struct Changes(Arc<Waiting>);

impl Watchers {
    /// One more, of a namespace (empty: of all).
    pub fn add(&mut self, namespace: &str) -> Changes {
        let waiting = Arc::new(Waiting::default());
        self.0.push(Watcher { namespace: namespace.into(), waiting: waiting.clone() });
        Changes(waiting)
    }

    /// Sends a change to those whom it concerns, and ends those who lag too much.
    pub fn send(&mut self, change: &Arc<Change>) {
        if self.0.is_empty() {
            return;
        }
        let event = Arc::new(Event::new(change.clone()));
        self.0.retain(|watcher| {
            if super::collection::in_namespace(change, &watcher.namespace) {
                watcher.waiting.take(&event)
            } else {
                !watcher.is_over()
            }
        });
    }

    /// Forgets those who have gone.
    pub fn tidy(&mut self) {
        self.0.retain(|watcher| !watcher.is_over());
    }
}

impl Watcher {
    fn is_over(&self) -> bool {
        self.waiting.line.lock().is_over
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.waiting.end();
    }
}

impl Waiting {
    /// False: nobody reads, or it lags too much.
    fn take(&self, event: &Arc<Event>) -> bool {
        let size = event.change.object.bytes.len();
        let mut line = self.line.lock();
        let fits = line.events.len() < MAX_CHANGES && (line.bytes == 0 || line.bytes + size <= MAX_BYTES);
        if line.is_over || !fits {
            return false;
        }
        line.bytes += size;
        line.events.push_back(event.clone());
        drop(line);
        self.reader.wake();
        true
    }

    /// What waits is given back at once, also while the one who reads is stuck.
    fn end(&self) {
        let mut line = self.line.lock();
        if !line.is_over {
            *line = Line { is_over: true, ..Line::default() };
            drop(line);
            self.reader.wake();
            self.over.notify_one();
        }
    }

    fn next(&self) -> Poll<Option<Arc<Event>>> {
        let mut line = self.line.lock();
        match line.events.pop_front() {
            Some(event) => {
                line.bytes -= event.change.object.bytes.len();
                if line.events.is_empty() {
                    line.events.shrink_to(KEPT);
                }
                Poll::Ready(Some(event))
            }
            None if line.is_over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Changes {
    /// The next one; `None`: it lags too much.
    pub async fn recv(&mut self) -> Option<Arc<Event>> {
        poll_fn(|context| {
            self.0.reader.register(context.waker());
            self.0.next()
        })
        .await
    }

    /// The next one, if it waits already.
    pub fn try_recv(&mut self) -> Option<Arc<Event>> {
        match self.0.next() {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.line.lock().events.is_empty()
    }

    /// Resolves when the watcher is ended, mostly since it lags too much.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let waiting = self.0.clone();
        async move { waiting.over.notified().await }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::Revision;
    use futures::FutureExt;

    #[test]
    fn a_watcher_that_lags_in_number_is_ended() {
        let mut watchers = Watchers::default();
        let (mut changes, mut left) = (watchers.add(""), watchers.add(""));
        for revision in 0..MAX_CHANGES as u64 {
            watchers.send(&Change::of_size(revision, 1));
            assert!(left.try_recv().is_some());
        }
        drop(left);
        assert_eq!(watchers.0.len(), 2);
        watchers.send(&Change::of_size(MAX_CHANGES as u64, 1));
        assert!(watchers.0.is_empty());
        assert!(changes.recv().now_or_never().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_watcher_that_lags_in_bytes_is_ended_at_once_and_one_large_change_is_not_too_much() {
        let mut watchers = Watchers::default();
        let (mut slow, mut quick) = (watchers.add("a"), watchers.add("a"));
        let other = watchers.add("b");
        watchers.send(&Change::of_size(1, MAX_BYTES));
        assert_eq!(watchers.0.len(), 3);
        quick.recv().await.unwrap();
        assert!(slow.ended().now_or_never().is_none());
        let large = Arc::downgrade(&slow.0.line.lock().events[0]);
        watchers.send(&Change::of_size(2, 1));
        slow.ended().await;
        assert!(slow.recv().await.is_none());
        assert_eq!(large.strong_count(), 0, "what waited for it is given back, though it is not read");
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
        assert_eq!(failed.err(), Some("no"));
        let gone = event.awaited(&form, std::future::pending::<Result<_, &str>>());
        assert!(futures::poll!(std::pin::pin!(gone)).is_pending());
        let converted = Change::of_size(2, 1).object.clone();
        let made = event.awaited::<&str>(&form, async { Ok(converted.clone()) }).await;
        assert!(Arc::ptr_eq(&made.unwrap(), &converted));
        let shared = event.awaited::<&str>(&form, async { panic!("made again") }).await;
        assert!(Arc::ptr_eq(&shared.unwrap(), &converted));
    }
}
