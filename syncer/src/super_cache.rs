//! What is known of the objects in one super cluster, from its watches and from answers to our writes.
//!
//! Guarantees: an older version never replaces a newer one of the same object; after a list, what was not in it is
//! gone. Assumes that revisions of a cluster can be compared as numbers (KEP-5504); where they cannot, the last
//! word counts.

mod addresses;
mod holders;
mod without_names;

use crate::isolation;
use crate::kinds::{Key, Kind};
use crate::names::{self, digest};
use crate::ownership::Identity;
use crate::pods::update;
use crate::secrets;
use crate::translation::list;
use addresses::Addresses;
use api_types::{ApiError, ObjectName, TenantId};
use compact_str::CompactString;
use holders::Holders;
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// One object of a super cluster.
#[derive(Debug)]
pub struct Cached {
    /// Its kind.
    pub kind: Kind,
    /// Its name in the super cluster.
    pub at: ObjectName,
    /// Which object of which tenant it stands for; `None` for nodes.
    pub identity: Option<Identity>,
    /// Its UID in the super cluster.
    pub uid: CompactString,
    /// Its revision.
    pub version: CompactString,
    /// It is being deleted.
    pub deleting: bool,
    /// The node of a pod.
    pub node: CompactString,
    /// The addresses that a pod has for itself, none once it has ended, since another one may have them then; and the
    /// cluster IPs of a Service.
    addresses: Box<[IpAddr]>,
    /// Its JSON, without history; data of ConfigMaps and Secrets only as a digest, of pods only what can change.
    bytes: Box<[u8]>,
}

impl Cached {
    fn of(kind: Kind, mut object: Value) -> Option<Cached> {
        let identity = Identity::of(&object);
        let meta = &object["metadata"];
        let text = |v: &Value| CompactString::from(v.as_str().unwrap_or(""));
        let at = ObjectName::new(text(&meta["namespace"]), meta["name"].as_str()?);
        let (uid, version) = (text(&meta["uid"]), text(&meta["resourceVersion"]));
        let deleting = meta["deletionTimestamp"].is_string();
        let node =
            if kind == Kind::Pod { text(&object["spec"]["nodeName"]) } else { CompactString::default() };
        let addresses = match kind {
            Kind::Pod => addresses(&object),
            Kind::Service => cluster_ips(&object),
            _ => Box::default(),
        };
        match kind {
            Kind::Secret if names::is_token_secret(&at.name) => object = secrets::remembered(&object),
            _ => shrink(kind, &mut object),
        }
        let bytes = serde_json::to_vec(&object).ok()?.into_boxed_slice();
        Some(Cached { kind, at, identity, uid, version, deleting, node, addresses, bytes })
    }

    /// Decodes it.
    pub fn value(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| ApiError::internal(format_args!("an object of the super cluster: {error}")))
    }

    /// Whose key is due when it changes; `None` for objects that no key stands for.
    pub fn due(&self) -> Option<(TenantId, Key)> {
        let identity = self.identity.as_ref()?;
        if self.kind == Kind::Secret && names::is_token_secret(&self.at.name) {
            // The tokens are the pod's business.
            return Some((identity.tenant, Key::object(Kind::Pod, &identity.namespace, &identity.name)));
        }
        let kind = match self.kind {
            Kind::NetworkPolicy => isolation::stands_for(&self.at.name, identity),
            kind => kind,
        };
        Some((identity.tenant, Key::object(kind, &identity.namespace, &identity.name)))
    }
}

fn addresses(pod: &Value) -> Box<[IpAddr]> {
    let has_ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if has_ended || pod["spec"]["hostNetwork"] == true {
        return Box::default();
    }
    list(&pod["status"], "podIPs").iter().filter_map(|address| address["ip"].as_str()?.parse().ok()).collect()
}

fn cluster_ips(service: &Value) -> Box<[IpAddr]> {
    list(&service["spec"], "clusterIPs").iter().filter_map(|ip| ip.as_str()?.parse().ok()).collect()
}

/// Where the digest of a ConfigMap's or Secret's content stands in the cached object.
pub const CONTENT: &str = "contentDigest";

/// The digest of a ConfigMap's or Secret's content.
pub fn content_digest(object: &Value) -> String {
    digest(serde_json::json!([object["data"], object["binaryData"]]).to_string().as_bytes())
}

fn shrink(kind: Kind, object: &mut Value) {
    if kind == Kind::Pod {
        update::shrink(object);
    }
    let content = matches!(kind, Kind::ConfigMap | Kind::Secret).then(|| content_digest(object));
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    if let (Some(content), Some(fields)) = (content, object.as_object_mut()) {
        fields.remove("data");
        fields.remove("binaryData");
        fields.insert(CONTENT.into(), content.into());
    }
}

