//! What to do next for a deployment: a pure function.

use super::replica_sets::{
    DESIRED, MAXIMUM, REVISION, annotation, counted, find_new, new_replica_set, replicas, revision,
    update_new,
};
use super::rollout::{Bounds, Counts, grow_new, scale_in_proportion, shrink_old};
use super::status::{Step, is_complete, status, until_timeout};
use crate::access::{elements, number, text};
use crate::pod_facts::is_deleting;
use crate::shares::Share;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create this replica set. When the name is taken by something else, count a collision.
    Create(Value),
    /// Change a replica set.
    Change {
        /// As it is.
        old: Value,
        /// As it is to be.
        new: Value,
    },
    /// Delete a replica set that the history no longer needs.
    Delete(Value),
    /// Set the deployment's revision annotation.
    SetRevision(String),
    /// Record an event about the deployment.
    Event(String),
    /// Set the deployment's status.
    SetStatus(Value),
    /// Look again after this time.
    After(Duration),
}

/// A replica set in the making.
struct Set {
    old: Value,
    new: Value,
}

struct Planner<'a> {
    deployment: &'a Value,
    /// In order of creation.
    sets: Vec<Set>,
    /// The index of the one with the deployment's template.
    current: Option<usize>,
    wanted: i64,
    bounds: Bounds,
    actions: Vec<Action>,
    now: Timestamp,
}

/// The next actions for a deployment.
///
/// `replica_sets` are those that it owns, as they are; `old_pods` says that pods of another than the new replica
/// set have not ended yet (used by `Recreate` only). Every step that changes replica sets ends with their new
/// state: the events of the change bring the next step.
pub fn plan(deployment: &Value, replica_sets: &[Value], old_pods: bool, now: Timestamp) -> Vec<Action> {
    let mut sorted: Vec<Value> = replica_sets.to_vec();
    sorted.sort_by_cached_key(|set| {
        (text(set, "/metadata/creationTimestamp").to_owned(), text(set, "/metadata/name").to_owned())
    });
    let wanted = replicas(deployment);
    let recreate = text(deployment, "/spec/strategy/type") == "Recreate";
    let share = |field: &str| {
        Share::parse(&deployment["spec"]["strategy"]["rollingUpdate"][field]).unwrap_or(Share::Percent(25))
    };
    let bounds = if recreate {
        Bounds { surge: 0, unavailable: 0 }
    } else {
        Bounds::resolve(share("maxSurge"), share("maxUnavailable"), wanted)
    };
    let mut planner = Planner {
        deployment,
        current: find_new(deployment, &sorted),
        sets: sorted.into_iter().map(|set| Set { new: set.clone(), old: set }).collect(),
        wanted,
        bounds,
        actions: Vec::new(),
        now,
    };
    let paused = deployment["spec"]["paused"].as_bool().unwrap_or(false);
    let step = if is_deleting(deployment) {
        Step::Scaled
    } else if paused || planner.is_scaled() {
        planner.update_annotations();
        planner.scale();
        if paused {
            planner.clean_up();
        }
        Step::Scaled
    } else if recreate {
        planner.recreate(old_pods)
    } else {
        planner.roll()
    };
    planner.finish(step)
}

