//! The nodes and pods of the plane, kept up to date event by event.

use super::counts::{ByNode, Counts, Who};
use super::node::{NodeFacts, NodeInfo};
use super::pod::{Labels, PodInfo};
use crate::selectors::Selector;
use compact_str::CompactString;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Pods with the same rules about other pods.
pub(super) struct Ruled {
    /// One of them, or one that was.
    pub(super) pod: Arc<PodInfo>,
    /// How many are on which node.
    pub(super) by_node: HashMap<CompactString, i64>,
}

/// What the scheduler decides by.
#[derive(Default)]
pub(super) struct Cluster {
    /// Nodes in the order in which they came; those that are not known have pods only.
    nodes: Vec<NodeInfo>,
    by_name: HashMap<CompactString, usize>,
    /// Which of them are known.
    known: Vec<usize>,
    /// The pods that are on a node, or are being bound to one, by UID.
    pods: HashMap<CompactString, Arc<PodInfo>>,
    /// The same by namespace.
    by_namespace: HashMap<CompactString, BTreeMap<CompactString, Arc<PodInfo>>>,
    /// The rules about other pods that pods have.
    rules: BTreeMap<Arc<str>, Ruled>,
    /// How many pods use a claim, by namespace and name.
    claims: HashMap<(CompactString, CompactString), usize>,
    /// Pods that were promised a node.
    nominated: HashMap<CompactString, Vec<Arc<PodInfo>>>,
    pub(super) namespaces: HashMap<CompactString, Labels>,
    counts: Mutex<Counts>,
    none: Labels,
}

impl Cluster {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many pods of a namespace a selector selects, by node.
    pub(super) fn counted(&self, who: Who, namespace: &str, selector: &Selector) -> ByNode {
        self.counts().of(who, namespace, selector, self.pods_in(namespace))
    }

    /// How many nodes are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The known nodes, from the one at this place on, all around.
    pub(super) fn nodes_from(&self, start: usize) -> impl Iterator<Item = &NodeInfo> {
        let (before, after) = self.known.split_at(start.min(self.known.len()));
        after.iter().chain(before).map(|index| &self.nodes[*index])
    }

