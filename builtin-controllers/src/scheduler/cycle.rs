//! One look for a node: which can take the pod, which of them is best, and why none can. Pure functions.

use super::cluster::Cluster;
use super::node::NodeInfo;
use super::plugins::{FILTERS, SCORES};
use super::plugins::{pod_affinity, spread, volumes};
use super::pod::PodInfo;
use crate::selectors::Selector;
use compact_str::CompactString;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A reason in the words of Kubernetes.
pub(super) type Reason = Cow<'static, str>;

/// Why a node cannot take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reasons: Vec<Reason>,
    /// It could if other pods went.
    pub(super) curable: bool,
}

impl Refusal {
    /// It could take the pod if others went.
    pub(super) fn curable(reason: impl Into<Reason>) -> Option<Self> {
        Some(Refusal { reasons: vec![reason.into()], curable: true })
    }

    /// It cannot take the pod whoever goes.
    pub(super) fn incurable(reason: impl Into<Reason>) -> Option<Self> {
        Some(Refusal { reasons: vec![reason.into()], curable: false })
    }
}

/// What happens to pods that wait is told as a set of these.
pub(super) mod change {
    /// A node came, or changed.
    pub(in crate::scheduler) const NODE: u8 = 1;
    /// A pod left its node.
    pub(in crate::scheduler) const ROOM: u8 = 2;
    /// A pod came to a node, or changed there.
    pub(in crate::scheduler) const POD: u8 = 4;
    /// A claim, a volume or a class came or changed.
    pub(in crate::scheduler) const STORAGE: u8 = 8;
    /// A namespace changed.
    pub(in crate::scheduler) const NAMESPACE: u8 = 16;
    /// Everything.
    pub(in crate::scheduler) const ANY: u8 = 255;
}

/// A pod and what of the cluster matters for it.
#[derive(Clone)]
pub(super) struct Cycle<'a> {
    pub(super) pod: &'a PodInfo,
    pub(super) cluster: &'a Cluster,
    pub(super) spread: spread::Hard,
    pub(super) affinity: pod_affinity::Hard,
    pub(super) volumes: &'a volumes::Volumes,
    /// Pods that use a claim of this pod that one pod alone may use.
    pub(super) users: i64,
}

/// What the scores need beside.
pub(super) struct Scoring<'a> {
    pub(super) cycle: &'a Cycle<'a>,
    pub(super) spread: spread::Soft,
    pub(super) affinity: pod_affinity::Soft,
}

/// What is known of a pod before its look.
pub(super) struct Asked<'a> {
    pub(super) pod: &'a PodInfo,
    pub(super) volumes: &'a volumes::Volumes,
}

/// What became of a look.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// On this node, after so many were looked at.
    Fits {
        node: CompactString,
        looked: usize,
    },
    Nowhere(Nowhere),
}

/// Why there is no node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Nowhere {
    /// Why no node was looked at.
    pub(super) before: Option<Reason>,
    /// Why each node that was looked at cannot take the pod.
    pub(super) refusals: BTreeMap<CompactString, Refusal>,
    /// Nodes that were not looked at, and why.
    pub(super) others: Option<(usize, Reason)>,
    /// How many nodes there are.
    pub(super) total: usize,
    /// Which changes may help.
    pub(super) helped_by: u8,
}

/// Counted reasons, as Kubernetes joins them.
pub(super) fn counted(reasons: impl IntoIterator<Item = (Reason, usize)>) -> String {
    let mut all: BTreeMap<Reason, usize> = BTreeMap::new();
    for (reason, count) in reasons {
        *all.entry(reason).or_default() += count;
    }
    let mut list: Vec<String> = all.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    list.sort();
    list.join(", ")
}

impl Nowhere {
    /// The whole message: `helpless` is why no pods can go instead. Dynamic resource claims are told of as
    /// kube-scheduler does where there are none of them.
    pub(super) fn told(&self, helpless: Option<&str>) -> String {
        let message = self.message();
        match helpless {
            _ if self.total == 0 => message,
            _ if self.before.is_some() => format!("{message} not found"),
            Some(why) => format!("{message} no new claims to deallocate, preemption: {why}"),
            None => message,
        }
    }

    /// The message without what comes of preemption.
    pub(super) fn message(&self) -> String {
        if self.total == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let of_nodes =
            self.refusals.values().flat_map(|refusal| refusal.reasons.iter().map(|r| (r.clone(), 1)));
        let others = self.others.iter().map(|(count, reason)| (reason.clone(), *count));
        let why = match &self.before {
            Some(reason) => reason.to_string(),
            None => counted(of_nodes.chain(others.filter(|(_, count)| *count > 0))),
        };
        format!("0/{} nodes are available: {why}.", self.total)
    }
}

/// How many nodes that can take a pod are enough: all of a few, the half and fewer of many.
fn enough(nodes: usize) -> usize {
    if nodes < 100 {
        return nodes;
    }
    let percentage = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(100)
}

