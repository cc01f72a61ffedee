//! Columns of nodes, classes of pods, and definitions of custom resources.

use super::about::{field, words};
use super::{AGE, Col, Kind, boolean, int, list, number, string, string_or, text, wide};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    ("", "nodes", NODES),
    ("resource.k8s.io", "resourceclaims", RESOURCE_CLAIMS),
    ("resource.k8s.io", "resourceslices", RESOURCE_SLICES),
    ("scheduling.k8s.io", "priorityclasses", PRIORITY_CLASSES),
    ("node.k8s.io", "runtimeclasses", RUNTIME_CLASSES),
    ("apiextensions.k8s.io", "customresourcedefinitions", super::access::CREATED),
];

const RESOURCE_CLAIMS: &[Col] = &[
    text("State", words("A summary of the current state (allocated, pending, reserved, etc.)."), |o, _| {
        let deleted = !o["metadata"]["deletionTimestamp"].is_null();
        let allocated = o["status"]["allocation"].is_object();
        let reserved = o["status"]["reservedFor"].as_array().is_some_and(|users| !users.is_empty());
        let states = [
            ("deleted", deleted),
            ("pending", !allocated && !deleted),
            ("allocated", allocated),
            ("reserved", allocated && reserved),
        ];
        let states: Vec<&str> = states.iter().filter(|(_, holds)| *holds).map(|(state, _)| *state).collect();
        Value::from(states.join(","))
    }),
    AGE,
];

const RESOURCE_SLICES: &[Col] = &[
    text("Node", field("resource.v1.ResourceSliceSpec", "nodeName"), |o, _| string(&o["spec"]["nodeName"])),
    text("Driver", field("resource.v1.ResourceSliceSpec", "driver"), |o, _| string(&o["spec"]["driver"])),
    text("Pool", field("resource.v1.ResourcePool", "name"), |o, _| string(&o["spec"]["pool"]["name"])),
    AGE,
];

const NODES: &[Col] = &[
    text("Status", words("The status of the node"), |o, _| Value::from(status(o))),
    text("Roles", words("The roles of the node"), |o, _| Value::from(roles(o))),
    AGE,
    text("Version", field("core.v1.NodeSystemInfo", "kubeletVersion"), |o, _| {
        string(&info(o)["kubeletVersion"])
    }),
    wide("Internal-IP", field("core.v1.NodeStatus", "addresses"), |o, _| address(o, "InternalIP")),
    wide("External-IP", field("core.v1.NodeStatus", "addresses"), |o, _| address(o, "ExternalIP")),
    wide("OS-Image", field("core.v1.NodeSystemInfo", "osImage"), |o, _| {
        string_or(&info(o)["osImage"], "<unknown>")
    }),
    wide("Kernel-Version", field("core.v1.NodeSystemInfo", "kernelVersion"), |o, _| {
        let kernel = info(o)["kernelVersion"].as_str().filter(|s| !s.is_empty()).unwrap_or("<unknown>");
        Value::from(match info(o)["architecture"].as_str().unwrap_or("") {
            "" => kernel.to_owned(),
            architecture => format!("{kernel} ({architecture})"),
        })
    }),
    wide("Container-Runtime", field("core.v1.NodeSystemInfo", "containerRuntimeVersion"), |o, _| {
        string_or(&info(o)["containerRuntimeVersion"], "<unknown>")
    }),
];

fn info(node: &Value) -> &Value {
    &node["status"]["nodeInfo"]
}

fn status(node: &Value) -> String {
    let ready = list(&node["status"]["conditions"]).iter().rfind(|c| c["type"] == "Ready");
    let word = match ready {
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    match node["spec"]["unschedulable"] == true {
        true => format!("{word},SchedulingDisabled"),
        false => word.to_owned(),
    }
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let mut roles: Vec<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn address(node: &Value, of: &str) -> Value {
    let found = list(&node["status"]["addresses"]).iter().find(|a| a["type"] == of);
    found.map_or_else(|| Value::from("<none>"), |a| string(&a["address"]))
}

const PRIORITY_CLASSES: &[Col] = &[
    int("Value", field("scheduling.v1.PriorityClass", "value"), |o, _| number(&o["value"]).into()),
    boolean("Global-Default", field("scheduling.v1.PriorityClass", "globalDefault"), |o, _| {
        Value::from(o["globalDefault"].as_bool().unwrap_or(false))
    }),
    AGE,
    text("PreemptionPolicy", field("scheduling.v1.PriorityClass", "preemptionPolicy"), |o, _| {
        string(&o["preemptionPolicy"])
    }),
];

const RUNTIME_CLASSES: &[Col] = &[text("Handler", words(""), |o, _| string(&o["handler"])), AGE];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_tell_state_roles_and_addresses() {
        for (node, text) in [
            (json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}), "Ready"),
            (
                json!({"spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}),
                "NotReady,SchedulingDisabled",
            ),
            (json!({}), "Unknown"),
        ] {
            assert_eq!(status(&node), text);
        }
        let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "a",
            "node-role.kubernetes.io/": ""}}, "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}});
        assert_eq!(roles(&node), "a,worker");
        assert_eq!(roles(&json!({})), "<none>");
        assert_eq!(
            (address(&node, "InternalIP"), address(&node, "ExternalIP")),
            (json!("10.0.0.1"), json!("<none>"))
        );
    }
}
