//! Columns of pods and pod templates.

use super::about::{field, words};
use super::{AGE, Col, Kind, age, joined, labels, list, number, string_or, text, wide};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[("", "pods", PODS), ("", "podtemplates", POD_TEMPLATES)];

const PODS: &[Col] = &[
    text("Ready", words("The aggregate readiness state of this pod for accepting traffic."), |o, _| {
        let summary = Summary::of(o);
        Value::from(format!("{}/{}", summary.ready, summary.total))
    }),
    text("Status", words("The aggregate status of the containers in this pod."), |o, _| {
        Value::from(Summary::of(o).reason)
    }),
    text(
        "Restarts",
        words(
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        restarts,
    ),
    AGE,
    wide("IP", field("core.v1.PodStatus", "podIP"), |o, _| {
        string_or(&o["status"]["podIPs"][0]["ip"], "<none>")
    }),
    wide("Node", field("core.v1.PodSpec", "nodeName"), |o, _| string_or(&o["spec"]["nodeName"], "<none>")),
    wide("Nominated Node", field("core.v1.PodStatus", "nominatedNodeName"), |o, _| {
        string_or(&o["status"]["nominatedNodeName"], "<none>")
    }),
    wide("Readiness Gates", field("core.v1.PodSpec", "readinessGates"), |o, _| readiness_gates(o)),
];

const POD_TEMPLATES: &[Col] = &[
    text("Containers", words("Names of each container in the template."), |o, _| containers(&o["template"])),
    text("Images", words("Images referenced by each container in the template."), |o, _| {
        images(&o["template"])
    }),
    text("Pod Labels", words("The labels for the pod template."), |o, _| {
        Value::from(labels(&o["template"]["metadata"]["labels"]))
    }),
];

/// The names of a template's containers.
pub(super) fn containers(template: &Value) -> Value {
    names_of(template, "name")
}

/// The images of a template's containers.
pub(super) fn images(template: &Value) -> Value {
    names_of(template, "image")
}

fn names_of(template: &Value, field: &str) -> Value {
    Value::from(joined(list(&template["spec"]["containers"]).iter().map(|c| c[field].as_str().unwrap_or(""))))
}

/// What the first columns say of a pod, found in one pass over its containers.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let sidecars =
            list(&spec["initContainers"]).iter().filter(|c| c["restartPolicy"] == "Always").count();
        let mut summary = Summary {
            ready: 0,
            total: list(&spec["containers"]).len() + sidecars,
            reason: said(pod),
            restarts: 0,
            last_restart: None,
        };
        let sidecar = summary.init_containers(spec, status);
        if let Some((restarts, last_restart)) = sidecar {
            summary.restarts = restarts;
            summary.last_restart = last_restart;
            summary.containers(status);
        }
        let deleting = pod["metadata"]["deletionTimestamp"].is_string();
        let ended = ["Succeeded", "Failed"].contains(&status["phase"].as_str().unwrap_or(""));
        if deleting && status["reason"] == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if deleting && !ended {
            summary.reason = "Terminating".to_owned();
        }
        summary
    }

    /// Goes over the init containers. Gives the sidecars' restarts when the main containers count: when none is
    /// initializing, or the pod says that it is initialized.
    fn init_containers(&mut self, spec: &Value, status: &Value) -> Option<(i64, Option<Timestamp>)> {
        let specs = list(&spec["initContainers"]);
        let mut sidecars = (0, None);
        let mut initializing = false;
        for (index, container) in list(&status["initContainerStatuses"]).iter().enumerate() {
            let restarted = last_restart(container);
            self.restarts += number(&container["restartCount"]);
            self.last_restart = self.last_restart.max(restarted);
            let is_sidecar =
                specs.iter().any(|s| s["name"] == container["name"] && s["restartPolicy"] == "Always");
            if is_sidecar {
                sidecars = (sidecars.0 + number(&container["restartCount"]), sidecars.1.max(restarted));
            }
            let state = &container["state"];
            let ended = state["terminated"].is_object();
            if ended && number(&state["terminated"]["exitCode"]) == 0 {
                continue;
            }
            if is_sidecar && container["started"] == true {
                self.ready += usize::from(container["ready"] == true);
                continue;
            }
            let waiting = state["waiting"]["reason"].as_str().unwrap_or("");
            self.reason = if ended {
                format!("Init:{}", ending(&state["terminated"]))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            initializing = true;
            break;
        }
        (!initializing || holds(status, "Initialized")).then_some(sidecars)
    }

    fn containers(&mut self, status: &Value) {
        let mut running = false;
        let mut failure = None;
        // Backwards, so that the first container has the last word.
        for container in list(&status["containerStatuses"]).iter().rev() {
            self.restarts += number(&container["restartCount"]);
            self.last_restart = self.last_restart.max(last_restart(container));
            let state = &container["state"];
            let waiting = state["waiting"]["reason"].as_str().unwrap_or("");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if state["terminated"].is_object() {
                self.reason = ending(&state["terminated"]);
                if number(&state["terminated"]["exitCode"]) != 0 {
                    failure = Some(self.reason.clone());
                }
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            self.reason = match (running, failure) {
                (true, _) if holds(status, "Ready") => "Running".to_owned(),
                (_, Some(failure)) => failure,
                (true, None) => "NotReady".to_owned(),
                (false, None) => return,
            };
        }
    }
}

/// The reason that the pod itself gives.
fn said(pod: &Value) -> String {
    let status = &pod["status"];
    let gated = |c: &Value| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated";
    if list(&status["conditions"]).iter().any(gated) {
        return "SchedulingGated".to_owned();
    }
    let reason = status["reason"].as_str().filter(|r| !r.is_empty());
    reason.or(status["phase"].as_str()).unwrap_or("").to_owned()
}

/// How a container ended.
fn ending(terminated: &Value) -> String {
    let reason = terminated["reason"].as_str().unwrap_or("");
    match (reason, number(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", number(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn last_restart(container: &Value) -> Option<Timestamp> {
    age::moment(&container["lastState"]["terminated"]["finishedAt"])
}

fn holds(status: &Value, condition: &str) -> bool {
    list(&status["conditions"]).iter().any(|c| c["type"] == condition && c["status"] == "True")
}

fn restarts(pod: &Value, now: Timestamp) -> Value {
    let summary = Summary::of(pod);
    Value::from(match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, age::between(last, now))
        }
        _ => summary.restarts.to_string(),
    })
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = list(&pod["spec"]["readinessGates"]);
    if gates.is_empty() {
        return Value::from("<none>");
    }
    let conditions = list(&pod["status"]["conditions"]);
    let open = gates.iter().filter(|gate| {
        let condition = conditions.iter().find(|c| c["type"] == gate["conditionType"]);
        condition.is_some_and(|c| c["status"] == "True")
    });
    Value::from(format!("{}/{}", open.count(), gates.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: Value) -> Value {
        json!({"metadata": {}, "spec": {"containers": [{"name": "c"}, {"name": "d"}]}, "status": status})
    }

    fn running(name: &str) -> Value {
        json!({"name": name, "ready": true, "restartCount": 0, "state": {"running": {}}})
    }

    fn ended(name: &str, terminated: Value) -> Value {
        json!({"name": name, "ready": false, "restartCount": 0, "state": {"terminated": terminated}})
    }

    #[test]
    fn the_status_is_what_matters_most() {
        for (status, ready, reason) in [
            (json!({"phase": "Pending"}), "0/2", "Pending"),
            (json!({"phase": "Failed", "reason": "Evicted"}), "0/2", "Evicted"),
            (
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
                "0/2",
                "SchedulingGated",
            ),
            (
                json!({"phase": "Running", "containerStatuses": [running("c"), running("d")]}),
                "2/2",
                "Running",
            ),
            (
                json!({"phase": "Running", "containerStatuses": [
                {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, running("d")]}),
                "1/2",
                "CrashLoopBackOff",
            ),
            (
                json!({"phase": "Succeeded", "containerStatuses": [
                ended("c", json!({"reason": "Completed", "exitCode": 0})),
                ended("d", json!({"reason": "Completed", "exitCode": 0}))]}),
                "0/2",
                "Completed",
            ),
            (
                json!({"phase": "Failed", "containerStatuses": [
                ended("c", json!({"reason": "Completed", "exitCode": 0})),
                ended("d", json!({"reason": "Error", "exitCode": 1}))]}),
                "0/2",
                "Error",
            ),
            (
                json!({"phase": "Running", "containerStatuses": [
                ended("c", json!({"reason": "Completed", "exitCode": 0})), running("d")]}),
                "1/2",
                "NotReady",
            ),
            (
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
                ended("c", json!({"reason": "Completed", "exitCode": 0})), running("d")]}),
                "1/2",
                "Running",
            ),
            (
                json!({"phase": "Failed", "containerStatuses": [ended("c", json!({"exitCode": 3}))]}),
                "0/2",
                "ExitCode:3",
            ),
            (
                json!({"phase": "Failed", "containerStatuses": [ended("c", json!({"exitCode": 137, "signal": 9}))]}),
                "0/2",
                "Signal:9",
            ),
        ] {
            let summary = Summary::of(&pod(status.clone()));
            assert_eq!(format!("{}/{}", summary.ready, summary.total), ready, "{status}");
            assert_eq!(summary.reason, reason, "{status}");
        }
    }

    #[test]
    fn init_containers_are_told_one_after_another() {
        let of = |init: Value, conditions: Value| {
            let pod = json!({"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "a"}, {"name": "b"},
                {"name": "s", "restartPolicy": "Always"}]},
                "status": {"phase": "Pending", "initContainerStatuses": init, "conditions": conditions,
                "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "PodInitializing"}}}]}});
            let summary = Summary::of(&pod);
            (summary.ready, summary.total, summary.reason)
        };
        let done = |name: &str| json!({"name": name, "state": {"terminated": {"exitCode": 0}}});
        let sidecar = json!({"name": "s", "started": true, "ready": true, "state": {"running": {}}});
        for (init, ready, reason) in [
            (json!([{"name": "a", "state": {"running": {}}}]), 0, "Init:0/3"),
            (
                json!([done("a"), {"name": "b", "state": {"waiting": {"reason": "PodInitializing"}}}]),
                0,
                "Init:1/3",
            ),
            (
                json!([done("a"), {"name": "b", "state": {"waiting": {"reason": "ErrImagePull"}}}]),
                0,
                "Init:ErrImagePull",
            ),
            (
                json!([done("a"), {"name": "b", "state": {"terminated": {"exitCode": 2}}}]),
                0,
                "Init:ExitCode:2",
            ),
            (
                json!([done("a"), {"name": "b", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]),
                0,
                "Init:Error",
            ),
            (json!([done("a"), done("b"), sidecar]), 1, "PodInitializing"),
        ] {
            assert_eq!(of(init.clone(), json!([])), (ready, 2, reason.to_owned()), "{init}");
        }
        let initialized = json!([{"type": "Initialized", "status": "True"}]);
        assert_eq!(of(json!([{"name": "a", "state": {"running": {}}}]), initialized).2, "PodInitializing");
    }

    #[test]
    fn deletion_and_restarts_are_told() {
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        let mut object = pod(json!({"phase": "Running", "containerStatuses": [
            {"name": "c", "restartCount": 3, "ready": true, "state": {"running": {}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:09:00Z"}}},
            {"name": "d", "restartCount": 1, "ready": true, "state": {"running": {}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:05:00Z"}}}]}));
        assert_eq!(restarts(&object, now), "4 (60s ago)");
        assert_eq!(restarts(&pod(json!({})), now), "0");
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:10:00Z");
        assert_eq!(Summary::of(&object).reason, "Terminating");
        object["status"]["phase"] = json!("Succeeded");
        assert_eq!(Summary::of(&object).reason, "Succeeded");
        object["status"]["reason"] = json!("NodeLost");
        assert_eq!(Summary::of(&object).reason, "Unknown");
    }

    #[test]
    fn readiness_gates_are_counted() {
        let mut object =
            pod(json!({"conditions": [{"type": "a", "status": "True"}, {"type": "b", "status": "False"}]}));
        assert_eq!(readiness_gates(&object), "<none>");
        object["spec"]["readinessGates"] = json!([{"conditionType": "a"}, {"conditionType": "b"}]);
        assert_eq!(readiness_gates(&object), "1/2");
    }
}
