//! One super cluster, watched: one watch for each kind over all tenants, its health, and its patrol.

use crate::classes::published;
use crate::clusters::{Counts, say};
use crate::events::about;
use crate::kinds::{Key, Kind};
use crate::metrics::Direction;
use crate::options::Options;
use crate::ownership::Identity;
use crate::patrol;
use crate::shared_service;
use crate::state::{Health, News, State, SuperCluster, UNREACHABLE};
use crate::super_api::SuperItem;
use crate::translation::{has_condition, meta_text, name_of, text};
use crate::work::EVENTS;
use crate::worker::worker;
use api_types::tenancy::{NodeView, SUPER_CLUSTERS};
use api_types::{ApiError, ObjectName, Reason, TenantId};
use parking_lot::Mutex;
use plane_client::PlaneClient;
use serde_json::Value;
use service_runtime::{Rank, Shutdown};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long a super cluster may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether anybody waits for what is free.
const LOOKED_AFTER: Duration = Duration::from_millis(100);

/// What the watches of one super cluster tell its health loop.
#[derive(Default)]
struct Signals {
    /// Watches that fail, and why.
    failing: Mutex<BTreeMap<&'static str, String>>,
    /// Something of it changed.
    changed: Notify,
}

/// Watches a super cluster until it is let go.
pub async fn run(
    state: Arc<State>,
    client: Arc<dyn PlaneClient>,
    cluster: Arc<SuperCluster>,
    options: Options,
    stop: Shutdown,
) {
    let signals = Arc::new(Signals::default());
    let mut tasks = JoinSet::new();
    // Each ends when `stop` is given, and tries again on every error.
    for kind in Kind::ALL {
        tasks.spawn(follow(state.clone(), cluster.clone(), kind, signals.clone(), stop.clone()));
    }
    tasks.spawn(follow_events(state.clone(), cluster.clone(), signals.clone(), stop.clone()));
    tasks.spawn(look_after(state.clone(), cluster.clone(), stop.clone()));
    tasks.spawn(patrol::run(state.clone(), client.clone(), cluster.clone(), options.clone(), stop.clone()));
    for _ in 0..options.workers.max(1) {
        tasks.spawn(worker(state.clone(), client.clone(), stop.clone()));
    }
    tasks.spawn(health(state, client, cluster, options, signals, stop.clone()));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of a super cluster failed");
        }
    }
}

async fn follow(
    state: Arc<State>,
    cluster: Arc<SuperCluster>,
    kind: Kind,
    signals: Arc<Signals>,
    stop: Shutdown,
) {
    let selector = kind.selector(None);
    let mut watch = cluster.api.list_watch(kind.resource(), &selector);
    let mut news = News::Listed;
    loop {
        let item = tokio::select! {
            item = watch.recv() => item,
            () = stop.requested() => return,
        };
        match item {
            Some(SuperItem::Restart) => {
                news = News::Listed;
                cluster.cache.restart(kind);
            }
            Some(SuperItem::Applied(object)) => {
                let name = meta_text(&object, "name").to_owned();
                note_pod(&state, &cluster, kind, &object);
                let news = match news {
                    News::Changed if is_on_its_way(kind, &object) => News::OnItsWay,
                    news => news,
                };
                state.heard(Direction::Up, news, cluster.cache.apply(kind, object));
                seen(&state, &cluster, kind, &name);
            }
            Some(SuperItem::Deleted(object)) => {
                if kind == Kind::Pod {
                    cluster.unscheduled.leave(&state.queue, &name_of(&object));
                }
                state.heard(Direction::Up, news, cluster.cache.remove(kind, &object));
                seen(&state, &cluster, kind, meta_text(&object, "name"));
            }
            Some(SuperItem::Synced) => {
                news = News::Changed;
                let was_known = cluster.is_known();
                cluster.unreadable.lock().remove(&kind);
                state.heard(Direction::Up, news, cluster.cache.synced(kind));
                settled(&state, &cluster, kind, &signals, was_known);
            }
            Some(SuperItem::Failed(error)) if is_done_without(kind, &error) => {
                let was_known = cluster.is_known();
                let said = cluster.unreadable.lock().insert(kind, error.to_string());
                if said.is_none() {
                    tracing::warn!(cluster = %cluster.name, kind = kind.name(), %error, "tenants do not see these classes");
                }
                cluster.cache.given_up(kind);
                settled(&state, &cluster, kind, &signals, was_known);
            }
            Some(SuperItem::Failed(error)) => {
                tracing::warn!(cluster = %cluster.name, kind = kind.name(), %error, "a watch failed");
                signals.failing.lock().insert(kind.name(), error.to_string());
                signals.changed.notify_one();
            }
            None => {
                watch = cluster.api.list_watch(kind.resource(), &selector);
            }
        }
    }
}

