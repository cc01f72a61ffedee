//! Affinity and anti-affinity between pods: required rules filter, preferred ones compare.

use super::MOST;
use crate::scheduler::cluster::{Cluster, Ruled};
use crate::scheduler::counts::{ByNode, Who};
use crate::scheduler::cycle::{Cycle, Refusal, Scoring};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::{PodInfo, PodTerms};
use crate::scheduler::terms::{PodTerm, Preferred};
use crate::selectors::Selector;
use compact_str::CompactString;
use std::collections::HashMap;

/// Numbers by value, for each label of nodes.
#[derive(Clone, Default)]
struct ByLabel(Vec<(CompactString, HashMap<CompactString, i64>)>);

impl ByLabel {
    fn add(&mut self, node: &NodeInfo, key: &CompactString, by: i64) {
        let Some(value) = node.label(key) else { return };
        let index = self.0.iter().position(|(known, _)| known == key).unwrap_or(self.0.len());
        if index == self.0.len() {
            self.0.push((key.clone(), HashMap::new()));
        }
        let numbers = &mut self.0[index].1;
        match numbers.get_mut(value) {
            Some(number) => *number += by,
            None => drop(numbers.insert(value.into(), by)),
        }
    }

    /// The number where the node is; `None`: it lacks the label.
    fn at(&self, node: &NodeInfo, key: &CompactString) -> Option<i64> {
        let value = node.label(key)?;
        let numbers = self.0.iter().find(|(known, _)| known == key);
        Some(numbers.and_then(|(_, numbers)| numbers.get(value)).copied().unwrap_or(0))
    }

    /// All numbers where the node is.
    fn all_at(&self, node: &NodeInfo) -> impl Iterator<Item = i64> {
        self.0.iter().filter_map(|(key, numbers)| numbers.get(node.label(key)?)).copied()
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, numbers)| numbers.values().all(|number| *number == 0))
    }
}

fn matches(term: &PodTerm, pod: &PodInfo, cluster: &Cluster) -> bool {
    let namespace = &pod.name.namespace;
    term.covers(namespace, cluster.labels_of(namespace)) && term.selects(&pod.labels)
}

fn matches_all(terms: &[PodTerm], pod: &PodInfo, cluster: &Cluster) -> bool {
    !terms.is_empty() && terms.iter().all(|term| matches(term, pod, cluster))
}

/// On which nodes the pods are that all of these terms are about, and how many.
fn where_all(terms: &[&PodTerm], cluster: &Cluster) -> Vec<ByNode> {
    let selectors: Option<Vec<&Selector>> = terms.iter().map(|term| term.selector()).collect();
    let Some(all) = selectors.filter(|selectors| !selectors.is_empty()) else { return Vec::new() };
    let all = all.into_iter().fold(Selector::default(), |all, one| all.and(one.clone()));
    let covered = |namespace: &&CompactString| {
        terms.iter().all(|term| term.covers(namespace, cluster.labels_of(namespace)))
    };
    let namespaces = cluster.occupied_namespaces().filter(covered);
    namespaces.map(|namespace| cluster.counted(Who::Everybody, namespace, &all)).collect()
}

/// The known nodes of counted pods.
fn known<'a>(
    counts: &'a HashMap<CompactString, i64>,
    cluster: &'a Cluster,
) -> impl Iterator<Item = (&'a NodeInfo, i64)> {
    counts.iter().filter_map(|(name, count)| Some((cluster.node(name)?, *count)))
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
        for ruled in cluster.rules() {
            for term in ruled.pod.anti_affinity.required.iter().filter(|term| matches(term, pod, cluster)) {
                for (node, count) in known(&ruled.by_node, cluster) {
                    hard.against.add(node, &term.topology, count);
                }
            }
        }
        let wanted: Vec<&PodTerm> = pod.affinity.required.iter().collect();
        for counts in where_all(&wanted, cluster) {
            for (node, count) in known(&counts, cluster) {
                for term in &wanted {
                    hard.wanted.add(node, &term.topology, count);
                }
            }
        }
        for term in &pod.anti_affinity.required {
            for counts in where_all(&[term], cluster) {
                for (node, count) in known(&counts, cluster) {
                    hard.unwanted.add(node, &term.topology, count);
                }
            }
        }
        hard
    }

    fn count_against(&mut self, own: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster, by: i64) {
        for term in other.anti_affinity.required.iter().filter(|term| matches(term, own, cluster)) {
            self.against.add(node, &term.topology, by);
        }
    }

    fn count_own(&mut self, own: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster, by: i64) {
        if matches_all(&own.affinity.required, other, cluster) {
            for term in &own.affinity.required {
                self.wanted.add(node, &term.topology, by);
            }
        }
        for term in own.anti_affinity.required.iter().filter(|term| matches(term, other, cluster)) {
            self.unwanted.add(node, &term.topology, by);
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
    }
}

fn is_wanted(cycle: &Cycle<'_>, node: &NodeInfo) -> bool {
    let (hard, required) = (&cycle.affinity, &cycle.pod.affinity.required);
    let numbers: Option<Vec<i64>> =
        required.iter().map(|term| hard.wanted.at(node, &term.topology)).collect();
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
    if pod.anti_affinity.required.iter().any(|term| hard.unwanted.at(node, &term.topology) > Some(0)) {
        return Refusal::curable("node(s) didn't match pod anti-affinity rules");
    }
    if hard.against.all_at(node).any(|number| number > 0) {
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
    pub(in crate::scheduler) fn new<'a>(cycle: &Cycle<'a>) -> Self {
        let (pod, cluster) = (cycle.pod, cycle.cluster);
        let mut points = ByLabel::default();
        for (terms, sign) in [(&pod.affinity, 1), (&pod.anti_affinity, -1)] {
            for Preferred { weight, term } in &terms.preferred {
                for counts in where_all(&[term], cluster) {
                    for (node, count) in known(&counts, cluster) {
                        points.add(node, &term.topology, sign * weight * count);
                    }
                }
            }
        }
        for Ruled { pod: other, by_node } in cluster.rules() {
            let preferred = |terms: &'a PodTerms, sign: i64| {
                terms.preferred.iter().map(move |preferred| (&preferred.term, sign * preferred.weight))
            };
            let required = other.affinity.required.iter().map(|term| (term, OF_A_REQUIRED_RULE));
            let all =
                preferred(&other.affinity, 1).chain(preferred(&other.anti_affinity, -1)).chain(required);
            for (term, weight) in all.filter(|(term, _)| matches(term, pod, cluster)) {
                for (node, count) in known(by_node, cluster) {
                    points.add(node, &term.topology, weight * count);
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
    scoring.affinity.0.all_at(node).sum()
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
