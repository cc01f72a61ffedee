//! One resource of one plane: its live objects, its recent history, its watchers.

use super::history::{Held, History};
use super::objects::Objects;
use super::record::Record;
use super::snapshot::{Shared, Snapshot};
use super::watchers::{Changes, Watchers};
use api_types::{ObjectName, Revision};
use parking_lot::RwLock;
use std::sync::Arc;

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

    /// One whose object has about so many bytes.
    #[cfg(test)]
    pub(super) fn of_size(revision: u64, bytes: usize) -> Arc<Self> {
        let object = serde_json::json!({"metadata": {"name": "x"}, "data": "x".repeat(bytes)});
        let stored = super::record::encode(&object, Vec::new(), 0);
        let made = super::record::decode(ObjectName::new("a", "x"), &stored, Revision(revision)).unwrap();
        Arc::new(Change::loaded(Arc::new(made)))
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
    shared: Option<Shared>,
}

struct Inner {
    live: Objects,
    history: History,
    watchers: Watchers,
    /// Counts changes.
    version: u64,
}

/// A resumed watch: what was missed, then what comes.
pub type Resumed = (Vec<Arc<Change>>, Changes);

/// The history does not reach back so far.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The oldest revision that can be had.
    pub oldest: Revision,
}

impl Collection {
    /// Of which nothing is known before `floor`. `held` counts what histories hold.
    pub(super) fn new(shared: Option<Shared>, floor: Revision, held: Arc<Held>) -> Self {
        let inner = Inner {
            live: Objects::default(),
            history: History::new(floor, held),
            watchers: Watchers::default(),
            version: 0,
        };
        Collection { inner: RwLock::new(inner), shared }
    }

    /// One object.
    pub fn get(&self, name: &ObjectName) -> Option<Arc<Record>> {
        let found = self.inner.read().live.get(name).cloned();
        found.or_else(|| self.shared.as_ref()?.get(name).cloned())
    }

    /// What is there now. It costs the same whatever there is, and whoever walks through it holds no writer up.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { stored: self.inner.read().live.clone(), shared: self.shared.clone(), newer: Vec::new() }
    }

    /// What was there at a revision; costs as much as has been changed since.
    pub fn snapshot_at(&self, at: Revision) -> Result<Snapshot, Forgotten> {
        let inner = self.inner.read();
        let newer = inner.history.after(at)?.cloned().collect();
        Ok(Snapshot { stored: inner.live.clone(), shared: self.shared.clone(), newer })
    }

    /// The objects of a namespace (empty: of all) in order of name.
    pub fn list(&self, namespace: &str) -> Vec<Arc<Record>> {
        self.snapshot().records(namespace, None).to_vec()
    }

    /// The number of stored objects.
    pub fn len(&self) -> usize {
        self.inner.read().live.count()
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
        let missed = inner.history.after(from)?.filter(|c| in_namespace(c, namespace)).cloned().collect();
        Ok((missed, inner.watchers.add(namespace)))
    }

    /// What is there and what comes, in one step: nothing falls between.
    pub fn list_and_watch(&self, namespace: &str) -> (Snapshot, Changes) {
        let mut inner = self.inner.write();
        let changes = inner.watchers.add(namespace);
        let stored = inner.live.clone();
        (Snapshot { stored, shared: self.shared.clone(), newer: Vec::new() }, changes)
    }

    /// What was there at a revision, and what came and comes after it, in one step.
    pub fn list_at_and_watch(&self, namespace: &str, at: Revision) -> Result<(Snapshot, Resumed), Forgotten> {
        let mut inner = self.inner.write();
        let newer: Vec<Arc<Change>> = inner.history.after(at)?.cloned().collect();
        let missed = newer.iter().filter(|change| in_namespace(change, namespace)).cloned().collect();
        let changes = inner.watchers.add(namespace);
        let snapshot = Snapshot { stored: inner.live.clone(), shared: self.shared.clone(), newer };
        Ok((snapshot, (missed, changes)))
    }

    /// Objects read at start, before anything is served: they have no history.
    pub(super) fn load(&self, record: Arc<Record>) {
        let mut inner = self.inner.write();
        inner.live.insert(record);
        inner.version += 1;
    }

    pub(super) fn put(&self, record: Arc<Record>) -> Option<Arc<Change>> {
        let mut inner = self.inner.write();
        let stored = inner.live.insert(record.clone());
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
        inner.history.trim(at);
        inner.watchers.tidy();
    }

    /// What its history holds.
    pub(super) fn history_bytes(&self) -> usize {
        self.inner.read().history.bytes()
    }

    /// Drops the oldest of the history until it holds no more than this.
    pub(super) fn shorten(&self, bytes: usize) {
        self.inner.write().history.shorten(bytes);
    }
}

impl Inner {
    fn record(&mut self, change: Change) -> Arc<Change> {
        let change = Arc::new(change);
        self.version += 1;
        self.history.push(change.clone());
        self.watchers.send(&change);
        change
    }
}

pub(super) fn in_namespace(change: &Change, namespace: &str) -> bool {
    namespace.is_empty() || change.object.name.namespace == namespace
}

