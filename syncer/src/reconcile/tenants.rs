//! Tenants in super clusters: placement, and removal that leaves nothing.

use crate::kinds::Kind;
use crate::placement::{Candidate, choose};
use crate::state::{Health, State, SuperCluster};
use crate::super_api::At;
use crate::super_cache::Cached;
use crate::tenants::TenantView;
use crate::work::ACTOR;
use api_types::condition::{self, Condition, ConditionStatus};
use api_types::tenancy::{self, NetworkDriver, SUPER_CLUSTERS, TENANT_PROFILES, TENANTS, TenantProfile};
use api_types::{ApiError, ObjectName, TenantId, labels};
use jiff::Timestamp;
use plane_client::{Delete, Next, Object, Patch, Placement, Target, Write};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How soon to look whether what was deleted is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How soon to look for a super cluster for a tenant that has none.
const PLACE_AGAIN: Duration = Duration::from_secs(2);

/// A tenant of the host plane.
pub async fn tenant(state: &Arc<State>, id: TenantId, name: &str) -> Result<Next, ApiError> {
    let client = state.client()?;
    let object = client.get(TenantId::HOST, &TENANTS.group_resource(), &ObjectName::cluster(name)).await?;
    let Some(object) = object.filter(|o| o.meta.uid == id.to_string()) else {
        return Ok(Next::OnEvent);
    };
    // This may be newer than what the watch has told, which then finds no change in it.
    let Some(view) = state.refresh_tenant(object.value()?) else {
        return Ok(Next::OnEvent);
    };
    if view.deleting || view.spec.sync.disabled {
        return leave(state, &view, &object).await;
    }
    if let Some(condition) = not_supported(&view) {
        say(state, &object, condition, None).await?;
        return Ok(Next::OnEvent);
    }
    let Some(chosen) = view.super_cluster.clone() else {
        return place(state, &view, &object).await;
    };
    let condition = match state.super_cluster(&chosen).map(|c| c.health()) {
        None => Condition::new(
            "Synced",
            false,
            "SuperClusterMissing",
            "the tenant's super cluster is not there",
            Timestamp::now(),
        ),
        Some(Health::Ready { .. }) => all_is_well(),
        // What it says from before stands until more is known.
        Some(Health::Unknown) if says(&object)? => return Ok(Next::OnEvent),
        Some(Health::Unknown) => Condition::new(
            "Synced",
            false,
            "SuperClusterStarting",
            "the tenant's super cluster was not reached yet",
            Timestamp::now(),
        ),
        Some(Health::Failed(reason, message)) => {
            Condition::new("Synced", false, reason, message, Timestamp::now())
        }
    };
    say(state, &object, condition, None).await?;
    Ok(Next::OnEvent)
}

/// What the spec asks for and the syncer cannot do. Such a tenant is not placed.
fn not_supported(view: &TenantView) -> Option<Condition> {
    let driver = view.spec.network.driver;
    (driver != NetworkDriver::NetworkPolicy).then(|| {
        let message = format!("spec.network.driver {driver:?} is not supported yet");
        Condition::new("Synced", false, "NetworkDriverNotSupported", message, Timestamp::now())
    })
}

/// The super cluster for a tenant that has none; `None`: there is none for it now.
async fn chosen(state: &State, view: &TenantView) -> Result<Option<String>, ApiError> {
    let client = state.client()?;
    let mut candidates = Vec::new();
    for object in client.list(TenantId::HOST, &SUPER_CLUSTERS.group_resource(), "").await? {
        let cluster: tenancy::SuperCluster = object.decode()?;
        let handle = state.super_cluster(&cluster.metadata.name);
        let tenants = state.tenants.placed_on(&cluster.metadata.name);
        let ready = handle.is_some_and(|h| matches!(h.health(), Health::Ready { .. }));
        candidates.push(Candidate { ready, tenants, object: cluster });
    }
    Ok(choose(view, &candidates).map(str::to_owned))
}

fn all_is_well() -> Condition {
    Condition::new("Synced", true, "Synced", "", Timestamp::now())
}

/// A tenant that is being made, with its profile as it is now and not as a watch has told of it so far.
async fn view_of(state: &State, tenant: &Value) -> Option<TenantView> {
    let name = tenant["spec"]["profile"].as_str().unwrap_or("");
    let mut profiles = HashMap::new();
    if !name.is_empty() {
        let (profiles_of, at) = (TENANT_PROFILES.group_resource(), ObjectName::cluster(name));
        let profile = state.client().ok()?.get(TenantId::HOST, &profiles_of, &at).await.ok()??;
        profiles.insert(name.to_owned(), profile.decode::<TenantProfile>().ok()?.spec);
    }
    TenantView::of(tenant, &profiles)
}

/// Where a tenant is to be that is being made; `None`: a worker finds that out, or says why not, once it is there.
pub async fn placement(state: &State, tenant: &Value) -> Option<Placement> {
    let view = view_of(state, tenant).await?;
    if !view.synced() || not_supported(&view).is_some() {
        return None;
    }
    let super_cluster = chosen(state, &view).await.ok()??;
    Some(Placement { super_cluster, condition: all_is_well() })
}

async fn place(state: &Arc<State>, view: &TenantView, object: &Object) -> Result<Next, ApiError> {
    match chosen(state, view).await? {
        Some(chosen) => {
            say(state, object, all_is_well(), Some(&chosen)).await?;
            Ok(Next::OnEvent)
        }
        None => {
            let condition = Condition::new(
                "Synced",
                false,
                "NoSuperCluster",
                "no super cluster is ready and fits spec.placement",
                Timestamp::now(),
            );
            say(state, object, condition, None).await?;
            Ok(Next::After(PLACE_AGAIN))
        }
    }
}

