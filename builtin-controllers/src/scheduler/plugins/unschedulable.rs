//! Nodes that are cordoned.

use crate::scheduler::cycle::{Cycle, Refusal};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::terms::Taint;
use compact_str::CompactString;

pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    if !node.facts.unschedulable {
        return None;
    }
    let cordon = Taint {
        key: CompactString::const_new("node.kubernetes.io/unschedulable"),
        value: CompactString::default(),
        effect: CompactString::const_new("NoSchedule"),
    };
    if cycle.pod.tolerations.iter().any(|toleration| toleration.covers(&cordon)) {
        return None;
    }
    Refusal::incurable("node(s) were unschedulable")
}
