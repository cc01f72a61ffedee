//! One resource of one plane: its live objects, its recent history, its watchers.

use super::record::Record;
use api_types::{ObjectName, Revision};
use compact_str::CompactString;
use parking_lot::RwLock;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The most changes kept for resuming watches and for lists at an older revision.
const HISTORY_CHANGES: usize = 8_192;
/// The most bytes of objects that the history of one collection keeps alive.
const HISTORY_BYTES: usize = 64 << 20;
/// How many changes a watcher may lag before its stream is ended.
const WATCH_BUFFER: usize = 1_024;

/// One change of one object.
#[derive(Debug)]
pub struct Change {
    /// When.
    pub revision: Revision,
    /// The object after it; after a deletion, as it was last, at the revision of the deletion.
    pub object: Arc<Record>,
    /// The object before it; `None`: it was created.
    pub previous: Option<Arc<Record>>,
    deleted: bool,
}

impl Change {
    /// An object that was there at start.
    pub(super) fn loaded(object: Arc<Record>) -> Self {
        Change { revision: object.revision, object, previous: None, deleted: false }
    }

    /// True when the object is gone.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// One resource of one plane.
pub struct Collection {
    inner: RwLock<Inner>,
    /// Objects that all planes have unless a stored one hides them.
    shared: Option<Arc<BTreeMap<ObjectName, Arc<Record>>>>,
}

struct Inner {
    live: BTreeMap<ObjectName, Arc<Record>>,
    history: VecDeque<Arc<Change>>,
    history_bytes: usize,
    /// Changes at or before this revision are no longer in the history.
    floor: Revision,
    watchers: Vec<Watcher>,
    /// Counts changes.
    version: u64,
}

struct Watcher {
    namespace: CompactString,
    sender: mpsc::Sender<Arc<Change>>,
}

/// A resumed watch: what was missed, then what comes.
pub type Resumed = (Vec<Arc<Change>>, mpsc::Receiver<Arc<Change>>);

/// The history does not reach back so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The oldest revision that can be had.
    pub oldest: Revision,
}

impl Collection {
    /// Of which nothing is known before `floor`.
    pub(super) fn new(shared: Option<Arc<BTreeMap<ObjectName, Arc<Record>>>>, floor: Revision) -> Self {
        let inner = Inner {
            live: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            floor,
            watchers: Vec::new(),
            version: 0,
        };
        Collection { inner: RwLock::new(inner), shared }
    }

