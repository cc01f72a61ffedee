//! Which daemon sets a node's change makes due: those of its plane, and only when something changed that decides
//! about pods. Nodes renew their conditions all the time.

use compact_str::CompactString;
use plane_client::{Object, ObjectName, Seen, TenantId};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
struct Plane {
    daemon_sets: BTreeSet<ObjectName>,
    /// What nodes were like that the daemon sets know, as a hash by name.
    nodes: HashMap<CompactString, u64>,
}

/// The daemon sets and nodes of planes that have daemon sets.
#[derive(Default)]
pub(super) struct Waking(Mutex<HashMap<TenantId, Plane>>);

impl Waking {
    /// A daemon set is there, or gone.
    pub(super) fn set(&self, tenant: TenantId, name: &ObjectName, seen: Seen) {
        let mut planes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Seen::There => {
                planes.entry(tenant).or_default().daemon_sets.insert(name.clone());
            }
            Seen::Gone => {
                let Some(plane) = planes.get_mut(&tenant) else { return };
                plane.daemon_sets.remove(name);
                if plane.daemon_sets.is_empty() {
                    planes.remove(&tenant);
                }
            }
        }
    }

    /// The daemon sets that an event of a node makes due.
    pub(super) fn due(&self, node: &Object, seen: Seen) -> Vec<ObjectName> {
        let mut planes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A daemon set that comes later reads the nodes of then.
        let Some(plane) = planes.get_mut(&node.tenant) else { return vec![] };
        let name = &node.name.name;
        match seen {
            Seen::There => {
                let now = fingerprint(&node.value().unwrap_or_default());
                if plane.nodes.get(name) == Some(&now) {
                    return vec![];
                }
                plane.nodes.insert(name.clone(), now);
            }
            Seen::Gone => {
                plane.nodes.remove(name);
            }
        }
        plane.daemon_sets.iter().cloned().collect()
    }
}

fn fingerprint(node: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    let decides = [&node["metadata"]["labels"], &node["spec"]["taints"], &node["spec"]["unschedulable"]];
    // Maps of `serde_json` are in order of keys: what is equal prints alike.
    decides.map(Value::to_string).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use plane_client::{GroupResource, Meta, Revision};
    use serde_json::json;
    use std::sync::Arc;

    fn node(tenant: TenantId, name: &str, body: Value) -> Object {
        Object {
            tenant,
            resource: GroupResource::new("", "nodes"),
            name: ObjectName::cluster(name),
            revision: Revision(1),
            meta: Arc::new(Meta::of(&body)),
            bytes: Bytes::from(body.to_string()),
        }
    }

    #[test]
    fn heartbeats_wake_nobody_and_changes_their_plane() {
        let waking = Waking::default();
        let tenant = TenantId::LOCAL_SUPER;
        let agent = ObjectName::new("ns", "agent");
        let plain = || json!({"metadata": {"labels": {"a": "b"}}, "status": {"beat": 1}});
        assert_eq!(waking.due(&node(tenant, "n", plain()), Seen::There), []);
        waking.set(tenant, &agent, Seen::There);
        assert_eq!(waking.due(&node(tenant, "n", plain()), Seen::There), std::slice::from_ref(&agent));
        let mut beat = plain();
        beat["status"]["beat"] = 2.into();
        assert_eq!(waking.due(&node(tenant, "n", beat), Seen::There), []);
        assert_eq!(waking.due(&node(TenantId::HOST, "n", plain()), Seen::There), []);
        let mut tainted = plain();
        tainted["spec"]["taints"] = json!([{"key": "x", "effect": "NoSchedule"}]);
        assert_eq!(waking.due(&node(tenant, "n", tainted), Seen::There), std::slice::from_ref(&agent));
        assert_eq!(waking.due(&node(tenant, "n", plain()), Seen::Gone), std::slice::from_ref(&agent));
        assert_eq!(waking.due(&node(tenant, "n", plain()), Seen::There), std::slice::from_ref(&agent));
        waking.set(tenant, &agent, Seen::Gone);
        assert_eq!(waking.due(&node(tenant, "n", plain()), Seen::Gone), []);
        assert!(waking.0.lock().unwrap().is_empty());
    }
}
