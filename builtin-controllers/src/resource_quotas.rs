//! The status of resource quotas: what they allow, and what is used of it.
//!
//! Guarantees: `status.hard` follows `spec.hard`; `status.used` is what is there, counted from the shared cache, soon
//! after objects go, pods end, or what they need changes. A count is written only where the quota is as it was before
//! the count began: as every write that uses more changes the quota in its own commit, no such write is lost.
//! Assumes that the API server counts creations; they make no count due. Limits: what only the server's time changes
//! (a pod that outlives its grace) is counted when that time is over; what events missed, each five minutes. Of a
//! resource that no quota of any plane limits nothing is watched.

use crate::access::Access;
use crate::resources::{DEFINITIONS, PODS, RESOURCE_QUOTAS};
use api_resources::amounts::{self, Amounts};
use api_resources::quota::{DeviceClasses, Evaluator, Quota, World, ends_at, evaluator_of, resources_of};
use async_trait::async_trait;
use compact_str::CompactString;
use jiff::Timestamp;
use plane_client::{
    ApiError, GroupResource, Next, Object, ObjectName, PlaneClient, Reconciler, Resource, Scope, Seen,
    TenantId, Trigger,
};
use serde_json::{Value, json};
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

const DEVICE_CLASSES: Resource = Resource::new("resource.k8s.io", "v1", "deviceclasses");
/// Everything is counted again this often, as in Kubernetes.
const RESYNC: Duration = Duration::from_secs(300);
/// When other writes come between all the time, or what is newly watched may have changed before.
const SOON: Duration = Duration::from_millis(250);
/// How often it is counted in a row, when other writes come between, or what is allowed changes: what came before the new
/// bounds were in force was not counted by the API server.
const PASSES: usize = 8;
/// Objects that are counted without letting others work.
const AT_ONCE: usize = 64;

/// What is known of the namespaces with quotas.
#[derive(Default)]
struct Index {
    planes: HashMap<TenantId, HashMap<CompactString, Known>>,
    watched: HashSet<GroupResource>,
}

#[derive(Default)]
struct Known {
    /// Of which quotas count objects.
    resources: HashSet<GroupResource>,
    /// The quotas, and what they ask for.
    specs: HashMap<CompactString, u64>,
}

impl Index {
    fn known(&self, object: &Object) -> Option<&Known> {
        self.planes.get(&object.tenant)?.get(&object.name.namespace)
    }

    fn forget(&mut self, tenant: TenantId, namespace: &CompactString) {
        if let Some(plane) = self.planes.get_mut(&tenant) {
            plane.remove(namespace);
            if plane.is_empty() {
                self.planes.remove(&tenant);
            }
        }
    }
}

/// The reconciler of resource quotas; keys are namespaces.
pub(crate) struct ResourceQuotas {
    access: Access,
    index: Arc<Mutex<Index>>,
    find: mpsc::Sender<Trigger>,
    found: Mutex<Option<mpsc::Receiver<Trigger>>>,
}

fn spec_of(quota: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    quota["spec"].to_string().hash(&mut hasher);
    hasher.finish()
}

/// What a quota allows is not in force yet.
fn is_new(quota: &Value) -> bool {
    amounts::read(&quota["spec"]["hard"]) != amounts::read(&quota["status"]["hard"])
}

fn key(object: &Object) -> Vec<ObjectName> {
    vec![ObjectName::cluster(&object.name.namespace)]
}

fn locked(index: &Mutex<Index>) -> std::sync::MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True when a change of an object that is there can lower what is used: creations are counted by the API server.
fn may_use_less(evaluator: &Evaluator, object: &Object) -> bool {
    match evaluator {
        Evaluator::Count(_) => false,
        Evaluator::Pods => {
            let phase = object.meta.field("status.phase");
            let has_ended = phase.is_none_or(|phase| matches!(phase, "Succeeded" | "Failed"));
            has_ended || object.meta.deleting || object.meta.generation > 1
        }
        _ => true,
    }
}

