//! Resources: what is left, and how evenly it is used.

use super::MOST;
use crate::scheduler::amounts::Amounts;
use crate::scheduler::cycle::{Cycle, Reason, Refusal, Scoring};
use crate::scheduler::node::NodeInfo;

/// Why a node has not what the pod needs: every resource that is short. Pods that go do not help where the node has
/// not enough of it at all.
pub(in crate::scheduler) fn check(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<Refusal> {
    let (needs, has, used) = (&cycle.pod.needs, &node.facts.has, &node.used);
    let mut refusal = Refusal { reasons: Vec::new(), curable: true };
    if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) >= node.facts.most_pods {
        refusal.reasons.push("Too many pods".into());
    }
    let basic = [
        ("cpu", needs.cpu, has.cpu, used.cpu),
        ("memory", needs.memory, has.memory, used.memory),
        ("ephemeral-storage", needs.storage, has.storage, used.storage),
    ];
    let others =
        needs.others.iter().map(|(name, needed)| (name.as_str(), *needed, has.other(name), used.other(name)));
    for (name, needed, has, used) in basic.into_iter().chain(others) {
        if needed > 0 && needed > has - used {
            refusal.reasons.push(Reason::from(format!("Insufficient {name}")));
            refusal.curable &= needed <= has;
        }
    }
    (!refusal.reasons.is_empty()).then_some(refusal)
}

/// The part of what a node has that would be left, the mean of CPU and memory.
pub(in crate::scheduler) fn least_allocated(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    let (needs, used, has) = (&scoring.cycle.pod.assumed, &node.assumed, &node.facts.has);
    let part = |wanted: i64, has: i64| if wanted > has { 0 } else { (has - wanted) * MOST / has };
    let (mut sum, mut count) = (0, 0);
    for (wanted, has) in [(needs.cpu + used.cpu, has.cpu), (needs.memory + used.memory, has.memory)] {
        if has > 0 {
            sum += part(wanted, has);
            count += 1;
        }
    }
    if count == 0 { 0 } else { sum / count }
}

pub(in crate::scheduler) fn balance_matters(scoring: &Scoring<'_>) -> bool {
    let needs = &scoring.cycle.pod.needs;
    needs.cpu > 0 || needs.memory > 0
}

/// How evenly CPU and memory are used: 100 where both are in the same part.
fn balance(used: &Amounts, more: &Amounts, has: &Amounts) -> i64 {
    let part = |used: i64, has: i64| (has > 0).then(|| (used as f64 / has as f64).min(1.0));
    let parts = (part(used.cpu + more.cpu, has.cpu), part(used.memory + more.memory, has.memory));
    // Of two, the standard deviation is half their distance.
    let deviation = match parts {
        (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
        _ => 0.0,
    };
    ((1.0 - deviation) * MOST as f64) as i64
}

/// How much more evenly the node would be used with the pod: 75 for as evenly as before.
pub(in crate::scheduler) fn balanced(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    let (needs, used, has) = (&scoring.cycle.pod.needs, &node.used, &node.facts.has);
    let with = balance(used, needs, has);
    let without = balance(used, &Amounts::default(), has);
    MOST / 2 + (MOST / 2 + with - without) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_and_memory_are_best_used_alike() {
        let amounts = |cpu: i64, memory: i64| Amounts { cpu, memory, ..Amounts::default() };
        let has = amounts(4000, 4000);
        for (used, more, expected) in [
            (amounts(0, 0), amounts(1000, 1000), 100),
            (amounts(0, 0), amounts(1000, 0), 87),
            (amounts(1000, 0), amounts(0, 1000), 100),
            (amounts(4000, 0), amounts(4000, 0), 50),
        ] {
            assert_eq!(balance(&used, &more, &has), expected, "{used:?} {more:?}");
        }
        assert_eq!(balance(&amounts(1, 0), &amounts(0, 0), &amounts(2, 0)), 100, "of one resource");
    }
}
