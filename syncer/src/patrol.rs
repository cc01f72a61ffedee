//! The patrol: everything on both sides is compared again and again, and what events missed is made due.
//!
//! Guarantees: each pass lists the super cluster page by page, so that what a watch missed is found; what is found
//! in two looks is counted and made due. Caveat: objects of tenants that the host plane does not know are counted
//! and left alone, since they may be another installation's.

use crate::kinds::{Key, Kind};
use crate::ownership::Identity;
use crate::reconcile::services::KUBERNETES;
use crate::state::{State, SuperCluster};
use crate::tenants::TenantView;
use api_types::{ApiError, Meta, TenantId};
use service_runtime::Shutdown;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// The tenant has it and the super cluster has not.
    Missing,
    /// The super cluster has it and the tenant has not.
    Orphan,
    /// Both have it, and it is not the same one.
    Uid,
    /// Its label names a tenant that is not there.
    UnknownTenant,
    /// The watch had not told of it, or told of what is not there.
    Stale,
}

type Found = HashSet<(Finding, TenantId, Key)>;

/// Patrols a super cluster until it is let go.
pub async fn run(state: Arc<State>, cluster: Arc<SuperCluster>, every: Duration, stop: Shutdown) {
    let mut before = Found::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.requested() => return,
        }
        match pass(&state, &cluster).await {
            Ok(found) => {
                let counts = counts(found.intersection(&before));
                if !counts.is_empty() {
                    tracing::warn!(cluster = %cluster.name, ?counts, "the patrol found differences twice");
                }
                before = found;
            }
            Err(error) => tracing::warn!(cluster = %cluster.name, %error, "the patrol could not list"),
        }
    }
}

fn counts<'a>(found: impl Iterator<Item = &'a (Finding, TenantId, Key)>) -> BTreeMap<Finding, usize> {
    let mut out = BTreeMap::new();
    for (finding, ..) in found {
        *out.entry(*finding).or_insert(0) += 1;
    }
    out
}

/// One pass: refreshes the cache by a listing, compares, and makes due what differs, and what may have drifted.
pub async fn pass(state: &State, cluster: &SuperCluster) -> Result<Found, ApiError> {
    let mut found = refresh(state, cluster).await?;
    for tenant in state.tenants.all() {
        if tenant.synced() && tenant.super_cluster.as_deref() == Some(&cluster.name) {
            found.extend(compare(state, cluster, &tenant).await?);
            // Spec and status drift is for the reconcilers to see: they write only what differs.
            state.all_due(&tenant).await?;
        }
    }
    state.due(found.iter().filter(|f| f.0 != Finding::UnknownTenant).map(|(_, t, key)| (*t, key.clone())));
    Ok(found)
}

/// Brings the cache up to a listing of the cluster.
async fn refresh(state: &State, cluster: &SuperCluster) -> Result<Found, ApiError> {
    let mut found = Found::new();
    for kind in Kind::ALL.into_iter().filter(|k| k.labelled()) {
        let before = cluster.cache.all(kind);
        let mut listed = HashSet::new();
        for object in cluster.api.list(kind.resource(), "", &kind.selector(None)).await? {
            listed.insert(object["metadata"]["uid"].as_str().unwrap_or("").to_owned());
            if let Some(identity) = Identity::of(&object)
                && state.tenants.get(identity.tenant).is_none()
            {
                let key = Key::object(kind, &identity.namespace, &identity.name);
                found.insert((Finding::UnknownTenant, identity.tenant, key));
            }
            let due = cluster.cache.apply(kind, object);
            found.extend(due.into_iter().map(|(tenant, key)| (Finding::Stale, tenant, key)));
        }
        // Only what stood in the cache before the listing can be known to be gone.
        for gone in before.iter().filter(|c| !listed.contains(c.uid.as_str())) {
            let due = cluster.cache.forget(kind, &gone.at, &gone.uid);
            found.extend(due.into_iter().map(|(tenant, key)| (Finding::Stale, tenant, key)));
        }
    }
    Ok(found)
}

async fn compare(state: &State, cluster: &SuperCluster, tenant: &TenantView) -> Result<Found, ApiError> {
    let client = state.client()?;
    let mut found = Found::new();
    for kind in [Kind::Claim, Kind::Service, Kind::Pod] {
        let mut there = HashMap::new();
        for cached in cluster.cache.of_tenant(kind, tenant.id) {
            if let Some(identity) = &cached.identity {
                there.insert(Key::object(kind, &identity.namespace, &identity.name), identity.uid.clone());
            }
        }
        for object in client.list(tenant.id, &kind.group_resource(), "").await? {
            // The one of every tenant stands for a shared one: it never goes down.
            if kind == Kind::Service
                && (object.name.namespace.as_str(), object.name.name.as_str()) == KUBERNETES
            {
                continue;
            }
            let key = Key::Object(kind, object.name.clone());
            match there.remove(&key) {
                Some(uid) if uid == object.meta.uid => {}
                // What has ended may outlive its super pod, which goes with its node.
                None if kind == Kind::Pod && has_ended(&object.meta) => {}
                Some(_) => drop(found.insert((Finding::Uid, tenant.id, key))),
                None => drop(found.insert((Finding::Missing, tenant.id, key))),
            }
        }
        found.extend(there.into_keys().map(|key| (Finding::Orphan, tenant.id, key)));
    }
    Ok(found)
}

fn has_ended(pod: &Meta) -> bool {
    pod.fields
        .iter()
        .any(|(field, value)| field == "status.phase" && matches!(value.as_str(), "Succeeded" | "Failed"))
}
