//! What the loops and the reserver share.

use crate::kinds::{Key, Keys, Kind};
use crate::metrics::{Direction, Metrics};
use crate::options::address_of;
use crate::ownership::Identity;
use crate::pods::dns::PodDns;
use crate::pods::environment::ApiAddress;
use crate::pods::priority::Priorities;
use crate::reconcile::views::classes_due;
use crate::seats::Seats;
use crate::settled::{Settled, follows_its_namespace, is_settled_by_work};
use crate::super_api::SuperApi;
use crate::super_cache::{Cached, SuperCache};
use crate::tenants::{Learnt, TenantView, Tenants};
use crate::unscheduled::Unscheduled;
use crate::usage::LastUsage;
use api_types::{ApiError, ObjectName, TenantId};
use parking_lot::{Mutex, RwLock};
use plane_client::{PlaneClient, Reservation};
use serde_json::Value;
use service_runtime::Rank;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Events of a super cluster that wait for their turn, at most.
const PENDING_EVENTS: usize = 10_000;

/// The reason of a super cluster that does not answer.
pub const UNREACHABLE: &str = "Unreachable";

/// Whether a super cluster can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not tried yet.
    Unknown,
    /// It answers, and everything in it is known.
    Ready {
        /// Its version.
        version: String,
        /// Which kinds it does not let us read that we can do without, and what it says; empty when there is none.
        lacks: String,
    },
    /// It cannot be used, with reason and message for its `Ready` condition.
    Failed(&'static str, String),
}

/// One super cluster.
pub struct SuperCluster {
    /// The name of its `SuperCluster`.
    pub name: String,
    /// Its API.
    pub api: Arc<dyn SuperApi>,
    /// What is in it.
    pub cache: SuperCache,
    /// How many workers it may keep busy.
    pub seats: Seats,
    /// The pods in it that wait for its scheduler.
    pub unscheduled: Unscheduled,
    /// What in it was worked through to its end.
    pub settled: Settled,
    /// What the pods in it use.
    pub usage: LastUsage,
    /// The address of the shared Service for the tenants' API.
    pub shared_address: OnceLock<Reservation>,
    /// Priority classes of ours that are known to be there.
    pub priority_classes: Mutex<Priorities>,
    /// The DNS server of tenants' pods as it is reached from there, when its `SuperCluster` says so.
    pub dns: RwLock<Option<PodDns>>,
    /// As whom it knows us, once that was asked.
    pub user: tokio::sync::OnceCell<String>,
    /// Kinds that it does not let us read and that we can do without, and what it says.
    pub unreadable: Mutex<BTreeMap<Kind, String>>,
    /// What it was before it was connected anew, until everything in it is known again.
    former: RwLock<Option<Arc<SuperCluster>>>,
    health: watch::Sender<Health>,
    events: Mutex<HashMap<(String, String), Value>>,
}

impl SuperCluster {
    /// A super cluster of which nothing is known yet, which may keep so many workers busy.
    pub fn new(name: &str, api: Arc<dyn SuperApi>, workers: usize) -> Self {
        SuperCluster {
            name: name.to_owned(),
            api,
            cache: SuperCache::default(),
            seats: Seats::new(workers),
            unscheduled: Unscheduled::default(),
            settled: Settled::default(),
            usage: LastUsage::default(),
            shared_address: OnceLock::new(),
            priority_classes: Mutex::default(),
            dns: RwLock::default(),
            user: tokio::sync::OnceCell::new(),
            unreadable: Mutex::default(),
            former: RwLock::default(),
            health: watch::Sender::new(Health::Unknown),
            events: Mutex::default(),
        }
    }

    /// Where keys wait for it, beside the queue.
    pub fn lines(&self) -> [&Keys; 2] {
        [self.seats.line(), self.unscheduled.line()]
    }

    /// Its health now.
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Sets its health; true when that is a change.
    pub fn set_health(&self, health: Health) -> bool {
        self.health.send_if_modified(|old| {
            let changed = *old != health;
            *old = health;
            changed
        })
    }

    /// Waits until it can be used.
    pub async fn wait_ready(&self) {
        let mut health = self.health.subscribe();
        // The sender lives as long as `self`.
        let _ = health.wait_for(|h| matches!(h, Health::Ready { .. })).await;
    }