#[cfg(test)]
mod tests {
    use super::super::record;
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn make(namespace: &str, name: &str, revision: u64) -> Arc<Record> {
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace}, "data": {"at": revision.to_string()}});
        let stored = record::encode(&object, Vec::new(), 0);
        Arc::new(record::decode(ObjectName::new(namespace, name), &stored, Revision(revision)).unwrap())
    }

    fn names(snapshot: &Snapshot, namespace: &str, after: Option<&ObjectName>) -> Vec<String> {
        let records = snapshot.records(namespace, after);
        assert_eq!(records.len(), records.iter().count());
        for name in [ObjectName::new("a", "x"), ObjectName::new("b", "y"), ObjectName::cluster("view")] {
            let expected = records.iter().find(|record| record.name == name).map(|record| record.revision);
            let in_namespace = namespace.is_empty() || name.namespace == namespace;
            let one = snapshot.one(&name, after);
            let found = one.iter().map(|record| record.revision).next().filter(|_| in_namespace);
            assert_eq!(found, expected, "{name}");
        }
        records.iter().map(|r| format!("{}@{}", r.name, r.revision)).collect()
    }

    fn now(collection: &Collection) -> Vec<String> {
        names(&collection.snapshot(), "", None)
    }

    #[test]
    fn an_older_revision_can_be_listed_while_history_lasts() {
        let collection = Collection::new(None, Revision::ZERO, Arc::default());
        collection.put(make("a", "x", 1));
        collection.put(make("b", "y", 2));
        collection.put(make("a", "x", 3));
        collection.remove(&ObjectName::new("b", "y"), Revision(4));
        collection.put(make("b", "z", 5));
        assert_eq!(now(&collection), ["a/x@3", "b/z@5"]);
        let at = |at| collection.snapshot_at(Revision(at));
        assert_eq!(names(&at(2).unwrap(), "", None), ["a/x@1", "b/y@2"]);
        assert_eq!(names(&at(3).unwrap(), "b", None), ["b/y@2"]);
        let after = ObjectName::new("a", "x");
        assert_eq!(names(&collection.snapshot(), "", Some(&after)), ["b/z@5"]);
        assert_eq!(names(&at(2).unwrap(), "", Some(&after)), ["b/y@2"]);
        collection.trim(Revision(2));
        assert_eq!(at(1).err(), Some(Forgotten { oldest: Revision(2) }));
    }

    #[test]
    fn a_snapshot_stays_as_it_is() {
        let collection = Collection::new(None, Revision::ZERO, Arc::default());
        collection.put(make("a", "x", 1));
        collection.put(make("a", "y", 2));
        let before = collection.snapshot();
        let (with_watch, _changes) = collection.list_and_watch("a");
        collection.put(make("a", "x", 3));
        collection.remove(&ObjectName::new("a", "y"), Revision(4));
        collection.put(make("a", "z", 5));
        for snapshot in [before, with_watch] {
            assert_eq!(names(&snapshot, "a", None), ["a/x@1", "a/y@2"]);
        }
        assert_eq!(now(&collection), ["a/x@3", "a/z@5"]);
    }

    /// A commit may be in the collection before reads show its revision.
    #[test]
    fn a_list_that_a_watch_begins_with_shows_nothing_newer_than_it_says() {
        let collection = Collection::new(None, Revision::ZERO, Arc::default());
        collection.put(make("a", "x", 1));
        collection.put(make("a", "y", 2));
        collection.put(make("b", "z", 2));
        let (listed, (missed, mut stream)) = collection.list_at_and_watch("a", Revision(1)).unwrap();
        collection.put(make("a", "x", 3));
        assert_eq!(names(&listed, "a", None), ["a/x@1"]);
        assert_eq!(missed.iter().map(|c| c.object.name.name.as_str()).collect::<Vec<_>>(), ["y"]);
        assert_eq!(stream.try_recv().unwrap().change.revision, Revision(3));
        assert!(stream.try_recv().is_none());
    }

    #[test]
    fn a_watch_resumes_where_it_was_and_sees_each_change_once() {
        let collection = Collection::new(None, Revision::ZERO, Arc::default());
        for revision in 1..=3 {
            collection.put(make("a", "x", revision));
        }
        let (missed, mut stream) = collection.watch("a", Revision(1)).unwrap();
        assert_eq!(missed.iter().map(|c| c.revision.0).collect::<Vec<_>>(), [2, 3]);
        collection.put(make("b", "other", 4));
        collection.remove(&ObjectName::new("a", "x"), Revision(5));
        let change = &stream.try_recv().unwrap().change;
        assert!(change.is_deleted() && change.revision == Revision(5));
        assert_eq!(change.object.value().unwrap()["metadata"]["resourceVersion"], "5");
        assert!(stream.try_recv().is_none());
    }

    #[test]
    fn nothing_is_said_about_what_was_before_the_floor() {
        let collection = Collection::new(None, Revision(10), Arc::default());
        let forgotten = Some(Forgotten { oldest: Revision(10) });
        assert_eq!(collection.watch("", Revision(9)).err(), forgotten);
        assert_eq!(collection.snapshot_at(Revision(9)).err(), forgotten);
        assert!(collection.watch("", Revision(10)).is_ok());
    }

    #[test]
    fn shared_objects_show_until_hidden_and_again_after() {
        let object = json!({"kind": "ClusterRole", "apiVersion": "v1", "metadata": {"name": "view"}});
        let name = ObjectName::cluster("view");
        let record = Arc::new(record::shared(name.clone(), &object, Revision(1)));
        let shared = Arc::new(BTreeMap::from([(name.clone(), record)]));
        let collection = Collection::new(Some(shared), Revision::ZERO, Arc::default());
        assert_eq!(now(&collection), ["view@1"]);
        assert_eq!(collection.get(&name).unwrap().expected(), Revision::ZERO);
        let change = collection.put(make("", "view", 9)).unwrap();
        assert!(change.previous.as_ref().unwrap().shared);
        assert_eq!(now(&collection), ["view@9"]);
        let change = collection.remove(&name, Revision(10)).unwrap();
        assert!(!change.is_deleted());
        assert_eq!(now(&collection), ["view@1"]);
    }
}
