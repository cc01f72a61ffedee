//! How many pods of tenants wait for the scheduler of a super cluster at a time.
//!
//! A scheduler takes pods in the order in which they came, and knows no tenants: whoever makes thousands would have all others
//! wait behind them. So only as many are made there as it takes without making them wait ([`window`]), and the others stand
//! here, in a line that is as fair to tenants as the queue.
//!
//! Guarantees: a pod has its place from before it is made until the scheduler has said where it runs, or that it does not for
//! now, or until it is gone. It has it for [`PATIENCE`] at most, so that a scheduler that does not answer holds up nobody for
//! ever, and once it is made for [`BRIEFLY`] when it waits for volumes. No key is forgotten, also when the super cluster is let
//! go. No longer than the number of live keys.

mod window;

use crate::kinds::{Keys, LeasedKey};
use crate::translation::{list, name_of, text};
use api_types::ObjectName;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::time::Instant;
use window::{Scheduled, Window};

/// How long a pod keeps its place.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long once it is made, when it waits for volumes: the scheduler goes on with the next meanwhile.
const BRIEFLY: Duration = Duration::from_millis(100);

/// The pods of one super cluster that wait for its scheduler, and those that wait to be made there.
#[derive(Default)]
pub struct Unscheduled {
    inner: Mutex<Inner>,
    line: Keys,
}

#[derive(Default)]
struct Inner {
    places: HashMap<ObjectName, Taken>,
    /// The same by the time at which they are over.
    by_time: BTreeSet<(Instant, ObjectName)>,
    window: Window,
    is_closed: bool,
}

/// A place that is taken.
struct Taken {
    until: Instant,
    /// When the super cluster was asked to make the pod, once it was; `None` for one that teaches nothing.
    asked: Option<Instant>,
    /// When it had.
    made: Option<Instant>,
}

/// The place of a pod that is being made. Dropped before it was, it is free again.
pub struct Place<'a> {
    unscheduled: &'a Unscheduled,
    queue: &'a Keys,
    pod: ObjectName,
    is_kept: bool,
}

impl Inner {
    fn take(&mut self, pod: ObjectName) -> bool {
        if self.free() == 0 && !self.places.contains_key(&pod) && !self.is_closed {
            return false;
        }
        self.leave(&pod);
        self.put(pod, Taken { until: Instant::now() + PATIENCE, asked: None, made: None });
        true
    }

    fn put(&mut self, pod: ObjectName, taken: Taken) {
        self.by_time.insert((taken.until, pod.clone()));
        self.places.insert(pod, taken);
    }

    fn leave(&mut self, pod: &ObjectName) -> Option<Taken> {
        let (pod, taken) = self.places.remove_entry(pod)?;
        self.by_time.remove(&(taken.until, pod));
        Some(taken)
    }

    fn free(&self) -> usize {
        self.window.size().saturating_sub(self.places.len())
    }

    /// Takes their places from those whose time is over. They have waited so long at least.
    fn expire(&mut self) {
        let now = Instant::now();
        while self.by_time.first().is_some_and(|(until, _)| *until <= now)
            && let Some((_, pod)) = self.by_time.pop_first()
        {
            if let Some(Taken { asked: Some(asked), made: Some(made), .. }) = self.places.remove(&pod) {
                self.window.give_up(Scheduled { asked, made, bound: now });
            }
        }
    }
}

impl Unscheduled {
    /// A place for a pod that is to be made, if there is one.
    pub fn take<'a>(&'a self, queue: &'a Keys, pod: ObjectName) -> Option<Place<'a>> {
        let is_taken = self.inner.lock().take(pod.clone());
        is_taken.then_some(Place { unscheduled: self, queue, pod, is_kept: false })
    }

    /// A key found no place: it comes into `queue` again when there is one.
    pub fn wait(&self, queue: &Keys, lease: LeasedKey) {
        lease.move_to(&self.line);
        // One that was left in between has called nobody.
        self.look_after(queue);
    }

    /// What is heard of a pod in the super cluster.
    pub fn heard(&self, queue: &Keys, pod: &Value) {
        if waits(pod) {
            return;
        }
        let at = name_of(pod);
        let mut inner = self.inner.lock();
        let Some(taken) = inner.leave(&at) else { return };
        let before = inner.window.size();
        if let Some(asked) = taken.asked.filter(|_| is_bound(pod) && !has_claims(pod)) {
            let bound = Instant::now();
            // What is heard may be faster than the answer.
            let made = taken.made.unwrap_or(bound);
            inner.window.learn(Scheduled { asked, made, bound }, !self.line.is_empty());
        }
        // The window may have become larger, or smaller.
        let more = 1 + inner.window.size().saturating_sub(before);
        let free = inner.free().min(more);
        drop(inner);
        self.line.hand_over(queue, free);
    }