    /// One object.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<Record>> {
        let found = self.inner.read().live.get(name).cloned();
        found.or_else(|| self.shared.as_ref()?.get(name).cloned())
    }

    /// The objects of a namespace (empty: of all) in order of name, those after `after`.
    pub fn list(&self, namespace: &str, after: Option<&ObjectName>) -> Vec<Arc<Record>> {
        let inner = self.inner.read();
        self.merged(&inner.live, namespace, after)
    }

    /// The same as of an older revision.
    pub fn list_at(
        &self,
        namespace: &str,
        after: Option<&ObjectName>,
        at: Revision,
    ) -> Result<Vec<Arc<Record>>, Forgotten> {
        let (records, newer) = {
            let inner = self.inner.read();
            if at < inner.floor {
                return Err(Forgotten { oldest: inner.floor });
            }
            let start = inner.history.partition_point(|change| change.revision <= at);
            let newer: Vec<Arc<Change>> = inner.history.range(start..).cloned().collect();
            (self.merged(&inner.live, namespace, after), newer)
        };
        // Undone outside of the lock: what feeds the cache does not wait for it.
        let mut before: BTreeMap<&ObjectName, Option<&Arc<Record>>> = BTreeMap::new();
        for change in newer.iter().filter(|change| in_namespace(change, namespace)) {
            let name = &change.object.name;
            if after.is_none_or(|after| name > after) {
                before.entry(name).or_insert(change.previous.as_ref());
            }
        }
        if before.is_empty() {
            return Ok(records);
        }
        let mut all: BTreeMap<&ObjectName, &Arc<Record>> =
            records.iter().map(|record| (&record.name, record)).collect();
        for (name, record) in before {
            match record {
                Some(record) => all.insert(name, record),
                None => all.remove(name),
            };
        }
        Ok(all.into_values().cloned().collect())
    }

    fn merged(
        &self,
        live: &BTreeMap<ObjectName, Arc<Record>>,
        namespace: &str,
        after: Option<&ObjectName>,
    ) -> Vec<Arc<Record>> {
        let first = ObjectName::new(namespace, "");
        let from = match after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            _ => Bound::Included(first),
        };
        let wanted = |name: &ObjectName| namespace.is_empty() || name.namespace == namespace;
        let stored = live.range((from.clone(), Bound::Unbounded)).take_while(|(name, _)| wanted(name));
        let Some(shared) = &self.shared else {
            return stored.map(|(_, record)| record.clone()).collect();
        };
        let mut all: BTreeMap<&ObjectName, &Arc<Record>> =
            shared.range((from, Bound::Unbounded)).take_while(|(name, _)| wanted(name)).collect();
        all.extend(stored);
        all.into_values().cloned().collect()
    }

    /// The number of stored objects.
    pub fn len(&self) -> usize {
        self.inner.read().live.len()
    }

    /// Grows with every change: what was computed from the objects at the same version still holds.
    pub fn version(&self) -> u64 {
        self.inner.read().version
    }

    /// True when nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Watches a namespace (empty: all) from after a revision: the changes since, then a stream. The stream ends
    /// when the watcher lags too much.
    pub fn watch(&self, namespace: &str, from: Revision) -> Result<Resumed, Forgotten> {
        let mut inner = self.inner.write();
        if from < inner.floor {
            return Err(Forgotten { oldest: inner.floor });
        }
        let start = inner.history.partition_point(|change| change.revision <= from);
        let missed = inner.history.range(start..).filter(|c| in_namespace(c, namespace)).cloned().collect();
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        inner.watchers.push(Watcher { namespace: namespace.into(), sender });
        Ok((missed, receiver))
    }

    /// Lists and watches in one step: nothing falls between.
    pub fn list_and_watch(&self, namespace: &str) -> (Vec<Arc<Record>>, mpsc::Receiver<Arc<Change>>) {
        let mut inner = self.inner.write();
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        inner.watchers.push(Watcher { namespace: namespace.into(), sender });
        (self.merged(&inner.live, namespace, None), receiver)
    }

    /// Objects read at start, before anything is served: they have no history.
    pub(super) fn load(&self, record: Arc<Record>) {
        let mut inner = self.inner.write();
        inner.live.insert(record.name.clone(), record);
        inner.version += 1;
    }

    pub(super) fn put(&self, record: Arc<Record>) -> Option<Arc<Change>> {
        let mut inner = self.inner.write();
        let stored = inner.live.insert(record.name.clone(), record.clone());
        let previous = stored.or_else(|| self.shared.as_ref()?.get(&record.name).cloned());
        let revision = record.revision;
        Some(inner.record(Change { revision, object: record, previous, deleted: false }))
    }

    pub(super) fn remove(&self, name: &ObjectName, revision: Revision) -> Option<Arc<Change>> {
        let mut inner = self.inner.write();
        let previous = inner.live.remove(name)?;
        // A shared object shows again when what hid it goes.
        let change = match self.shared.as_ref().and_then(|shared| shared.get(name)) {
            Some(shared) => Change {
                revision,
                object: Arc::new(shared.at(revision)),
                previous: Some(previous),
                deleted: false,
            },
            None => Change {
                revision,
                object: Arc::new(previous.at(revision)),
                previous: Some(previous),
                deleted: true,
            },
        };
        Some(inner.record(change))
    }

    /// Drops history at or before a revision.
    pub(super) fn trim(&self, at: Revision) {
        let mut inner = self.inner.write();
        while inner.history.front().is_some_and(|change| change.revision <= at) {
            inner.drop_oldest();
        }
        inner.watchers.retain(|watcher| !watcher.sender.is_closed());
    }
}

impl Inner {
    fn record(&mut self, change: Change) -> Arc<Change> {
        let change = Arc::new(change);
        self.version += 1;
        self.history_bytes += change.object.bytes.len();
        self.history.push_back(change.clone());
        while self.history.len() > HISTORY_CHANGES || self.history_bytes > HISTORY_BYTES {
            self.drop_oldest();
        }
        self.watchers.retain(|watcher| {
            !watcher.sender.is_closed()
                && (!in_namespace(&change, &watcher.namespace)
                    || watcher.sender.try_send(change.clone()).is_ok())
        });
        change
    }

    fn drop_oldest(&mut self) {
        if let Some(dropped) = self.history.pop_front() {
            self.history_bytes -= dropped.object.bytes.len();
            self.floor = self.floor.max(dropped.revision);
        }
    }
}