    /// The known nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes_from(0)
    }

    /// A known node.
    pub(super) fn node(&self, name: &str) -> Option<&NodeInfo> {
        let index = self.by_name.get(name).filter(|index| self.known.binary_search(index).is_ok())?;
        self.nodes.get(*index)
    }

    /// A node with pods on it, known or not.
    pub(super) fn place(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(*self.by_name.get(name)?)
    }

    fn slot(&mut self, name: &CompactString) -> &mut NodeInfo {
        let next = self.nodes.len();
        let index = *self.by_name.entry(name.clone()).or_insert(next);
        if index == next {
            self.nodes.push(NodeInfo::new(name.clone()));
        }
        &mut self.nodes[index]
    }

    /// A node is there, or was changed.
    pub(super) fn set_node(&mut self, name: &CompactString, facts: NodeFacts) {
        self.slot(name).facts = Arc::new(facts);
        let index = self.by_name[name];
        if let Err(place) = self.known.binary_search(&index) {
            self.known.insert(place, index);
        }
    }

    /// A node is gone; its pods are still there.
    pub(super) fn remove_node(&mut self, name: &str) {
        let Some(index) = self.by_name.get(name).copied() else { return };
        self.known.retain(|known| *known != index);
        self.nodes[index].facts = Arc::default();
        let forgotten = self.nodes.len() - self.known.len();
        if forgotten > self.known.len() + 64 {
            self.compact();
        }
    }

    /// Forgets nodes that are not known and have no pods.
    fn compact(&mut self) {
        let known: std::collections::HashSet<usize> = self.known.drain(..).collect();
        let nodes = std::mem::take(&mut self.nodes);
        self.by_name.clear();
        for (index, node) in nodes.into_iter().enumerate() {
            if known.contains(&index) || !node.pods.is_empty() {
                let now = self.nodes.len();
                if known.contains(&index) {
                    self.known.push(now);
                }
                self.by_name.insert(node.name.clone(), now);
                self.nodes.push(node);
            }
        }
    }

    /// A pod that has a node.
    pub(super) fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid)
    }

    /// The UIDs of all pods that have a node.
    pub(super) fn uids(&self) -> impl Iterator<Item = &CompactString> {
        self.pods.keys()
    }

    /// Puts a pod on its node, in place of what was known of it.
    pub(super) fn put(&mut self, pod: Arc<PodInfo>) {
        self.take(&pod.uid);
        self.slot(&pod.node).add(&pod);
        self.counts().changed(&pod, 1);
        for volume in &pod.claims {
            *self.claims.entry((pod.name.namespace.clone(), volume.claim.clone())).or_default() += 1;
        }
        if !pod.rules.is_empty() {
            let new = || Ruled { pod: pod.clone(), by_node: HashMap::new() };
            let ruled = self.rules.entry(pod.rules.clone()).or_insert_with(new);
            *ruled.by_node.entry(pod.node.clone()).or_default() += 1;
        }
        let of_namespace = self.by_namespace.entry(pod.name.namespace.clone()).or_default();
        of_namespace.insert(pod.uid.clone(), pod.clone());
        self.pods.insert(pod.uid.clone(), pod);
    }

    /// Takes a pod from its node.
    pub(super) fn take(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(uid)?;
        if let Some(index) = self.by_name.get(&pod.node) {
            self.nodes[*index].remove(uid);
        }
        self.counts().changed(&pod, -1);
        for volume in &pod.claims {
            let key = (pod.name.namespace.clone(), volume.claim.clone());
            if let Some(count) = self.claims.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.claims.remove(&key);
                }
            }
        }
        if let Some(ruled) = self.rules.get_mut(&pod.rules) {
            let count = ruled.by_node.entry(pod.node.clone()).or_default();
            *count -= 1;
            if *count == 0 {
                ruled.by_node.remove(&pod.node);
            }
            if ruled.by_node.is_empty() {
                self.rules.remove(&pod.rules);
            }
        }
        if let Some(of_namespace) = self.by_namespace.get_mut(&pod.name.namespace) {
            of_namespace.remove(uid);
            if of_namespace.is_empty() {
                self.by_namespace.remove(&pod.name.namespace);
            }
        }
        Some(pod)
    }

    /// The pods of a namespace that have a node.
    pub(super) fn pods_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    /// The namespaces with pods that have a node.
    pub(super) fn occupied_namespaces(&self) -> impl Iterator<Item = &CompactString> {
        self.by_namespace.keys()
    }

    /// The rules about other pods that pods with a node have.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Ruled> {
        self.rules.values()
    }

    /// How many pods that have a node use a claim.
    pub(super) fn users_of(&self, namespace: &CompactString, claim: &CompactString) -> usize {
        self.claims.get(&(namespace.clone(), claim.clone())).copied().unwrap_or(0)
    }

    /// The labels of a namespace.
    pub(super) fn labels_of(&self, namespace: &str) -> &Labels {
        self.namespaces.get(namespace).unwrap_or(&self.none)
    }

    /// Promises a pod a node; an empty name takes the promise back.
    pub(super) fn nominate(&mut self, pod: &Arc<PodInfo>, node: &str) {
        self.break_promise(&pod.uid);
        if !node.is_empty() {
            self.nominated.entry(node.into()).or_default().push(pod.clone());
        }
    }

    /// Takes back what a pod was promised.
    pub(super) fn break_promise(&mut self, uid: &str) {
        self.nominated.retain(|_, pods| {
            pods.retain(|other| other.uid != uid);
            !pods.is_empty()
        });
    }

    /// The pods that were promised a node.
    pub(super) fn nominated_to(&self, node: &str) -> &[Arc<PodInfo>] {
        self.nominated.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// The node that a pod was promised.
    pub(super) fn promise(&self, uid: &str) -> Option<&CompactString> {
        self.nominated.iter().find(|(_, pods)| pods.iter().any(|pod| pod.uid == uid)).map(|(node, _)| node)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::node::tests::node;
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::{Value, json};

    /// A cluster of these nodes.
    pub(in crate::scheduler) fn cluster(nodes: &[(&str, Value)]) -> Cluster {
        let mut cluster = Cluster::default();
        for (name, more) in nodes {
            cluster.set_node(&(*name).into(), NodeFacts::of(&node(name, more.clone())));
        }
        cluster
    }

    /// Puts a pod on a node.
    pub(in crate::scheduler) fn put(cluster: &mut Cluster, mut info: PodInfo, node: &str) {
        info.node = node.into();
        cluster.put(Arc::new(info));
    }

    #[test]
    fn nodes_come_and_go_and_their_pods_stay() {
        let mut cluster = cluster(&[("a", json!({})), ("b", json!({}))]);
        put(&mut cluster, pod("p", json!({})), "a");
        put(&mut cluster, pod("q", json!({})), "elsewhere");
        assert_eq!((cluster.len(), cluster.node("elsewhere").is_none()), (2, true));
        cluster.remove_node("a");
        assert!(cluster.node("a").is_none());
        for index in 0..200 {
            let name = CompactString::from(format!("n{index}"));
            cluster.set_node(&name, NodeFacts::default());
            cluster.remove_node(&name);
        }
        assert!(cluster.nodes.len() < 80);
        cluster.set_node(&"a".into(), NodeFacts::default());
        assert_eq!(cluster.node("a").unwrap().pods[0].uid, "p");
        assert_eq!(cluster.nodes().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        cluster.take("p");
        assert!(cluster.node("a").unwrap().pods.is_empty() && cluster.pods_in("default").count() == 1);
    }

    #[test]
    fn a_pod_is_promised_one_node() {
        let mut cluster = cluster(&[("a", json!({}))]);
        let waiting = Arc::new(pod("w", json!({})));
        cluster.nominate(&waiting, "a");
        cluster.nominate(&waiting, "b");
        assert_eq!((cluster.nominated_to("a").len(), cluster.promise("w").unwrap().as_str()), (0, "b"));
        cluster.nominate(&waiting, "");
        assert!(cluster.nominated.is_empty());
    }
}