/// Classes are only shown to tenants: a super cluster whose rights are of before them is as good without.
pub fn is_done_without(kind: Kind, error: &ApiError) -> bool {
    Kind::CLASSES.contains(&kind) && error.reason() == Reason::Forbidden
}

/// A kind has no watch that fails any more. With the last of them, everything in the cluster is known.
fn settled(state: &State, cluster: &SuperCluster, kind: Kind, signals: &Signals, was_known: bool) {
    if signals.failing.lock().remove(kind.name()).is_some() || cluster.is_known() {
        signals.changed.notify_one();
    }
    if !was_known && cluster.is_known() {
        cluster.forget_former();
        tenants_due(state, cluster);
    }
}

/// A pod that is not said to run yet, and is not being deleted.
fn is_on_its_way(kind: Kind, object: &Value) -> bool {
    let is_deleting = object["metadata"]["deletionTimestamp"].is_string();
    kind == Kind::Pod && !is_deleting && matches!(text(&object["status"], "phase"), "" | "Pending")
}

/// Before a worker can see it.
fn note_pod(state: &State, cluster: &SuperCluster, kind: Kind, object: &Value) {
    if kind != Kind::Pod {
        return;
    }
    cluster.unscheduled.heard(&state.queue, object);
    if has_condition(object, "Ready", "True")
        && let Some(identity) = Identity::of(object)
    {
        state.metrics.heard_ready(identity.tenant, &ObjectName::new(&identity.namespace, &identity.name));
    }
}

/// Sees to it that nobody waits for what is free, until the cluster is let go.
async fn look_after(state: Arc<State>, cluster: Arc<SuperCluster>, stop: Shutdown) {
    let mut ticks = tokio::time::interval(LOOKED_AFTER);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.requested() => return,
        }
        cluster.seats.look_after(&state.queue);
        cluster.unscheduled.look_after(&state.queue);
    }
}

/// An object of the super cluster's own changed: it is due for the tenants that may see it.
pub fn seen(state: &State, cluster: &SuperCluster, kind: Kind, name: &str) {
    match kind {
        Kind::Node => node_due(state, cluster, name),
        kind if Kind::CLASSES.contains(&kind) => {
            for tenant in state.tenants.all() {
                let is_there = tenant.super_cluster.as_deref() == Some(&cluster.name);
                let shown =
                    published(&tenant, kind).into_iter().filter(|(_, there)| is_there && *there == name);
                state.due(shown.map(|(own, _)| (tenant.id, Key::object(kind, "", own))));
            }
        }
        Kind::Volume => {
            let volume = cluster.cache.get(Kind::Volume, "", name).and_then(|known| known.value().ok());
            let claim = volume.map(|volume| volume["spec"]["claimRef"].clone()).unwrap_or_default();
            let (namespace, name) = (text(&claim, "namespace"), text(&claim, "name"));
            state.due(cluster.cache.get(Kind::Claim, namespace, name).and_then(|claim| claim.due()));
        }
        _ => {}
    }
}

fn node_due(state: &State, cluster: &SuperCluster, node: &str) {
    let key = || Key::object(Kind::Node, "", node);
    state.due(cluster.cache.tenants_on(node).into_iter().map(|tenant| (tenant, key())));
    let wide = |view: NodeView| view != NodeView::Used;
    let all = state.tenants.all().into_iter();
    let seeing = all.filter(|t| wide(t.spec.sync.nodes) && t.super_cluster.as_deref() == Some(&cluster.name));
    state.due(seeing.map(|t| (t.id, key())));
}

/// Everything in the cluster is known: now its tenants can be worked on.
fn tenants_due(state: &State, cluster: &SuperCluster) {
    for tenant in state.tenants.all() {
        if tenant.super_cluster.as_deref() == Some(&cluster.name) {
            state.queue.add(tenant.id, Key::Everything);
        }
    }
}

async fn follow_events(state: Arc<State>, cluster: Arc<SuperCluster>, signals: Arc<Signals>, stop: Shutdown) {
    let mut watch = cluster.api.list_watch(&EVENTS, "");
    loop {
        let item = tokio::select! {
            item = watch.recv() => item,
            () = stop.requested() => return,
        };
        match item {
            Some(SuperItem::Applied(event)) => note_event(&state, &cluster, event),
            Some(SuperItem::Synced) => {
                if signals.failing.lock().remove("Event").is_some() {
                    signals.changed.notify_one();
                }
            }
            Some(SuperItem::Failed(error)) => {
                signals.failing.lock().insert("Event", error.to_string());
                signals.changed.notify_one();
            }
            Some(SuperItem::Restart | SuperItem::Deleted(_)) => {}
            None => watch = cluster.api.list_watch(&EVENTS, ""),
        }
    }
}

