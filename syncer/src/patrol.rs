//! The patrol: both sides are compared again and again, and what events missed is made due.
//!
//! Guarantees: a pass learns from the super cluster of every object which version it has, and reads only what differs
//! from what the watches told; what stands otherwise on either side than a worker left it (see [`crate::settled`]) and is
//! not on its way is found, counted, told in events and made due. A pass takes a quarter of the time: after a long one
//! the next comes later, up to a minute. Now and then everything is made due, for what no version tells of. Caveat: objects of
//! tenants that the host plane does not know are counted and left alone, since they may be another installation's.

mod below;
mod tell;

use crate::cluster_watch::seen;
use crate::kinds::{Key, Kind};
use crate::names;
use crate::options::Options;
use crate::settled::{Stand, is_settled_by_work};
use crate::state::{State, SuperCluster};
use crate::super_cache::Cached;
use crate::tenants::TenantView;
use api_types::{ApiError, TenantId};
use plane_client::PlaneClient;
use service_runtime::Shutdown;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many times its own duration a pass waits for the next one, at least.
const REST: u32 = 3;
/// The longest that a pass is put off for that.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Tenants that have nothing in super clusters are looked at in each pass of so many: there are many of them.
const IDLE_EVERY: u32 = 6;

/// Which tenants a pass looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All of the super cluster's.
    All,
    /// Those that have, or may have, something in it.
    Held,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// The tenant has it and the super cluster has not.
    Missing,
    /// The super cluster has it and the tenant has not.
    Orphaned,
    /// What the super cluster has was changed there.
    Changed,
    /// What the super cluster has stands for an earlier object of the name.
    Replaced,
    /// The tenant's was changed, and the super cluster has it as it was before.
    Stale,
}

impl Finding {
    /// All of them.
    pub const ALL: [Finding; 5] =
        [Finding::Missing, Finding::Orphaned, Finding::Changed, Finding::Replaced, Finding::Stale];

    /// As a label's value.
    pub fn name(self) -> &'static str {
        match self {
            Finding::Missing => "missing",
            Finding::Orphaned => "orphaned",
            Finding::Changed => "changed",
            Finding::Replaced => "replaced",
            Finding::Stale => "stale",
        }
    }
}

/// What a pass found.
pub type Found = BTreeMap<TenantId, HashMap<Key, Finding>>;

/// One pass.
#[derive(Debug, Default)]
pub struct Round {
    /// What is wrong.
    pub found: Found,
    /// Objects of the super cluster that were looked at.
    pub objects: usize,
    /// Those whose label names a tenant that is not there.
    pub unknown: usize,
    /// How long it took, but for the time that watches were given.
    pub took: Duration,
}

/// Patrols a super cluster until it is let go.
pub async fn run(
    state: Arc<State>,
    client: Arc<dyn PlaneClient>,
    cluster: Arc<SuperCluster>,
    options: Options,
    stop: Shutdown,
) {
    let mut open = Found::new();
    let mut swept = Instant::now();
    let mut wait = options.patrol;
    let mut passes = 0_u32;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.requested() => return,
        }
        if !cluster.is_known() {
            continue;
        }
        if swept.elapsed() >= options.sweep {
            swept = Instant::now();
            for tenant in tenants(&state, &cluster, Whose::Held) {
                state.queue.add(tenant.id, Key::Everything);
            }
        }
        let whose = if passes.is_multiple_of(IDLE_EVERY) { Whose::All } else { Whose::Held };
        passes = passes.wrapping_add(1);
        match pass(&state, &client, &cluster, whose, options.patrol / 10).await {
            Ok(round) => {
                wait = options.patrol.max((round.took * REST).min(LONGEST_REST));
                let repaired = repaired(&state, &mut open, &round.found);
                let new = tell::news(&open, &round.found);
                state.metrics.patrolled(&cluster.name, &round, &new, &repaired);
                tell::tell(&state, &client, &cluster, &new).await;
                for (tenant, found) in round.found {
                    let open = open.entry(tenant).or_default();
                    for (key, finding) in found {
                        open.entry(key).or_insert(finding);
                    }
                }
            }
            Err(error) => {
                wait = options.patrol;
                state.metrics.patrol_failed();
                tracing::warn!(cluster = %cluster.name, %error, "the patrol could not list");
            }
        }
    }
}

/// Takes out of `open` what was found before and is so no more, counted by finding.
fn repaired(state: &State, open: &mut Found, found: &Found) -> BTreeMap<Finding, u64> {
    let mut out = BTreeMap::new();
    open.retain(|tenant, keys| {
        keys.retain(|key, finding| {
            let is_still_so = found.get(tenant).is_some_and(|now| now.contains_key(key));
            let stays = is_still_so || state.is_pending(*tenant, key);
            if !stays {
                *out.entry(*finding).or_insert(0) += 1;
            }
            stays
        });
        !keys.is_empty()
    });
    out
}

fn tenants(state: &State, cluster: &SuperCluster, whose: Whose) -> Vec<Arc<TenantView>> {
    let is_there = |t: &Arc<TenantView>| {
        t.synced()
            && t.super_cluster.as_deref() == Some(&cluster.name)
            && (t.finalizer || whose == Whose::All)
    };
    state.tenants.all().into_iter().filter(is_there).collect()
}