#[derive(Default)]
struct Inner {
    objects: HashMap<Kind, HashMap<ObjectName, Arc<Cached>>>,
    /// Objects that stood in the cache when a list of their kind began, and were not in it so far.
    unseen: HashMap<Kind, HashSet<ObjectName>>,
    synced: HashSet<Kind>,
    /// How many pods of a tenant are on a node.
    pods_on: HashMap<(TenantId, CompactString), usize>,
    by_tenant: HashMap<TenantId, HashSet<ByPointer>>,
    addresses: Addresses,
    holders: Holders,
}

/// An object of the cache, told from others by where it is in memory.
struct ByPointer(Arc<Cached>);

impl PartialEq for ByPointer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByPointer {}

impl Hash for ByPointer {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        Arc::as_ptr(&self.0).hash(hasher);
    }
}

/// The objects of one super cluster. Clones are not made; it is shared in an `Arc`.
#[derive(Default)]
pub struct SuperCache(RwLock<Inner>);

impl SuperCache {
    /// An object by its name in the super cluster.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Cached>> {
        self.at(kind, &ObjectName::new(namespace, name))
    }

    /// The same.
    pub fn at(&self, kind: Kind, at: &ObjectName) -> Option<Arc<Cached>> {
        self.0.read().objects.get(&kind)?.get(at).cloned()
    }

    /// Takes an object in. The keys that are due; none when it is older than what is known.
    pub fn apply(&self, kind: Kind, object: Value) -> Vec<(TenantId, Key)> {
        let Some(new) = Cached::of(kind, object).map(Arc::new) else { return Vec::new() };
        let mut inner = self.0.write();
        if let Some(unseen) = inner.unseen.get_mut(&kind) {
            unseen.remove(&new.at);
        }
        let of_kind = inner.objects.entry(kind).or_default();
        let is_old = |old: &Arc<Cached>| old.uid == new.uid && !newer(&new.version, &old.version);
        if of_kind.get(&new.at).is_some_and(is_old) {
            return Vec::new();
        }
        let mut due: Vec<(TenantId, Key)> = new.due().into_iter().collect();
        let old = of_kind.insert(new.at.clone(), new.clone());
        if let Some(old) = &old {
            due.extend(old.due().filter(|d| !due.contains(d)));
            if old.node != new.node {
                due.extend(node_key(old));
            }
        }
        due.extend(inner.replaced(old.as_ref(), Some(&new)));
        due
    }

    /// Forgets an object, unless another one has its name by now.
    pub fn remove(&self, kind: Kind, object: &Value) -> Vec<(TenantId, Key)> {
        let meta = &object["metadata"];
        let at =
            ObjectName::new(meta["namespace"].as_str().unwrap_or(""), meta["name"].as_str().unwrap_or(""));
        self.forget(kind, &at, meta["uid"].as_str().unwrap_or(""))
    }

    /// Forgets the object of this name and UID.
    pub fn forget(&self, kind: Kind, at: &ObjectName, uid: &str) -> Vec<(TenantId, Key)> {
        let mut inner = self.0.write();
        let known = inner.objects.get(&kind).and_then(|of_kind| of_kind.get(at));
        if known.is_none_or(|known| known.uid != uid) {
            return Vec::new();
        }
        inner.drop_object(kind, at)
    }

    /// A list of the kind begins.
    pub fn restart(&self, kind: Kind) {
        let mut inner = self.0.write();
        let all = inner.objects.get(&kind).into_iter().flat_map(HashMap::keys).cloned().collect();
        inner.unseen.insert(kind, all);
    }

    /// The list of the kind is complete: what was not in it is gone. The keys that are due.
    pub fn synced(&self, kind: Kind) -> Vec<(TenantId, Key)> {
        let mut inner = self.0.write();
        let unseen = inner.unseen.remove(&kind).unwrap_or_default();
        let due = unseen.into_iter().flat_map(|at| inner.drop_object(kind, &at)).collect();
        inner.synced.insert(kind);
        due
    }

    /// The kind cannot be listed, and is done without: what is known of it stays.
    pub fn given_up(&self, kind: Kind) {
        let mut inner = self.0.write();
        inner.unseen.remove(&kind);
        inner.synced.insert(kind);
    }

    /// True once every kind has been listed.
    pub fn is_synced(&self) -> bool {
        self.0.read().synced.len() == Kind::ALL.len()
    }

    /// The objects of a tenant, of one kind.
    pub fn of_tenant(&self, kind: Kind, tenant: TenantId) -> Vec<Arc<Cached>> {
        self.all_of_tenant(tenant).into_iter().filter(|c| c.kind == kind).collect()
    }

    /// True when there are any.
    pub fn has_any(&self, kind: Kind, tenant: TenantId) -> bool {
        self.0.read().by_tenant.get(&tenant).into_iter().flatten().any(|c| c.0.kind == kind)
    }

    /// The objects of a tenant.
    pub fn all_of_tenant(&self, tenant: TenantId) -> Vec<Arc<Cached>> {
        self.0.read().by_tenant.get(&tenant).into_iter().flatten().map(|c| c.0.clone()).collect()
    }

    /// Notes which addresses an EndpointSlice names that only the tenant's pods may have. Those that they have now; when
    /// one of them comes or goes, the slice is due.
    pub fn own_addresses(&self, tenant: TenantId, slice: &ObjectName, named: Vec<IpAddr>) -> HashSet<IpAddr> {
        self.0.write().addresses.named_by(tenant, slice, named)
    }

    /// Forgets what a tenant's EndpointSlices name.
    pub fn forget_slices(&self, tenant: TenantId) {
        self.0.write().addresses.forget_slices(tenant);
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.0.read().objects.get(&kind).map_or(0, HashMap::len)
    }

    /// How many objects there are of the tenants that the condition names.
    pub fn count_of(&self, condition: impl Fn(TenantId) -> bool) -> usize {
        let inner = self.0.read();
        inner.by_tenant.iter().filter(|(tenant, _)| condition(**tenant)).map(|(_, all)| all.len()).sum()
    }

    /// Those of a kind that have an address: pods for themselves, Services as a cluster IP.
    pub fn at_address(&self, kind: Kind, ip: IpAddr) -> Vec<Arc<Cached>> {
        self.0.read().holders.of(ip).iter().filter(|holder| holder.kind == kind).cloned().collect()
    }

    /// All objects of a kind.
    pub fn all(&self, kind: Kind) -> Vec<Arc<Cached>> {
        self.0.read().objects.get(&kind).into_iter().flat_map(HashMap::values).cloned().collect()
    }

    /// True when a pod of the tenant is on the node.
    pub fn has_pod_on(&self, tenant: TenantId, node: &str) -> bool {
        self.0.read().pods_on.contains_key(&(tenant, node.into()))
    }

    /// The tenants with pods on a node.
    pub fn tenants_on(&self, node: &str) -> Vec<TenantId> {
        self.0.read().pods_on.keys().filter(|(_, n)| n == node).map(|(t, _)| *t).collect()
    }
}

