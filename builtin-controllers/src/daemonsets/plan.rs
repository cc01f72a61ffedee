//! What to do next for a daemon set: a pure function of its pods and the nodes.
//!
//! First every node gets the pods it has to have; only where nothing is left to do for that, an update goes on.

use super::placing::{Fit, fit, is_updated, target};
use super::rolling;
use crate::access::{number, text};
use crate::pod_facts::{self, Availability, availability, is_deleting, is_ready};
use crate::shares::Share;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What there is of a daemon set.
#[derive(Clone, Copy)]
pub(super) struct State<'a> {
    pub(super) set: &'a Value,
    /// The hash of the newest revision.
    pub(super) hash: &'a str,
    pub(super) nodes: &'a [Value],
    pub(super) pods: &'a [Value],
    pub(super) now: Timestamp,
}

/// What to do: creations first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan<'a> {
    /// A pod for each of these nodes.
    pub(super) create: Vec<&'a str>,
    pub(super) delete: Vec<&'a Value>,
    /// Of those that are deleted, the ones that failed, and their nodes.
    pub(super) failed: Vec<(&'a str, &'a Value)>,
    /// Of those that are deleted, the ones that ended without being asked to, and their nodes.
    pub(super) ended: Vec<(&'a str, &'a Value)>,
    /// When to look again, whatever happens.
    pub(super) look_again: Option<Duration>,
}

impl Plan<'_> {
    fn is_empty(&self) -> bool {
        self.create.is_empty() && self.delete.is_empty()
    }
}

/// A daemon set on its nodes.
pub(super) struct Daemons<'a> {
    pub(super) state: State<'a>,
    min_ready: i64,
    fits: BTreeMap<&'a str, Fit>,
    /// Pods by node, in order: placed ones first, then the oldest.
    by_node: BTreeMap<&'a str, Vec<&'a Value>>,
}

impl<'a> Daemons<'a> {
    pub(super) fn new(state: State<'a>) -> Self {
        let fits =
            state.nodes.iter().map(|node| (text(node, "/metadata/name"), fit(state.set, node))).collect();
        let mut by_node: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for pod in state.pods {
            // One that ended and is being removed is nobody's business any more.
            if pod_facts::has_ended(pod) && is_deleting(pod) {
                continue;
            }
            if let Some(node) = target(pod) {
                by_node.entry(node).or_default().push(pod);
            }
        }
        for pods in by_node.values_mut() {
            pods.sort_by_key(|pod| {
                let is_placed = !text(pod, "/spec/nodeName").is_empty();
                (!is_placed, text(pod, "/metadata/creationTimestamp"), text(pod, "/metadata/name"))
            });
        }
        let min_ready = number(state.set, "/spec/minReadySeconds").unwrap_or(0);
        Daemons { state, min_ready, fits, by_node }
    }

