//! Garbage collection by owner references.
//!
//! Guarantees: an object is deleted only when every owner that it names was found absent by a live read (or was
//! seen to go), with its UID and version as precondition; background: dependents go after their owner;
//! foreground (`foregroundDeletion`): an owner goes after its blocking dependents; orphan (`orphan`): an owner
//! goes after its dependents no longer name it. A cluster-scoped owner of namespaced dependents is found; an
//! owner in another namespace counts as absent, as in Kubernetes. Assumes that [`PlaneClient::dependents`] shows
//! what was written. Caveats: an owner of a kind that the plane does not have counts as present, unless it was
//! seen to go, and is looked at again each minute; a namespaced owner of a cluster-scoped object counts as
//! present; Events are never collected here.

mod telling;
mod verdict;

use crate::access::Access;
use crate::gate::Switches;
use crate::resources::{DEFINITIONS, NAMESPACES};
use compact_str::CompactString;
use plane_client::{
    ApiError, Delete, GroupResource, Meta, Object, ObjectName, Patch, PlaneClient, Propagation, Resource,
    ResourceKey, Scope, Target, TenantId, Watch, WatchItem, Write,
};
use serde_json::{Value, json};
use service_runtime::{FairQueue, Shutdown};
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use verdict::{OwnerState, Verdict, decide};

pub(crate) const NAME: &str = "garbage-collector-controller";
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
/// What waits without an event to wait for is looked at this often.
const PATROL: Duration = Duration::from_secs(60);
/// An owner whose blocking dependents remain is looked at this often beside their events.
const BLOCKED: Duration = Duration::from_secs(5);
/// How many objects that went are remembered.
const MEMORY: usize = 16_384;

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Job {
    /// An object with owners, or one that is being deleted with a finalizer of ours.
    Object(ResourceKey),
    /// The dependents of an object that went, by its UID.
    Gone(CompactString),
    /// An owner named by a dependent that went.
    Owner { api_version: CompactString, kind: CompactString, object: ObjectName },
}

/// Objects that were seen to go, the newest [`MEMORY`].
#[derive(Default)]
struct Departed {
    set: HashSet<(TenantId, CompactString)>,
    order: VecDeque<(TenantId, CompactString)>,
}

impl Departed {
    fn note(&mut self, tenant: TenantId, uid: &CompactString) {
        let key = (tenant, uid.clone());
        if self.set.insert(key.clone()) {
            self.order.push_back(key);
        }
        if self.order.len() > MEMORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}

/// The collector over all planes.
pub(crate) struct GarbageCollector {
    access: Access,
    switches: Arc<Switches>,
    queue: FairQueue<TenantId, Job>,
    departed: Mutex<Departed>,
    /// Objects whose owners were found present, with a hash of the references: they need no second look.
    settled: Mutex<HashMap<(TenantId, CompactString), u64>>,
}

fn hash_of(meta: &Meta) -> u64 {
    let mut hasher = DefaultHasher::new();
    for owner in &meta.owners {
        (&owner.uid, &owner.kind, &owner.name, &owner.api_version, owner.block_owner_deletion)
            .hash(&mut hasher);
    }
    hasher.finish()
}

fn has(meta: &Meta, finalizer: &str) -> bool {
    meta.finalizers.iter().any(|known| known == finalizer)
}

fn key_of(object: &Object) -> ResourceKey {
    ResourceKey { resource: object.resource.clone(), object: object.name.clone() }
}

impl GarbageCollector {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, switches: Arc<Switches>) -> Self {
        GarbageCollector {
            access: Access::new(client, NAME),
            switches,
            queue: FairQueue::default(),
            departed: Mutex::default(),
            settled: Mutex::default(),
        }
    }

    /// Its queue, to set weights.
    pub(crate) fn queue(&self) -> FairQueue<TenantId, impl Clone + Eq + Hash + Send + use<>> {
        self.queue.clone()
    }

