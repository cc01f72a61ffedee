//! What to do next for a stateful set: a pure function of what there is.
//!
//! In order (`OrderedReady`) nothing is done for an ordinal before all lower ones are available, and nothing is
//! removed before all that stay are. In parallel everything is done at once, but for updates of pods.

use super::identity::{self, new_claim, new_pod};
use super::retention::{self, Holder};
use super::status::{Tally, status};
use super::{Claims, Revision};
use crate::access::{elements, number, text};
use crate::pod_facts::{self, Availability, availability, is_deleting};
use crate::shares::Share;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// What there is of a stateful set.
#[derive(Clone, Copy)]
pub(super) struct State<'a> {
    pub(super) set: &'a Value,
    /// The revision that pods have before an update.
    pub(super) current: &'a Revision,
    /// The revision of the template.
    pub(super) update: &'a Revision,
    pub(super) collisions: i64,
    /// Its pods, with names that it makes.
    pub(super) pods: &'a [Value],
    /// The claims of the namespace that its templates make, by name.
    pub(super) claims: &'a Claims,
    pub(super) now: Timestamp,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// First the claims, then the pod.
    Create {
        pod: Value,
        claims: Vec<ClaimWork>,
    },
    /// Claims of a pod that is there.
    Claims {
        pod: String,
        work: Vec<ClaimWork>,
        /// Success is told as an update of the pod.
        told: bool,
    },
    /// First the claims, then the pod, as it is and as it has to be.
    Update {
        old: Value,
        new: Value,
        claims: Vec<ClaimWork>,
    },
    Delete(Value),
}

/// What to do for one claim.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ClaimWork {
    Create(Value),
    /// It gets other owners.
    Change {
        old: Value,
        new: Value,
    },
    /// It is there and is being deleted: the pod has to wait.
    Ending(String),
    /// Somebody else controls it.
    Conflict(String),
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// In this order, none before the one before it is done as a whole. What a phase has is done in order too, or
    /// side by side when the set is parallel.
    pub(super) phases: Vec<Vec<Action>>,
    pub(super) parallel: bool,
    pub(super) status: Value,
    /// The status after all phases are done.
    pub(super) status_when_done: Value,
    /// When to look again, whatever happens.
    pub(super) look_again: Option<Duration>,
}

/// What to do next.
pub(super) fn plan(state: State<'_>) -> Plan {
    let mut planner = Planner::new(state);
    if !is_deleting(state.set) {
        planner.go();
    }
    planner.finish()
}

/// The place of one ordinal.
#[derive(Clone, Copy)]
struct Place<'a> {
    ordinal: i64,
    pod: Option<&'a Value>,
}

struct Planner<'a> {
    state: State<'a>,
    min_ready: i64,
    replicas: Vec<Place<'a>>,
    /// From the highest ordinal.
    condemned: Vec<Place<'a>>,
    plan: Plan,
    /// Pods that go so that they are made anew of the new revision.
    replaced: i64,
}

impl<'a> Planner<'a> {
    fn new(state: State<'a>) -> Self {
        let (start, wanted) = (identity::start(state.set), identity::wanted(state.set));
        let set_name = text(state.set, "/metadata/name");
        let end = start.saturating_add(wanted);
        let mut replicas: Vec<Place<'a>> = (start..end).map(|ordinal| Place { ordinal, pod: None }).collect();
        let mut condemned = Vec::new();
        for pod in state.pods {
            let Some(ordinal) = identity::ordinal(set_name, text(pod, "/metadata/name")) else { continue };
            let place = usize::try_from(ordinal - start).ok().and_then(|index| replicas.get_mut(index));
            match place {
                Some(place) => place.pod = Some(pod),
                None => condemned.push(Place { ordinal, pod: Some(pod) }),
            }
        }
        condemned.sort_by_key(|place| std::cmp::Reverse(place.ordinal));
        let parallel = text(state.set, "/spec/podManagementPolicy") == "Parallel";
        Planner {
            min_ready: number(state.set, "/spec/minReadySeconds").unwrap_or(0),
            replicas,
            condemned,
            plan: Plan { parallel, ..Plan::default() },
            replaced: 0,
            state,
        }
    }

    fn is_available(&self, pod: &Value) -> bool {
        availability(pod, self.min_ready, self.state.now) == Availability::Available
    }

