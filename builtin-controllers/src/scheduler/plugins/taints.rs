//! Taints and tolerations.

use crate::scheduler::cycle::{Cycle, Refusal, Scoring};
use crate::scheduler::node::NodeInfo;
use crate::scheduler::pod::PodInfo;
use crate::scheduler::terms::Taint;

/// True when the pod bears every taint that keeps pods away.
pub(super) fn bears(pod: &PodInfo, node: &NodeInfo) -> bool {
    let is_borne = |taint: &Taint| pod.tolerations.iter().any(|toleration| toleration.covers(taint));
    node.facts.taints.iter().all(|taint| !taint.repels() || is_borne(taint))
}

pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    if bears(cycle.pod, node) { None } else { Refusal::incurable("node(s) had untolerated taint(s)") }
}

/// How many taints of the node the pod would rather not bear.
pub(in crate::scheduler) fn score(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    const PREFERRED: &str = "PreferNoSchedule";
    let pod = scoring.cycle.pod;
    let is_borne = |taint: &Taint| {
        let mut for_it = pod.tolerations.iter().filter(|toleration| toleration.is_for(PREFERRED));
        for_it.any(|toleration| toleration.covers(taint))
    };
    let unborne = node.facts.taints.iter().filter(|taint| taint.effect == PREFERRED && !is_borne(taint));
    i64::try_from(unborne.count()).unwrap_or(i64::MAX)
}
