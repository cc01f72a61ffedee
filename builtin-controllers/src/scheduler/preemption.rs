//! Which pods have to go for a more important one: pure functions.

use super::cycle::{Cycle, Nowhere, Reason, Refusal, counted};
use super::node::NodeInfo;
use super::pod::PodInfo;
use crate::access::{number, text};
use crate::selectors::Selector;
use compact_str::CompactString;
use jiff::Timestamp;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many nodes are tried at least, where so many could help.
const CANDIDATES: usize = 100;

/// A disruption budget.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    namespace: CompactString,
    selector: Option<Selector>,
    allowed: i64,
    /// Pods that are counted as gone already.
    disrupted: BTreeSet<String>,
}

impl Budget {
    pub(super) fn of(budget: &Value) -> Self {
        let selector = Selector::parse(&budget["spec"]["selector"]).filter(|selector| !selector.is_empty());
        let disrupted = budget["status"]["disruptedPods"].as_object().into_iter().flatten();
        Budget {
            namespace: text(budget, "/metadata/namespace").into(),
            selector,
            allowed: number(budget, "/status/disruptionsAllowed").unwrap_or(0),
            disrupted: disrupted.map(|(name, _)| name.clone()).collect(),
        }
    }

    fn guards(&self, pod: &PodInfo) -> bool {
        self.namespace == pod.name.namespace
            && self.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
            && !self.disrupted.contains(pod.name.name.as_str())
    }
}

/// What preemption comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Preemption {
    /// These pods go, and the node is promised.
    Victims { node: CompactString, uids: Vec<CompactString> },
    /// It does not help, or not now: why.
    Helpless { why: String, keeps_promise: bool },
}

/// The pods of one node that would go, the most important first.
struct Candidate {
    node: CompactString,
    pods: Vec<Arc<PodInfo>>,
    violations: usize,
}

fn importance(pod: &PodInfo, now: Timestamp) -> (Reverse<i64>, Timestamp) {
    (Reverse(pod.priority), pod.started.unwrap_or(now))
}

/// Parts pods into those whose going would violate a budget and the others; the order stays.
fn by_budget(pods: Vec<Arc<PodInfo>>, budgets: &[Budget]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut left: Vec<i64> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.into_iter().partition(|pod| {
        let mut violates = false;
        for (budget, left) in budgets.iter().zip(&mut left).filter(|(budget, _)| budget.guards(pod)) {
            let _ = budget;
            *left -= 1;
            violates |= *left < 0;
        }
        violates
    })
}

/// The fewest and least important pods whose going makes room on the node.
fn victims_on(
    cycle: &Cycle<'_>,
    node: &NodeInfo,
    budgets: &[Budget],
    now: Timestamp,
) -> Result<Candidate, Refusal> {
    let (mut node, mut cycle) = (node.clone(), cycle.clone());
    let own = cycle.pod.priority;
    let mut victims: Vec<Arc<PodInfo>> = node.pods.iter().filter(|pod| pod.priority < own).cloned().collect();
    if victims.is_empty() {
        let reason = Reason::from("No preemption victims found for incoming pod");
        return Err(Refusal { reasons: vec![reason], curable: false });
    }
    for pod in &victims {
        node.remove(&pod.uid);
        cycle.count(pod, &node, -1);
    }
    if let Some((refusal, _)) = cycle.check(&node) {
        return Err(refusal);
    }
    victims.sort_by_key(|pod| importance(pod, now));
    let (violating, others) = by_budget(victims, budgets);
    let mut candidate = Candidate { node: node.name.clone(), pods: Vec::new(), violations: 0 };
    // Whoever can stay stays: first those of budgets, and of these the most important first.
    for (pod, violates) in violating.iter().map(|p| (p, true)).chain(others.iter().map(|p| (p, false))) {
        node.add(pod);
        cycle.count(pod, &node, 1);
        if cycle.check(&node).is_some() {
            node.remove(&pod.uid);
            cycle.count(pod, &node, -1);
            candidate.pods.push(pod.clone());
            candidate.violations += usize::from(violates);
        }
    }
    candidate.pods.sort_by_key(|pod| importance(pod, now));
    Ok(candidate)
}