impl<'a> Cycle<'a> {
    /// Prepares a look.
    ///
    /// # Errors
    ///
    /// Why no node can take the pod, whatever it is like.
    pub(super) fn new(asked: &Asked<'a>, cluster: &'a Cluster) -> Result<Self, Nowhere> {
        let Asked { pod, volumes } = *asked;
        let refuse = |reason: Reason, helped_by| {
            Err(Nowhere { before: Some(reason), total: cluster.len(), helped_by, ..Nowhere::default() })
        };
        if pod.nodes.names.as_ref().is_some_and(std::collections::BTreeSet::is_empty) {
            return refuse("pod affinity terms conflict".into(), 0);
        }
        if pod.asks_for_devices {
            return refuse("dynamic resource claims are not supported by this scheduler".into(), 0);
        }
        if let Some(reason) = &volumes.refusal {
            return refuse(reason.clone(), change::STORAGE);
        }
        let users =
            volumes.exclusive.iter().map(|claim| cluster.users_of(&pod.name.namespace, claim)).sum::<usize>();
        Ok(Cycle {
            pod,
            cluster,
            spread: spread::Hard::new(pod, cluster),
            affinity: pod_affinity::Hard::new(pod, cluster),
            volumes,
            users: i64::try_from(users).unwrap_or(i64::MAX),
        })
    }

    /// Counts a pod as there (1), or as gone (-1).
    pub(super) fn count(&mut self, pod: &PodInfo, node: &NodeInfo, by: i64) {
        let own = self.pod;
        self.spread.count(own, pod, node, by);
        self.affinity.count(own, pod, node, self.cluster, by);
        if pod.name.namespace == own.name.namespace {
            let shared =
                pod.claims.iter().filter(|volume| self.volumes.exclusive.contains(&volume.claim)).count();
            self.users += by * i64::try_from(shared).unwrap_or(0);
        }
    }

    /// Why a node as it is cannot take the pod, and which changes may help.
    fn filter(&self, node: &NodeInfo) -> Option<(Refusal, u8)> {
        FILTERS.iter().find_map(|filter| Some(((filter.check)(self, node)?, filter.helped_by)))
    }

    /// The same, with the pods that were promised the node and are no less important; and without them.
    pub(super) fn check(&self, node: &NodeInfo) -> Option<(Refusal, u8)> {
        let own = self.pod;
        let matters = |pod: &&Arc<PodInfo>| pod.priority >= own.priority && pod.uid != own.uid;
        let promised: Vec<&Arc<PodInfo>> =
            self.cluster.nominated_to(&node.name).iter().filter(matters).collect();
        if !promised.is_empty() {
            let (mut with, mut cycle) = (node.clone(), self.clone());
            for pod in promised {
                with.add(pod);
                cycle.count(pod, &with, 1);
            }
            if let Some(refused) = cycle.filter(&with) {
                return Some(refused);
            }
        }
        self.filter(node)
    }

    /// Looks for a node, beginning at this one.
    pub(super) fn look(&self, workload: Option<&Selector>, start: usize) -> Outcome {
        let cluster = self.cluster;
        let mut nowhere = Nowhere { total: cluster.len(), ..Nowhere::default() };
        let promise = Some(&self.pod.nominated).filter(|name| !name.is_empty());
        if let Some(node) = promise.and_then(|name| cluster.node(name))
            && self.check(node).is_none()
        {
            return Outcome::Fits { node: node.name.clone(), looked: 0 };
        }
        let (wanted, mut feasible) = (enough(cluster.len()), Vec::new());
        let mut consider = |node: &'a NodeInfo| {
            match self.check(node) {
                None => feasible.push(node),
                Some((refusal, helped_by)) => {
                    nowhere.helped_by |= helped_by;
                    nowhere.refusals.insert(node.name.clone(), refusal);
                }
            }
            feasible.len() < wanted
        };
        if let Some(names) = &self.pod.nodes.names {
            for node in names.iter().filter_map(|name| cluster.node(name)) {
                if !consider(node) {
                    break;
                }
            }
            let rest = cluster.len() - nowhere.refusals.len();
            nowhere.helped_by |= change::NODE;
            nowhere.others = Some((rest, "node(s) didn't satisfy plugin(s) [NodeAffinity]".into()));
        } else {
            for node in cluster.nodes_from(start) {
                if !consider(node) {
                    break;
                }
            }
        }
        let looked = feasible.len() + nowhere.refusals.len();
        match feasible.as_slice() {
            [] => Outcome::Nowhere(nowhere),
            [node] => Outcome::Fits { node: node.name.clone(), looked },
            _ => Outcome::Fits { node: self.best(&feasible, workload), looked },
        }
    }

    /// What each node is worth, all plugins together.
    pub(super) fn worth(&self, nodes: &[&NodeInfo], workload: Option<&Selector>) -> Vec<i64> {
        let scoring = Scoring {
            cycle: self,
            spread: spread::Soft::new(self, nodes, workload),
            affinity: pod_affinity::Soft::new(self),
        };
        let mut total = vec![0; nodes.len()];
        for score in SCORES.iter().filter(|score| (score.matters)(&scoring)) {
            let mut worth: Vec<i64> = nodes.iter().map(|node| (score.score)(&scoring, node)).collect();
            (score.normalize)(&scoring, nodes, &mut worth);
            for (total, worth) in total.iter_mut().zip(worth) {
                *total += score.weight * worth;
            }
        }
        total
    }

    fn best(&self, nodes: &[&NodeInfo], workload: Option<&Selector>) -> CompactString {
        let worth = self.worth(nodes, workload);
        let candidates = nodes.iter().zip(worth);
        // Of equals the one with fewer pods, then the first by name.
        let best = candidates.max_by(|(a, of_a), (b, of_b)| {
            let fewer = b.pods.len().cmp(&a.pods.len());
            of_a.cmp(of_b).then(fewer).then_with(|| b.name.cmp(&a.name))
        });
        best.map(|(node, _)| node.name.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
