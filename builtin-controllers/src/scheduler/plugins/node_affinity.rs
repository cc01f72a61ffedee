//! Node selectors and node affinity.

use crate::scheduler::cycle::{Cycle, Refusal, Scoring};
use crate::scheduler::node::NodeInfo;

pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    if cycle.pod.nodes.match_node(&node.facts.labels, &node.name) {
        None
    } else {
        Refusal::incurable("node(s) didn't match Pod's node affinity/selector")
    }
}

pub(in crate::scheduler) fn matters(scoring: &Scoring<'_>) -> bool {
    !scoring.cycle.pod.nodes.preferred.is_empty()
}

/// The weights of the preferred terms that match the node.
pub(in crate::scheduler) fn score(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    let preferred = scoring.cycle.pod.nodes.preferred.iter();
    let matching = preferred.filter(|preferred| preferred.term.matches(&node.facts.labels, &node.name));
    matching.map(|preferred| preferred.weight).sum()
}
