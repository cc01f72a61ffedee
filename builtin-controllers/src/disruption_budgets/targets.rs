//! Pods that were to be disrupted and are there still: after two minutes their condition `DisruptionTarget` becomes
//! false (KEP-3329).
//!
//! Guarantees: a pod that is being deleted, has ended, or is ended by its kubelet keeps the condition.

use crate::access::{Access, elements, text};
use crate::conditions;
use crate::pod_facts::{has_ended, is_deleting};
use crate::resources::PODS;
use api_types::condition::whole_seconds;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use plane_client::{ApiError, Next, ObjectName, PlaneClient, Reconciler, Scope, TenantId, Trigger};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const CONDITION: &str = "DisruptionTarget";
const BY_KUBELET: &str = "TerminationByKubelet";
/// How long a disruption may take to begin.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// The reconciler of pods with the condition.
pub(crate) struct DisruptionTargets {
    access: Access,
    clock: super::Clock,
}

impl DisruptionTargets {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Self::by_clock(client, Arc::new(Timestamp::now))
    }

    fn by_clock(client: Arc<dyn PlaneClient>, clock: super::Clock) -> Self {
        DisruptionTargets { access: Access::new(client, "disruption-controller"), clock }
    }
}

/// How long until the condition of a pod is stale; `None`: it has none that could become so.
fn until_stale(pod: &Value, now: Timestamp) -> Option<Duration> {
    let condition = conditions::find(elements(pod, "/status/conditions"), CONDITION)?;
    let holds = condition["status"] == "True" && text(condition, "/reason") != BY_KUBELET;
    if !holds || is_deleting(pod) || has_ended(pod) {
        return None;
    }
    let since = conditions::time(&condition["lastTransitionTime"]).unwrap_or_default();
    Some(Duration::try_from(STALE_AFTER - now.duration_since(since)).unwrap_or_default())
}

/// The pod with the condition taken back.
fn reset(pod: &Value, now: Timestamp) -> Value {
    let mut new = pod.clone();
    let observes = !pod["status"]["observedGeneration"].is_null();
    for condition in new["status"]["conditions"].as_array_mut().into_iter().flatten() {
        if condition["type"] != CONDITION {
            continue;
        }
        let observes = observes || !condition["observedGeneration"].is_null();
        *condition = json!({"type": CONDITION, "status": "False", "lastTransitionTime": whole_seconds(now)});
        if observes {
            condition["observedGeneration"] = pod["metadata"]["generation"].clone();
        }
    }
    new
}

#[async_trait]
impl Reconciler for DisruptionTargets {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        // Few pods have the condition: the others are not even decoded.
        let has_it = |bytes: &[u8]| bytes.windows(CONDITION.len()).any(|part| part == CONDITION.as_bytes());
        vec![Trigger::mapped(PODS.group_resource(), Scope::All, move |pod| {
            if has_it(&pod.bytes) { vec![pod.name.clone()] } else { vec![] }
        })]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(pod) = self.access.get(tenant, &PODS, &key.namespace, &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let now = (self.clock)();
        match until_stale(&pod, now) {
            None => Ok(Next::OnEvent),
            Some(rest) if !rest.is_zero() => Ok(Next::After(rest)),
            Some(_) => {
                self.access.change(tenant, &PODS, "status", &pod, &reset(&pod, now)).await?;
                Ok(Next::OnEvent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use service_runtime::Shutdown;
    use tokio::time::Instant;

    const START: &str = "2026-07-09T10:00:00Z";

    fn pod(status: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "generation": 3}, "status": status})
    }

    fn target(reason: &str) -> Value {
        json!({"type": CONDITION, "status": "True", "reason": reason, "message": "m", "lastTransitionTime": START})
    }

    #[test]
    fn whose_condition_becomes_stale() {
        let evicted = || pod(json!({"phase": "Running", "conditions": [target("EvictionByEvictionAPI")]}));
        let mut deleting = evicted();
        deleting["metadata"]["deletionTimestamp"] = START.into();
        let mut ended = evicted();
        ended["status"]["phase"] = "Failed".into();
        let mut taken_back = evicted();
        taken_back["status"]["conditions"][0]["status"] = "False".into();
        let by_kubelet = pod(json!({"conditions": [target(BY_KUBELET)]}));
        let now = START.parse::<Timestamp>().unwrap().checked_add(SignedDuration::from_secs(50)).unwrap();
        for (case, pod, expected) in [
            ("evicted", evicted(), Some(Duration::from_secs(70))),
            ("deleting", deleting, None),
            ("ended", ended, None),
            ("taken back", taken_back, None),
            ("by the kubelet", by_kubelet, None),
            ("none", pod(json!({})), None),
        ] {
            assert_eq!(until_stale(&pod, now), expected, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_stays_is_no_target_any_more() {
        let planes = FakePlanes::new();
        let tenant = TenantId::LOCAL_SUPER;
        let ready = json!({"type": "Ready", "status": "True"});
        planes.put(
            tenant,
            pod(json!({"phase": "Running", "conditions": [ready, target("EvictionByEvictionAPI")]})),
        );
        let (begin, start): (Instant, Timestamp) = (Instant::now(), START.parse().unwrap());
        let clock: super::super::Clock = Arc::new(move || start.checked_add(begin.elapsed()).unwrap());
        let reconciler = Arc::new(DisruptionTargets::by_clock(planes.client(), clock));
        tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(Shutdown::new()));
        let found = |planes: &FakePlanes| {
            planes.all(tenant, &PODS.group_resource(), "ns")[0]["status"]["conditions"].clone()
        };
        tokio::time::sleep(Duration::from_secs(119)).await;
        assert_eq!(found(&planes)[1]["status"], "True");
        planes.wait_until("it is taken back", |planes| found(planes)[1]["status"] == "False").await;
        assert_eq!(found(&planes)[0], ready);
        assert_eq!(
            found(&planes)[1],
            json!({"type": CONDITION, "status": "False", "lastTransitionTime": "2026-07-09T10:02:00Z"})
        );
    }
}
