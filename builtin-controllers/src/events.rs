//! Events (`v1`), recorded beside the work.
//!
//! Guarantees: work never waits for an event and never fails by one; the same event again raises the count of
//! the first; events about one object that differ in their message only become one ([`similar`]); tenants take turns
//! ([`waiting`]). Caveat: when 4,096 events of a controller wait, new ones of tenants that have one waiting already are left
//! out, and logged.

mod similar;
mod waiting;

use crate::access::{at, refused_by_ending_namespace, text};
use crate::resources::EVENTS;
use api_types::condition::whole_seconds;
use futures::future::join_all;
use jiff::Timestamp;
use plane_client::{Actor, ApiError, ObjectName, Patch, PlaneClient, Target, TenantId, Write};
use serde_json::{Map, Value, json};
use similar::Similar;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;
use waiting::{Sender, Told};

/// How many are written at a time.
const PARALLEL: usize = 32;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    tenant: TenantId,
    namespace: String,
    /// Tells this event from others.
    name: String,
    body: Value,
}

impl Event {
    /// An event about an object.
    pub(crate) fn new(
        tenant: TenantId,
        about: &Value,
        component: &str,
        severity: Severity,
        reason: &str,
        message: &str,
    ) -> Self {
        let namespace = match text(about, "/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        };
        let name = event_name(about, component, reason, message);
        let mut involved = Map::new();
        for (field, pointer) in [
            ("apiVersion", "/apiVersion"),
            ("kind", "/kind"),
            ("namespace", "/metadata/namespace"),
            ("name", "/metadata/name"),
            ("uid", "/metadata/uid"),
            ("resourceVersion", "/metadata/resourceVersion"),
        ] {
            if let Some(value) = at(about, pointer).filter(|value| value.is_string()) {
                involved.insert(field.to_owned(), value.clone());
            }
        }
        let now = whole_seconds(Timestamp::now());
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "type": match severity { Severity::Normal => "Normal", Severity::Warning => "Warning" },
            "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now,
            "source": {"component": component},
            "reportingComponent": component, "reportingInstance": "",
        });
        Event { tenant, namespace: namespace.to_owned(), name, body }
    }
}

/// The name of an event: the object's name and what tells this event from others about it.
fn event_name(about: &Value, component: &str, reason: &str, message: &str) -> String {
    let uid = text(about, "/metadata/uid");
    let hash = crate::hash::short(&[component, uid, reason, message].join("\n"), 16);
    let name: String = text(about, "/metadata/name").chars().take(200).collect();
    format!("{}.{hash}", name.trim_end_matches(['.', '-']))
}

/// Takes events to record. Clones share one task, which ends when the last clone is gone and what waits is
/// written; should it fail, events are left out and logged.
#[derive(Clone)]
pub(crate) struct Recorder {
    waiting: Arc<Sender>,
    component: &'static str,
}

impl Recorder {
    /// Must be called within a runtime.
    pub(crate) fn new(client: Arc<dyn PlaneClient>, component: &'static str) -> Self {
        let (waiting, events) = waiting::queue();
        tokio::spawn(async move {
            let mut similar = Similar::default();
            loop {
                let batch = events.take(PARALLEL).await;
                if batch.is_empty() {
                    return;
                }
                // Several that become one event are one with a count, or they would race for its name.
                let mut counted: BTreeMap<(TenantId, String, String), Told> = BTreeMap::new();
                let now = Instant::now();
                for (event, count) in batch {
                    let Some(event) = similar.admit(event, now) else { continue };
                    let key = (event.tenant, event.namespace.clone(), event.name.clone());
                    let known = counted.get(&key).map_or(0, |(_, count)| *count);
                    counted.insert(key, (event, known + count));
                }
                let writes = counted.values().map(|(event, count)| write(&*client, component, event, *count));
                let results: Vec<Result<(), ApiError>> = join_all(writes).await;
                for error in results.into_iter().filter_map(Result::err) {
                    if !refused_by_ending_namespace(&error) {
                        tracing::debug!(controller = component, %error, "an event was not recorded");
                    }
                }
            }
        });
        Recorder { waiting: Arc::new(waiting), component }
    }

    /// Records an event; when too many wait, perhaps not.
    pub(crate) fn record(&self, event: Event) {
        if let Some(left_out) = self.waiting.put(event) {
            tracing::debug!(controller = self.component, tenant = %left_out.tenant, "an event was left out");
        }
    }
}

async fn write(
    client: &dyn PlaneClient,
    component: &'static str,
    event: &Event,
    count: i64,
) -> Result<(), ApiError> {
    let actor = Actor::Platform(component);
    let name = ObjectName::new(&event.namespace, &event.name);
    let target = Target::new(event.tenant, &EVENTS, &event.namespace, &event.name);
    if let Some(known) = client.get(event.tenant, &EVENTS.group_resource(), &name).await? {
        let known = known.value()?["count"].as_i64().unwrap_or(1);
        let body = &event.body;
        let patch = json!({"count": known + count, "lastTimestamp": body["lastTimestamp"], "message": body["message"]});
        return client.write(&actor, &target, Write::Patch(Patch::Merge(patch))).await.map(|_| ());
    }
    let mut body = event.body.clone();
    body["count"] = count.into();
    client.write(&actor, &target, Write::Create(body)).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;

    #[test]
    fn names_fit_and_tell_apart() {
        let about = json!({"metadata": {"name": "x".repeat(253), "uid": "u"}});
        let (a, b) = (event_name(&about, "c", "r", "m"), event_name(&about, "c", "r", "n"));
        assert!(a.len() <= 253 && a != b);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_event_is_counted() {
        let planes = FakePlanes::new();
        let recorder = Recorder::new(planes.client(), "tester");
        let about = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "uid": "u"}});
        let event =
            |message| Event::new(TenantId::HOST, &about, "tester", Severity::Warning, "Failed", message);
        for message in ["a", "a", "b"] {
            recorder.record(event(message));
        }
        let counts = |planes: &FakePlanes| -> Vec<i64> {
            let events = planes.all(TenantId::HOST, &EVENTS.group_resource(), "ns");
            let mut counts: Vec<i64> = events.iter().map(|event| event["count"].as_i64().unwrap()).collect();
            counts.sort_unstable();
            counts
        };
        planes.wait_until("both", |planes| counts(planes) == [1, 2]).await;
        recorder.record(event("b"));
        planes.wait_until("again", |planes| counts(planes) == [2, 2]).await;
    }
}