/// What makes a candidate better, the smallest first: fewer violated budgets, less important pods, less of them in
/// sum, fewer pods, and pods that started later.
fn cost(candidate: &Candidate, now: Timestamp) -> (usize, i64, i64, usize, Reverse<Timestamp>) {
    let highest = candidate.pods.iter().map(|pod| pod.priority).max().unwrap_or(0);
    let sum = candidate.pods.iter().map(|pod| pod.priority + i64::from(i32::MAX) + 1).sum();
    let of_highest = candidate.pods.iter().filter(|pod| pod.priority == highest);
    let earliest = of_highest.map(|pod| pod.started.unwrap_or(now)).min().unwrap_or(now);
    (candidate.violations, highest, sum, candidate.pods.len(), Reverse(earliest))
}

/// Why the pod may not take the place of others now.
fn not_eligible(pod: &PodInfo, cluster: &super::cluster::Cluster, nowhere: &Nowhere) -> Option<&'static str> {
    if !pod.preempts {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    // On a node that cannot take it any more nobody is waited for.
    let is_lost = nowhere.refusals.get(&pod.nominated).is_some_and(|refusal| !refusal.curable);
    let node = cluster.place(&pod.nominated).filter(|_| !pod.nominated.is_empty() && !is_lost)?;
    let is_going =
        |other: &Arc<PodInfo>| other.priority < pod.priority && other.is_deleting && other.was_preempted;
    let is_waiting = node.pods.iter().any(is_going);
    is_waiting.then_some("not eligible due to a terminating pod on the nominated node.")
}

/// Finds the pods that have to go; `cycle` is none where the look ended before its first node.
pub(super) fn preempt(
    pod: &PodInfo,
    cluster: &super::cluster::Cluster,
    cycle: Option<&Cycle<'_>>,
    nowhere: &Nowhere,
    budgets: &[Budget],
    now: Timestamp,
) -> Preemption {
    if nowhere.before.is_some() {
        return Preemption::Helpless { why: String::new(), keeps_promise: true };
    }
    if let Some(why) = not_eligible(pod, cluster, nowhere) {
        return Preemption::Helpless { why: why.to_owned(), keeps_promise: true };
    }
    let curable = nowhere.refusals.iter().filter(|(_, refusal)| refusal.curable);
    let nodes: Vec<&NodeInfo> = curable.filter_map(|(name, _)| cluster.node(name)).collect();
    let (wanted, mut candidates, mut refusals) = ((nodes.len() / 10).max(CANDIDATES), Vec::new(), Vec::new());
    if let Some(cycle) = cycle {
        for node in &nodes {
            match victims_on(cycle, node, budgets, now) {
                Ok(candidate) => candidates.push(candidate),
                Err(refusal) => refusals.push(refusal),
            }
            if candidates.len() >= wanted && candidates.iter().any(|candidate| candidate.violations == 0) {
                break;
            }
        }
    }
    candidates.retain(|candidate| !candidate.pods.is_empty());
    if let Some(best) = candidates.into_iter().min_by_key(|candidate| cost(candidate, now)) {
        let uids = best.pods.iter().map(|pod| pod.uid.clone()).collect();
        return Preemption::Victims { node: best.node, uids };
    }
    let others = cluster.len() - refusals.len().min(cluster.len());
    let of_nodes = refusals.into_iter().flat_map(|refusal| refusal.reasons).map(|reason| (reason, 1));
    let rest = (others > 0).then(|| (Reason::from("Preemption is not helpful for scheduling"), others));
    let why = format!("0/{} nodes are available: {}.", cluster.len(), counted(of_nodes.chain(rest)));
    Preemption::Helpless { why, keeps_promise: false }
}

#[cfg(test)]
mod tests;
