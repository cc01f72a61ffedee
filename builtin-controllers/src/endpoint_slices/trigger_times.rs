//! When what changed the endpoints of a Service happened, told in `endpoints.kubernetes.io/last-change-trigger-time`
//! on what is written, so that who reads endpoints can tell how late they are.

use crate::access::{elements, text};
use crate::conditions;
use jiff::Timestamp;
use plane_client::{ObjectName, TenantId};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What was seen of a Service last.
struct Seen {
    created: Timestamp,
    /// By pod: when its readiness changed.
    pods: HashMap<String, Timestamp>,
}

/// What was seen of Services.
#[derive(Default)]
pub(super) struct TriggerTimes(Mutex<HashMap<(TenantId, ObjectName), Seen>>);

impl TriggerTimes {
    /// The first of the changes since this Service was looked at last; `None`: none says its time. Of a Service that
    /// was not looked at before, it is its creation.
    pub(super) fn next(
        &self,
        tenant: TenantId,
        key: &ObjectName,
        service: &Value,
        pods: &[Value],
    ) -> Option<Timestamp> {
        let created = conditions::time(&service["metadata"]["creationTimestamp"])?;
        let times = pods.iter().filter_map(|pod| {
            let ready = conditions::find(elements(pod, "/status/conditions"), "Ready")?;
            let changed = conditions::time(&ready["lastTransitionTime"])?;
            Some((text(pod, "/metadata/name").to_owned(), changed))
        });
        let now = Seen { created, pods: times.collect() };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = all.entry((tenant, key.clone()));
        let std::collections::hash_map::Entry::Occupied(mut known) = slot else {
            slot.or_insert(now);
            return Some(created);
        };
        let before = known.get();
        let is_later =
            |(pod, time): &(&String, &Timestamp)| before.pods.get(*pod).is_none_or(|at| time > &at);
        let changed = now.pods.iter().filter(is_later).map(|(_, time)| *time);
        let first = changed.chain((created > before.created).then_some(created)).min();
        known.insert(now);
        first
    }

    /// Forgets a Service.
    pub(super) fn forget(&self, tenant: TenantId, key: &ObjectName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(tenant, key.clone()));
    }
}

/// Says the time on an object that is about to be written.
pub(super) fn mark(object: &mut Value, time: Option<Timestamp>) {
    match time {
        Some(time) => object["metadata"]["annotations"][ANNOTATION] = time.to_string().into(),
        None => {
            if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                annotations.remove(ANNOTATION);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_change_since_the_last_look_is_told() {
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
        let pod = |name: &str, second: u32| {
            json!({"metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(second)}]}})
        };
        let (times, tenant) = (TriggerTimes::default(), TenantId::HOST);
        let key = ObjectName::new("ns", "web");
        let next = |second, pods: &[Value]| {
            let service = json!({"metadata": {"creationTimestamp": at(second)}});
            times.next(tenant, &key, &service, pods).map(|time| time.to_string())
        };
        for (case, pods, expected) in [
            ("a Service that is new", vec![pod("a", 5)], Some(at(1))),
            ("nothing changed", vec![pod("a", 5)], None),
            ("two changed", vec![pod("a", 9), pod("b", 7)], Some(at(7))),
            ("one went", vec![pod("b", 7)], None),
            ("it came again", vec![pod("b", 7), pod("a", 9)], Some(at(9))),
        ] {
            assert_eq!(next(1, &pods), expected, "{case}");
        }
        assert_eq!(next(20, &[pod("b", 7)]), Some(at(20)), "a Service of the same name");
        times.forget(tenant, &key);
        assert_eq!(next(1, &[]), Some(at(1)));
    }

    #[test]
    fn the_time_is_marked_and_the_mark_removed() {
        let mut object = json!({"metadata": {}});
        mark(&mut object, "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(object["metadata"]["annotations"][ANNOTATION], "2026-01-01T00:00:00Z");
        mark(&mut object, None);
        assert_eq!(object, json!({"metadata": {"annotations": {}}}));
    }
}
