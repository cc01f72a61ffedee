//! Nodes, upward only: what a tenant sees of the machines that run its pods.

use crate::translation::{list, remove};
use serde_json::{Map, Value, json};

/// Labels of a node that a tenant may read and select by; a prefix ends with a slash.
const SHOWN_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/",
    "insula.dev/simulated",
];

/// A node as the tenant sees it, without its status.
pub fn upward(node: &Value) -> Value {
    let meta = &node["metadata"];
    let labels: Map<String, Value> = meta["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| SHOWN_LABELS.iter().any(|shown| shown_by(key, shown)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut spec = Map::new();
    if node["spec"]["unschedulable"] == true {
        spec.insert("unschedulable".into(), true.into());
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": meta["name"], "labels": labels}, "spec": spec})
}

fn shown_by(key: &str, shown: &str) -> bool {
    key == shown || (shown.ends_with('/') && key.starts_with(shown))
}

/// Its status: capacity, conditions, addresses and versions; not what images and volumes others use. What cannot be left out
/// is empty: else each look would find it missing.
pub fn status(node: &Value) -> Value {
    let mut status = node["status"].clone();
    if !status.is_object() {
        return json!({});
    }
    remove(&mut status, &["images", "volumesInUse", "volumesAttached", "config"]);
    status["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": 0}});
    if let Some(info) = status.get_mut("nodeInfo").and_then(Value::as_object_mut) {
        info.remove("swap");
        for field in ["machineID", "systemUUID", "bootID"] {
            info.insert(field.into(), "".into());
        }
    }
    // Heartbeats would be a write for each tenant every few minutes, and say nothing that `status` does not.
    let conditions: Vec<Value> = list(&status, "conditions")
        .iter()
        .map(|condition| {
            let mut condition = condition.clone();
            if condition.get("lastHeartbeatTime").is_some() {
                condition["lastHeartbeatTime"] = condition["lastTransitionTime"].clone();
            }
            condition
        })
        .collect();
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_sees_the_machine_and_not_its_other_users() {
        let node = json!({"metadata": {"name": "n1", "uid": "x", "annotations": {"a": "b"}, "labels": {
            "kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "z", "company.example/rack": "7"}},
            "spec": {"podCIDR": "10.0.0.0/24", "providerID": "aws://i-1", "unschedulable": true},
            "status": {"capacity": {"cpu": "4"}, "images": [{"names": ["secret/image"]}],
                "nodeInfo": {"machineID": "m", "systemUUID": "s", "bootID": "b", "swap": {"capacity": 1},
                    "kubeletVersion": "v1.36.0"},
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "conditions": [{"type": "Ready", "lastHeartbeatTime": "t2", "lastTransitionTime": "t1"}]}});
        assert_eq!(
            upward(&node),
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {
                "kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "z"}},
                "spec": {"unschedulable": true}})
        );
        assert_eq!(
            status(&node),
            json!({"capacity": {"cpu": "4"}, "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
                "nodeInfo": {"machineID": "", "systemUUID": "", "bootID": "", "kubeletVersion": "v1.36.0"},
                "conditions": [{"type": "Ready", "lastHeartbeatTime": "t1", "lastTransitionTime": "t1"}]})
        );
    }
}
