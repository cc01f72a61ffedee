//! Every object of every plane, in memory, once.
//!
//! The store's one watch feeds the cache; a write is acknowledged after the cache has it, so that every read after
//! it sees it. Read in this order: [`record`] (one object), [`objects`] (many, in order), [`collection`] (one
//! resource of one plane, its [`history`] and [`watchers`]), [`snapshot`] (what it was at one revision),
//! [`planes`](self::Cache) (all of them), [`feed`] (from the store).

mod applied;
pub mod collection;
pub mod feed;
pub mod history;
pub mod objects;
pub mod record;
pub mod snapshot;
pub mod watchers;

use api_types::{GroupResource, ObjectName, Revision, TenantId};
use applied::Applied;
use collection::{Change, Collection};
use history::Held;
use parking_lot::{Mutex, RwLock};
use record::Record;
use snapshot::Snapshot;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The objects that planes have without storing them: by resource, by name.
pub type SharedObjects = HashMap<GroupResource, snapshot::Shared>;

/// The shared objects of each kind of plane.
pub struct SharedByPlane {
    /// Of the host plane.
    pub host: SharedObjects,
    /// Of tenants' planes.
    pub tenant: SharedObjects,
    /// Of embedded super clusters.
    pub superior: SharedObjects,
}

impl SharedByPlane {
    fn of(&self, tenant: TenantId) -> &SharedObjects {
        match tenant {
            TenantId::HOST => &self.host,
            TenantId::LOCAL_SUPER => &self.superior,
            _ => &self.tenant,
        }
    }
}

/// How many changes a watcher over all planes may lag.
const WILDCARD_BUFFER: usize = 65_536;

/// Every object of every plane.
pub struct Cache {
    planes: RwLock<HashMap<TenantId, Arc<PlaneObjects>>>,
    shared: SharedByPlane,
    wildcards: Mutex<HashMap<GroupResource, Vec<WildcardSender>>>,
    applied: Applied,
    /// The commit whose changes are coming in; the newest one when none are.
    arriving: Mutex<Revision>,
    /// What the histories of all collections hold.
    held: Arc<Held>,
}

/// Where the changes of a resource go that is watched over all planes.
type WildcardSender = mpsc::Sender<(TenantId, Arc<Change>)>;

/// The objects of one plane.
pub struct PlaneObjects {
    /// Nothing is known of what was before: the revision at which the plane was loaded, or born.
    floor: Revision,
    collections: RwLock<HashMap<GroupResource, Arc<Collection>>>,
    owners: Mutex<HashMap<String, HashSet<(GroupResource, ObjectName)>>>,
    usage: Mutex<Usage>,
}

/// What a plane stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Objects, those of the server itself among them.
    pub objects: u64,
    /// Their JSON.
    pub bytes: u64,
}

impl Usage {
    fn follow(&mut self, change: &Change) {
        let size = |record: &Record| (!record.shared).then_some(record.bytes.len() as u64);
        let before = change.previous.as_deref().and_then(size);
        let after = size(&change.object).filter(|_| !change.is_deleted());
        let count = |size: Option<u64>| u64::from(size.is_some());
        self.objects = (self.objects + count(after)).saturating_sub(count(before));
        self.bytes = (self.bytes + after.unwrap_or(0)).saturating_sub(before.unwrap_or(0));
    }
}

impl Cache {
    /// An empty cache.
    pub fn new(shared: SharedByPlane) -> Self {
        Cache {
            planes: RwLock::default(),
            shared,
            wildcards: Mutex::default(),
            applied: Applied::default(),
            arriving: Mutex::new(Revision::ZERO),
            held: Arc::default(),
        }
    }

    /// The newest revision that reads show.
    pub fn revision(&self) -> Revision {
        self.applied.newest()
    }

    /// Waits until reads show this revision.
    pub async fn wait_for(&self, revision: Revision) {
        self.applied.reach(revision).await;
    }

