//! The status of a budget, computed.

use super::scale::Expected;
use crate::access::{elements, text};
use crate::conditions::{self, Condition};
use crate::pod_facts::{is_deleting, is_ready};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How long a pod that an eviction let go may take until it is deleted.
const DELETION: SignedDuration = SignedDuration::from_secs(120);

/// The pods that evictions let go.
#[derive(Debug, Default)]
pub(super) struct Disrupted<'a> {
    /// Those that are still to be deleted: name and time.
    pub(super) pods: Map<String, Value>,
    /// Those that are there after all.
    pub(super) overdue: Vec<&'a Value>,
    /// When the next one is overdue.
    pub(super) until: Option<Duration>,
}

/// Which pods evictions let go, of those that are there.
pub(super) fn disrupted<'a>(budget: &Value, pods: &'a [Value], now: Timestamp) -> Disrupted<'a> {
    let mut found = Disrupted::default();
    for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
        let name = text(pod, "/metadata/name");
        let value = &budget["status"]["disruptedPods"][name];
        let Some(end) = conditions::time(value).and_then(|at| at.checked_add(DELETION).ok()) else {
            continue;
        };
        if end < now {
            found.overdue.push(pod);
            continue;
        }
        // A moment later than it is over.
        let rest = Duration::try_from(end.duration_since(now)).unwrap_or_default() + Duration::from_millis(1);
        found.until = Some(found.until.map_or(rest, |until| until.min(rest)));
        found.pods.insert(name.to_owned(), value.clone());
    }
    found
}

/// The status by what is there.
pub(super) fn status(
    budget: &Value,
    pods: &[Value],
    expected: &Expected,
    disrupted: Map<String, Value>,
    now: Timestamp,
) -> Value {
    let is_healthy = |pod: &&Value| {
        is_ready(pod) && !is_deleting(pod) && !disrupted.contains_key(text(pod, "/metadata/name"))
    };
    let healthy = i64::try_from(pods.iter().filter(is_healthy).count()).unwrap_or(i64::MAX);
    let allowed = if expected.pods > 0 { (healthy - expected.healthy).max(0) } else { 0 };
    let generation = &budget["metadata"]["generation"];
    let mut status = json!({
        "currentHealthy": healthy, "desiredHealthy": expected.healthy, "expectedPods": expected.pods,
        "disruptionsAllowed": allowed, "observedGeneration": generation,
    });
    if !disrupted.is_empty() {
        status["disruptedPods"] = disrupted.into();
    }
    let (holds, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    status["conditions"] = with_condition(budget, (holds, reason, ""), generation, now);
    status
}

/// The status of a budget that could not be computed: as it was, and nothing is allowed.
pub(super) fn failed(budget: &Value, why: &str, now: Timestamp) -> Value {
    let mut status = budget["status"].clone();
    status["disruptionsAllowed"] = 0.into();
    let observed = &budget["status"]["observedGeneration"];
    status["conditions"] = with_condition(budget, ("False", "SyncFailed", why), observed, now);
    status
}

/// The conditions with `DisruptionAllowed` as `(status, reason, message)`.
fn with_condition(
    budget: &Value,
    (status, reason, message): (&str, &str, &str),
    observed: &Value,
    now: Timestamp,
) -> Value {
    let mut all = elements(budget, "/status/conditions").to_vec();
    let new = Condition { kind: "DisruptionAllowed", status, reason, message: String::new() };
    // The message is always there, and a generation of zero never.
    let mut extra = vec![("message", json!(message))];
    if observed.as_i64().is_some_and(|generation| generation > 0) {
        extra.push(("observedGeneration", observed.clone()));
    }
    conditions::set(&mut all, &new, &extra, now);
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-07-09T10:00:00Z";

    fn pod(name: &str, ready: bool, deleting: bool) -> Value {
        let mut pod = json!({"metadata": {"name": name}, "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}});
        if deleting {
            pod["metadata"]["deletionTimestamp"] = NOW.into();
        }
        pod
    }

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    #[test]
    fn what_is_allowed() {
        let pods = [
            pod("a", true, false),
            pod("b", true, false),
            pod("c", true, false),
            pod("going", true, true),
            pod("bad", false, false),
        ];
        let one_let_go = json!({"a": "2026-07-09T09:59:00Z"});
        for (expected, healthy, disrupted, current, allowed, reason) in [
            (5, 2, json!({}), 3, 1, "SufficientPods"),
            (5, 3, json!({}), 3, 0, "InsufficientPods"),
            (5, 4, json!({}), 3, 0, "InsufficientPods"),
            (5, 2, one_let_go, 2, 0, "InsufficientPods"),
            (0, 0, json!({}), 3, 0, "InsufficientPods"),
        ] {
            let expected = Expected { pods: expected, healthy, unmanaged: false };
            let budget = json!({"metadata": {"generation": 3}});
            let found = status(&budget, &pods, &expected, disrupted.as_object().unwrap().clone(), now());
            let told = (found["currentHealthy"].as_i64(), found["disruptionsAllowed"].as_i64());
            assert_eq!(told, (Some(current), Some(allowed)), "{expected:?}");
            let condition = &found["conditions"][0];
            assert_eq!((&condition["reason"], &condition["message"]), (&json!(reason), &json!("")));
            assert_eq!(
                (&condition["observedGeneration"], &found["observedGeneration"]),
                (&json!(3), &json!(3))
            );
            // Nothing changes when it is computed again.
            let again = json!({"metadata": {"generation": 3}, "status": found});
            let disrupted = again["status"]["disruptedPods"].as_object().cloned().unwrap_or_default();
            let later = now().checked_add(SignedDuration::from_secs(9)).unwrap();
            assert_eq!(status(&again, &pods, &expected, disrupted, later), again["status"]);
        }
    }

    #[test]
    fn pods_that_were_let_go_count_again_after_two_minutes() {
        let pods = [
            pod("late", true, false),
            pod("soon", true, false),
            pod("edge", true, false),
            pod("gone", true, true),
        ];
        let budget = json!({"status": {"disruptedPods": {"late": "2026-07-09T09:57:59Z",
            "edge": "2026-07-09T09:58:00Z", "soon": "2026-07-09T09:59:30Z", "gone": "2026-07-09T09:59:30Z",
            "deleted": "2026-07-09T09:59:30Z"}}});
        let found = disrupted(&budget, &pods, now());
        assert_eq!(found.overdue, [&pods[0]]);
        assert_eq!(found.pods.keys().collect::<Vec<_>>(), ["edge", "soon"]);
        assert_eq!(found.until, Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_failure_allows_nothing_and_says_why() {
        let budget =
            json!({"status": {"disruptionsAllowed": 3, "currentHealthy": 4, "observedGeneration": 2}});
        let found = failed(&budget, "no", now());
        assert_eq!((&found["disruptionsAllowed"], &found["currentHealthy"]), (&json!(0), &json!(4)));
        let expected = json!([{"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed",
            "message": "no", "observedGeneration": 2, "lastTransitionTime": NOW}]);
        assert_eq!(found["conditions"], expected);
    }

    #[test]
    fn selectors_in_messages() {
        let selector = json!({"matchLabels": {"a": "b"},
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]});
        let expected = "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}";
        assert_eq!(crate::selectors::go_text(&selector), expected);
    }
}