    /// True when everything in it is known. A cluster that fails later is still worked on: its calls fail and
    /// come again.
    pub fn is_known(&self) -> bool {
        self.cache.is_synced()
    }

    /// What is there in the place of a tenant's object, as far as it is known, whosever it is.
    pub fn in_place_of(&self, tenant: &TenantView, kind: Kind, at: &ObjectName) -> Option<Arc<Cached>> {
        let there = tenant.super_object(kind, at)?;
        self.cache.get(kind, &there.namespace, &there.name)
    }

    /// What stands there for a tenant's object.
    pub fn stands_for(&self, tenant: &TenantView, kind: Kind, at: &ObjectName) -> Option<Arc<Cached>> {
        let is_its =
            |of: &Identity| (of.tenant, &of.namespace, &of.name) == (tenant.id, &at.namespace, &at.name);
        self.in_place_of(tenant, kind, at).filter(|there| there.identity.as_ref().is_some_and(is_its))
    }

    /// Those of a kind in it that have an address. While it is listed, those too that it had when it was connected before.
    pub fn at_address(&self, kind: Kind, ip: IpAddr) -> Vec<Arc<Cached>> {
        let mut all = self.cache.at_address(kind, ip);
        if let Some(former) = &*self.former.read() {
            all.extend(former.cache.at_address(kind, ip));
        }
        all
    }

    /// Everything in it is known: what it was before counts no more.
    pub fn forget_former(&self) {
        *self.former.write() = None;
    }

    /// Keeps an event until its turn comes; false when there are too many.
    pub fn keep_event(&self, namespace: &str, name: &str, event: Value) -> bool {
        let mut events = self.events.lock();
        let place = (namespace.to_owned(), name.to_owned());
        if events.len() >= PENDING_EVENTS && !events.contains_key(&place) {
            return false;
        }
        events.insert(place, event);
        true
    }

    /// Keeps an event again that was taken; one that came meanwhile is newer and stays.
    pub fn give_event_back(&self, namespace: &str, name: &str, event: Value) {
        self.events.lock().entry((namespace.to_owned(), name.to_owned())).or_insert(event);
    }

    /// Takes an event whose turn has come.
    pub fn take_event(&self, namespace: &str, name: &str) -> Option<Value> {
        self.events.lock().remove(&(namespace.to_owned(), name.to_owned()))
    }
}

/// How something was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It changed just now.
    Changed,
    /// It changed, and is to change again soon: a pod that does not run yet.
    OnItsWay,
    /// It is there, as it was before, mostly: a list tells that when a watch begins.
    Listed,
}

/// What the loops and the reserver share.
#[derive(Default)]
pub struct State {
    /// All tenants.
    pub tenants: Tenants,
    /// What is counted.
    pub metrics: Metrics,
    /// What is due, in both directions.
    pub queue: Keys,
    supers: RwLock<BTreeMap<String, Arc<SuperCluster>>>,
    client: OnceLock<Arc<dyn PlaneClient>>,
    /// Where pods reach all tenants' APIs, when that is not what the tenants' endpoints say.
    shared_api: OnceLock<ApiAddress>,
    dns: OnceLock<PodDns>,
}

impl State {
    /// Gives the client, where pods reach all tenants' APIs, and the DNS server of tenants' pods; later ones are ignored.
    pub fn start(&self, client: Arc<dyn PlaneClient>, shared_api: Option<ApiAddress>, dns: Option<PodDns>) {
        if let Some(dns) = dns {
            let _ = self.dns.set(dns);
        }
        if let Some(address) = shared_api {
            let _ = self.shared_api.set(address);
        }
        let _ = self.client.set(client);
    }

    /// The DNS server of tenants' pods in a super cluster; `None`: that of the super cluster.
    pub fn dns(&self, cluster: &SuperCluster) -> Option<PodDns> {
        cluster.dns.read().clone().or_else(|| self.dns.get().cloned())
    }

    /// Where pods reach the tenant's API; `None` while its endpoint is not known.
    pub fn api_address(&self, tenant: &TenantView) -> Option<ApiAddress> {
        self.shared_api.get().cloned().or_else(|| address_of(tenant.endpoint.as_deref()?))
    }

