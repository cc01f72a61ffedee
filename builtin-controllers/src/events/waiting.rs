//! The events that wait to be recorded: tenants take turns, and of who tells much the newest are left out first.

use super::Event;
use plane_client::{ObjectName, TenantId};
use service_runtime::FairQueue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many wait, of all tenants together, until those who have one waiting already have to wait with the next.
const WAITING: usize = 4096;

/// An event, and how often it was told since it waits.
pub(super) type Told = (Event, i64);

#[derive(Default)]
struct Lines {
    by_tenant: HashMap<TenantId, HashMap<ObjectName, Told>>,
    total: usize,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// In which order they are taken, by name.
    order: FairQueue<TenantId, ObjectName>,
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts events in. The taker ends when it is gone.
pub(super) struct Sender(Arc<Shared>);

/// Takes events out.
pub(super) struct Receiver(Arc<Shared>);

/// Two ends of a new queue.
pub(super) fn queue() -> (Sender, Receiver) {
    let shared = Arc::<Shared>::default();
    (Sender(shared.clone()), Receiver(shared))
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.order.close();
    }
}

impl Sender {
    /// Puts an event at the end of its tenant's line, unless it stands there already: then it counts once more. When
    /// too many wait, a tenant with a line gets the event back.
    pub(super) fn put(&self, event: Event) -> Option<Event> {
        let (tenant, key) = (event.tenant, ObjectName::new(&event.namespace, &event.name));
        let mut lines = self.0.lines();
        let Lines { by_tenant, total } = &mut *lines;
        let line = by_tenant.entry(tenant).or_default();
        if let Some(told) = line.get_mut(&key) {
            *told = (event, told.1 + 1);
            return None;
        }
        if *total >= WAITING && !line.is_empty() {
            return Some(event);
        }
        line.insert(key.clone(), (event, 1));
        *total += 1;
        drop(lines);
        self.0.order.add(tenant, key);
        None
    }
}

impl Receiver {
    /// Waits until there is something and takes up to so many, a tenant after the other; none: nothing will come.
    pub(super) async fn take(&self, most: usize) -> Vec<Told> {
        let mut taken = Vec::new();
        let mut next = self.0.order.next().await.or_else(|| self.0.order.try_next());
        while let Some(lease) = next {
            let mut lines = self.0.lines();
            if let Some(line) = lines.by_tenant.get_mut(&lease.tenant) {
                taken.extend(line.remove(&lease.key));
                if line.is_empty() {
                    lines.by_tenant.remove(&lease.tenant);
                }
                lines.total -= 1;
            }
            drop(lines);
            lease.done(None);
            next = if taken.len() < most { self.0.order.try_next() } else { None };
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use serde_json::json;

    fn event(tenant: TenantId, message: &str) -> Event {
        let about = json!({"metadata": {"name": "p", "namespace": "n"}});
        Event::new(tenant, &about, "tester", Severity::Normal, "Made", message)
    }

    fn messages(taken: &[Told]) -> Vec<(&str, i64)> {
        taken.iter().map(|(event, count)| (event.body["message"].as_str().unwrap(), *count)).collect()
    }

    #[tokio::test]
    async fn tenants_take_turns_and_who_has_a_line_is_cut() {
        let (loud, quiet) = (TenantId::HOST, TenantId::LOCAL_SUPER);
        let (sender, receiver) = queue();
        for number in 0..WAITING {
            assert!(sender.put(event(loud, &format!("loud {number}"))).is_none());
        }
        assert!(sender.put(event(loud, "one more")).is_some());
        assert!(sender.put(event(loud, "loud 1")).is_none(), "it waits already");
        assert!(sender.put(event(quiet, "quiet")).is_none());
        assert!(sender.put(event(quiet, "quiet too")).is_some());
        assert_eq!(messages(&receiver.take(3).await), [("loud 0", 1), ("quiet", 1), ("loud 1", 2)]);
        drop(sender);
        assert_eq!(receiver.take(WAITING).await.len(), WAITING - 2);
        assert!(receiver.take(1).await.is_empty());
        assert!(receiver.0.lines().by_tenant.is_empty());
        assert_eq!(receiver.0.lines().total, 0);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let (sender, receiver) = queue();
        let waiting = tokio::spawn(async move { receiver.take(5).await });
        tokio::task::yield_now().await;
        sender.put(event(TenantId::HOST, "a"));
        assert_eq!(messages(&waiting.await.unwrap()), [("a", 1)]);
    }
}