    /// Until shutdown. A worker that panics is replaced and its object comes again; a watch that ends is made
    /// again.
    pub(crate) async fn run(self, workers: usize, shutdown: Shutdown) {
        let this = Arc::new(self);
        // Bounded: what is found while the channel is full is found by the next event of its plane.
        let (found, mut discovered) = mpsc::channel::<GroupResource>(1024);
        let mut tasks = JoinSet::new();
        tasks.spawn(this.clone().discover(found, shutdown.clone()));
        let mut crew = JoinSet::new();
        for _ in 0..workers {
            crew.spawn(this.clone().work());
        }
        let mut watched: HashSet<GroupResource> = HashSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Some(resource) = discovered.recv() => {
                    let is_event = resource.resource == "events";
                    if !is_event && watched.insert(resource.clone()) {
                        tasks.spawn(this.clone().feed(resource, shutdown.clone()));
                    }
                }
                Some(ended) = crew.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(controller = NAME, %error, "a worker failed and is replaced");
                    }
                    crew.spawn(this.clone().work());
                }
            }
        }
        this.queue.close();
        while crew.join_next().await.is_some() {}
        while tasks.join_next().await.is_some() {}
    }

    /// Finds the resources of all planes: those of the host, the embedded super cluster and each plane that has
    /// a namespace, and what CustomResourceDefinitions define.
    async fn discover(self: Arc<Self>, found: mpsc::Sender<GroupResource>, shutdown: Shutdown) {
        let client = self.access.client().clone();
        let mut planes: HashSet<TenantId> = HashSet::new();
        let watch = |resource| Watch::new(client.clone(), resource, Scope::All, shutdown.clone());
        let mut namespaces = watch(NAMESPACES.group_resource());
        let mut definitions = watch(DEFINITIONS.group_resource());
        loop {
            let item = tokio::select! {
                item = namespaces.next() => item,
                item = definitions.next() => item,
            };
            let object = match item {
                Some(WatchItem::Applied(object)) => object,
                Some(WatchItem::Deleted(_) | WatchItem::Synced) => continue,
                None => return,
            };
            if object.resource == DEFINITIONS.group_resource()
                && let Some((plural, group)) = object.name.name.split_once('.')
            {
                // The name of a definition is `<plural>.<group>`.
                let _ = found.send(GroupResource::new(group, plural)).await;
            }
            if planes.insert(object.tenant) {
                match client.resources(object.tenant).await {
                    Ok(kinds) => {
                        for kind in kinds {
                            let _ = found.send(kind.resource.group_resource()).await;
                        }
                    }
                    Err(error) => {
                        planes.remove(&object.tenant);
                        tracing::warn!(controller = NAME, tenant = %object.tenant, %error, "no resources");
                    }
                }
            }
        }
    }

    async fn feed(self: Arc<Self>, resource: GroupResource, shutdown: Shutdown) {
        let mut watch = Watch::new(self.access.client().clone(), resource, Scope::All, shutdown);
        while let Some(item) = watch.next().await {
            match item {
                WatchItem::Applied(object) => self.applied(&object),
                WatchItem::Deleted(object) => self.gone(&object),
                WatchItem::Synced => {}
            }
        }
    }

    fn applied(&self, object: &Object) {
        let meta = &object.meta;
        let is_due = if meta.deleting {
            has(meta, FOREGROUND) || has(meta, ORPHAN)
        } else {
            !meta.owners.is_empty() && {
                let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
                settled.get(&(object.tenant, meta.uid.clone())) != Some(&hash_of(meta))
            }
        };
        if is_due {
            self.queue.add(object.tenant, Job::Object(key_of(object)));
        }
    }

    fn gone(&self, object: &Object) {
        let (tenant, meta) = (object.tenant, &object.meta);
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, meta.uid.clone()));
        self.departed.lock().unwrap_or_else(PoisonError::into_inner).note(tenant, &meta.uid);
        self.queue.add(tenant, Job::Gone(meta.uid.clone()));
        for owner in meta.owners.iter().filter(|owner| owner.block_owner_deletion) {
            self.queue.add(
                tenant,
                Job::Owner {
                    api_version: owner.api_version.clone(),
                    kind: owner.kind.clone(),
                    object: ObjectName::new(&object.name.namespace, &owner.name),
                },
            );
        }
    }

    async fn work(self: Arc<Self>) {
        while let Some(lease) = self.queue.next().await {
            if self.switches.is_off(lease.tenant, NAME) {
                lease.done(Some(PATROL));
                continue;
            }
            match self.process(lease.tenant, &lease.key).await {
                Ok(again) => lease.done(again),
                Err(error) => {
                    if error.is_conflict() {
                        tracing::debug!(controller = NAME, tenant = %lease.tenant, job = ?lease.key, %error, "again");
                    } else {
                        tracing::warn!(controller = NAME, tenant = %lease.tenant, job = ?lease.key, %error, "failed");
                    }
                    lease.failed();
                }
            }
        }
    }

    async fn process(&self, tenant: TenantId, job: &Job) -> Result<Option<Duration>, ApiError> {
        let client = self.access.client();
        match job {
            Job::Gone(uid) => {
                for dependent in client.dependents(tenant, uid).await? {
                    self.queue.add(tenant, Job::Object(key_of(&dependent)));
                }
                Ok(None)
            }
            Job::Owner { api_version, kind, object } => {
                if let Some(kind) = client.kind(tenant, api_version, kind).await? {
                    let namespace = if kind.namespaced { object.namespace.as_str() } else { "" };
                    let resource = kind.resource.group_resource();
                    self.queue.add(tenant, Job::Object(ResourceKey::new(resource, namespace, &object.name)));
                }
                Ok(None)
            }
            Job::Object(key) => match client.get(tenant, &key.resource, &key.object).await? {
                Some(object) => self.look(tenant, &object).await,
                None => Ok(None),
            },
        }
    }

    async fn look(&self, tenant: TenantId, object: &Object) -> Result<Option<Duration>, ApiError> {
        let meta = &object.meta;
        if meta.deleting {
            if has(meta, ORPHAN) {
                for dependent in self.access.client().dependents(tenant, &meta.uid).await? {
                    self.drop_references(tenant, &dependent, &|uid| uid == meta.uid).await?;
                }
                self.drop_finalizer(tenant, object, ORPHAN).await?;
                return Ok(None);
            }
            if has(meta, FOREGROUND) {
                return self.foreground(tenant, object).await;
            }
            return Ok(None);
        }
        if meta.owners.is_empty() {
            return Ok(None);
        }
        let mut owners = Vec::new();
        for owner in &meta.owners {
            owners.push((owner.uid.clone(), self.state_of(tenant, object, owner).await?));
        }
        let states: Vec<OwnerState> = owners.iter().map(|(_, state)| *state).collect();
        let stands = |uid: &str| {
            owners.iter().any(|(known, state)| {
                known == uid && matches!(state, OwnerState::Present | OwnerState::Unknown)
            })
        };
        match decide(&states) {
            Verdict::Keep => {
                if states.contains(&OwnerState::Unknown) {
                    return Ok(Some(PATROL));
                }
                let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
                settled.insert((tenant, meta.uid.clone()), hash_of(meta));
            }
            Verdict::Detach => self.drop_references(tenant, object, &|uid| !stands(uid)).await?,
            Verdict::Delete { owner_waits } => self.collect(tenant, object, owner_waits).await?,
        }
        Ok(None)
    }

    async fn state_of(
        &self,
        tenant: TenantId,
        object: &Object,
        owner: &api_types::Owner,
    ) -> Result<OwnerState, ApiError> {
        {
            let departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
            if departed.set.contains(&(tenant, owner.uid.clone())) {
                return Ok(OwnerState::Absent);
            }
        }
        let client = self.access.client();
        let Some(kind) = client.kind(tenant, &owner.api_version, &owner.kind).await? else {
            return Ok(OwnerState::Unknown);
        };
        let namespace = match (kind.namespaced, object.name.namespace.as_str()) {
            (true, "") => {
                telling::owner_is_elsewhere(&self.access, tenant, object, owner)?;
                return Ok(OwnerState::Present);
            }
            (true, namespace) => namespace,
            (false, _) => "",
        };
        let name = ObjectName::new(namespace, &owner.name);
        let found = client.get(tenant, &kind.resource.group_resource(), &name).await?;
        Ok(match found.filter(|found| found.meta.uid == owner.uid) {
            None => {
                telling::if_owner_is_elsewhere(&self.access, tenant, object, owner, &kind).await?;
                OwnerState::Absent
            }
            Some(found) if found.meta.deleting && has(&found.meta, FOREGROUND) => {
                OwnerState::WaitsForDependents
            }
            Some(_) => OwnerState::Present,
        })
    }

    /// One look at an owner that waits for its blocking dependents.
    async fn foreground(&self, tenant: TenantId, owner: &Object) -> Result<Option<Duration>, ApiError> {
        let uid = &owner.meta.uid;
        let blocks = |dependent: &Object| {
            dependent.meta.uid != *uid
                && dependent.meta.owners.iter().any(|o| o.uid == *uid && o.block_owner_deletion)
        };
        let dependents = self.access.client().dependents(tenant, uid).await?;
        if !dependents.iter().any(blocks) {
            // Those that do not block are looked at when the owner is gone.
            self.drop_finalizer(tenant, owner, FOREGROUND).await?;
            return Ok(None);
        }
        // Those that do not block go too, but are not waited for.
        for dependent in dependents.iter().filter(|dependent| !dependent.meta.deleting) {
            self.queue.add(tenant, Job::Object(key_of(dependent)));
        }
        Ok(Some(BLOCKED))
    }

    /// Deletes an object that nobody owns any more. Where an owner waits for it and it has dependents of its
    /// own, these go first too.
    async fn collect(&self, tenant: TenantId, object: &Object, owner_waits: bool) -> Result<(), ApiError> {
        let mut propagation = if has(&object.meta, ORPHAN) {
            Propagation::Orphan
        } else if has(&object.meta, FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let mut version = object.revision.to_string();
        if owner_waits {
            let dependents = self.access.client().dependents(tenant, &object.meta.uid).await?;
            if !dependents.is_empty() {
                propagation = Propagation::Foreground;
            }
            // A circle of owners that all wait would wait for ever: this one stops to block.
            if dependents.iter().any(|d| d.meta.deleting && has(&d.meta, FOREGROUND)) {
                version = self.unblock(tenant, object).await?;
            }
        }
        let how = Delete {
            uid: Some(object.meta.uid.to_string()),
            resource_version: Some(version),
            propagation: Some(propagation),
            ..Delete::default()
        };
        let target = self.target(tenant, object).await?;
        self.access.delete_target(&target, how).await
    }

    /// Makes every owner reference of an object one that does not block; gives the new version.
    async fn unblock(&self, tenant: TenantId, object: &Object) -> Result<String, ApiError> {
        let mut owners = object.value()?["metadata"]["ownerReferences"].clone();
        for owner in owners.as_array_mut().into_iter().flatten() {
            owner["blockOwnerDeletion"] = false.into();
        }
        Ok(self.patch(tenant, object, json!({"ownerReferences": owners})).await?.revision.to_string())
    }

    /// Removes the owner references whose UID `goes`.
    async fn drop_references(
        &self,
        tenant: TenantId,
        object: &Object,
        goes: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), ApiError> {
        let value = object.value()?;
        let owners = crate::access::elements(&value, "/metadata/ownerReferences");
        let kept: Vec<&Value> = owners.iter().filter(|o| !goes(o["uid"].as_str().unwrap_or(""))).collect();
        if kept.len() == owners.len() {
            return Ok(());
        }
        let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
        ignore_absent(self.patch(tenant, object, json!({"ownerReferences": kept})).await)
    }

    async fn drop_finalizer(
        &self,
        tenant: TenantId,
        object: &Object,
        finalizer: &str,
    ) -> Result<(), ApiError> {
        let kept: Vec<&CompactString> = object.meta.finalizers.iter().filter(|f| *f != finalizer).collect();
        let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
        ignore_absent(self.patch(tenant, object, json!({"finalizers": kept})).await)
    }

    /// Patches metadata of exactly this version of an object.
    async fn patch(
        &self,
        tenant: TenantId,
        object: &Object,
        mut metadata: Value,
    ) -> Result<Object, ApiError> {
        metadata["uid"] = object.meta.uid.as_str().into();
        metadata["resourceVersion"] = object.revision.to_string().into();
        let target = self.target(tenant, object).await?;
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let actor = plane_client::Actor::Platform(NAME);
        self.access.client().write(&actor, &target, Write::Patch(patch)).await
    }

    /// Where an object is written: in the preferred version of its resource.
    async fn target(&self, tenant: TenantId, object: &Object) -> Result<Target, ApiError> {
        let kinds = self.access.client().resources(tenant).await?;
        let resource: Option<Resource> = kinds
            .into_iter()
            .map(|kind| kind.resource)
            .find(|resource| resource.group_resource() == object.resource);
        let resource = resource.ok_or_else(|| {
            ApiError::internal(format_args!("the plane has no resource {}", object.resource))
        })?;
        Ok(Target::new(tenant, &resource, &object.name.namespace, &object.name.name))
    }
}

fn ignore_absent(result: Result<Object, ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
