//! A node with what is bound to it, kept up to date pod by pod.

use super::amounts::{Amounts, HostPort};
use super::pod::{Labels, PodInfo, label, normal_image};
use super::terms::{Taint, labels_in};
use crate::access::{elements, number};
use compact_str::CompactString;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeFacts {
    pub(super) labels: Labels,
    pub(super) taints: Vec<Taint>,
    pub(super) unschedulable: bool,
    pub(super) has: Amounts,
    pub(super) most_pods: i64,
    /// Sizes of images that are there.
    pub(super) images: HashMap<CompactString, i64>,
}

impl NodeFacts {
    pub(super) fn of(node: &Value) -> Self {
        let allocatable = &node["status"]["allocatable"];
        let mut has = Amounts::of(allocatable);
        let most_pods = has.other("pods");
        has.others.retain(|(name, _)| name != "pods");
        let mut images = HashMap::new();
        for image in elements(node, "/status/images") {
            let size = number(image, "/sizeBytes").unwrap_or(0);
            for name in elements(image, "/names").iter().filter_map(Value::as_str) {
                images.insert(normal_image(name), size);
            }
        }
        NodeFacts {
            labels: labels_in(node),
            taints: elements(node, "/spec/taints").iter().map(Taint::of).collect(),
            unschedulable: node["spec"]["unschedulable"] == true,
            has,
            most_pods,
            images,
        }
    }
}

/// A node and the pods on it.
#[derive(Clone, Debug)]
pub(super) struct NodeInfo {
    pub(super) name: CompactString,
    pub(super) facts: Arc<NodeFacts>,
    /// What its pods need.
    pub(super) used: Amounts,
    /// The same where nodes are compared.
    pub(super) assumed: Amounts,
    pub(super) pods: Vec<Arc<PodInfo>>,
    pub(super) ports: Vec<HostPort>,
}

impl NodeInfo {
    pub(super) fn new(name: CompactString) -> Self {
        NodeInfo {
            name,
            facts: Arc::default(),
            used: Amounts::default(),
            assumed: Amounts::default(),
            pods: Vec::new(),
            ports: Vec::new(),
        }
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        label(&self.facts.labels, key)
    }

    pub(super) fn add(&mut self, pod: &Arc<PodInfo>) {
        self.used.add(&pod.needs);
        self.assumed.add(&pod.assumed);
        self.ports.extend_from_slice(&pod.ports);
        self.pods.push(pod.clone());
    }

    pub(super) fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let index = self.pods.iter().position(|pod| pod.uid == uid)?;
        let pod = self.pods.swap_remove(index);
        self.used.subtract(&pod.needs);
        self.assumed.subtract(&pod.assumed);
        if !pod.ports.is_empty() {
            self.ports = self.pods.iter().flat_map(|pod| pod.ports.clone()).collect();
        }
        Some(pod)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::json;

    /// A node of 4 CPUs; `labels`, `spec` and `allocatable` may be given.
    pub(in crate::scheduler) fn node(name: &str, more: Value) -> Value {
        let mut labels = json!({"kubernetes.io/hostname": name});
        for (key, value) in more["labels"].as_object().into_iter().flatten() {
            labels[key] = value.clone();
        }
        let mut allocatable = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        for (key, value) in more["allocatable"].as_object().into_iter().flatten() {
            allocatable[key] = value.clone();
        }
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": more["spec"], "status": {"allocatable": allocatable}})
    }

    #[test]
    fn what_pods_take_comes_back_when_they_go() {
        let mut info = NodeInfo::new("n".into());
        let one = Arc::new(pod(
            "a",
            json!({"containers": [{"resources": {"requests": {"cpu": "1", "x.dev/gpu": 1}},
            "ports": [{"hostPort": 80}]}]}),
        ));
        let two = Arc::new(pod("b", json!({"containers": [{"resources": {"requests": {"memory": "1Gi"}}}]})));
        info.add(&one);
        info.add(&two);
        assert_eq!((info.used.cpu, info.used.other("x.dev/gpu"), info.assumed.cpu), (1000, 1, 1100));
        assert!(info.remove("a").is_some() && info.remove("a").is_none());
        assert_eq!((info.used.cpu, info.used.memory, info.ports.len()), (0, 1 << 30, 0));
    }
}
