//! Which pods are bound to which nodes of a plane, as events told.

use compact_str::CompactString;
use plane_client::{Object, ObjectName, Seen};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// Pods by the node that they are bound to. Pods without a node are not in it.
#[derive(Debug, Default)]
pub(crate) struct PodsByNode {
    nodes: HashMap<CompactString, HashSet<ObjectName>>,
    bound: HashMap<ObjectName, CompactString>,
}

/// What tells the node of a pod. No more is decoded: every event of every pod is looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: CompactString,
}

/// The node that a pod is bound to; empty: none.
fn node_of(pod: &Object) -> CompactString {
    pod.decode::<Pod>().unwrap_or_default().spec.node_name
}

impl PodsByNode {
    /// Takes in an event of a pod.
    pub(crate) fn see(&mut self, pod: &Object, seen: Seen) {
        let node = if seen == Seen::Gone { CompactString::default() } else { node_of(pod) };
        if self.bound.get(&pod.name).is_some_and(|known| *known == node) {
            return;
        }
        self.forget(&pod.name);
        if !node.is_empty() {
            self.nodes.entry(node.clone()).or_default().insert(pod.name.clone());
            self.bound.insert(pod.name.clone(), node);
        }
    }

    /// The pod is not there.
    pub(crate) fn forget(&mut self, pod: &ObjectName) {
        let Some(node) = self.bound.remove(pod) else { return };
        if let Some(pods) = self.nodes.get_mut(&node) {
            pods.remove(pod);
            if pods.is_empty() {
                self.nodes.remove(&node);
            }
        }
    }

    /// The node that a pod is bound to.
    pub(crate) fn node(&self, pod: &ObjectName) -> Option<&CompactString> {
        self.bound.get(pod)
    }

    /// The pods that are bound to a node.
    pub(crate) fn on(&self, node: &str) -> Vec<ObjectName> {
        self.nodes.get(node).into_iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use plane_client::{GroupResource, Meta, Revision, TenantId};
    use serde_json::json;
    use std::sync::Arc;

    fn pod(name: &str, node: &str) -> Object {
        let body = json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"nodeName": node}});
        Object {
            tenant: TenantId::LOCAL_SUPER,
            resource: GroupResource::new("", "pods"),
            name: ObjectName::new("n", name),
            revision: Revision(1),
            meta: Arc::new(Meta::of(&body)),
            bytes: Bytes::from(body.to_string()),
        }
    }

    #[test]
    fn pods_are_where_the_last_event_said() {
        let mut pods = PodsByNode::default();
        for (event, seen, on_a) in [
            (pod("x", ""), Seen::There, 0),
            (pod("x", "a"), Seen::There, 1),
            (pod("y", "a"), Seen::There, 2),
            (pod("y", "b"), Seen::There, 1),
            (pod("x", "a"), Seen::Gone, 0),
        ] {
            pods.see(&event, seen);
            assert_eq!(pods.on("a").len(), on_a, "{} {seen:?}", event.name);
        }
        assert_eq!(pods.on("b"), [ObjectName::new("n", "y")]);
        pods.forget(&ObjectName::new("n", "y"));
        assert!(pods.nodes.is_empty() && pods.bound.is_empty());
    }
}
