//! Nodes: a new one takes no pods until something has seen it ready (KEP-382, the taint by condition); and its pods are
//! labelled with where it is.

use crate::gateway::Place;
use crate::server::Server;
use crate::stages::Authorized;
use api_types::{GroupResource, ObjectName};
use serde_json::{Value, json};

/// The labels of a node that tell where it is; its pods get them too (KEP-4742).
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// Taints a new node as not ready. The platform's own nodes come with their state.
pub fn admit(auth: &Authorized, place: &Place, node: &mut Value) {
    let nodes = place.row.group.is_empty() && place.row.plural == "nodes" && place.subresource.is_empty();
    if nodes && !auth.is_platform() {
        not_ready(node);
    }
}

fn not_ready(node: &mut Value) {
    let (key, effect) = ("node.kubernetes.io/not-ready", "NoSchedule");
    let taints = &mut node["spec"]["taints"];
    if !taints.is_array() {
        *taints = json!([]);
    }
    if let Some(taints) = taints.as_array_mut()
        && !taints.iter().any(|taint| taint["key"] == key && taint["effect"] == effect)
    {
        taints.push(json!({"key": key, "effect": effect}));
    }
}

/// The labels of a node that its pods get; none when it is not known.
pub fn topology_labels(server: &Server, auth: &Authorized, node: &str) -> Vec<(&'static str, String)> {
    let nodes = GroupResource::new("", "nodes");
    let Some(found) = server.cache.get(auth.plane().id, &nodes, &ObjectName::cluster(node)) else {
        return Vec::new();
    };
    let labels = &found.meta.labels;
    let value = |key: &str| labels.iter().find(|(own, _)| own == key).map(|(_, value)| value.to_string());
    TOPOLOGY.iter().filter_map(|key| Some((*key, value(key)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::not_ready;
    use serde_json::json;

    #[test]
    fn the_taint_is_added_once() {
        let mut node = json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}});
        not_ready(&mut node);
        let once = node.clone();
        not_ready(&mut node);
        assert_eq!(node, once);
        assert_eq!(
            node["spec"]["taints"][1],
            json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})
        );
    }
}
