//! The rules by which nodes are filtered and compared: two tables, in the order of Kubernetes' default profile.

pub(super) mod fit;
pub(super) mod images;
pub(super) mod node_affinity;
pub(super) mod pod_affinity;
pub(super) mod ports;
pub(super) mod spread;
pub(super) mod taints;
pub(super) mod unschedulable;
pub(super) mod volumes;

use super::cycle::{Cycle, Refusal, Scoring, change};
use super::node::NodeInfo;

/// The best that a node can be by one rule.
pub(super) const MOST: i64 = 100;

/// A rule of which nodes can take a pod.
pub(super) struct Filter {
    /// Why a node cannot.
    pub(super) check: fn(&Cycle<'_>, &NodeInfo) -> Option<Refusal>,
    /// Which changes may help.
    pub(super) helped_by: u8,
}

/// The first that refuses tells why.
pub(super) const FILTERS: &[Filter] = &[
    Filter { check: unschedulable::check, helped_by: change::NODE },
    Filter { check: taints::check, helped_by: change::NODE },
    Filter { check: node_affinity::check, helped_by: change::NODE },
    Filter { check: ports::check, helped_by: change::NODE | change::ROOM },
    Filter { check: fit::check, helped_by: change::NODE | change::ROOM },
    Filter { check: volumes::check_disks, helped_by: change::NODE | change::ROOM },
    Filter { check: volumes::check_users, helped_by: change::ROOM | change::STORAGE },
    Filter { check: volumes::check_binding, helped_by: change::NODE | change::STORAGE },
    Filter { check: volumes::check_zone, helped_by: change::NODE | change::STORAGE },
    Filter { check: spread::check, helped_by: change::NODE | change::ROOM | change::POD },
    Filter { check: pod_affinity::check, helped_by: change::ANY },
];

/// Makes raw scores comparable: 0 to [`MOST`].
type Normalize = fn(&Scoring<'_>, &[&NodeInfo], &mut [i64]);

/// A rule of which node is better.
pub(super) struct Score {
    pub(super) weight: i64,
    /// False: it says nothing of this pod.
    pub(super) matters: fn(&Scoring<'_>) -> bool,
    pub(super) score: fn(&Scoring<'_>, &NodeInfo) -> i64,
    pub(super) normalize: Normalize,
}

pub(super) const SCORES: &[Score] = &[
    Score { weight: 3, matters: always, score: taints::score, normalize: fewest },
    Score { weight: 2, matters: node_affinity::matters, score: node_affinity::score, normalize: most },
    Score { weight: 1, matters: always, score: fit::least_allocated, normalize: as_it_is },
    Score { weight: 2, matters: spread::matters, score: spread::score, normalize: spread::normalize },
    Score {
        weight: 2,
        matters: pod_affinity::matters,
        score: pod_affinity::score,
        normalize: pod_affinity::normalize,
    },
    Score { weight: 1, matters: fit::balance_matters, score: fit::balanced, normalize: as_it_is },
    Score { weight: 1, matters: always, score: images::score, normalize: as_it_is },
];

fn always(_: &Scoring<'_>) -> bool {
    true
}

fn as_it_is(_: &Scoring<'_>, _: &[&NodeInfo], _: &mut [i64]) {}

/// The largest counts 100, the others in proportion.
fn most(_: &Scoring<'_>, _: &[&NodeInfo], scores: &mut [i64]) {
    let largest = scores.iter().copied().max().unwrap_or(0);
    if largest > 0 {
        scores.iter_mut().for_each(|score| *score = MOST * *score / largest);
    }
}

/// Nothing counts 100, the largest nothing.
fn fewest(scoring: &Scoring<'_>, nodes: &[&NodeInfo], scores: &mut [i64]) {
    most(scoring, nodes, scores);
    scores.iter_mut().for_each(|score| *score = MOST - *score);
}
