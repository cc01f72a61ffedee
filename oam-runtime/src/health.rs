//! Whether a workload works, by its kind's own status. Pure.

use serde_json::Value;

/// How a workload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Ready,
    /// Not yet, and why.
    Progressing(String),
    /// It does not, and will not by itself.
    Failed(String),
}

impl Health {
    /// `Ready`, `Progressing` or `Failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Health::Ready => "Ready",
            Health::Progressing(_) => "Progressing",
            Health::Failed(_) => "Failed",
        }
    }
}

/// How the object is. Kinds with neither a rule nor a `Ready` condition work as soon as they are there.
pub fn health(object: &Value) -> Health {
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    let rule = RULES.iter().find(|(g, kind, _)| *g == group && object["kind"] == *kind);
    rule.map_or_else(|| by_condition(object), |(.., rule)| rule(object))
}

type Rule = fn(&Value) -> Health;

/// Group, kind, rule.
const RULES: &[(&str, &str, Rule)] = &[
    ("apps", "Deployment", |o| replicas(o, "availableReplicas", true)),
    ("apps", "StatefulSet", |o| replicas(o, "readyReplicas", true)),
    ("apps", "ReplicaSet", |o| replicas(o, "availableReplicas", false)),
    ("apps", "DaemonSet", daemon_set),
    ("batch", "Job", job),
    ("", "Pod", by_condition),
];

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn unseen(object: &Value) -> Option<Health> {
    let generation = number(&object["metadata"]["generation"]);
    (number(&object["status"]["observedGeneration"]) < generation)
        .then(|| Health::Progressing("its controller has not seen the newest version yet".to_owned()))
}

fn replicas(object: &Value, counted: &str, rolls: bool) -> Health {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let status = &object["status"];
    let updated = if rolls { number(&status["updatedReplicas"]) } else { wanted };
    let ready = number(&status[counted]);
    if updated < wanted {
        Health::Progressing(format!("{updated} of {wanted} replicas are of the newest version"))
    } else if ready < wanted {
        Health::Progressing(format!("{ready} of {wanted} replicas are available"))
    } else {
        Health::Ready
    }
}

fn daemon_set(object: &Value) -> Health {
    if let Some(unseen) = unseen(object) {
        return unseen;
    }
    let status = &object["status"];
    let (wanted, ready) = (number(&status["desiredNumberScheduled"]), number(&status["numberAvailable"]));
    let updated = number(&status["updatedNumberScheduled"]);
    if updated < wanted || ready < wanted {
        Health::Progressing(format!("{} of {wanted} pods are available", ready.min(updated)))
    } else {
        Health::Ready
    }
}

fn job(object: &Value) -> Health {
    match (condition(object, "Complete"), condition(object, "Failed")) {
        (_, Some(("True", message))) => Health::Failed(format!("the Job failed: {message}")),
        (Some(("True", _)), _) => Health::Ready,
        _ => Health::Progressing("the Job has not ended yet".to_owned()),
    }
}

fn by_condition(object: &Value) -> Health {
    let has_observed = object["status"]["observedGeneration"].is_number();
    if has_observed && let Some(unseen) = unseen(object) {
        return unseen;
    }
    if object["status"]["phase"] == "Failed" {
        return Health::Failed(condition(object, "Ready").map_or("", |(_, message)| message).to_owned());
    }
    match condition(object, "Ready") {
        Some(("True", _)) => Health::Ready,
        Some((_, message)) => {
            Health::Progressing(if message.is_empty() { "not ready".into() } else { message.into() })
        }
        // A kind that will report readiness has a status of its own from the start, or none yet.
        None if reports_readiness(object) => Health::Progressing("no status yet".to_owned()),
        None => Health::Ready,
    }
}

/// Our own kinds, which always get a `Ready` condition, and pods.
fn reports_readiness(object: &Value) -> bool {
    let own = [
        ("core.oam.dev/v1alpha2", "ContainerizedWorkload"),
        ("cloud.insula.dev/v1alpha1", "Database"),
        ("v1", "Pod"),
    ];
    own.iter().any(|(version, kind)| object["apiVersion"] == *version && object["kind"] == *kind)
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|c| c["type"] == kind)?;
    Some((found["status"].as_str().unwrap_or(""), found["message"].as_str().unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_has_its_rule() {
        let deployment = |generation: i64, updated: i64, available: i64| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3},
                "status": {"observedGeneration": generation, "updatedReplicas": updated, "availableReplicas": available}})
        };
        let database = |status: Value| json!({"apiVersion": "cloud.insula.dev/v1alpha1", "kind": "Database", "status": status});
        let job = |kind: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [{"type": kind, "status": "True"}]}});
        for (object, expected) in [
            (deployment(2, 3, 3), "Ready"),
            (deployment(1, 3, 3), "Progressing"),
            (deployment(2, 2, 3), "Progressing"),
            (deployment(2, 3, 2), "Progressing"),
            (json!({"apiVersion": "apps/v1", "kind": "Deployment"}), "Progressing"),
            (database(json!({})), "Progressing"),
            (database(json!({"phase": "Failed"})), "Failed"),
            (
                database(json!({"phase": "Ready", "conditions": [{"type": "Ready", "status": "True"}]})),
                "Ready",
            ),
            (job("Complete"), "Ready"),
            (job("Failed"), "Failed"),
            (json!({"apiVersion": "v1", "kind": "ConfigMap"}), "Ready"),
            (
                json!({"apiVersion": "x.io/v1", "kind": "X", "status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
                "Progressing",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
                "status": {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}}),
                "Progressing",
            ),
        ] {
            assert_eq!(health(&object).word(), expected, "{object}");
        }
    }
}
