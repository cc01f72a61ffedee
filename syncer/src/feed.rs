//! What makes keys due: changes of tenants' objects, and of tenants and their profiles. And a word on rules.

use crate::kinds::{Key, Kind};
use crate::metrics::Direction;
use crate::names;
use crate::state::{News, State};
use crate::work::ACTOR;
use api_types::condition::{self, Condition};
use api_types::tenancy::{SYNC_RULES, SyncRule, TENANT_PROFILES, TENANTS, TenantProfile};
use api_types::{ApiError, TenantId};
use jiff::Timestamp;
use plane_client::{Object, Patch, PlaneClient, Scope, Target, Watch, WatchItem, Write};
use serde_json::json;
use service_runtime::Shutdown;
use std::collections::HashSet;
use std::sync::Arc;

/// Turns changes of one kind in all tenants into keys, until shutdown.
pub async fn objects(state: Arc<State>, client: Arc<dyn PlaneClient>, kind: Kind, shutdown: Shutdown) {
    let mut watch = Watch::new(client, kind.group_resource(), Scope::Tenants, shutdown);
    let mut is_listed = false;
    while let Some(item) = watch.next().await {
        if matches!(item, WatchItem::Synced) {
            is_listed = true;
        }
        if let WatchItem::Deleted(claim) = &item
            && kind == Kind::Claim
        {
            let volume = names::volume(&claim.meta.uid);
            state.queue.add(claim.tenant, Key::object(Kind::Volume, "", volume));
        }
        if let WatchItem::Applied(object) | WatchItem::Deleted(object) = item {
            let news = if is_listed { News::Changed } else { News::Listed };
            state.heard(Direction::Down, news, [(object.tenant, Key::Object(kind, object.name))]);
        }
    }
}

/// Keeps the tenants known, until shutdown.
pub async fn tenants(state: Arc<State>, client: Arc<dyn PlaneClient>, shutdown: Shutdown) {
    let resource = TENANTS.group_resource();
    let mut watch = Watch::new(client.clone(), resource, Scope::One(TenantId::HOST), shutdown);
    while let Some(item) = watch.next().await {
        match item {
            WatchItem::Applied(object) => tenant(&state, &object),
            WatchItem::Deleted(object) => {
                if let Some(id) = TenantId::parse(&object.meta.uid) {
                    forget(&state, id);
                }
            }
            WatchItem::Synced => match client.list(TenantId::HOST, &TENANTS.group_resource(), "").await {
                Ok(listed) => forget_others(&state, &listed),
                Err(error) => tracing::warn!(%error, "the tenants could not be listed"),
            },
        }
    }
}

fn tenant(state: &State, object: &Object) {
    let Some(now) = object.value().ok().and_then(|value| state.take_tenant(value)) else {
        tracing::error!(tenant = %object.name, "a Tenant cannot be decoded; it is not synced");
        return;
    };
    state.queue.add(now.id, Key::Tenant(now.name.clone()));
}

/// A watch that was interrupted does not tell what was deleted meanwhile.
fn forget_others(state: &State, listed: &[Object]) {
    let there: HashSet<TenantId> = listed.iter().filter_map(|t| TenantId::parse(&t.meta.uid)).collect();
    for gone in state.tenants.all().iter().filter(|known| !there.contains(&known.id)) {
        forget(state, gone.id);
    }
}

fn forget(state: &State, id: TenantId) {
    state.tenants.remove(id);
    state.set_weight(id, 1);
    state.metrics.forget(id);
    for cluster in state.super_clusters() {
        cluster.settled.forget(id);
        cluster.cache.forget_slices(id);
    }
}

/// Keeps the profiles known, until shutdown.
pub async fn profiles(state: Arc<State>, client: Arc<dyn PlaneClient>, shutdown: Shutdown) {
    let resource = TENANT_PROFILES.group_resource();
    let mut watch = Watch::new(client, resource, Scope::One(TenantId::HOST), shutdown);
    while let Some(item) = watch.next().await {
        let (object, is_there) = match item {
            WatchItem::Applied(object) => (object, true),
            WatchItem::Deleted(object) => (object, false),
            WatchItem::Synced => continue,
        };
        let profile = if is_there { object.decode::<TenantProfile>().ok().map(|p| p.spec) } else { None };
        for tenant in state.tenants.apply_profile(&object.name.name, profile) {
            state.learnt(&tenant);
        }
    }
}

/// Says of every `SyncRule` that it is not in force, until shutdown.
pub async fn rules(client: Arc<dyn PlaneClient>, shutdown: Shutdown) {
    let resource = SYNC_RULES.group_resource();
    let mut watch = Watch::new(client.clone(), resource, Scope::One(TenantId::HOST), shutdown);
    while let Some(item) = watch.next().await {
        let WatchItem::Applied(object) = item else { continue };
        if let Err(error) = refuse_rule(&client, &object).await {
            tracing::warn!(rule = %object.name, %error, "the status of a SyncRule could not be written");
        }
    }
}

async fn refuse_rule(client: &Arc<dyn PlaneClient>, object: &Object) -> Result<(), ApiError> {
    let mut conditions = object.decode::<SyncRule>()?.status.conditions;
    let why = "rules for more kinds are not supported yet";
    let refusal = Condition::new("Ready", false, "NotSupported", why, Timestamp::now());
    if !condition::set(&mut conditions, refusal.observed(object.meta.generation)) {
        return Ok(());
    }
    let patch = json!({"metadata": {"uid": object.meta.uid.as_str()}, "status": {"conditions": conditions}});
    let target = Target::new(TenantId::HOST, &SYNC_RULES, "", &object.name.name).subresource("status");
    client.write(&ACTOR, &target, Write::Patch(Patch::Merge(patch))).await.map(drop)
}