/// Keeps an event that is about a tenant's object until the tenant's turn.
fn note_event(state: &State, cluster: &SuperCluster, event: Value) {
    let Some((_, super_namespace, _)) = about(&event) else { return };
    let namespace = cluster.cache.get(Kind::Namespace, "", super_namespace);
    let Some(tenant) = namespace.and_then(|n| n.identity.as_ref().map(|i| i.tenant)) else { return };
    let (namespace, name) = (super_namespace.to_owned(), meta_text(&event, "name").to_owned());
    if cluster.keep_event(&namespace, &name, event) {
        state.queue.add_ranked(tenant, Key::Event(ObjectName::new(namespace, name)), Rank::Last);
    } else {
        tracing::debug!(cluster = %cluster.name, "too many events wait; one was left out");
    }
}

async fn health(
    state: Arc<State>,
    client: Arc<dyn PlaneClient>,
    cluster: Arc<SuperCluster>,
    options: Options,
    signals: Arc<Signals>,
    stop: Shutdown,
) {
    loop {
        let (before, health) = (cluster.health(), look(&cluster, &options, &signals).await);
        if cluster.set_health(health.clone()) {
            tracing::info!(cluster = %cluster.name, ?health, "the health of a super cluster changed");
            if is_away(&before) && !is_away(&health) {
                // What was put off while it was away does not wait for its time.
                tenants_due(&state, &cluster);
            }
            for tenant in state.tenants.all() {
                let on_it = tenant.super_cluster.as_deref().is_none_or(|name| name == cluster.name);
                if on_it {
                    state.queue.add(tenant.id, Key::Tenant(tenant.name.clone()));
                }
            }
        }
        let counts = Counts {
            nodes: cluster.cache.all(Kind::Node).len(),
            tenants: state
                .tenants
                .all()
                .iter()
                .filter(|t| t.super_cluster.as_deref() == Some(&cluster.name))
                .count(),
        };
        let at = ObjectName::cluster(&cluster.name);
        if let Ok(Some(object)) = client.get(TenantId::HOST, &SUPER_CLUSTERS.group_resource(), &at).await {
            say(&client, &object, &health, Some(counts)).await;
        }
        tokio::select! {
            () = tokio::time::sleep(options.health) => {}
            () = signals.changed.notified() => {}
            () = stop.requested() => return,
        }
    }
}

fn is_away(health: &Health) -> bool {
    matches!(health, Health::Failed(UNREACHABLE, _))
}

async fn look(cluster: &SuperCluster, options: &Options, signals: &Signals) -> Health {
    let version = match tokio::time::timeout(PATIENCE, cluster.api.version()).await {
        Ok(Ok(version)) => version,
        Ok(Err(error)) => return Health::Failed(UNREACHABLE, error.to_string()),
        Err(_) => return Health::Failed(UNREACHABLE, format!("no answer in {} s", PATIENCE.as_secs())),
    };
    let failing = signals.failing.lock().iter().next().map(|(kind, error)| format!("{kind}: {error}"));
    if let Some(failing) = failing {
        return Health::Failed("WatchFailed", failing);
    }
    if !cluster.is_known() {
        return Health::Unknown;
    }
    if let Err(error) = shared_service::ensure(cluster, options.api_address.as_ref()).await {
        return Health::Failed("SharedServiceFailed", error.to_string());
    }
    let unreadable = cluster.unreadable.lock();
    let lacks: Vec<String> = unreadable.iter().map(|(kind, why)| format!("{}: {why}", kind.name())).collect();
    Health::Ready { version, lacks: lacks.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_on_their_way_until_they_run_or_go() {
        let deleting = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        for (kind, object, expected) in [
            (Kind::Pod, json!({"spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}), true),
            (Kind::Pod, json!({"status": {}}), true),
            (Kind::Pod, json!({"status": {"phase": "Running"}}), false),
            (Kind::Pod, json!({"status": {"phase": "Failed"}}), false),
            (Kind::Pod, json!({"metadata": deleting, "status": {"phase": "Pending"}}), false),
            (Kind::Claim, json!({"status": {"phase": "Pending"}}), false),
        ] {
            assert_eq!(is_on_its_way(kind, &object), expected, "{kind:?} {object}");
        }
    }
}
