//! Affinity and anti-affinity between pods: required rules filter, preferred ones compare.

use super::MOST;
use crate::scheduler::cluster::Cluster;
use crate::scheduler::cycle::{Cycle, Refusal, Scoring};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{PodInfo, PodTerms};
use crate::scheduler::terms::{PodTerm, Preferred};
use compact_str::CompactString;
use std::collections::HashMap;
use std::sync::Arc;

/// Numbers by label of the node: key and value.
type ByLabel = HashMap<(CompactString, CompactString), i64>;

fn add(to: &mut ByLabel, node: &NodeInfo, key: &CompactString, by: i64) {
    if let Some(value) = node.label(key) {
        *to.entry((key.clone(), value.into())).or_default() += by;
    }
}

fn at(numbers: &ByLabel, node: &NodeInfo, key: &CompactString) -> Option<i64> {
    let value = node.label(key)?;
    Some(numbers.get(&(key.clone(), value.into())).copied().unwrap_or(0))
}

fn matches(term: &PodTerm, pod: &PodInfo, cluster: &Cluster) -> bool {
    let namespace = &pod.name.namespace;
    term.covers(namespace, cluster.labels_of(namespace)) && term.selects(&pod.labels)
}

fn matches_all(terms: &[PodTerm], pod: &PodInfo, cluster: &Cluster) -> bool {
    !terms.is_empty() && terms.iter().all(|term| matches(term, pod, cluster))
}

/// The pods that one of the terms may be about: those of the namespaces that it covers.
fn candidates<'a>(terms: &'a [&'a PodTerm], cluster: &'a Cluster) -> impl Iterator<Item = &'a Arc<PodInfo>> {
    let covered = |namespace: &&CompactString| {
        terms.iter().any(|term| term.covers(namespace, cluster.labels_of(namespace)))
    };
    cluster.occupied_namespaces().filter(covered).flat_map(|namespace| cluster.pods_in(namespace))
}

/// What has to hold.
#[derive(Clone, Default)]
pub(in crate::scheduler) struct Hard {
    /// Pods that do not want the pod near them.
    against: ByLabel,
    /// Pods that it wants to be near.
    wanted: ByLabel,
    /// Pods that it does not want near.
    unwanted: ByLabel,
}

impl Hard {
    pub(in crate::scheduler) fn new(pod: &PodInfo, cluster: &Cluster) -> Self {
        let mut hard = Hard::default();
        let known = |pod: &PodInfo| cluster.node(&pod.node);
        for other in cluster.pods_with_affinity().filter(|other| !other.anti_affinity.required.is_empty()) {
            if let Some(node) = known(other) {
                hard.count_against(pod, other, node, cluster, 1);
            }
        }
        let terms: Vec<&PodTerm> = pod.affinity.required.iter().chain(&pod.anti_affinity.required).collect();
        if !terms.is_empty() {
            for other in candidates(&terms, cluster) {
                if let Some(node) = known(other) {
                    hard.count_own(pod, other, node, cluster, 1);
                }
            }
        }
        hard
    }

    fn count_against(&mut self, own: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster, by: i64) {
        for term in other.anti_affinity.required.iter().filter(|term| matches(term, own, cluster)) {
            add(&mut self.against, node, &term.topology, by);
        }
    }

    fn count_own(&mut self, own: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster, by: i64) {
        if matches_all(&own.affinity.required, other, cluster) {
            for term in &own.affinity.required {
                add(&mut self.wanted, node, &term.topology, by);
            }
        }
        for term in own.anti_affinity.required.iter().filter(|term| matches(term, other, cluster)) {
            add(&mut self.unwanted, node, &term.topology, by);
        }
    }

    pub(in crate::scheduler) fn count(
        &mut self,
        own: &PodInfo,
        other: &PodInfo,
        node: &NodeInfo,
        cluster: &Cluster,
        by: i64,
    ) {
        self.count_against(own, other, node, cluster, by);
        self.count_own(own, other, node, cluster, by);
        for numbers in [&mut self.against, &mut self.wanted, &mut self.unwanted] {
            numbers.retain(|_, number| *number != 0);
        }
    }
}