    /// Waits until the commit whose changes are coming in is there as a whole: who was told of one of them by a watch
    /// then reads the others too, such as an owner that was made together with what it owns.
    pub async fn wait_for_whole_commit(&self) {
        let arriving = *self.arriving.lock();
        if self.revision() < arriving {
            self.wait_for(arriving).await;
        }
    }

    /// What is there of a resource now, and the revision that this is. Nothing of a commit that is coming in is in it; one that
    /// began to come in before is waited for: whoever read one of its objects alone, and lists then, would else be shown
    /// an older one.
    pub async fn newest(&self, collection: &Collection) -> (Snapshot, Revision) {
        self.wait_for_whole_commit().await;
        loop {
            let at = self.revision();
            match collection.snapshot_at(at) {
                Ok(snapshot) => return (snapshot, at),
                // So large a commit is coming in that its beginning is history already.
                Err(forgotten) => self.wait_for(forgotten.oldest).await,
            }
        }
    }

    /// The changes of this commit come next.
    fn begin(&self, revision: Revision) {
        *self.arriving.lock() = revision;
    }

    /// One resource of one plane. It is there for every name, empty until something is stored; that of a plane which
    /// is not there is kept by nobody.
    pub fn collection(&self, tenant: TenantId, resource: &GroupResource) -> Arc<Collection> {
        let shared = || self.shared.of(tenant).get(resource).cloned();
        let Some(plane) = self.plane(tenant) else {
            return Arc::new(Collection::new(shared(), Revision::ZERO, Arc::default()));
        };
        if let Some(found) = plane.collections.read().get(resource) {
            return found.clone();
        }
        let mut collections = plane.collections.write();
        let made = || Arc::new(Collection::new(shared(), plane.floor, self.held.clone()));
        collections.entry(resource.clone()).or_insert_with(made).clone()
    }

    /// One resource of one plane, if anything of it is or was stored since the start.
    pub fn existing(&self, tenant: TenantId, resource: &GroupResource) -> Option<Arc<Collection>> {
        self.plane(tenant)?.collections.read().get(resource).cloned()
    }

    /// One object.
    pub fn get(&self, tenant: TenantId, resource: &GroupResource, name: &ObjectName) -> Option<Arc<Record>> {
        self.collection(tenant, resource).get(name)
    }

    /// The object that all planes of this kind share under a name, whether this plane hides it or not.
    pub fn shared(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        name: &ObjectName,
    ) -> Option<Arc<Record>> {
        self.shared.of(tenant).get(resource)?.get(name).cloned()
    }

