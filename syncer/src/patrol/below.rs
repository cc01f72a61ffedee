//! Brings what is known of a super cluster up to what it says now, reading only what differs.

use crate::cluster_watch::is_done_without;
use crate::kinds::{Key, Kind};
use crate::state::SuperCluster;
use crate::super_api::{At, Head};
use crate::super_cache::{Cached, newer};
use api_types::{ApiError, ObjectName, TenantId};
use compact_str::CompactString;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Up to so many objects of a kind are read one by one; more are read as a list.
const ONE_BY_ONE: usize = 100;

/// So many kinds are listed at a time.
const LISTS: usize = 2;

/// What was not as the watches had told.
#[derive(Default)]
pub struct Below {
    /// The keys of tenants' objects.
    pub touched: HashSet<(TenantId, Key)>,
    /// Those of them for which objects of another kind stand: policies for their Service, tokens for their pod.
    pub beside: HashSet<(TenantId, Key)>,
    /// Objects of the cluster's own, which no key stands for.
    pub shown: HashSet<(Kind, CompactString)>,
    /// Objects that were looked at.
    pub objects: usize,
    /// How long watches were waited for.
    pub waited: Duration,
}

/// An object that differs, and its version in the super cluster; `None` when it seems to be gone.
type Suspects = HashMap<ObjectName, Option<Head>>;

/// Compares with the versions that the super cluster tells. Watches get `grace` to tell it themselves.
pub async fn refresh(cluster: &SuperCluster, grace: Duration) -> Result<Below, ApiError> {
    let mut below = Below::default();
    let mut suspects = Vec::new();
    // What comes while the lists are read is not missed in them.
    let before = |kind| (kind, cluster.cache.all(kind));
    let mut known: HashMap<Kind, Vec<Arc<Cached>>> = Kind::ALL.into_iter().map(before).collect();
    let unreadable: Vec<Kind> = cluster.unreadable.lock().keys().copied().collect();
    let readable = Kind::ALL.into_iter().filter(|kind| !unreadable.contains(kind));
    let heads = |kind: Kind| async move {
        match cluster.api.heads(kind.resource(), &kind.selector(None)).await {
            Ok(heads) => Ok(Some((kind, heads))),
            // Its watch learns of that too, later.
            Err(error) if is_done_without(kind, &error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    // The answer for the next is on its way while that for one is read.
    let mut listed = stream::iter(readable.map(heads)).buffered(LISTS);
    while let Some(answer) = listed.try_next().await? {
        let Some((kind, heads)) = answer else { continue };
        below.objects += heads.len();
        let differing = differing(cluster, kind, &known.remove(&kind).unwrap_or_default(), &heads);
        if !differing.is_empty() {
            suspects.push((kind, differing));
        }
    }
    if suspects.is_empty() {
        return Ok(below);
    }
    tokio::time::sleep(grace).await;
    below.waited = grace;
    for (kind, mut differing) in suspects {
        differing.retain(|at, head| differs(cluster.cache.at(kind, at).as_deref(), head.as_ref()));
        let due = if differing.len() <= ONE_BY_ONE && kind.labelled() {
            read_each(cluster, kind, &differing).await?
        } else {
            read_all(cluster, kind, &differing).await?
        };
        let is_beside = |key: &Key| !matches!(key, Key::Object(of, _) if *of == kind);
        below.beside.extend(due.iter().filter(|(_, key)| is_beside(key)).cloned());
        below.touched.extend(due);
        if !kind.labelled() {
            below.shown.extend(differing.into_keys().map(|at| (kind, at.name)));
        }
    }
    Ok(below)
}

fn differing(cluster: &SuperCluster, kind: Kind, before: &[Arc<Cached>], heads: &[Head]) -> Suspects {
    let (mut out, mut known, count) = (Suspects::new(), 0, cluster.cache.count(kind));
    for head in heads {
        let there = cluster.cache.at(kind, &head.at);
        known += usize::from(there.is_some());
        if differs(there.as_deref(), Some(head)) {
            out.insert(head.at.clone(), Some(head.clone()));
        }
    }
    // Mostly all that is known was listed. Only else they are told from each other by their names.
    if known != count {
        let listed: HashSet<&ObjectName> = heads.iter().map(|head| &head.at).collect();
        let gone = before.iter().filter(|known| !listed.contains(&known.at));
        out.extend(gone.map(|gone| (gone.at.clone(), None)));
    }
    out
}

/// A list from memory may be behind what a watch or an answer told: that is no difference.
fn differs(known: Option<&Cached>, head: Option<&Head>) -> bool {
    match (known, head) {
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
        (Some(known), Some(head)) => newer(&head.version, &known.version),
    }
}

async fn read_each(
    cluster: &SuperCluster,
    kind: Kind,
    differing: &Suspects,
) -> Result<Vec<(TenantId, Key)>, ApiError> {
    let mut due = Vec::new();
    for at in differing.keys() {
        let known = cluster.cache.at(kind, at);
        match cluster.api.get(kind.resource(), &At::new(&at.namespace, &at.name)).await? {
            Some(object) => due.extend(cluster.cache.apply(kind, object)),
            None => due.extend(known.iter().flat_map(|known| cluster.cache.forget(kind, at, &known.uid))),
        }
    }
    Ok(due)
}

async fn read_all(
    cluster: &SuperCluster,
    kind: Kind,
    differing: &Suspects,
) -> Result<Vec<(TenantId, Key)>, ApiError> {
    // Only what stood in the cache before the listing can be known to be gone.
    let before: Vec<_> = differing.keys().filter_map(|at| cluster.cache.at(kind, at)).collect();
    let mut due = Vec::new();
    let mut listed = HashSet::new();
    for object in cluster.api.list(kind.resource(), "", &kind.selector(None)).await? {
        listed.insert(object["metadata"]["uid"].as_str().unwrap_or("").to_owned());
        due.extend(cluster.cache.apply(kind, object));
    }
    for gone in before.iter().filter(|known| !listed.contains(known.uid.as_str())) {
        due.extend(cluster.cache.forget(kind, &gone.at, &gone.uid));
    }
    Ok(due)
}
