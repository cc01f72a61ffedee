//! Ports of the host.

use crate::scheduler::cycle::{Cycle, Refusal};
use crate::scheduler::node::NodeInfo;

pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    let is_taken = cycle.pod.ports.iter().any(|port| node.ports.iter().any(|taken| port.conflicts(taken)));
    if is_taken {
        Refusal::curable("node(s) didn't have free ports for the requested pod ports")
    } else {
        None
    }
}
