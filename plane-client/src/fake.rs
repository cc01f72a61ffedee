//! A fake of planes for unit tests (cargo feature `fake`).
//!
//! **It is a fake.** It keeps objects in memory and has just enough of the API server's rules for the tests of
//! a controller to mean something: names, UIDs, revisions, conflicts, generations, finalizers, grace of pods,
//! the `status`, `scale`, `binding`, `token` and `finalize` subresources, four kinds of writes, watches that
//! miss nothing.
//!
//! What it does not do: no schema, so neither validation nor defaults (a Deployment has the fields that were
//! written, no others); no authorization but what [`FakePlanes::refuse`] says; no admission, quota or allocation
//! of addresses; a namespace need not exist for objects in it; no JSON patch; no conversion between versions;
//! strategic merge and apply know lists only by the keys of [`merge`](self), not by schema; no `managedFields`.

mod kinds;
mod merge;
mod store;
mod writing;

use crate::client::{KindInfo, Object, PlaneClient, Scope, WatchItem};
use crate::write::{Actor, Target, Write};
use api_types::{ApiError, GroupResource, ObjectName, TenantId};
use async_trait::async_trait;
pub use kinds::FakeKind;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::{Event, Store};
use tokio::sync::{mpsc, watch};

/// A wait ends after this long: a test that would hang fails instead.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

type Delay = Arc<dyn Fn(&Target, &Write) -> Duration + Send + Sync>;
type Refusal = Arc<dyn Fn(&Actor, &Target, &Write) -> Option<ApiError> + Send + Sync>;

/// Planes in memory. Clones share them. A plane is there as soon as it is named.
#[derive(Clone)]
pub struct FakePlanes(Arc<Shared>);

struct Shared {
    store: Mutex<Store>,
    /// The number of events so far.
    progress: watch::Sender<usize>,
    refusal: Mutex<Option<Refusal>>,
    delay: Mutex<Option<Delay>>,
    /// How many watches to come end after their first item.
    broken: AtomicUsize,
    writes: Mutex<Vec<Recorded>>,
}

/// A write that was asked for.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// As whom.
    pub actor: Actor,
    /// Of what.
    pub target: Target,
    /// What.
    pub write: Write,
    /// False when it was answered with an error.
    pub accepted: bool,
}

impl Default for FakePlanes {
    fn default() -> Self {
        Self::new()
    }
}

impl FakePlanes {
    /// Empty planes that know the common built-in kinds and Insula's own.
    pub fn new() -> Self {
        FakePlanes(Arc::new(Shared {
            store: Mutex::new(Store::new()),
            progress: watch::Sender::new(0),
            refusal: Mutex::new(None),
            delay: Mutex::new(None),
            broken: AtomicUsize::new(0),
            writes: Mutex::new(Vec::new()),
        }))
    }

    /// The fake as a client.
    pub fn client(&self) -> Arc<dyn PlaneClient> {
        Arc::new(self.clone())
    }

    /// Adds a kind to every plane. A written `CustomResourceDefinition` adds its kind to its plane by itself.
    pub fn register(&self, kind: FakeKind) {
        self.0.store.lock().register(None, kind);
    }

    /// Puts an object there as it is, status included, in place of one of the same name. The resource comes from
    /// `apiVersion` and `kind`; UID, creation time and generation are added where they are missing.
    ///
    /// # Panics
    /// When the kind is unknown or the object has no name: the test is wrong.
    #[allow(clippy::panic)]
    pub fn put(&self, tenant: TenantId, object: Value) -> Object {
        let result = self.0.store.lock().seed(tenant, object);
        self.announce();
        match result {
            Ok(object) => object,
            Err(error) => panic!("FakePlanes::put: {error}"),
        }
    }

    /// Removes an object without any rule; false when it is not there.
    pub fn remove(&self, tenant: TenantId, resource: &GroupResource, namespace: &str, name: &str) -> bool {
        let removed =
            self.0.store.lock().remove(tenant, resource, &ObjectName::new(namespace, name)).is_some();
        self.announce();
        removed
    }

    /// An object as it is now.
    pub fn find(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let object = self.0.store.lock().get(tenant, resource, &ObjectName::new(namespace, name))?;
        object.value().ok()
    }

    /// The objects of a resource in order of namespace and name; all namespaces when `namespace` is empty.
    pub fn all(&self, tenant: TenantId, resource: &GroupResource, namespace: &str) -> Vec<Value> {
        let objects = self.0.store.lock().list(tenant, resource, namespace);
        objects.iter().filter_map(|object| object.value().ok()).collect()
    }

    /// Answers writes with the error that the closure gives; `None` lets the write through. In place of what was
    /// set before. Use it for impersonation (`Actor::User` may not) and for faults.
    pub fn refuse(
        &self,
        closure: impl Fn(&Actor, &Target, &Write) -> Option<ApiError> + Send + Sync + 'static,
    ) {
        *self.0.refusal.lock() = Some(Arc::new(closure));
    }

    /// Lets each write wait before it is looked at, for as long as the closure says. In place of what was set before.
    pub fn delay(&self, closure: impl Fn(&Target, &Write) -> Duration + Send + Sync + 'static) {
        *self.0.delay.lock() = Some(Arc::new(closure));
    }

    /// Lets the next `count` watches end after their first item.
    pub fn break_watches(&self, count: usize) {
        self.0.broken.store(count, Ordering::SeqCst);
    }

