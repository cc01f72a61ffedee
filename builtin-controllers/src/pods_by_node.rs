//! Which pods are bound to which nodes of a plane, as events told: known once for all controllers that ask.

use compact_str::CompactString;
use plane_client::{Object, ObjectName, Revision, Seen};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Known {
    nodes: HashMap<CompactString, HashSet<ObjectName>>,
    bound: HashMap<ObjectName, Bound>,
}

#[derive(Debug)]
struct Bound {
    node: CompactString,
    /// When the pod was as it is known.
    revision: Revision,
}

/// Pods by the node that they are bound to. Pods without a node are not in it.
///
/// Each controller takes in the events of its own watch before it asks. One watch may be behind another: what is older
/// than what is known changes nothing.
#[derive(Debug, Default)]
pub(crate) struct PodsByNode(Mutex<Known>);

/// The node that a pod is bound to; empty: none. Nothing is decoded: every event of every pod is looked at.
pub(crate) fn node_of(pod: &Object) -> &str {
    pod.meta.field("spec.nodeName").unwrap_or("")
}

impl PodsByNode {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event of a pod.
    pub(crate) fn see(&self, pod: &Object, seen: Seen) {
        let node = if seen == Seen::Gone { "" } else { node_of(pod) };
        let mut known = self.known();
        if let Some(bound) = known.bound.get_mut(&pod.name) {
            if bound.revision > pod.revision {
                return;
            }
            if bound.node == node {
                bound.revision = pod.revision;
                return;
            }
        }
        known.forget(&pod.name);
        if !node.is_empty() {
            let node = CompactString::from(node);
            known.nodes.entry(node.clone()).or_default().insert(pod.name.clone());
            known.bound.insert(pod.name.clone(), Bound { node, revision: pod.revision });
        }
    }

    /// The pod is not there.
    pub(crate) fn forget(&self, pod: &ObjectName) {
        self.known().forget(pod);
    }

    /// The node that a pod is bound to.
    pub(crate) fn node(&self, pod: &ObjectName) -> Option<CompactString> {
        self.known().bound.get(pod).map(|bound| bound.node.clone())
    }

    /// The pods that are bound to a node.
    pub(crate) fn on(&self, node: &str) -> Vec<ObjectName> {
        self.known().nodes.get(node).into_iter().flatten().cloned().collect()
    }
}

impl Known {
    fn forget(&mut self, pod: &ObjectName) {
        let Some(Bound { node, .. }) = self.bound.remove(pod) else { return };
        if let Some(pods) = self.nodes.get_mut(&node) {
            pods.remove(pod);
            if pods.is_empty() {
                self.nodes.remove(&node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use plane_client::{GroupResource, Meta, TenantId};
    use std::sync::Arc;

    fn pod(name: &str, node: &str, revision: u64) -> Object {
        let fields = vec![("spec.nodeName".into(), node.into())];
        Object {
            tenant: TenantId::LOCAL_SUPER,
            resource: GroupResource::new("", "pods"),
            name: ObjectName::new("n", name),
            revision: Revision(revision),
            meta: Arc::new(Meta { fields, ..Meta::default() }),
            bytes: Bytes::new(),
        }
    }

    #[test]
    fn pods_are_where_the_newest_event_said() {
        let pods = PodsByNode::default();
        for (event, seen, on_a) in [
            (pod("x", "", 1), Seen::There, 0),
            (pod("x", "a", 2), Seen::There, 1),
            (pod("x", "", 1), Seen::There, 1),
            (pod("y", "a", 3), Seen::There, 2),
            (pod("y", "b", 4), Seen::There, 1),
            (pod("y", "a", 3), Seen::Gone, 1),
            (pod("x", "a", 2), Seen::Gone, 0),
        ] {
            pods.see(&event, seen);
            assert_eq!(pods.on("a").len(), on_a, "{} {seen:?}", event.name);
        }
        assert_eq!(pods.on("b"), [ObjectName::new("n", "y")]);
        assert_eq!(pods.node(&ObjectName::new("n", "y")).as_deref(), Some("b"));
        pods.forget(&ObjectName::new("n", "y"));
        let known = pods.known();
        assert!(known.nodes.is_empty() && known.bound.is_empty());
    }
}