fn in_namespace(change: &Change, namespace: &str) -> bool {
    namespace.is_empty() || change.object.name.namespace == namespace
}

#[cfg(test)]
mod tests {
    use super::super::record;
    use super::*;
    use serde_json::json;

    fn make(namespace: &str, name: &str, revision: u64) -> Arc<Record> {
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace}, "data": {"at": revision.to_string()}});
        let stored = record::encode(&object, Vec::new());
        Arc::new(record::decode(ObjectName::new(namespace, name), &stored, Revision(revision)).unwrap())
    }

    fn names(list: &[Arc<Record>]) -> Vec<String> {
        list.iter().map(|r| format!("{}@{}", r.name, r.revision)).collect()
    }

    #[test]
    fn an_older_revision_can_be_listed_while_history_lasts() {
        let collection = Collection::new(None, Revision::ZERO);
        collection.put(make("a", "x", 1));
        collection.put(make("b", "y", 2));
        collection.put(make("a", "x", 3));
        collection.remove(&ObjectName::new("b", "y"), Revision(4));
        collection.put(make("b", "z", 5));
        assert_eq!(names(&collection.list("", None)), ["a/x@3", "b/z@5"]);
        assert_eq!(names(&collection.list_at("", None, Revision(2)).unwrap()), ["a/x@1", "b/y@2"]);
        assert_eq!(names(&collection.list_at("b", None, Revision(3)).unwrap()), ["b/y@2"]);
        let after = ObjectName::new("a", "x");
        assert_eq!(names(&collection.list("", Some(&after))), ["b/z@5"]);
        collection.trim(Revision(2));
        assert_eq!(collection.list_at("", None, Revision(1)).unwrap_err(), Forgotten { oldest: Revision(2) });
    }

    #[test]
    fn a_watch_resumes_where_it_was_and_sees_each_change_once() {
        let collection = Collection::new(None, Revision::ZERO);
        for revision in 1..=3 {
            collection.put(make("a", "x", revision));
        }
        let (missed, mut stream) = collection.watch("a", Revision(1)).unwrap();
        assert_eq!(missed.iter().map(|c| c.revision.0).collect::<Vec<_>>(), [2, 3]);
        collection.put(make("b", "other", 4));
        collection.remove(&ObjectName::new("a", "x"), Revision(5));
        let change = stream.try_recv().unwrap();
        assert!(change.is_deleted() && change.revision == Revision(5));
        assert_eq!(change.object.value().unwrap()["metadata"]["resourceVersion"], "5");
        assert!(stream.try_recv().is_err());
    }

    #[test]
    fn nothing_is_said_about_what_was_before_the_floor() {
        let collection = Collection::new(None, Revision(10));
        assert_eq!(collection.watch("", Revision(9)).unwrap_err(), Forgotten { oldest: Revision(10) });
        assert_eq!(
            collection.list_at("", None, Revision(9)).unwrap_err(),
            Forgotten { oldest: Revision(10) }
        );
        assert!(collection.watch("", Revision(10)).is_ok());
    }

    #[test]
    fn a_watcher_that_lags_is_ended() {
        let collection = Collection::new(None, Revision::ZERO);
        let (_, mut stream) = collection.watch("", Revision::ZERO).unwrap();
        for revision in 1..=WATCH_BUFFER as u64 + 1 {
            collection.put(make("a", "x", revision));
        }
        for _ in 0..WATCH_BUFFER {
            stream.try_recv().unwrap();
        }
        assert_eq!(stream.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
    }

    #[test]
    fn shared_objects_show_until_hidden_and_again_after() {
        let object = json!({"kind": "ClusterRole", "apiVersion": "v1", "metadata": {"name": "view"}});
        let name = ObjectName::cluster("view");
        let record = Arc::new(record::shared(name.clone(), &object, Revision(1)));
        let collection =
            Collection::new(Some(Arc::new(BTreeMap::from([(name.clone(), record)]))), Revision::ZERO);
        assert_eq!(names(&collection.list("", None)), ["view@1"]);
        assert_eq!(collection.get(&name).unwrap().expected(), Revision::ZERO);
        let change = collection.put(make("", "view", 9)).unwrap();
        assert!(change.previous.as_ref().unwrap().shared);
        assert_eq!(names(&collection.list("", None)), ["view@9"]);
        let change = collection.remove(&name, Revision(10)).unwrap();
        assert!(!change.is_deleted());
        assert_eq!(names(&collection.list("", None)), ["view@1"]);
    }
}
