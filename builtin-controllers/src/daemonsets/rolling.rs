//! Updates of daemon pods: which old ones go, and where new ones come beside them.
//!
//! Without `maxSurge`, old pods are deleted as long as no more than `maxUnavailable` nodes are without an available
//! pod, and others are made in their place. With it, new pods come beside old ones, on no more than `maxSurge`
//! nodes at a time, and the old ones go when the new ones are available. Old pods that are not available do not
//! count: they are replaced at once.

use super::plan::{Daemons, Plan};
use crate::pod_facts::is_deleting;
use serde_json::Value;
use std::collections::BTreeSet;

/// The pods of a node that are not being deleted.
enum OnNode<'a> {
    /// At most one of each.
    Clear { new: Option<&'a Value>, old: Option<&'a Value> },
    /// Too many: they are sorted out first.
    Crowded,
}

fn on_node<'a>(daemons: &Daemons<'a>, node: &str) -> OnNode<'a> {
    let live = daemons.on(node).iter().copied().filter(|pod| !is_deleting(pod));
    let (new, old): (Vec<&Value>, Vec<&Value>) = live.partition(|pod| daemons.is_updated(pod));
    match (&new[..], &old[..]) {
        ([] | [_], [] | [_]) => OnNode::Clear { new: new.first().copied(), old: old.first().copied() },
        _ => OnNode::Crowded,
    }
}

/// The next step of an update.
pub(super) fn plan<'a>(daemons: &Daemons<'a>) -> Plan<'a> {
    let wanted: BTreeSet<&str> = daemons.wanted().collect();
    let desired = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
    let surge = daemons.share("maxSurge", desired);
    let unavailable = match daemons.share("maxUnavailable", desired) {
        // Or no update could ever go on.
        0 if surge == 0 => 1,
        share => share,
    };
    let nodes: BTreeSet<&'a str> = daemons.wanted().chain(daemons.used()).collect();
    if surge == 0 { replace(daemons, &nodes, unavailable) } else { add(daemons, &nodes, desired, surge) }
}

fn count(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn replace<'a>(daemons: &Daemons<'a>, nodes: &BTreeSet<&'a str>, most: i64) -> Plan<'a> {
    let mut unavailable = 0;
    let (mut at_once, mut candidates) = (Vec::new(), Vec::new());
    for node in nodes {
        match on_node(daemons, node) {
            OnNode::Crowded => unavailable += 1,
            OnNode::Clear { new: Some(new), old: None } => {
                unavailable += i64::from(!daemons.is_available(new));
            }
            OnNode::Clear { new: None, old: Some(old) } if daemons.is_available(old) => candidates.push(old),
            OnNode::Clear { new: None, old: Some(old) } => {
                unavailable += 1;
                at_once.push(old);
            }
            // None at all, or one of each: it is worked on.
            OnNode::Clear { .. } => unavailable += 1,
        }
    }
    candidates.truncate(count(most - unavailable));
    at_once.append(&mut candidates);
    Plan { delete: at_once, ..Plan::default() }
}

fn add<'a>(daemons: &Daemons<'a>, nodes: &BTreeSet<&'a str>, desired: i64, most: i64) -> Plan<'a> {
    let (mut surged, mut available) = (0, 0);
    let (mut delete, mut leaving) = (Vec::new(), Vec::new());
    let (mut at_once, mut candidates) = (Vec::new(), Vec::new());
    for node in nodes {
        let OnNode::Clear { new, old } = on_node(daemons, node) else {
            surged += 1;
            continue;
        };
        available += i64::from(old.or(new).is_some_and(|pod| daemons.is_available(pod)));
        match (new, old) {
            (_, None) => {}
            (None, Some(old)) => match (daemons.is_available(old), daemons.is_wanted_on(node)) {
                (false, false) => delete.push(old),
                (false, true) => at_once.push(*node),
                // It may go only when there are enough without it.
                (true, false) => leaving.push(old),
                (true, true) => candidates.push(*node),
            },
            (Some(new), Some(_)) if !daemons.is_available(new) => surged += 1,
            (Some(_), Some(old)) => delete.push(old),
        }
    }
    leaving.truncate(count(available - desired));
    delete.append(&mut leaving);
    candidates.truncate(count(most - surged));
    at_once.append(&mut candidates);
    Plan { create: at_once, delete, ..Plan::default() }
}
