//! Removes events that nothing has changed for an hour, or for as long as the installation says (`--event-ttl` of
//! kube-apiserver), in every plane.
//!
//! Guarantees: an event that is written again while it is looked at stays. Limits: it is looked for old events every half a
//! minute at most, so that they may live that much longer; a new event is taken to be younger than those that are there. Of a plane without events nothing is kept.

use crate::access::{Access, elements, text};
use crate::resources::EVENTS;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use plane_client::{
    ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, Scope, Seen, TenantId, Trigger,
};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often it is looked for old events, at most.
const AT_MOST_EVERY: Duration = Duration::from_secs(30);
/// Events that are looked at without letting others work.
const AT_ONCE: usize = 64;

/// The reconciler of old events; its one key for each plane is all of them.
pub(crate) struct EventExpiry {
    access: Access,
    ttl: SignedDuration,
    /// Planes whose events will be looked at without being told of another one.
    planned: Arc<Mutex<HashSet<TenantId>>>,
}

impl EventExpiry {
    pub(crate) fn new(client: Arc<dyn PlaneClient>, ttl: Duration) -> Self {
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        EventExpiry { access: Access::new(client, "event-expiry"), ttl, planned: Arc::default() }
    }

    /// Deletes the event if it is old; tells how long it has left otherwise.
    async fn left(&self, tenant: TenantId, event: &Value, now: Timestamp) -> Result<Duration, ApiError> {
        let age = now.duration_since(last_written(event).unwrap_or(now));
        if let Ok(left) = Duration::try_from(self.ttl - age)
            && !left.is_zero()
        {
            return Ok(left);
        }
        let as_it_is = Some(text(event, "/metadata/resourceVersion").to_owned());
        let how = Delete { resource_version: as_it_is, ..Delete::default() };
        match self.access.delete(tenant, &EVENTS, event, how).await {
            Err(error) if error.is_conflict() => Ok(AT_MOST_EVERY),
            done => done.map(|()| Duration::MAX),
        }
    }
}

/// When an object was written last, as its managers say.
fn last_written(object: &Value) -> Option<Timestamp> {
    let managed = elements(object, "/metadata/managedFields").iter().map(|entry| text(entry, "/time"));
    let times = managed.chain([text(object, "/metadata/creationTimestamp")]);
    times.filter_map(|time| time.parse().ok()).max()
}

#[async_trait]
impl Reconciler for EventExpiry {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        let planned = self.planned.clone();
        vec![Trigger::seen(EVENTS.group_resource(), Scope::All, move |event, seen| {
            let is_new = seen == Seen::There
                && planned.lock().unwrap_or_else(PoisonError::into_inner).insert(event.tenant);
            if is_new { vec![ObjectName::cluster("events")] } else { Vec::new() }
        })]
    }

    async fn reconcile(&self, tenant: TenantId, _: &ObjectName) -> Result<Next, ApiError> {
        let planned = || self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        // An event that comes from now on makes the key due, whether it is in the list or not.
        planned().remove(&tenant);
        let (now, mut next) = (Timestamp::now(), Duration::MAX);
        for (index, event) in self.access.list(tenant, &EVENTS, "").await?.iter().enumerate() {
            next = next.min(self.left(tenant, &event.value()?, now).await?);
            if index % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        if next == Duration::MAX {
            return Ok(Next::OnEvent);
        }
        planned().insert(tenant);
        Ok(Next::After(next.max(AT_MOST_EVERY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use serde_json::json;
    use service_runtime::Shutdown;

    const TTL: Duration = Duration::from_secs(3_600);

    fn ago(seconds: i64) -> String {
        (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
    }

    fn event(name: &str, created: i64, written: Option<i64>) -> Value {
        let mut event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "n",
            "creationTimestamp": ago(created)}});
        if let Some(written) = written {
            event["metadata"]["managedFields"] = json!([{"time": ago(written)}]);
        }
        event
    }

    #[test]
    fn what_was_written_last_counts() {
        let written = |event: &Value| last_written(event).map(|at| at.to_string());
        let mut event = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(written(&event).unwrap(), "2026-01-01T00:00:00Z");
        event["metadata"]["managedFields"] =
            json!([{"time": "2026-01-01T00:00:07Z"}, {"time": "2026-01-01T00:00:05Z"}, {}]);
        assert_eq!(written(&event).unwrap(), "2026-01-01T00:00:07Z");
        assert_eq!(written(&json!({})), None);
    }

    #[tokio::test(start_paused = true)]
    async fn old_events_go_and_new_ones_stay() {
        let planes = FakePlanes::new();
        let tenant = TenantId::parse("00000000-0000-4000-8000-0000000000ff").unwrap();
        planes.put(tenant, event("old", 3_700, None));
        planes.put(tenant, event("again", 3_700, Some(10)));
        planes.put(tenant, event("new", 10, None));
        let reconciler = Arc::new(EventExpiry::new(planes.client(), TTL));
        tokio::spawn(Controller::new(planes.client(), reconciler.clone(), 2).run(Shutdown::new()));
        let events = EVENTS.group_resource();
        let gone = |found: Option<&Value>| found.is_none();
        planes.wait_for(tenant, &events, "n", "old", gone).await;
        assert!(["again", "new"].iter().all(|name| planes.find(tenant, &events, "n", name).is_some()));
        for name in ["again", "new"] {
            planes.remove(tenant, &events, "n", name);
        }
        let key = ObjectName::cluster("events");
        assert_eq!(reconciler.reconcile(tenant, &key).await.unwrap(), Next::OnEvent);
        assert!(reconciler.planned.lock().unwrap().is_empty());
        // The first one of a plane makes it be looked at.
        planes.put(tenant, event("first", 3_700, None));
        planes.wait_for(tenant, &events, "n", "first", gone).await;
    }
}