    /// The client; fails before the syncer runs.
    pub fn client(&self) -> Result<Arc<dyn PlaneClient>, ApiError> {
        let client = self.client.get().cloned();
        client.ok_or_else(|| ApiError::unavailable("the syncer is starting", 1))
    }

    /// The super cluster of a name.
    pub fn super_cluster(&self, name: &str) -> Option<Arc<SuperCluster>> {
        self.supers.read().get(name).cloned()
    }

    /// All super clusters, by name.
    pub fn super_clusters(&self) -> Vec<Arc<SuperCluster>> {
        self.supers.read().values().cloned().collect()
    }

    /// Adds or replaces a super cluster.
    pub fn put_super_cluster(&self, cluster: Arc<SuperCluster>) {
        let mut supers = self.supers.write();
        let old = supers.insert(cluster.name.clone(), cluster.clone());
        if let Some(old) = &old {
            let older = old.former.write().take().filter(|_| !old.is_known());
            *cluster.former.write() = older.or_else(|| Some(old.clone()));
        }
        // Whoever learns of a weight meanwhile sets it after this.
        for tenant in self.tenants.all() {
            cluster.lines().iter().for_each(|line| line.set_weight(tenant.id, tenant.spec.weight));
        }
        drop(supers);
        self.let_go(old);
    }

    /// Forgets a super cluster.
    pub fn remove_super_cluster(&self, name: &str) {
        let old = self.supers.write().remove(name);
        self.let_go(old);
        self.metrics.forget_cluster(name);
    }

    fn let_go(&self, old: Option<Arc<SuperCluster>>) {
        if let Some(old) = old {
            old.seats.close(&self.queue);
            old.unscheduled.close(&self.queue);
        }
    }

    /// How many keys of each tenant wait for a worker.
    pub fn waiting(&self) -> Vec<(TenantId, usize)> {
        let mut all: HashMap<TenantId, usize> = self.queue.lengths().into_iter().collect();
        for cluster in self.supers.read().values() {
            for (tenant, count) in cluster.lines().into_iter().flat_map(Keys::lengths) {
                *all.entry(tenant).or_default() += count;
            }
        }
        all.into_iter().collect()
    }

    /// True when a key is on its way.
    pub fn is_pending(&self, tenant: TenantId, key: &Key) -> bool {
        let is_awaited =
            |cluster: &Arc<SuperCluster>| cluster.lines().iter().any(|line| line.is_pending(&tenant, key));
        self.supers.read().values().any(is_awaited) || self.queue.is_pending(&tenant, key)
    }

    /// The super cluster that a tenant is placed on.
    pub fn placed_on(&self, tenant: &TenantView) -> Option<Arc<SuperCluster>> {
        self.super_cluster(tenant.super_cluster.as_deref()?)
    }

    /// Takes a `Tenant` in that the watch told of; `None` when it cannot be decoded.
    pub fn take_tenant(&self, object: Value) -> Option<Arc<TenantView>> {
        self.tenants.apply(object).map(|learnt| self.learnt(&learnt))
    }

    /// Takes a `Tenant` in that was read beside the watch; `None` when the watch does not know it.
    pub fn refresh_tenant(&self, object: Value) -> Option<Arc<TenantView>> {
        self.tenants.refresh(object).map(|learnt| self.learnt(&learnt))
    }

    /// Whoever is the first to learn of a change makes everything due that it touches: nobody else sees it as one.
    pub fn learnt(&self, learnt: &Learnt) -> Arc<TenantView> {
        let now = &learnt.now;
        if learnt.matters() {
            self.set_weight(now.id, now.spec.weight);
            self.queue.add(now.id, Key::Everything);
        }
        now.clone()
    }

    /// Sets a tenant's share wherever its work waits; 1 when it is gone.
    pub fn set_weight(&self, tenant: TenantId, weight: u32) {
        self.queue.set_weight(tenant, weight);
        for line in self.supers.read().values().flat_map(|cluster| cluster.lines()) {
            line.set_weight(tenant, weight);
        }
    }