    /// What to do next. `held`: for how long the failed pod of a node has to stay.
    pub(super) fn plan(&self, held: impl Fn(&str) -> Option<Duration>) -> Plan<'a> {
        let mut plan = self.place(held);
        let rolls = text(self.state.set, "/spec/updateStrategy/type") != "OnDelete";
        if plan.is_empty() && rolls {
            let looked = plan.look_again;
            plan = rolling::plan(self);
            plan.look_again = looked;
        }
        let waits = self.state.pods.iter().filter_map(|pod| {
            match availability(pod, self.min_ready, self.state.now) {
                Availability::In(rest) => Some(rest.unsigned_abs()),
                _ => None,
            }
        });
        plan.look_again = waits.chain(plan.look_again).min();
        plan
    }

    /// Every node's pods, none for nodes that are gone.
    fn place(&self, held: impl Fn(&str) -> Option<Duration>) -> Plan<'a> {
        let mut plan = Plan::default();
        for (node, fit) in &self.fits {
            let pods = self.on(node);
            if fit.runs && pods.is_empty() {
                plan.create.push(node);
            } else if fit.stays {
                self.keep(node, *fit, &held, &mut plan);
            } else {
                plan.delete.extend(pods.iter().copied().filter(|pod| !is_deleting(pod)));
            }
        }
        let lost = self.by_node.iter().filter(|(node, _)| !self.fits.contains_key(*node));
        let unplaced = |pod: &&Value| text(pod, "/spec/nodeName").is_empty();
        plan.delete.extend(lost.flat_map(|(_, pods)| pods.iter().copied().filter(unplaced)));
        plan
    }

    /// The pods of a node where they may be: one, or while an update surges, two.
    fn keep(&self, node: &'a str, fit: Fit, held: &impl Fn(&str) -> Option<Duration>, plan: &mut Plan<'a>) {
        let mut running: Vec<&'a Value> = Vec::new();
        for pod in self.on(node).iter().copied().filter(|pod| !is_deleting(pod)) {
            match text(pod, "/status/phase") {
                "Failed" => match held(node) {
                    Some(rest) => {
                        plan.look_again = Some(plan.look_again.map_or(rest, |known| known.min(rest)));
                    }
                    None => {
                        plan.failed.push((node, pod));
                        plan.delete.push(pod);
                    }
                },
                "Succeeded" => {
                    plan.ended.push((node, pod));
                    plan.delete.push(pod);
                }
                _ => running.push(pod),
            }
        }
        if !self.surges() {
            plan.delete.extend(running.into_iter().skip(1));
            return;
        }
        if running.is_empty() && fit.runs {
            plan.create.push(node);
        }
        if running.len() < 2 {
            return;
        }
        let (new, old): (Vec<&Value>, Vec<&Value>) = running
            .into_iter()
            .partition(|pod| pod["metadata"]["labels"][super::placing::HASH] == self.state.hash);
        plan.delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).copied());
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!is_ready(old) || self.is_available(new))
        {
            plan.delete.push(old);
        }
    }

    pub(super) fn is_available(&self, pod: &Value) -> bool {
        availability(pod, self.min_ready, self.state.now) == Availability::Available
    }

    pub(super) fn is_updated(&self, pod: &Value) -> bool {
        is_updated(self.state.set, pod, self.state.hash)
    }

    /// The pods of a node.
    pub(super) fn on(&self, node: &str) -> &[&'a Value] {
        self.by_node.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    /// The nodes that have to have a pod.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &'a str> {
        self.fits.iter().filter(|(_, fit)| fit.runs).map(|(node, _)| *node)
    }

    pub(super) fn is_wanted_on(&self, node: &str) -> bool {
        self.fits.get(node).is_some_and(|fit| fit.runs)
    }

    /// The nodes that have pods.
    pub(super) fn used(&self) -> impl Iterator<Item = &'a str> {
        self.by_node.keys().copied()
    }

    /// `maxSurge` or `maxUnavailable`, of so many nodes.
    pub(super) fn share(&self, field: &str, nodes: i64) -> i64 {
        let rolling = &self.state.set["spec"]["updateStrategy"]["rollingUpdate"];
        Share::parse(&rolling[field]).map_or(0, |share| share.of(nodes, true)).max(0)
    }

    fn surges(&self) -> bool {
        self.share("maxSurge", 1) > 0
    }

    /// The status. `observed`: pods were made and removed as this generation says.
    pub(super) fn status(&self, observed: bool, collisions: i64) -> Value {
        let (mut desired, mut current, mut ready, mut updated, mut available, mut misplaced) =
            (0, 0, 0, 0, 0, 0);
        for (node, fit) in &self.fits {
            let pod = self.on(node).first();
            if !fit.runs {
                misplaced += i64::from(pod.is_some());
                continue;
            }
            desired += 1;
            let Some(pod) = pod else { continue };
            current += 1;
            ready += i64::from(is_ready(pod));
            available += i64::from(self.is_available(pod));
            updated += i64::from(self.is_updated(pod));
        }
        let set = self.state.set;
        let mut status = set["status"].as_object().cloned().unwrap_or_default();
        for (field, count, always) in [
            ("desiredNumberScheduled", desired, true),
            ("currentNumberScheduled", current, true),
            ("numberMisscheduled", misplaced, true),
            ("numberReady", ready, true),
            ("updatedNumberScheduled", updated, false),
            ("numberAvailable", available, false),
            ("numberUnavailable", desired - available, false),
        ] {
            if always || count > 0 {
                status.insert(field.into(), count.into());
            } else {
                status.remove(field);
            }
        }
        if collisions > 0 {
            status.insert("collisionCount".into(), collisions.into());
        }
        if observed {
            let generation = number(set, "/metadata/generation").unwrap_or(0);
            status.insert("observedGeneration".into(), generation.into());
        }
        Value::Object(status)
    }
}

#[cfg(test)]
mod tests;