impl Planner<'_> {
    fn wanted_of(&self, index: usize) -> i64 {
        replicas(&self.sets[index].new)
    }

    fn total(&self) -> i64 {
        (0..self.sets.len()).map(|index| self.wanted_of(index)).sum()
    }

    /// The most pods that there can be now: a set that just shrank has those that it did not delete yet.
    fn most_pods(&self) -> i64 {
        let most = |set: &Set| replicas(&set.new).max(counted(&set.old, "replicas"));
        self.sets.iter().map(most).sum()
    }

    fn old_sets(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|index| Some(*index) != self.current).collect()
    }

    fn active(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|index| self.wanted_of(*index) > 0).collect()
    }

    fn counts(&self, index: usize) -> Counts {
        let set = &self.sets[index].new;
        Counts {
            wanted: replicas(set),
            // A status from before the set shrank counts pods that are about to go.
            available: counted(set, "availableReplicas").min(replicas(set)),
            maximum: annotation(set, MAXIMUM).parse().unwrap_or(0),
        }
    }

    fn step(&self) -> Step {
        Step::Rolled(self.current.map(|current| text(&self.sets[current].new, "/metadata/name").to_owned()))
    }

    /// True when an active replica set was sized for another number of replicas than is wanted now.
    fn is_scaled(&self) -> bool {
        self.active().into_iter().any(|index| {
            annotation(&self.sets[index].old, DESIRED)
                .parse()
                .is_ok_and(|desired: i64| desired != self.wanted)
        })
    }

    fn newest_old_revision(&self) -> i64 {
        self.old_sets().into_iter().map(|index| revision(&self.sets[index].old)).max().unwrap_or(0)
    }

    /// The new replica set's annotations and revision, and the deployment's revision.
    fn update_annotations(&mut self) {
        let newest_old = self.newest_old_revision();
        if let Some(current) = self.current {
            update_new(self.deployment, &mut self.sets[current].new, newest_old);
            self.set_revision(revision(&self.sets[current].new));
        }
    }

    fn set_revision(&mut self, revision: i64) {
        if annotation(self.deployment, REVISION) != revision.to_string() {
            self.actions.push(Action::SetRevision(revision.to_string()));
        }
    }

    fn sizes(&self) -> [(&'static str, Value); 2] {
        [
            (DESIRED, self.wanted.to_string().into()),
            (MAXIMUM, (self.wanted + self.bounds.surge).to_string().into()),
        ]
    }

    /// Gives a replica set its replicas and the annotations that tell what they were computed from; true when
    /// the replicas changed.
    fn resize(&mut self, index: usize, to: i64) -> bool {
        let sizes = self.sizes();
        let from = self.wanted_of(index);
        let set = &mut self.sets[index].new;
        if !set["metadata"]["annotations"].is_object() {
            set["metadata"]["annotations"] = json!({});
        }
        for (key, value) in sizes {
            set["metadata"]["annotations"][key] = value;
        }
        if from == to {
            return false;
        }
        set["spec"]["replicas"] = to.into();
        let direction = if to > from { "up" } else { "down" };
        let name = text(set, "/metadata/name");
        let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
        self.actions.push(Action::Event(message));
        true
    }

    fn create(&mut self, replicas: i64) -> Step {
        let mut set = new_replica_set(self.deployment, replicas);
        update_new(self.deployment, &mut set, self.newest_old_revision());
        for (key, value) in self.sizes() {
            set["metadata"]["annotations"][key] = value;
        }
        let name = text(&set, "/metadata/name").to_owned();
        self.set_revision(revision(&set));
        self.actions.push(Action::Create(set));
        if replicas > 0 {
            self.actions.push(Action::Event(format!("Scaled up replica set {name} from 0 to {replicas}")));
        }
        Step::Created(name)
    }

    /// One step of a rolling update: the new set grows, or else the old ones shrink.
    fn roll(&mut self) -> Step {
        let Some(current) = self.current else {
            let replicas = grow_new(0, self.most_pods(), self.wanted, self.bounds);
            return self.create(replicas);
        };
        self.update_annotations();
        let next = grow_new(self.wanted_of(current), self.most_pods(), self.wanted, self.bounds);
        if next == self.wanted_of(current) || !self.resize(current, next) {
            let old = self.old_sets();
            let counts: Vec<Counts> = old.iter().map(|index| self.counts(*index)).collect();
            let next = shrink_old(&counts, self.counts(current), self.wanted, self.bounds);
            let mut shrunk = false;
            for (index, next) in old.into_iter().zip(next) {
                if next != self.wanted_of(index) {
                    shrunk |= self.resize(index, next);
                }
            }
            if !shrunk {
                self.clean_up_if_complete();
            }
        }
        self.step()
    }

    /// One step of `Recreate`: everything old ends, then everything new starts.
    fn recreate(&mut self, old_pods: bool) -> Step {
        self.update_annotations();
        let mut shrunk = false;
        for index in self.old_sets() {
            if self.wanted_of(index) > 0 {
                shrunk |= self.resize(index, 0);
            }
        }
        if shrunk || old_pods {
            return self.step();
        }
        let Some(current) = self.current else { return self.create(self.wanted) };
        if !self.resize(current, self.wanted) {
            self.clean_up_if_complete();
        }
        self.step()
    }

    /// Scales without updating: one active set takes all, several in proportion.
    fn scale(&mut self) {
        let active = self.active();
        match active.as_slice() {
            [] => {
                // Nothing runs: the new one, or else the newest, is the one to grow.
                if let Some(index) = self.current.or(self.sets.len().checked_sub(1)) {
                    self.resize(index, self.wanted);
                }
            }
            [only] => {
                self.resize(*only, self.wanted);
            }
            several => {
                let saturated = self.current.is_some_and(|current| {
                    let set = &self.sets[current].new;
                    let desired = annotation(set, DESIRED).parse::<i64>().ok();
                    replicas(set) == self.wanted
                        && desired == Some(self.wanted)
                        && counted(set, "availableReplicas") == self.wanted
                });
                if saturated {
                    for index in self.old_sets() {
                        self.resize(index, 0);
                    }
                    return;
                }
                let mut order = several.to_vec();
                if self.wanted + self.bounds.surge > self.total() {
                    order.reverse();
                }
                let counts: Vec<Counts> = order.iter().map(|index| self.counts(*index)).collect();
                let next = scale_in_proportion(&counts, self.wanted, self.bounds.surge);
                for (index, next) in order.into_iter().zip(next) {
                    self.resize(index, next);
                }
            }
        }
    }

    fn clean_up_if_complete(&mut self) {
        let status = self.status(&Step::Scaled);
        if status.as_object().is_some_and(|status| is_complete(self.deployment, status)) {
            self.clean_up();
        }
    }

    /// Deletes the oldest revisions beyond the history's limit that have no pods.
    fn clean_up(&mut self) {
        let limit = number(self.deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
        let limit = usize::try_from(limit).unwrap_or(0);
        let mut old: Vec<usize> =
            self.old_sets().into_iter().filter(|index| !is_deleting(&self.sets[*index].old)).collect();
        old.sort_by_key(|index| revision(&self.sets[*index].old));
        let surplus = old.len().saturating_sub(limit);
        for index in old.into_iter().take(surplus) {
            let set = &self.sets[index].old;
            let observed = number(set, "/status/observedGeneration").unwrap_or(0);
            let is_idle = counted(set, "replicas") == 0
                && replicas(set) == 0
                && observed >= number(set, "/metadata/generation").unwrap_or(0);
            if is_idle {
                self.actions.push(Action::Delete(set.clone()));
            }
        }
    }

    fn status(&self, step: &Step) -> Value {
        let sets: Vec<Value> = self.sets.iter().map(|set| set.new.clone()).collect();
        status(self.deployment, &sets, self.current, self.bounds, step, self.now)
    }

    /// Changes first, then what tells of them.
    fn finish(mut self, step: Step) -> Vec<Action> {
        let status = self.status(&step);
        let changed = self.sets.iter().filter(|set| set.old != set.new);
        let mut actions: Vec<Action> =
            changed.map(|set| Action::Change { old: set.old.clone(), new: set.new.clone() }).collect();
        actions.append(&mut self.actions);
        if let Some(rest) = until_timeout(self.deployment, elements(&status, "/conditions"), self.now) {
            // Times of conditions are whole seconds.
            let rest = Duration::try_from(rest).unwrap_or(Duration::ZERO) + Duration::from_secs(1);
            actions.push(Action::After(rest));
        }
        actions.push(Action::SetStatus(status));
        actions
    }
}
