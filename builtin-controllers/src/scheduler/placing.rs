//! The scheduler's decisions alone, in memory: for measuring them, and for asking where pods would go.

use super::cluster::Cluster;
use super::cycle::{Asked, Cycle, Nowhere, Outcome};
use super::node::NodeFacts;
use super::plugins::volumes::Volumes;
use super::pod::PodInfo;
use super::preemption::{Preemption, preempt};
use crate::access::text;
use jiff::Timestamp;
use plane_client::ObjectName;
use serde_json::Value;
use std::sync::Arc;

/// Nodes with pods on them.
#[derive(Default)]
pub struct Placing {
    cluster: Cluster,
    start: usize,
}

impl Placing {
    /// Adds a `v1.Node`.
    pub fn add_node(&mut self, node: &Value) {
        self.cluster.set_node(&text(node, "/metadata/name").into(), NodeFacts::of(node));
    }

    /// Finds a node for a `v1.Pod` and puts it there; a pod that says its node is put there at once. Claims and
    /// Services are not known here.
    ///
    /// # Errors
    ///
    /// Why no node can take it, in the words of Kubernetes.
    pub fn place(&mut self, pod: &Value) -> Result<String, String> {
        let name = ObjectName::new(text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let mut info = PodInfo::read(pod, name);
        if info.node.is_empty() {
            info.node = self.choose(&info)?.into();
        }
        let node = info.node.to_string();
        self.cluster.put(Arc::new(info));
        Ok(node)
    }

    fn choose(&mut self, info: &PodInfo) -> Result<String, String> {
        let volumes = Volumes::default();
        let asked = Asked { pod: info, volumes: &volumes };
        let explain = |cycle: Option<&Cycle<'_>>, nowhere: &Nowhere| match preempt(
            info,
            &self.cluster,
            cycle,
            nowhere,
            &[],
            Timestamp::UNIX_EPOCH,
        ) {
            Preemption::Helpless { why, .. } => nowhere.told(Some(&why)),
            Preemption::Victims { .. } => nowhere.told(None),
        };
        let cycle = Cycle::new(&asked, &self.cluster).map_err(|nowhere| explain(None, &nowhere))?;
        match cycle.look(None, self.start) {
            Outcome::Fits { node, looked } => {
                self.start = (self.start + looked) % self.cluster.len().max(1);
                Ok(node.to_string())
            }
            Outcome::Nowhere(nowhere) => Err(explain(Some(&cycle), &nowhere)),
        }
    }
}