    /// A pod does not wait for the scheduler any more, who did not say why.
    pub fn leave(&self, queue: &Keys, at: &ObjectName) {
        let mut inner = self.inner.lock();
        let free = inner.leave(at).map_or(0, |_| inner.free().min(1));
        drop(inner);
        self.line.hand_over(queue, free);
    }

    /// From time to time: lets go who waits for too long, and calls as many as there are places. Who was called and had
    /// nothing to do there any more has called nobody.
    pub fn look_after(&self, queue: &Keys) {
        let mut inner = self.inner.lock();
        inner.expire();
        let free = if inner.is_closed { usize::MAX } else { inner.free() };
        drop(inner);
        self.line.hand_over(queue, free);
    }

    /// The keys that wait for a place.
    pub fn line(&self) -> &Keys {
        &self.line
    }

    /// How many pods wait for the scheduler now, and how many may.
    pub fn places(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        (inner.places.len(), inner.window.size())
    }

    /// Lets all that wait go back into the queue: the cluster is let go.
    pub fn close(&self, queue: &Keys) {
        self.inner.lock().is_closed = true;
        self.line.hand_over(queue, usize::MAX);
    }
}

impl Place<'_> {
    /// The super cluster is asked now to make the pod.
    pub fn asked(&self) {
        if let Some(taken) = self.unscheduled.inner.lock().places.get_mut(&self.pod) {
            taken.asked = Some(Instant::now());
        }
    }

    /// It has made it: the pod keeps its place until something is heard of it.
    pub fn made(mut self, pod: &Value) {
        self.is_kept = true;
        let now = Instant::now();
        let mut inner = self.unscheduled.inner.lock();
        if has_claims(pod) {
            if inner.leave(&self.pod).is_none() {
                return;
            }
            inner.put(self.pod.clone(), Taken { until: now + BRIEFLY, asked: None, made: Some(now) });
        } else if let Some(taken) = inner.places.get_mut(&self.pod) {
            taken.made = Some(now);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.unscheduled.leave(self.queue, &self.pod);
        }
    }
}

/// True for a pod of which its scheduler has not said anything: where it runs, or that it does not for now.
fn waits(pod: &Value) -> bool {
    let mut conditions = list(&pod["status"], "conditions").iter();
    !is_bound(pod) && !conditions.any(|condition| condition["type"] == "PodScheduled")
}

fn is_bound(pod: &Value) -> bool {
    !text(&pod["spec"], "nodeName").is_empty()
}