/// True when a tenant's `Synced` condition says that it is.
fn says(object: &Object) -> Result<bool, ApiError> {
    let tenant: tenancy::Tenant = object.decode()?;
    let is_true = |c: &Condition| c.kind == "Synced" && c.status == ConditionStatus::True;
    Ok(tenant.status.conditions.iter().any(is_true))
}

/// Writes the `Synced` condition, and the super cluster when one was chosen.
async fn say(
    state: &Arc<State>,
    object: &Object,
    condition: Condition,
    chosen: Option<&str>,
) -> Result<(), ApiError> {
    let tenant: tenancy::Tenant = object.decode()?;
    let mut conditions = tenant.status.conditions;
    let changed = condition::set(&mut conditions, condition.observed(object.meta.generation));
    if !changed && chosen.is_none() {
        return Ok(());
    }
    let mut status = json!({"conditions": conditions});
    if let Some(name) = chosen {
        status["superCluster"] = json!(name);
    }
    let patch = json!({"metadata": {"uid": tenant.metadata.uid, "resourceVersion": object.revision.to_string()},
        "status": status});
    let target = Target::new(TenantId::HOST, &TENANTS, "", &tenant.metadata.name).subresource("status");
    let client = state.client()?;
    client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await.map(drop)
}

/// Removes everything of the tenant from its super clusters, then our finalizer.
async fn leave(state: &Arc<State>, view: &TenantView, object: &Object) -> Result<Next, ApiError> {
    if !view.finalizer {
        return Ok(Next::OnEvent);
    }
    if let Some(name) = &view.super_cluster
        && state.super_cluster(name).is_none()
    {
        let at = ObjectName::cluster(name);
        let client = state.client()?;
        if client.get(TenantId::HOST, &SUPER_CLUSTERS.group_resource(), &at).await?.is_some() {
            return Err(ApiError::unavailable("the tenant's super cluster is not connected", 1));
        }
        // The admin took the SuperCluster away: what was in it is no longer ours to remove.
        tracing::warn!(tenant = %view.name, cluster = %name, "the tenant's SuperCluster is gone; nothing is removed there");
    }
    let mut left = 0;
    for cluster in state.super_clusters() {
        cluster.cache.forget_slices(view.id);
        cluster.settled.forget(view.id);
        let is_its = view.super_cluster.as_deref() == Some(&cluster.name);
        let has_objects = || !cluster.cache.all_of_tenant(view.id).is_empty();
        if is_its || has_objects() {
            left += empty(state, &cluster, view).await?;
        }
    }
    if left > 0 {
        tracing::debug!(tenant = %view.name, left, "objects of the tenant are still in super clusters");
        return Ok(Next::After(LOOK_AGAIN));
    }
    let finalizers: Vec<&str> =
        object.meta.finalizers.iter().map(|f| f.as_str()).filter(|f| *f != labels::SUPER_FINALIZER).collect();
    let patch = json!({"metadata": {"finalizers": finalizers, "uid": object.meta.uid.as_str(),
        "resourceVersion": object.revision.to_string()}});
    let target = Target::new(TenantId::HOST, &TENANTS, "", &view.name);
    let client = state.client()?;
    match client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await {
        Err(error) if error.is_not_found() => Ok(Next::OnEvent),
        done => done.map(|_| Next::OnEvent),
    }
}

/// Deletes what there is of the tenant in one super cluster. How much that was.
///
/// What the watches know of is deleted first, at no cost to the super cluster for as long as that takes; when they know of
/// nothing more, a listing of every kind is to find nothing either.
async fn empty(state: &State, cluster: &SuperCluster, view: &TenantView) -> Result<usize, ApiError> {
    // Namespaces first: with them goes what is in them, in the order that the cluster knows best.
    let labelled = || Kind::ALL.into_iter().filter(|kind| kind.labelled());
    let known = || labelled().flat_map(|kind| cluster.cache.of_tenant(kind, view.id)).collect::<Vec<_>>();
    let mut left = known();
    if left.is_empty() {
        for kind in labelled() {
            for object in cluster.api.list(kind.resource(), "", &kind.selector(Some(view.id))).await? {
                state.due(cluster.cache.apply(kind, object));
            }
        }
        left = known();
    }
    for object in &left {
        let is_its = |namespace: &Cached| namespace.identity.as_ref().is_some_and(|i| i.tenant == view.id);
        let goes_with_its_namespace = object.kind != Kind::Namespace
            && cluster.cache.get(Kind::Namespace, "", &object.at.namespace).is_some_and(|n| is_its(&n));
        if !goes_with_its_namespace && !object.deleting {
            delete(state, cluster, object).await?;
        }
    }
    Ok(left.len())
}

async fn delete(state: &State, cluster: &SuperCluster, object: &Cached) -> Result<(), ApiError> {
    let at = At::new(&object.at.namespace, &object.at.name);
    let how = Delete { uid: Some(object.uid.to_string()), ..Delete::default() };
    match cluster.api.delete(object.kind.resource(), &at, &how).await {
        // No watch needs to tell what this has told.
        Err(error) if error.is_not_found() || error.is_conflict() => {
            state.due(cluster.cache.forget(object.kind, &object.at, &object.uid));
            Ok(())
        }
        done => done,
    }
}