impl ResourceQuotas {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        let (find, found) = mpsc::channel(16);
        let access = Access::new(client, "resourcequota-controller");
        ResourceQuotas { access, index: Arc::default(), find, found: Mutex::new(Some(found)) }
    }

    /// The events of a resource make the namespaces due whose quotas count it.
    fn trigger(&self, resource: &GroupResource, evaluator: Evaluator) -> Trigger {
        let index = self.index.clone();
        Trigger::seen(resource.clone(), Scope::All, move |object, seen| {
            if seen == Seen::There && !may_use_less(&evaluator, object) {
                return Vec::new();
            }
            let counts =
                locked(&index).known(object).is_some_and(|known| known.resources.contains(&object.resource));
            if counts { key(object) } else { Vec::new() }
        })
    }

    /// Notes what a namespace's quotas ask for, and watches what they count. True when some of it was not watched.
    async fn note(&self, tenant: TenantId, namespace: &CompactString, known: Known) -> bool {
        let mut new: Vec<(GroupResource, Evaluator)> = Vec::new();
        {
            let mut index = locked(&self.index);
            for resource in &known.resources {
                if let Some(evaluator) =
                    evaluator_of(resource).filter(|_| index.watched.insert(resource.clone()))
                {
                    new.push((resource.clone(), evaluator));
                }
            }
            index.planes.entry(tenant).or_default().insert(namespace.clone(), known);
        }
        let is_new = !new.is_empty();
        for (resource, evaluator) in new {
            // It is not received any more when the controller ends.
            let _ = self.find.send(self.trigger(&resource, evaluator)).await;
        }
        is_new
    }

    /// Counts once and says it.
    async fn count(&self, tenant: TenantId, namespace: &CompactString) -> Result<Done, ApiError> {
        let mut quotas: Vec<Counting> = Vec::new();
        for object in self.access.list(tenant, &RESOURCE_QUOTAS, namespace).await? {
            quotas.push(Counting::of(object.value()?));
        }
        if quotas.is_empty() {
            locked(&self.index).forget(tenant, namespace);
            return Ok(Done { again: false, next: Next::OnEvent });
        }
        let world = self.world(tenant, &quotas).await?;
        let resources = self.resources(tenant, &quotas, &world).await?;
        let specs = quotas.iter().map(|one| (one.quota.name.as_str().into(), spec_of(&one.object))).collect();
        let known = Known { resources: resources.iter().cloned().collect(), specs };
        let newly = self.note(tenant, namespace, known).await;
        let mut next = if newly { SOON } else { RESYNC };
        for resource in &resources {
            let objects = self.access.client().list(tenant, resource, namespace).await?;
            next = next.min(count_all(&mut quotas, resource, &objects, &world).await?);
        }
        let mut again = false;
        for one in quotas {
            again |= self.tell(tenant, &one).await?;
        }
        Ok(Done { again, next: Next::After(next) })
    }

    async fn world(&self, tenant: TenantId, quotas: &[Counting]) -> Result<World, ApiError> {
        let of_devices = |name: &String| name.starts_with("requests.") && name.contains('/');
        let mut classes = Vec::new();
        if quotas.iter().any(|one| one.quota.hard().keys().any(of_devices)) {
            for class in self.access.list(tenant, &DEVICE_CLASSES, "").await? {
                classes.push(class.value()?);
            }
        }
        Ok(World { now: Timestamp::now(), classes: DeviceClasses::read(&classes) })
    }

    /// The resources of which the quotas count objects. What a plane does not have it cannot count.
    async fn resources(
        &self,
        tenant: TenantId,
        quotas: &[Counting],
        world: &World,
    ) -> Result<Vec<GroupResource>, ApiError> {
        let mut wanted: Vec<GroupResource> = Vec::new();
        for one in quotas {
            for resource in resources_of(one.quota.hard(), world) {
                if !wanted.contains(&resource) {
                    wanted.push(resource);
                }
            }
        }
        let kinds = self.access.client().resources(tenant).await?;
        let known: HashSet<GroupResource> =
            kinds.iter().filter(|kind| kind.namespaced).map(|kind| kind.resource.group_resource()).collect();
        wanted.retain(|resource| known.contains(resource));
        Ok(wanted)
    }

    /// Writes what was counted, where it differs; true when new bounds came into force.
    async fn tell(&self, tenant: TenantId, one: &Counting) -> Result<bool, ApiError> {
        let status = &one.object["status"];
        let mut used = amounts::read(&status["used"]);
        used.extend(one.used.clone());
        let used = amounts::mask(&used, one.quota.hard());
        let bounds_change = is_new(&one.object);
        let same = !bounds_change && used == amounts::read(&status["used"]);
        if same {
            return Ok(false);
        }
        let status = json!({"hard": one.object["spec"]["hard"], "used": amounts::write(&used)});
        self.access.set_status(tenant, &RESOURCE_QUOTAS, &one.object, status).await?;
        Ok(bounds_change)
    }
}