    /// The planes that have objects.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.planes.read().keys().copied().collect()
    }

    /// The resources of a plane that have or had objects.
    pub fn resources(&self, tenant: TenantId) -> Vec<GroupResource> {
        let plane = self.plane(tenant);
        let mut found: Vec<GroupResource> = plane
            .iter()
            .flat_map(|plane| plane.collections.read().keys().cloned().collect::<Vec<_>>())
            .collect();
        for resource in self.shared.of(tenant).keys() {
            if !found.contains(resource) {
                found.push(resource.clone());
            }
        }
        found
    }

    /// Objects of a plane with an owner reference to this UID.
    pub fn dependents(&self, tenant: TenantId, owner_uid: &str) -> Vec<(GroupResource, Arc<Record>)> {
        let Some(plane) = self.plane(tenant) else { return Vec::new() };
        let names: Vec<_> =
            plane.owners.lock().get(owner_uid).map(|set| set.iter().cloned().collect()).unwrap_or_default();
        names
            .into_iter()
            .filter_map(|(resource, name)| {
                let record = self.get(tenant, &resource, &name)?;
                Some((resource, record))
            })
            .collect()
    }

    /// What a plane stores.
    pub fn usage(&self, tenant: TenantId) -> Usage {
        self.plane(tenant).map(|plane| *plane.usage.lock()).unwrap_or_default()
    }

    /// Watches one resource over all planes, from now on. The stream ends when it lags too much.
    pub fn watch_all(&self, resource: &GroupResource) -> mpsc::Receiver<(TenantId, Arc<Change>)> {
        let (sender, receiver) = mpsc::channel(WILDCARD_BUFFER);
        self.wildcards.lock().entry(resource.clone()).or_default().push(sender);
        receiver
    }

    /// Forgets a plane that is no more.
    pub fn forget(&self, tenant: TenantId) {
        self.planes.write().remove(&tenant);
    }

    /// Drops history that is older than `at`, in all planes.
    pub fn trim(&self, at: Revision) {
        self.collections().iter().for_each(|collection| collection.trim(at));
    }

    fn collections(&self) -> Vec<Arc<Collection>> {
        let planes: Vec<_> = self.planes.read().values().cloned().collect();
        let of_plane =
            |plane: Arc<PlaneObjects>| plane.collections.read().values().cloned().collect::<Vec<_>>();
        planes.into_iter().flat_map(of_plane).collect()
    }

    /// Drops history until what is held is not too much.
    fn shorten_histories(&self) {
        let collections = self.collections();
        let share = history::share(collections.iter().map(|collection| collection.history_bytes()).collect());
        for collection in collections.iter().filter(|collection| collection.history_bytes() > share) {
            collection.shorten(share);
        }
    }

    fn plane(&self, tenant: TenantId) -> Option<Arc<PlaneObjects>> {
        self.planes.read().get(&tenant).cloned()
    }

    /// Makes room for a plane of which nothing is known before `floor`, unless it is there.
    fn admit(&self, tenant: TenantId, floor: Revision) {
        if self.planes.read().contains_key(&tenant) {
            return;
        }
        let made = || {
            Arc::new(PlaneObjects {
                floor,
                collections: RwLock::default(),
                owners: Mutex::default(),
                usage: Mutex::default(),
            })
        };
        self.planes.write().entry(tenant).or_insert_with(made);
    }

    /// Takes in one change and sends it to the watchers. Changes come in order of revision.
    fn apply(&self, tenant: TenantId, resource: &GroupResource, name: ObjectName, change: Incoming) {
        if let Incoming::Put(record) = &change {
            self.admit(tenant, record.revision);
        }
        let collection = self.collection(tenant, resource);
        let applied = match change {
            Incoming::Put(record) => collection.put(Arc::new(record)),
            Incoming::Removed(revision) => collection.remove(&name, revision),
        };
        let Some(change) = applied else { return };
        if self.held.is_too_much() {
            self.shorten_histories();
        }
        self.index(tenant, resource, &change);
        let mut wildcards = self.wildcards.lock();
        if let Some(watchers) = wildcards.get_mut(resource) {
            watchers.retain(|watcher| watcher.try_send((tenant, change.clone())).is_ok());
        }
    }

    fn index(&self, tenant: TenantId, resource: &GroupResource, change: &Change) {
        let Some(plane) = self.plane(tenant) else { return };
        plane.usage.lock().follow(change);
        let before: &[api_types::Owner] = change.previous.as_ref().map_or(&[], |r| &r.meta.owners);
        let after: &[api_types::Owner] = if change.is_deleted() { &[] } else { &change.object.meta.owners };
        if before.is_empty() && after.is_empty() {
            return;
        }
        let member = (resource.clone(), change.object.name.clone());
        let mut owners = plane.owners.lock();
        for gone in before.iter().filter(|owner| !after.contains(owner)) {
            if let Some(set) = owners.get_mut(gone.uid.as_str()) {
                set.remove(&member);
                if set.is_empty() {
                    owners.remove(gone.uid.as_str());
                }
            }
        }
        for new in after {
            owners.entry(new.uid.to_string()).or_default().insert(member.clone());
        }
    }

    fn publish(&self, revision: Revision) {
        self.applied.advance(revision);
    }
}

/// A change on its way into the cache.
enum Incoming {
    Put(Record),
    Removed(Revision),
}