    /// How many watches are still to break.
    pub fn watches_to_break(&self) -> usize {
        self.0.broken.load(Ordering::SeqCst)
    }

    /// Every write that came through the client, in order; [`FakePlanes::put`] is none.
    pub fn writes(&self) -> Vec<Recorded> {
        self.0.writes.lock().clone()
    }

    /// Forgets the recorded writes.
    pub fn forget_writes(&self) {
        self.0.writes.lock().clear();
    }

    /// Waits until the condition holds, looking after every change of any plane.
    ///
    /// # Panics
    /// After a minute (of the runtime's clock).
    #[allow(clippy::panic)]
    pub async fn wait_until(&self, what: &str, condition: impl Fn(&FakePlanes) -> bool) {
        let mut progress = self.0.progress.subscribe();
        let waiting = async {
            loop {
                progress.borrow_and_update();
                if condition(self) {
                    return;
                }
                // The sender is in `self`: it cannot be gone.
                let _ = progress.changed().await;
            }
        };
        if tokio::time::timeout(WAIT_LIMIT, waiting).await.is_err() {
            panic!("waited for too long: {what}");
        }
    }

    /// Waits until the condition holds for one object (`None`: it is not there), and gives it back.
    ///
    /// # Panics
    /// After a minute (of the runtime's clock), showing the object as it was last.
    #[allow(clippy::panic)]
    pub async fn wait_for(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
        name: &str,
        condition: impl Fn(Option<&Value>) -> bool,
    ) -> Option<Value> {
        let mut progress = self.0.progress.subscribe();
        let waiting = async {
            loop {
                progress.borrow_and_update();
                let object = self.find(tenant, resource, namespace, name);
                if condition(object.as_ref()) {
                    return object;
                }
                let _ = progress.changed().await;
            }
        };
        match tokio::time::timeout(WAIT_LIMIT, waiting).await {
            Ok(object) => object,
            Err(_) => panic!(
                "waited for too long for {resource} {namespace}/{name}; it is {:#?}",
                self.find(tenant, resource, namespace, name)
            ),
        }
    }

    /// Tells watches how many events there are.
    fn announce(&self) {
        let count = self.0.store.lock().events.len();
        self.0.progress.send_if_modified(|known| std::mem::replace(known, count) != count);
    }
}

#[async_trait]
impl PlaneClient for FakePlanes {
    fn list_watch(&self, resource: &GroupResource, scope: Scope) -> mpsc::Receiver<WatchItem> {
        let (sender, receiver) = mpsc::channel(64);
        let mut progress = self.0.progress.subscribe();
        let (live, mut next) = {
            let store = self.0.store.lock();
            (store.live(resource, scope), store.events.len())
        };
        let (shared, resource) = (Arc::downgrade(&self.0), resource.clone());
        let less = |count: usize| count.checked_sub(1);
        let is_broken = self.0.broken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        // Ends when the receiver or the last clone of the planes is gone; an error is one of these two.
        tokio::spawn(async move {
            for object in live {
                if sender.send(WatchItem::Applied(object)).await.is_err() || is_broken {
                    return;
                }
            }
            if sender.send(WatchItem::Synced).await.is_err() {
                return;
            }
            loop {
                let Some(planes) = shared.upgrade() else { return };
                progress.borrow_and_update();
                let fresh: Vec<Event> = planes.store.lock().events[next..].to_vec();
                drop(planes);
                next += fresh.len();
                for event in fresh {
                    let object = event.object();
                    let is_meant = object.resource == resource && scope.contains(object.tenant);
                    if is_meant && sender.send(event.into()).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = progress.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        receiver
    }

    async fn get(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        object: &ObjectName,
    ) -> Result<Option<Object>, ApiError> {
        Ok(self.0.store.lock().get(tenant, resource, object))
    }

    async fn list(
        &self,
        tenant: TenantId,
        resource: &GroupResource,
        namespace: &str,
    ) -> Result<Vec<Object>, ApiError> {
        Ok(self.0.store.lock().list(tenant, resource, namespace))
    }

    async fn dependents(&self, tenant: TenantId, owner_uid: &str) -> Result<Vec<Object>, ApiError> {
        Ok(self.0.store.lock().dependents(tenant, owner_uid))
    }

    async fn kind(
        &self,
        tenant: TenantId,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<KindInfo>, ApiError> {
        Ok(self.0.store.lock().kind(tenant, api_version, kind).map(FakeKind::info))
    }

    async fn resources(&self, tenant: TenantId) -> Result<Vec<KindInfo>, ApiError> {
        Ok(self.0.store.lock().kinds(tenant).map(FakeKind::info).collect())
    }

    async fn write(&self, actor: &Actor, target: &Target, write: Write) -> Result<Object, ApiError> {
        let delay = self.0.delay.lock().clone();
        if let Some(delay) = delay {
            tokio::time::sleep(delay(target, &write)).await;
        }
        let refusal = self.0.refusal.lock().clone();
        let refused = refusal.and_then(|refuse| refuse(actor, target, &write));
        let result = match refused {
            Some(error) => Err(error),
            None => writing::write(&mut self.0.store.lock(), actor, target, &write),
        };
        self.0.writes.lock().push(Recorded {
            actor: actor.clone(),
            target: target.clone(),
            write,
            accepted: result.is_ok(),
        });
        self.announce();
        result
    }
}

#[cfg(test)]
mod tests;