impl Inner {
    fn drop_object(&mut self, kind: Kind, at: &ObjectName) -> Vec<(TenantId, Key)> {
        let Some(old) = self.objects.get_mut(&kind).and_then(|of_kind| of_kind.remove(at)) else {
            return Vec::new();
        };
        let slices = self.replaced(Some(&old), None);
        if old.kind == Kind::Namespace {
            // What was in it is gone. Of the one thing that pods must not be without, this is not left to a later event.
            let isolation = ObjectName::new(&old.at.name, names::ISOLATION);
            self.drop_object(Kind::NetworkPolicy, &isolation);
        }
        old.due().into_iter().chain(node_key(&old)).chain(slices).collect()
    }

    /// Keeps the indexes in step. The EndpointSlices that are due for it.
    fn replaced(&mut self, old: Option<&Arc<Cached>>, new: Option<&Arc<Cached>>) -> Vec<(TenantId, Key)> {
        self.holders.replace(old, new);
        if let Some(new) = new {
            self.count(new, 1);
        }
        if let Some(old) = old {
            self.count(old, -1);
        }
        let tenant_of = |object: Option<&Arc<Cached>>| Some(object?.identity.as_ref()?.tenant);
        let (before, now) = (tenant_of(old), tenant_of(new));
        if let (Some(tenant), Some(old)) = (before, old)
            && let Some(all) = self.by_tenant.get_mut(&tenant)
        {
            all.remove(&ByPointer(old.clone()));
            if all.is_empty() && now != before {
                self.by_tenant.remove(&tenant);
            }
        }
        if let (Some(tenant), Some(new)) = (now, new) {
            self.by_tenant.entry(tenant).or_default().insert(ByPointer(new.clone()));
        }
        let addresses = |object: Option<&Arc<Cached>>, of: TenantId| match object {
            Some(object) if object.kind == Kind::Pod && tenant_of(Some(object)) == Some(of) => {
                object.addresses.clone()
            }
            _ => Box::default(),
        };
        let mut due = Vec::new();
        for tenant in before.into_iter().chain(now.filter(|now| before != Some(*now))) {
            let slices = self.addresses.moved(tenant, &addresses(old, tenant), &addresses(new, tenant));
            due.extend(slices.into_iter().map(|slice| (tenant, Key::Object(Kind::EndpointSlice, slice))));
        }
        due
    }