fn is_wanted(cycle: &Cycle<'_>, node: &NodeInfo) -> bool {
    let (hard, required) = (&cycle.affinity, &cycle.pod.affinity.required);
    let numbers: Option<Vec<i64>> =
        required.iter().map(|term| at(&hard.wanted, node, &term.topology)).collect();
    match numbers {
        // Every label has to be there.
        None => false,
        Some(numbers) if numbers.iter().all(|number| *number > 0) => true,
        // The first pod of those that want to be near each other finds none yet.
        Some(_) => hard.wanted.is_empty() && matches_all(required, cycle.pod, cycle.cluster),
    }
}

pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    let (hard, pod) = (&cycle.affinity, cycle.pod);
    if !is_wanted(cycle, node) {
        return Refusal::incurable("node(s) didn't match pod affinity rules");
    }
    if pod.anti_affinity.required.iter().any(|term| at(&hard.unwanted, node, &term.topology) > Some(0)) {
        return Refusal::curable("node(s) didn't match pod anti-affinity rules");
    }
    let is_near = |((key, value), number): (&(CompactString, CompactString), &i64)| {
        *number > 0 && node.label(key) == Some(value)
    };
    if hard.against.iter().any(is_near) {
        return Refusal::curable("node(s) didn't satisfy existing pods anti-affinity rules");
    }
    None
}

/// What is preferred: points by label of the node.
#[derive(Default)]
pub(in crate::scheduler) struct Soft(ByLabel);

/// What a required rule of a pod that is there counts for when it is about the pod.
const OF_A_REQUIRED_RULE: i64 = 1;

impl Soft {
    pub(in crate::scheduler) fn new(cycle: &Cycle<'_>) -> Self {
        let (pod, cluster) = (cycle.pod, cycle.cluster);
        let mut points = ByLabel::new();
        let mut give = |terms: &[Preferred<PodTerm>], about: &PodInfo, node: &NodeInfo, sign: i64| {
            for preferred in terms.iter().filter(|preferred| matches(&preferred.term, about, cluster)) {
                add(&mut points, node, &preferred.term.topology, sign * preferred.weight);
            }
        };
        let of = |terms: &PodTerms| !terms.preferred.is_empty();
        if of(&pod.affinity) || of(&pod.anti_affinity) {
            let preferred = pod.affinity.preferred.iter().chain(&pod.anti_affinity.preferred);
            let terms: Vec<&PodTerm> = preferred.map(|preferred| &preferred.term).collect();
            for other in candidates(&terms, cluster) {
                if let Some(node) = cluster.node(&other.node) {
                    give(&pod.affinity.preferred, other, node, 1);
                    give(&pod.anti_affinity.preferred, other, node, -1);
                }
            }
        }
        for other in cluster.pods_with_affinity() {
            if let Some(node) = cluster.node(&other.node) {
                give(&other.affinity.preferred, pod, node, 1);
                give(&other.anti_affinity.preferred, pod, node, -1);
            }
        }
        for other in cluster.pods_with_affinity() {
            if let Some(node) = cluster.node(&other.node) {
                for term in other.affinity.required.iter().filter(|term| matches(term, pod, cluster)) {
                    add(&mut points, node, &term.topology, OF_A_REQUIRED_RULE);
                }
            }
        }
        Soft(points)
    }
}

pub(in crate::scheduler) fn matters(scoring: &Scoring<'_>) -> bool {
    !scoring.affinity.0.is_empty()
}

pub(in crate::scheduler) fn score(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    let points = scoring.affinity.0.iter();
    points.filter(|((key, value), _)| node.label(key) == Some(value)).map(|(_, points)| points).sum()
}

/// The least counts nothing, the most 100.
pub(in crate::scheduler) fn normalize(_: &Scoring<'_>, _: &[&NodeInfo], scores: &mut [i64]) {
    let least = scores.iter().copied().min().unwrap_or(0);
    let range = scores.iter().copied().max().unwrap_or(0) - least;
    for score in scores {
        *score = if range > 0 { (MOST as f64 * ((*score - least) as f64 / range as f64)) as i64 } else { 0 };
    }
}

#[cfg(test)]
mod tests;