    fn is_unavailable(&self, place: &Place<'a>) -> bool {
        place.pod.is_none_or(|pod| !self.is_available(pod) || is_deleting(pod))
    }

    /// It runs, and is ready for long enough.
    fn holds_nothing_up(&self, pod: &Value) -> bool {
        text(pod, "/status/phase") == "Running" && self.is_available(pod)
    }

    fn go(&mut self) {
        if !self.keep() || !self.condemn() {
            return;
        }
        if text(self.state.set, "/spec/updateStrategy/type") != "OnDelete" {
            self.update();
        }
    }

    /// The pods that stay or are missing; false when nothing more may be done now.
    fn keep(&mut self) -> bool {
        let mut actions = Vec::new();
        let may_go_on = self.keep_each(&mut actions);
        self.plan.phases.push(actions);
        may_go_on
    }

    fn keep_each(&mut self, actions: &mut Vec<Action>) -> bool {
        let in_order = !self.plan.parallel;
        for place in self.replicas.clone() {
            let Some(pod) = place.pod else {
                self.make(place.ordinal, actions);
                if in_order {
                    return false;
                }
                continue;
            };
            if pod_facts::has_ended(pod) {
                if !is_deleting(pod) {
                    actions.push(Action::Delete(pod.clone()));
                }
                if in_order {
                    return false;
                }
                continue;
            }
            let is_pending = text(pod, "/status/phase") == "Pending";
            let mut work = self.claim_work(pod, place.ordinal, is_pending);
            if is_pending && !work.is_empty() {
                let pod = text(pod, "/metadata/name").to_owned();
                actions.push(Action::Claims { pod, work: std::mem::take(&mut work), told: false });
            }
            if in_order && (is_deleting(pod) || !self.holds_nothing_up(pod)) {
                return false;
            }
            match identity::repaired(self.state.set, pod, place.ordinal) {
                Some(new) => {
                    let claims = self.claim_work(pod, place.ordinal, true);
                    actions.push(Action::Update { old: pod.clone(), new, claims });
                }
                None if !work.is_empty() => {
                    let pod = text(pod, "/metadata/name").to_owned();
                    actions.push(Action::Claims { pod, work, told: true });
                }
                None => {}
            }
        }
        true
    }

    fn make(&mut self, ordinal: i64, actions: &mut Vec<Action>) {
        let set = self.state.set;
        let pod = new_pod(set, self.revision_of_new(ordinal), ordinal);
        let is_about_to_go = elements(set, "/spec/volumeClaimTemplates").iter().any(|template| {
            let claim = self.state.claims.get(&identity::claim_name(set, template, ordinal));
            claim.is_some_and(|claim| retention::is_about_to_go(claim, set, &pod))
        });
        if is_about_to_go {
            // Its end wakes the set.
            return;
        }
        let claims = self.claim_work(&pod, ordinal, true);
        actions.push(Action::Create { pod, claims });
    }

