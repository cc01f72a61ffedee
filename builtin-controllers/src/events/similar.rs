//! Bounds on the events about one object, as Kubernetes has them: of ten that differ in nothing but their message the
//! tenth and all later ones are one event, and of a burst of more than 25 about an object the rest is left out.

use super::Event;
use crate::access::text;
use plane_client::TenantId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;
use tokio::time::Instant;

/// How many messages tell an object's events of one reason apart.
const MESSAGES: usize = 10;
/// How long events count as similar after the last one.
const WINDOW: Duration = Duration::from_secs(600);
/// How many events about an object may come at once, and how long until there may be one more.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);
/// How many objects are remembered; the oldest are forgotten.
const MEMORY: usize = 4096;
const COMBINED: &str = "(combined from similar events): ";

/// Values by key, the newest [`MEMORY`].
struct Memory<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Memory { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Memory<K, V> {
    /// The value of a key, made when it is not known.
    fn get(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if !self.values.contains_key(&key) {
            if self.order.len() >= MEMORY
                && let Some(oldest) = self.order.pop_front()
            {
                self.values.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.values.entry(key).or_insert_with(new)
    }
}

/// Which object of which plane.
type About = (TenantId, String);

/// Events of one reason about one object.
struct Group {
    messages: HashSet<String>,
    last: Instant,
}

/// How many events about an object may still come.
struct Allowance {
    left: u32,
    since: Instant,
}

/// What was told of late.
#[derive(Default)]
pub(super) struct Similar {
    groups: Memory<(About, String), Group>,
    allowances: Memory<About, Allowance>,
}

impl Similar {
    /// The event to record in place of this one; `None`: it is left out.
    pub(super) fn admit(&mut self, event: Event, now: Instant) -> Option<Event> {
        let involved = &event.body["involvedObject"];
        let about = (event.tenant, involved_key(involved));
        let event = self.combine(event, about.clone(), now);
        let allowance = self.allowances.get(about, || Allowance { left: BURST, since: now });
        let more = now.duration_since(allowance.since).as_secs() / REFILL.as_secs();
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(BURST);
            allowance.left = allowance.left.saturating_add(more).min(BURST);
            allowance.since = now;
        }
        allowance.left = allowance.left.checked_sub(1)?;
        Some(event)
    }

    fn combine(&mut self, mut event: Event, about: About, now: Instant) -> Event {
        let (kind, reason) = (text(&event.body, "/type"), text(&event.body, "/reason"));
        let message = text(&event.body, "/message").to_owned();
        let (what, name) = (format!("{kind}/{reason}"), involved_key(&event.body["involvedObject"]));
        let group = self.groups.get((about, what.clone()), || Group { messages: HashSet::new(), last: now });
        if now.duration_since(group.last) > WINDOW {
            group.messages.clear();
        }
        group.last = now;
        if group.messages.contains(&message) || group.messages.len() + 1 < MESSAGES {
            group.messages.insert(message);
            return event;
        }
        let hash = crate::hash::short(&[COMBINED, &name, &what].join("\n"), 16);
        let prefix = event.name.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        event.name = format!("{prefix}.{hash}");
        event.body["metadata"]["name"] = event.name.as_str().into();
        event.body["message"] = format!("{COMBINED}{message}").into();
        // As in Kubernetes, only its source says whose it is.
        event.body["reportingComponent"] = "".into();
        event
    }
}

fn involved_key(involved: &serde_json::Value) -> String {
    ["/kind", "/namespace", "/name", "/uid"].map(|field| text(involved, field)).join("/")
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use serde_json::json;

    fn event(object: &str, reason: &str, message: &str) -> Event {
        let about = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": object, "namespace": "ns", "uid": object}});
        Event::new(TenantId::HOST, &about, "tester", Severity::Normal, reason, message)
    }

    fn told(similar: &mut Similar, event: Event, now: Instant) -> Option<(String, String)> {
        let event = similar.admit(event, now)?;
        Some((event.name.clone(), text(&event.body, "/message").to_owned()))
    }

    #[test]
    fn the_tenth_message_and_later_ones_are_one_event() {
        let (mut similar, now) = (Similar::default(), Instant::now());
        let mut names = HashSet::new();
        for number in 1..=12 {
            let (name, message) =
                told(&mut similar, event("p", "Made", &format!("made {number}")), now).unwrap();
            assert_eq!(message.starts_with(COMBINED), number >= 10, "{number}: {message}");
            names.insert(name);
        }
        assert_eq!(names.len(), 10);
        // Another reason and another object are told apart; so is what was told before.
        for other in [event("p", "Removed", "x"), event("q", "Made", "x"), event("p", "Made", "made 3")] {
            let (_, message) = told(&mut similar, other, now).unwrap();
            assert!(!message.starts_with(COMBINED), "{message}");
        }
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(told(&mut similar, event("p", "Made", "made 13"), later).unwrap().1, "made 13");
    }

    #[test]
    fn a_burst_about_one_object_ends() {
        let (mut similar, now) = (Similar::default(), Instant::now());
        let mut admitted =
            |object: &str, now| told(&mut similar, event(object, "Failed", "again"), now).is_some();
        let first: Vec<bool> = (0..30).map(|_| admitted("p", now)).collect();
        assert_eq!(first.iter().filter(|admitted| **admitted).count(), 25);
        assert!(admitted("q", now));
        let later = now + REFILL;
        assert!(admitted("p", later) && !admitted("p", later));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut similar, now) = (Similar::default(), Instant::now());
        for number in 0..MEMORY + 10 {
            similar.admit(event(&number.to_string(), "Made", "x"), now);
        }
        assert_eq!((similar.allowances.values.len(), similar.groups.values.len()), (MEMORY, MEMORY));
    }
}