    /// Makes each object of a tenant due, on both sides. When that fails, it is for [`Key::Everything`] to come again.
    pub async fn all_due(&self, tenant: &TenantView) -> Result<(), ApiError> {
        let client = self.client()?;
        self.queue.add(tenant.id, Key::Tenant(tenant.name.clone()));
        if let Some(cluster) = self.placed_on(tenant) {
            let mut known = cluster.cache.all_of_tenant(tenant.id);
            known.sort_by_key(|cached| cached.kind);
            self.looked_through(known.iter().filter_map(|cached| cached.due()));
            if tenant.spec.sync.nodes != api_types::tenancy::NodeView::Used {
                let nodes = cluster.cache.all(Kind::Node);
                self.looked_through(
                    nodes.iter().map(|n| (tenant.id, Key::object(Kind::Node, "", &n.at.name))),
                );
            }
        }
        self.due(classes_due(tenant).map(|key| (tenant.id, key)));
        let is_empty =
            !self.placed_on(tenant).is_some_and(|cluster| cluster.cache.has_any(Kind::Namespace, tenant.id));
        let begins = |kind: &Kind| *kind != Kind::Namespace && !follows_its_namespace(*kind);
        for kind in Kind::ALL.into_iter().filter(|kind| !is_empty || begins(kind)) {
            let objects = client.list(tenant.id, &kind.group_resource(), "").await?;
            self.looked_through(objects.into_iter().map(|o| (tenant.id, Key::Object(kind, o.name))));
        }
        Ok(())
    }

    /// Changes were heard of that have to go in this direction.
    pub fn heard(&self, direction: Direction, news: News, keys: impl IntoIterator<Item = (TenantId, Key)>) {
        for (tenant, key) in keys {
            if news == News::Listed && self.begun(tenant).is_none() {
                continue;
            }
            if direction == Direction::Down && !self.is_work(tenant, &key) {
                continue;
            }
            self.metrics.heard(tenant, &key, direction);
            let rank = rank(&key, direction, news);
            self.queue.add_ranked(tenant, key, rank);
        }
    }

    /// False for what follows its namespace, before there is the super namespace, and for namespaces, before there is any.
    fn is_work(&self, tenant: TenantId, key: &Key) -> bool {
        let Key::Object(kind, at) = key else { return true };
        match kind {
            Kind::Namespace => {
                self.begun(tenant).is_some_and(|(_, cluster)| cluster.cache.has_any(Kind::Namespace, tenant))
            }
            kind if follows_its_namespace(*kind) => self
                .begun(tenant)
                .is_some_and(|(view, cluster)| is_settled_by_work(&cluster, &view, *kind, at)),
            _ => true,
        }
    }

    /// A tenant and its super cluster, once that is known. Before, nothing is done for it, and then all that is its becomes due.
    fn begun(&self, tenant: TenantId) -> Option<(Arc<TenantView>, Arc<SuperCluster>)> {
        let view = self.tenants.get(tenant)?;
        let cluster = self.placed_on(&view).filter(|cluster| cluster.is_known())?;
        Some((view, cluster))
    }

    /// Makes keys due after all that changed.
    fn looked_through(&self, keys: impl IntoIterator<Item = (TenantId, Key)>) {
        for (tenant, key) in keys {
            self.queue.add_ranked(tenant, key, Rank::Last);
        }
    }

    /// Makes keys due.
    pub fn due(&self, keys: impl IntoIterator<Item = (TenantId, Key)>) {
        for (tenant, key) in keys {
            let rank = rank(&key, Direction::Down, News::Changed);
            self.queue.add_ranked(tenant, key, rank);
        }
    }
}

/// A tenant reads first how its pods are that run already, then more of them are made; where many wait, what is told of a
/// pod on its way is told with that it runs. Nobody waits for its view of nodes, since a pod brings its own node along,
/// nor for what was there before and is looked through once more.
fn rank(key: &Key, direction: Direction, news: News) -> Rank {
    match (key, direction) {
        _ if news == News::Listed => Rank::Last,
        (Key::Object(Kind::Pod, _), Direction::Up) if news == News::Changed => Rank::First,
        (Key::Object(Kind::Node, _) | Key::Event(_), _) => Rank::Last,
        _ => Rank::Usual,
    }
}

#[cfg(test)]
mod tests;