    /// Below the partition a pod is made of the revision that the others there have.
    fn revision_of_new(&self, ordinal: i64) -> &'a Revision {
        let strategy = &self.state.set["spec"]["updateStrategy"];
        let kept = match number(strategy, "/rollingUpdate/partition") {
            Some(partition) => partition,
            None if strategy["rollingUpdate"].is_object() => 0,
            None if strategy["type"] == "RollingUpdate" => {
                number(self.state.set, "/status/currentReplicas").unwrap_or(0)
            }
            None => 0,
        };
        let is_kept = ordinal < identity::start(self.state.set).saturating_add(kept);
        if is_kept { self.state.current } else { self.state.update }
    }

    /// What is to do for the claims of an ordinal. `missing`: those that are not there are made.
    fn claim_work(&self, pod: &Value, ordinal: i64, missing: bool) -> Vec<ClaimWork> {
        let set = self.state.set;
        let is_wanted = self.replicas.first().is_some_and(|first| ordinal >= first.ordinal)
            && self.replicas.last().is_some_and(|last| ordinal <= last.ordinal);
        let holder = Holder { pod, condemned: !is_wanted };
        let mut work = Vec::new();
        for template in elements(set, "/spec/volumeClaimTemplates") {
            let name = identity::claim_name(set, template, ordinal);
            let Some(claim) = self.state.claims.get(&name) else {
                if missing {
                    let mut claim = new_claim(set, template, ordinal);
                    if let Some(owners) = retention::owners(&claim, set, holder) {
                        claim["metadata"]["ownerReferences"] = owners.into();
                    }
                    work.push(ClaimWork::Create(claim));
                }
                continue;
            };
            if missing && is_deleting(claim) {
                work.push(ClaimWork::Ending(name));
                continue;
            }
            if let Some(owners) = retention::owners(claim, set, holder) {
                if retention::is_controlled_elsewhere(claim, set, pod) {
                    work.push(ClaimWork::Conflict(name));
                }
                let mut new = claim.clone();
                new["metadata"]["ownerReferences"] = owners.into();
                work.push(ClaimWork::Change { old: claim.clone(), new });
            }
        }
        work
    }

    /// The pods that are not wanted any more; false when nothing more may be done now.
    fn condemn(&mut self) -> bool {
        let mut claims = Vec::new();
        for place in &self.condemned {
            let Some(pod) = place.pod else { continue };
            let work = self.claim_work(pod, place.ordinal, false);
            if !work.is_empty() {
                claims.push(Action::Claims {
                    pod: text(pod, "/metadata/name").to_owned(),
                    work,
                    told: false,
                });
            }
        }
        self.plan.phases.push(claims);
        let mut lowest_first = self.replicas.iter().chain(self.condemned.iter().rev());
        let first_unavailable =
            lowest_first.find(|place| self.is_unavailable(place)).map(|place| place.ordinal);
        let mut deletions = Vec::new();
        let mut may_go_on = true;
        for place in &self.condemned {
            let Some(pod) = place.pod else { continue };
            let holds_up =
                is_deleting(pod) || (!self.holds_nothing_up(pod) && first_unavailable != Some(place.ordinal));
            let waits = if self.plan.parallel { is_deleting(pod) } else { holds_up };
            if !waits {
                deletions.push(Action::Delete(pod.clone()));
            }
            if !self.plan.parallel {
                may_go_on = false;
                break;
            }
        }
        self.plan.phases.push(deletions);
        may_go_on
    }

    /// Deletes pods of other revisions, from the highest ordinal down to the partition.
    fn update(&mut self) {
        let rolling = &self.state.set["spec"]["updateStrategy"]["rollingUpdate"];
        let partition = usize::try_from(number(rolling, "/partition").unwrap_or(0)).unwrap_or(0);
        let most = Share::parse(&rolling["maxUnavailable"]).map(|share| {
            let most = share.of(identity::wanted(self.state.set), false).max(1);
            usize::try_from(most).unwrap_or(usize::MAX)
        });
        let is_old = |place: &Place<'_>| match place.pod {
            Some(pod) => identity::revision(pod) != self.state.update.name && !is_deleting(pod),
            None => false,
        };
        let targets = self.replicas.iter().skip(partition).rev();
        let doomed: Vec<&Place<'a>> = match most {
            Some(most) => {
                let unavailable = self.replicas.iter().filter(|place| self.is_unavailable(place)).count();
                targets.filter(|place| is_old(place)).take(most.saturating_sub(unavailable)).collect()
            }
            // One at a time: the first that is old, if all above it are available.
            None => {
                let mut undone = targets.skip_while(|place| !is_old(place) && !self.is_unavailable(place));
                undone.next().filter(|place| is_old(place)).into_iter().collect()
            }
        };
        let deletions: Vec<Action> =
            doomed.iter().filter_map(|place| place.pod.cloned().map(Action::Delete)).collect();
        self.replaced = i64::try_from(deletions.len()).unwrap_or(0);
        self.plan.phases.push(deletions);
    }

    fn finish(mut self) -> Plan {
        let tally = Tally::of(self.state, self.min_ready);
        self.plan.status = status(self.state, tally);
        let current = tally.current - self.replaced;
        self.plan.status_when_done = status(self.state, Tally { current, ..tally });
        let waits = self.state.pods.iter().filter_map(|pod| {
            match availability(pod, self.min_ready, self.state.now) {
                Availability::In(rest) => Some(rest.unsigned_abs()),
                _ => None,
            }
        });
        self.plan.look_again = waits.min();
        self.plan.phases.retain(|phase| !phase.is_empty());
        self.plan
    }
}

#[cfg(test)]
mod tests;
