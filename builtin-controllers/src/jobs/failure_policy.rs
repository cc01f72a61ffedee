//! `spec.podFailurePolicy`: what the failure of a pod means (KEP-3329, KEP-3850).

use crate::access::{elements, number, text};
use serde_json::Value;

/// What a failure means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It counts against the limits.
    pub(super) counts: bool,
    /// The job fails, for this reason.
    pub(super) fails_job: Option<String>,
    /// The pod's index fails, whatever tries it has left.
    pub(super) fails_index: bool,
}

/// The verdict of the first rule that matches a failed pod; without one, the failure counts.
pub(super) fn apply(policy: &Value, pod: &Value) -> Verdict {
    let name = || format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    for (position, rule) in elements(policy, "/rules").iter().enumerate() {
        let action = text(rule, "/action");
        let why = if rule["onExitCodes"].is_object() {
            container(pod, &rule["onExitCodes"]).map(|(container, code)| {
                format!(
                    "Container {container} for pod {} failed with exit code {code} matching {action} rule at index {position}",
                    name()
                )
            })
        } else {
            condition(pod, elements(rule, "/onPodConditions")).map(|kind| {
                format!("Pod {} has condition {kind} matching {action} rule at index {position}", name())
            })
        };
        let Some(why) = why else { continue };
        return match action {
            "Ignore" => Verdict::default(),
            "FailIndex" => Verdict { counts: true, fails_index: true, ..Verdict::default() },
            "FailJob" => Verdict { counts: true, fails_job: Some(why), ..Verdict::default() },
            _ => Verdict { counts: true, ..Verdict::default() },
        };
    }
    Verdict { counts: true, ..Verdict::default() }
}

/// The first container that ended with a code that is meant. Code 0 never is.
fn container<'a>(pod: &'a Value, rule: &Value) -> Option<(&'a str, i64)> {
    let wanted = rule["containerName"].as_str();
    let lists = ["/status/containerStatuses", "/status/initContainerStatuses"];
    lists.iter().flat_map(|list| elements(pod, list)).find_map(|status| {
        let code = number(status, "/state/terminated/exitCode").filter(|code| *code != 0)?;
        let name = text(status, "/name");
        let is_listed = elements(rule, "/values").iter().any(|value| value.as_i64() == Some(code));
        let is_meant = match text(rule, "/operator") {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        };
        (is_meant && wanted.is_none_or(|wanted| wanted == name)).then_some((name, code))
    })
}

fn condition<'a>(pod: &'a Value, patterns: &[Value]) -> Option<&'a str> {
    let is_meant = |condition: &&Value| {
        patterns.iter().any(|pattern| {
            let status = pattern["status"].as_str().unwrap_or("True");
            pattern["type"] == condition["type"] && condition["status"] == status
        })
    };
    elements(pod, "/status/conditions").iter().find(is_meant).map(|condition| text(condition, "/type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = json!({"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailIndex", "onExitCodes": {"containerName": "main", "operator": "In", "values": [40, 41]}},
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
            {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1]}},
        ]});
        let pod = |container: &str, code: i64, disrupted: bool| {
            json!({"metadata": {"namespace": "ns", "name": "p"}, "status": {
                "conditions": [{"type": "DisruptionTarget", "status": if disrupted { "True" } else { "False" }}],
                "containerStatuses": [
                    {"name": "still", "state": {"running": {}}},
                    {"name": container, "state": {"terminated": {"exitCode": code}}}]}})
        };
        let counts = Verdict { counts: true, ..Verdict::default() };
        let why = "Container side for pod ns/p failed with exit code 42 matching FailJob rule at index 2";
        for (container, code, disrupted, expected) in [
            ("main", 40, true, Verdict::default()),
            ("main", 40, false, Verdict { fails_index: true, ..counts.clone() }),
            ("side", 40, false, counts.clone()),
            ("side", 42, false, Verdict { fails_job: Some(why.to_owned()), ..counts.clone() }),
            ("main", 1, false, counts.clone()),
            ("main", 0, false, counts.clone()),
        ] {
            assert_eq!(apply(&policy, &pod(container, code, disrupted)), expected, "{container} {code}");
        }
    }

    #[test]
    fn a_condition_can_fail_the_job() {
        let policy = json!({"rules": [{"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue"}]}]});
        let pod = json!({"metadata": {"namespace": "ns", "name": "p"},
            "status": {"conditions": [{"type": "ConfigIssue", "status": "True"}]}});
        let expected = "Pod ns/p has condition ConfigIssue matching FailJob rule at index 0";
        assert_eq!(apply(&policy, &pod).fails_job.as_deref(), Some(expected));
    }
}
