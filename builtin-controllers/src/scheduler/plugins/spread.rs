//! How pods spread over zones, nodes and other domains (KEP-895, KEP-3022, KEP-3094).

use super::{MOST, taints};
use crate::scheduler::cluster::Cluster;
use crate::scheduler::counts::{ByNode, Who};
use crate::scheduler::cycle::{Cycle, Refusal, Scoring};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::terms::Constraint;
use crate::selectors::Selector;
use compact_str::CompactString;
use std::collections::{HashMap, HashSet};

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// True when pods on the node count for the constraint.
fn includes(constraint: &Constraint, pod: &PodInfo, node: &NodeInfo) -> bool {
    (!constraint.honors_affinity || pod.nodes.match_node(&node.facts.labels, &node.name))
        && (!constraint.honors_taints || taints::bears(pod, node))
}

fn counts(cluster: &Cluster, pod: &PodInfo, constraint: &Constraint) -> ByNode {
    match &constraint.selector {
        Some(selector) => cluster.counted(Who::Staying, &pod.name.namespace, selector),
        None => ByNode::default(),
    }
}

/// The pods of each domain of one constraint.
#[derive(Clone, Debug, Default)]
struct Domains {
    pods: HashMap<CompactString, i64>,
    /// The fewest of any domain.
    fewest: i64,
}

impl Domains {
    fn find_fewest(&mut self) {
        self.fewest = self.pods.values().copied().min().unwrap_or(i64::from(i32::MAX));
    }
}

/// What has to hold.
#[derive(Clone, Default)]
pub(in crate::scheduler) struct Hard(Vec<Domains>);

fn hard(pod: &PodInfo) -> impl Iterator<Item = &Constraint> {
    pod.spread.iter().filter(|constraint| constraint.is_hard)
}

impl Hard {
    pub(in crate::scheduler) fn new(pod: &PodInfo, cluster: &Cluster) -> Self {
        let constraints: Vec<(&Constraint, ByNode)> =
            hard(pod).map(|constraint| (constraint, counts(cluster, pod, constraint))).collect();
        let mut domains = vec![Domains::default(); constraints.len()];
        if constraints.is_empty() {
            return Hard(domains);
        }
        for node in cluster.nodes() {
            let values: Option<Vec<&str>> =
                constraints.iter().map(|(constraint, _)| node.label(&constraint.topology)).collect();
            for (index, value) in values.iter().flatten().enumerate() {
                let (constraint, counts) = &constraints[index];
                if includes(constraint, pod, node) {
                    let slot = domains[index].pods.entry((*value).into()).or_default();
                    *slot += counts.get(&node.name).copied().unwrap_or(0);
                }
            }
        }
        domains.iter_mut().for_each(Domains::find_fewest);
        Hard(domains)
    }

    pub(in crate::scheduler) fn count(&mut self, own: &PodInfo, pod: &PodInfo, node: &NodeInfo, by: i64) {
        if pod.name.namespace != own.name.namespace
            || hard(own).any(|constraint| node.label(&constraint.topology).is_none())
        {
            return;
        }
        for (constraint, domains) in hard(own).zip(&mut self.0) {
            let selects = constraint.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
            let Some(value) = node.label(&constraint.topology).filter(|_| selects) else { continue };
            if includes(constraint, own, node) {
                *domains.pods.entry(value.into()).or_default() += by;
                domains.find_fewest();
            }
        }
    }
}

pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    for (constraint, domains) in hard(cycle.pod).zip(&cycle.spread.0) {
        let Some(value) = node.label(&constraint.topology) else {
            return Refusal::incurable(
                "node(s) didn't match pod topology spread constraints (missing required label)",
            );
        };
        let many = i64::try_from(domains.pods.len()).unwrap_or(i64::MAX);
        // With fewer domains than there are to be, the others count as empty.
        let fewest = if many < constraint.min_domains { 0 } else { domains.fewest };
        let own = constraint.selector.as_ref().is_some_and(|selector| selector.matches(&cycle.pod.labels));
        let there = domains.pods.get(value).copied().unwrap_or(0);
        if there + i64::from(own) - fewest > constraint.max_skew {
            return Refusal::curable("node(s) didn't match pod topology spread constraints");
        }
    }
    None
}