/// What a count did.
struct Done {
    /// New bounds came into force: what came before them is not counted yet.
    again: bool,
    next: Next,
}

/// A quota while it is counted.
struct Counting {
    object: Value,
    quota: Quota,
    used: Amounts,
}

impl Counting {
    fn of(object: Value) -> Self {
        Counting { quota: Quota::desired(&object), object, used: Amounts::new() }
    }
}

/// Counts the objects of one resource for all quotas; tells when to look again at the latest.
async fn count_all(
    quotas: &mut [Counting],
    resource: &GroupResource,
    objects: &[Object],
    world: &World,
) -> Result<Duration, ApiError> {
    let mut next = RESYNC;
    let Some(evaluator) = evaluator_of(resource) else { return Ok(next) };
    let mut limiting: Vec<(&mut Counting, Amounts)> = Vec::new();
    for one in quotas {
        let limited = one.quota.limited_by(&evaluator, world);
        if !limited.is_empty() {
            let nothing = limited.keys().map(|name| (name.clone(), Default::default())).collect();
            amounts::add(&mut one.used, &nothing);
            limiting.push((one, limited));
        }
    }
    let is_pod = *resource == PODS.group_resource();
    for (index, object) in objects.iter().enumerate() {
        let value = if evaluator.counts_all_alike() { Value::Null } else { object.value()? };
        let usage = evaluator.usage(&value, world);
        for (one, limited) in &mut limiting {
            if one.quota.covers(&evaluator, &value) {
                amounts::add(&mut one.used, &amounts::mask(&usage, limited));
            }
        }
        let end = ends_at(&value).filter(|end| is_pod && *end >= world.now);
        if let Some(left) = end.and_then(|end| Duration::try_from(end.duration_since(world.now)).ok()) {
            next = next.min(left + SOON);
        }
        if index % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    Ok(next)
}

#[async_trait]
impl Reconciler for ResourceQuotas {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let (index, of_planes) = (self.index.clone(), self.index.clone());
        // What the API server adds to what is used is known to be right.
        let quotas = Trigger::seen(RESOURCE_QUOTAS.group_resource(), Scope::All, move |object, seen| {
            let Ok(quota) = object.value() else { return Vec::new() };
            let index = locked(&index);
            let known = index.known(object).and_then(|known| known.specs.get(&object.name.name));
            let same = seen == Seen::There && !is_new(&quota) && known == Some(&spec_of(&quota));
            if same { Vec::new() } else { key(object) }
        });
        // What a plane gets to know can be counted from now on.
        let definitions = Trigger::mapped(DEFINITIONS.group_resource(), Scope::All, move |object| {
            let index = locked(&of_planes);
            let namespaces = index.planes.get(&object.tenant).into_iter().flat_map(HashMap::keys);
            namespaces.map(|of| ObjectName::cluster(of.as_str())).collect()
        });
        vec![quotas, definitions]
    }

    fn found_triggers(&self) -> Option<mpsc::Receiver<Trigger>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        for _ in 0..PASSES {
            match self.count(tenant, &key.name).await {
                Ok(Done { again: true, .. }) => {}
                Ok(done) => return Ok(done.next),
                // Other writes came between: what they use is counted by the next pass.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Next::After(SOON))
    }
}

#[cfg(test)]
mod tests;