/// One pass: brings what is known of the super cluster up to date, compares, and makes due what was missed. Watches are
/// given `grace` to tell it themselves.
pub async fn pass(
    state: &State,
    client: &Arc<dyn PlaneClient>,
    cluster: &SuperCluster,
    whose: Whose,
    grace: Duration,
) -> Result<Round, ApiError> {
    let began = Instant::now();
    let below = below::refresh(cluster, grace).await?;
    for (kind, name) in &below.shown {
        seen(state, cluster, *kind, name);
    }
    let mut round = Round { objects: below.objects, ..Round::default() };
    let mut known = HashSet::new();
    for tenant in tenants(state, cluster, whose) {
        known.insert(tenant.id);
        let found = compare(state, client, cluster, &tenant).await?;
        if !found.is_empty() {
            round.found.insert(tenant.id, found);
        }
    }
    // What has no version of its own among those compared: policies, and the Secrets with pods' tokens.
    for (tenant, key) in below.beside {
        if known.contains(&tenant) && !state.is_pending(tenant, &key) {
            round.found.entry(tenant).or_default().entry(key).or_insert(Finding::Changed);
        }
    }
    state.due(below.touched);
    for (tenant, found) in &round.found {
        state.due(found.keys().map(|key| (*tenant, key.clone())));
    }
    round.unknown = cluster.cache.count_of(|tenant| state.tenants.get(tenant).is_none());
    round.took = began.elapsed().saturating_sub(below.waited);
    Ok(round)
}

async fn compare(
    state: &State,
    client: &Arc<dyn PlaneClient>,
    cluster: &SuperCluster,
    tenant: &TenantView,
) -> Result<HashMap<Key, Finding>, ApiError> {
    let mut below: HashMap<Key, Arc<Cached>> = HashMap::new();
    let mut spaces = HashMap::new();
    for cached in cluster.cache.all_of_tenant(tenant.id) {
        if let Some(key) = main_key(tenant, &cached, &mut spaces) {
            below.insert(key, cached);
        }
    }
    let has_spaces = below.keys().any(|key| matches!(key, Key::Object(Kind::Namespace, _)));
    let mut stands = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.goes_down()) {
        if !has_spaces && !matches!(kind, Kind::Pod | Kind::Service | Kind::Claim) {
            continue;
        }
        for object in client.list(tenant.id, &kind.group_resource(), "").await? {
            if is_settled_by_work(cluster, tenant, kind, &object.name) {
                let key = Key::Object(kind, object.name);
                let stand = Stand::of(Some(object.revision), below.remove(&key).as_deref());
                stands.push((key, stand));
            }
        }
    }
    stands.extend(below.into_iter().map(|(key, cached)| (key, Stand::of(None, Some(&cached)))));
    let mut found = HashMap::new();
    for key in cluster.settled.others(tenant.id, stands.into_iter()) {
        if let Some(finding) = look(state, client, cluster, tenant, &key).await? {
            found.insert(key, finding);
        }
    }
    Ok(found)
}

/// The key of an object that is the one of the super cluster for that key, and not something beside it.
fn main_key(tenant: &TenantView, cached: &Cached, spaces: &mut HashMap<String, String>) -> Option<Key> {
    let (_, key) = cached.due()?;
    let Key::Object(kind, at) = &key else { return None };
    if *kind != cached.kind || !kind.goes_down() {
        return None;
    }
    let namespace = if *kind == Kind::Namespace { &at.name } else { &at.namespace };
    let space = spaces.entry(namespace.to_string()).or_insert_with(|| tenant.super_namespace(namespace));
    let is_main = match kind {
        Kind::Namespace => cached.at.name == *space,
        _ => {
            cached.at.namespace == *space
                && names::super_name(*kind, &at.name).is_some_and(|name| cached.at.name == name)
        }
    };
    is_main.then_some(key)
}

/// Looks closely: both sides move on while the patrol compares.
async fn look(
    state: &State,
    client: &Arc<dyn PlaneClient>,
    cluster: &SuperCluster,
    tenant: &TenantView,
    key: &Key,
) -> Result<Option<Finding>, ApiError> {
    let is_pending = || state.is_pending(tenant.id, key);
    let Key::Object(kind, at) = key else { return Ok(None) };
    if is_pending() {
        return Ok(None);
    }
    let Some(now) = Stand::read(&**client, cluster, tenant, key).await? else { return Ok(None) };
    let left = cluster.settled.get(tenant.id, key).unwrap_or_default();
    // A worker that took it meanwhile has it settled, or on its way.
    let again = Stand::read(&**client, cluster, tenant, key).await?;
    if now == left || again.as_ref() != Some(&now) || is_pending() {
        return Ok(None);
    }
    Ok(Some(match (&now.above, &now.below) {
        (_, None) => Finding::Missing,
        (None, Some(_)) => Finding::Orphaned,
        (Some(_), Some(_)) => {
            let uid =
                client.get(tenant.id, &kind.group_resource(), at).await?.map(|o| o.meta.uid.to_string());
            let there = cluster.in_place_of(tenant, *kind, at);
            let stands_for = there.and_then(|c| c.identity.as_ref().map(|i| i.uid.to_string()));
            if stands_for.is_some() && *kind != Kind::Namespace && stands_for != uid {
                Finding::Replaced
            } else if now.below != left.below {
                Finding::Changed
            } else {
                Finding::Stale
            }
        }
    }))
}