/// What is preferred.
#[derive(Default)]
pub(in crate::scheduler) struct Soft {
    rules: Vec<SoftRule>,
    /// Nodes that lack a label, and are worth nothing.
    ignored: HashSet<CompactString>,
}

struct SoftRule {
    constraint: Constraint,
    by_node: ByNode,
    by_domain: HashMap<CompactString, i64>,
    weight: f64,
}

impl Soft {
    pub(in crate::scheduler) fn new(
        cycle: &Cycle<'_>,
        feasible: &[&NodeInfo],
        workload: Option<&Selector>,
    ) -> Self {
        let pod = cycle.pod;
        let own_rules = !pod.spread.is_empty();
        let constraints: Vec<Constraint> = match workload {
            _ if own_rules => pod.spread.iter().filter(|constraint| !constraint.is_hard).cloned().collect(),
            Some(selector) if !selector.is_empty() => [(HOSTNAME, 3), (ZONE, 5)]
                .map(|(key, skew)| Constraint::by_default(key, skew, selector))
                .into(),
            _ => return Soft::default(),
        };
        if constraints.is_empty() {
            return Soft::default();
        }
        let has_all = |node: &NodeInfo| constraints.iter().all(|rule| node.label(&rule.topology).is_some());
        let is_ignored = |node: &&&NodeInfo| own_rules && !has_all(node);
        let ignored: HashSet<CompactString> =
            feasible.iter().filter(is_ignored).map(|node| node.name.clone()).collect();
        let rules = constraints.iter().map(|constraint| {
            let by_node = counts(cycle.cluster, pod, constraint);
            let mut by_domain: HashMap<CompactString, i64> = HashMap::new();
            let mut domains = feasible.len() - ignored.len();
            if constraint.topology != HOSTNAME {
                for node in feasible.iter().filter(|node| !ignored.contains(&node.name)) {
                    // A node without the label is in a domain too, when nobody asked for the rule.
                    by_domain.entry(node.label(&constraint.topology).unwrap_or("").into()).or_default();
                }
                domains = by_domain.len();
                // Of many nodes only a few have pods that count.
                let there = by_node.iter().filter(|(_, pods)| **pods != 0);
                for (node, pods) in there.filter_map(|(name, pods)| Some((cycle.cluster.node(name)?, pods))) {
                    let counts = !own_rules || has_all(node);
                    if counts
                        && includes(constraint, pod, node)
                        && let Some(sum) = by_domain.get_mut(node.label(&constraint.topology).unwrap_or(""))
                    {
                        *sum += pods;
                    }
                }
            }
            let weight = (domains as f64 + 2.0).ln();
            SoftRule { constraint: constraint.clone(), by_node, by_domain, weight }
        });
        Soft { rules: rules.collect(), ignored }
    }
}

pub(in crate::scheduler) fn matters(scoring: &Scoring<'_>) -> bool {
    !scoring.spread.rules.is_empty()
}

/// How many pods are where the node is: the fewer the better.
pub(in crate::scheduler) fn score(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    if scoring.spread.ignored.contains(&node.name) {
        return 0;
    }
    let of_rule = |rule: &SoftRule| {
        let value = node.label(&rule.constraint.topology)?;
        let pods = if rule.constraint.topology == HOSTNAME {
            rule.by_node.get(&node.name)
        } else {
            rule.by_domain.get(value)
        };
        let pods = pods.copied().unwrap_or(0) as f64;
        Some(pods * rule.weight + (rule.constraint.max_skew - 1) as f64)
    };
    scoring.spread.rules.iter().filter_map(of_rule).sum::<f64>().round() as i64
}

pub(in crate::scheduler) fn normalize(scoring: &Scoring<'_>, nodes: &[&NodeInfo], scores: &mut [i64]) {
    let ignored = &scoring.spread.ignored;
    let counted = || nodes.iter().zip(&*scores).filter(|(node, _)| !ignored.contains(&node.name));
    let least = counted().map(|(_, score)| *score).min().unwrap_or(0);
    let largest = counted().map(|(_, score)| *score).max().unwrap_or(0);
    for (node, score) in nodes.iter().zip(scores.iter_mut()) {
        *score = match largest {
            _ if ignored.contains(&node.name) => 0,
            0 => MOST,
            _ => MOST * (largest + least - *score) / largest,
        };
    }
}

#[cfg(test)]
mod tests;