    fn count(&mut self, object: &Cached, by: isize) {
        let (false, Some(identity)) = (object.node.is_empty(), &object.identity) else { return };
        let key = (identity.tenant, object.node.clone());
        let count = self.pods_on.entry(key.clone()).or_insert(0);
        *count = count.saturating_add_signed(by);
        if *count == 0 {
            self.pods_on.remove(&key);
        }
    }
}

/// The tenant's view of a node changes with its pods.
fn node_key(pod: &Cached) -> Option<(TenantId, Key)> {
    let identity = pod.identity.as_ref()?;
    (!pod.node.is_empty()).then(|| (identity.tenant, Key::object(Kind::Node, "", &pod.node)))
}

/// Whether a version is later than another one.
pub fn newer(new: &str, old: &str) -> bool {
    match (new.parse::<u64>(), old.parse::<u64>()) {
        (Ok(new), Ok(old)) => new > old,
        _ => new != old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn tenant() -> TenantId {
        TenantId::new(Uuid::from_u128(7))
    }

    fn pod(name: &str, uid: &str, version: u64, node: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "s", "uid": uid, "resourceVersion": version.to_string(),
            "managedFields": [{}], "labels": {"insula.dev/tenant-uid": tenant().to_string()},
            "annotations": {"insula.dev/namespace": "shop", "insula.dev/name": name, "insula.dev/uid": "t"}},
            "spec": {"nodeName": node}})
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let cache = SuperCache::default();
        assert_eq!(
            cache.apply(Kind::Pod, pod("a", "u", 5, "")),
            [(tenant(), Key::object(Kind::Pod, "shop", "a"))]
        );
        assert!(cache.apply(Kind::Pod, pod("a", "u", 4, "n")).is_empty());
        assert_eq!(cache.get(Kind::Pod, "s", "a").unwrap().version, "5");
        cache.apply(Kind::Pod, pod("a", "u2", 6, ""));
        assert!(cache.remove(Kind::Pod, &pod("a", "u", 5, "")).is_empty(), "another object of the name");
        assert_eq!(cache.remove(Kind::Pod, &pod("a", "u2", 7, "")).len(), 1);
    }

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let cache = SuperCache::default();
        for name in ["a", "b"] {
            cache.apply(Kind::Pod, pod(name, name, 1, ""));
        }
        cache.restart(Kind::Pod);
        cache.apply(Kind::Pod, pod("a", "a", 1, ""));
        assert_eq!(cache.synced(Kind::Pod), [(tenant(), Key::object(Kind::Pod, "shop", "b"))]);
        assert_eq!(cache.of_tenant(Kind::Pod, tenant()).len(), 1);
        assert!(!cache.is_synced());
    }

    #[test]
    fn nodes_are_used_as_long_as_a_pod_is_there() {
        let cache = SuperCache::default();
        cache.apply(Kind::Pod, pod("a", "a", 1, "n"));
        cache.apply(Kind::Pod, pod("b", "b", 2, "n"));
        cache.apply(Kind::Pod, pod("b", "b", 3, "n"));
        cache.remove(Kind::Pod, &pod("a", "a", 4, "n"));
        assert!(cache.has_pod_on(tenant(), "n"));
        assert_eq!(cache.tenants_on("n"), [tenant()]);
        let due = cache.remove(Kind::Pod, &pod("b", "b", 5, "n"));
        assert!(due.contains(&(tenant(), Key::object(Kind::Node, "", "n"))));
        assert!(!cache.has_pod_on(tenant(), "n"));
    }

    #[test]
    fn data_is_kept_as_a_digest_only() {
        let cache = SuperCache::default();
        let object = json!({"metadata": {"name": "c", "namespace": "s", "uid": "u", "resourceVersion": "1"},
            "data": {"password": "secret"}});
        cache.apply(Kind::Secret, object.clone());
        let cached = cache.get(Kind::Secret, "s", "c").unwrap().value().unwrap();
        assert!(!cached.to_string().contains("secret\""));
        assert_eq!(cached[CONTENT], content_digest(&object));
    }
}
