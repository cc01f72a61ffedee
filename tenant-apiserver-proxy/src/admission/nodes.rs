//! Nodes: a new one takes no pods until something has seen it ready (KEP-382, the taint by condition).

use crate::gateway::Place;
use crate::stages::Authorized;
use serde_json::{Value, json};

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