/// True for a pod that may wait for volumes beside the scheduler.
fn has_claims(pod: &Value) -> bool {
    list(&pod["spec"], "volumes").iter().any(|volume| volume["persistentVolumeClaim"].is_object())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Key, Kind};
    use api_types::TenantId;
    use serde_json::json;

    /// As many as there may be at first.
    const PLACES: usize = 8;

    fn tenant(number: u128) -> TenantId {
        TenantId::new(uuid::Uuid::from_u128(number))
    }

    fn key(number: usize) -> Key {
        Key::object(Kind::Pod, "shop", number.to_string())
    }

    fn pod(number: usize) -> ObjectName {
        ObjectName::new("below", number.to_string())
    }

    /// Work on a pod begins: true when it has a place, and is made.
    fn make_with(unscheduled: &Unscheduled, queue: &Keys, of: u128, number: usize, spec: Value) -> bool {
        queue.add(tenant(of), key(number));
        let lease = queue.try_next().unwrap();
        let Some(place) = unscheduled.take(queue, pod(number)) else {
            unscheduled.wait(queue, lease);
            return false;
        };
        place.asked();
        place.made(&json!({"spec": spec}));
        lease.done(None);
        true
    }

    fn make(unscheduled: &Unscheduled, queue: &Keys, of: u128, number: usize) -> bool {
        make_with(unscheduled, queue, of, number, json!({}))
    }

    fn next(queue: &Keys) -> Option<(TenantId, Key)> {
        let lease = queue.try_next()?;
        let at = (lease.tenant, lease.key.clone());
        lease.done(None);
        Some(at)
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_comes_when_one_is_left_and_tenants_take_turns() {
        let (unscheduled, queue) = (Unscheduled::default(), Keys::default());
        assert!((0..PLACES).all(|number| make(&unscheduled, &queue, 7, number)));
        assert!(!(100..103).any(|number| make(&unscheduled, &queue, 7, number)));
        assert!(!make(&unscheduled, &queue, 8, 200));
        assert!(queue.is_empty() && unscheduled.line().is_pending(&tenant(8), &key(200)));
        assert_eq!((unscheduled.line().len(), unscheduled.places()), (4, (PLACES, PLACES)));
        // Work on a pod that has its place goes on.
        assert!(make(&unscheduled, &queue, 7, 0));

        let heard = |number: usize, mut what: Value| {
            let at = pod(number);
            what["metadata"] = json!({"namespace": at.namespace, "name": at.name});
            unscheduled.heard(&queue, &what);
        };
        heard(0, json!({"spec": {}, "status": {"phase": "Pending"}}));
        assert!(queue.is_empty());
        heard(0, json!({"spec": {"nodeName": "n"}}));
        heard(0, json!({"spec": {"nodeName": "n"}}));
        heard(1, json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}}));
        let called = [next(&queue).unwrap(), next(&queue).unwrap()];
        assert!(called.contains(&(tenant(7), key(100))) && called.contains(&(tenant(8), key(200))));
        assert_eq!(next(&queue), None);

        // A pod that was not made leaves its place to the next one.
        queue.add(tenant(8), key(200));
        queue.try_next().unwrap().done(None);
        drop(unscheduled.take(&queue, pod(200)).unwrap());
        assert_eq!((next(&queue), next(&queue)), (Some((tenant(7), key(101))), None));

        unscheduled.close(&queue);
        assert_eq!((next(&queue), next(&queue)), (Some((tenant(7), key(102))), None));
        assert!(
            (300..340).all(|number| make(&unscheduled, &queue, 7, number)),
            "nobody waits for what is let go"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_called_also_when_a_place_was_left_before_it_stood_in_line() {
        let (unscheduled, queue) = (Unscheduled::default(), Keys::default());
        assert!((0..PLACES).all(|number| make(&unscheduled, &queue, 7, number)));
        queue.add(tenant(8), key(100));
        let lease = queue.try_next().unwrap();
        assert!(unscheduled.take(&queue, pod(100)).is_none());
        unscheduled.leave(&queue, &pod(0));
        unscheduled.wait(&queue, lease);
        assert_eq!((next(&queue), next(&queue)), (Some((tenant(8), key(100))), None));

        assert!(make(&unscheduled, &queue, 7, 0));
        queue.add(tenant(8), key(100));
        let lease = queue.try_next().unwrap();
        assert!(unscheduled.take(&queue, pod(100)).is_none());
        unscheduled.close(&queue);
        unscheduled.wait(&queue, lease);
        assert_eq!((next(&queue), next(&queue)), (Some((tenant(8), key(100))), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scheduler_that_says_nothing_holds_nobody_up_for_ever() {
        let (unscheduled, queue) = (Unscheduled::default(), Keys::default());
        assert!((0..PLACES).all(|number| make(&unscheduled, &queue, 7, number)));
        assert!(!make(&unscheduled, &queue, 8, 100));
        unscheduled.leave(&queue, &pod(3));
        assert_eq!(next(&queue), Some((tenant(8), key(100))));
        tokio::time::advance(PATIENCE / 2).await;
        assert!(make(&unscheduled, &queue, 7, 3) && !make(&unscheduled, &queue, 8, 100));
        unscheduled.look_after(&queue);
        assert_eq!(next(&queue), None);
        tokio::time::advance(PATIENCE / 2).await;
        unscheduled.look_after(&queue);
        assert_eq!((next(&queue), next(&queue)), (Some((tenant(8), key(100))), None));
        // One of them came back later, and has its place still.
        assert!((100..100 + PLACES - 1).all(|number| make(&unscheduled, &queue, 7, number)));
        assert!(!make(&unscheduled, &queue, 8, 200));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_volumes_holds_up_others_briefly() {
        let (unscheduled, queue) = (Unscheduled::default(), Keys::default());
        let claim = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        assert!(make_with(&unscheduled, &queue, 7, 0, json!({"volumes": claim})));
        assert!((1..PLACES).all(|number| make(&unscheduled, &queue, 7, number)));
        assert!(!make(&unscheduled, &queue, 8, 100));
        unscheduled.look_after(&queue);
        assert_eq!(next(&queue), None);
        tokio::time::advance(BRIEFLY).await;
        unscheduled.look_after(&queue);
        assert_eq!((next(&queue), next(&queue)), (Some((tenant(8), key(100))), None));
        assert_eq!(unscheduled.places(), (PLACES - 1, PLACES));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_until_its_time_was_over_teaches_that() {
        let (unscheduled, queue) = (Unscheduled::default(), Keys::default());
        tokio::time::advance(BRIEFLY).await;
        for number in 0..PLACES {
            assert!(make(&unscheduled, &queue, 7, number));
        }
        tokio::time::advance(PATIENCE).await;
        unscheduled.look_after(&queue);
        assert_eq!(unscheduled.places(), (0, PLACES / 4));
    }
}
