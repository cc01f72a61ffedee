//! The events that wait to be recorded: tenants take turns, and who tells the most loses first.

use plane_client::TenantId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many wait at most, of all tenants together.
const WAITING: usize = 4096;

struct Lines<T> {
    by_tenant: HashMap<TenantId, VecDeque<T>>,
    /// Tenants with something to tell, in turn.
    turns: VecDeque<TenantId>,
    total: usize,
    /// How many ends can put something in.
    senders: usize,
}

impl<T> Lines<T> {
    fn put(&mut self, tenant: TenantId, item: T) -> Option<T> {
        let left_out =
            if self.total < WAITING { None } else { self.longest().and_then(|t| self.drop_newest(t)) };
        let line = self.by_tenant.entry(tenant).or_default();
        if line.is_empty() {
            self.turns.push_back(tenant);
        }
        line.push_back(item);
        self.total += 1;
        left_out
    }

    fn longest(&self) -> Option<TenantId> {
        self.by_tenant.iter().max_by_key(|(_, line)| line.len()).map(|(tenant, _)| *tenant)
    }

    fn drop_newest(&mut self, tenant: TenantId) -> Option<T> {
        let line = self.by_tenant.get_mut(&tenant)?;
        let newest = line.pop_back()?;
        self.total -= 1;
        if line.is_empty() {
            self.by_tenant.remove(&tenant);
            self.turns.retain(|other| *other != tenant);
        }
        Some(newest)
    }

    fn take(&mut self) -> Option<T> {
        let tenant = self.turns.pop_front()?;
        let line = self.by_tenant.get_mut(&tenant)?;
        let item = line.pop_front();
        self.total -= 1;
        if line.is_empty() {
            self.by_tenant.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        item
    }
}

struct Shared<T> {
    lines: Mutex<Lines<T>>,
    changed: Notify,
}

impl<T> Shared<T> {
    fn lines(&self) -> MutexGuard<'_, Lines<T>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts items in. The taker ends when the last clone is gone.
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// Takes items out.
pub(super) struct Receiver<T>(Arc<Shared<T>>);

/// Two ends of a new queue.
pub(super) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let lines = Lines { by_tenant: HashMap::new(), turns: VecDeque::new(), total: 0, senders: 1 };
    let shared = Arc::new(Shared { lines: Mutex::new(lines), changed: Notify::new() });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lines().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lines().senders -= 1;
        self.0.changed.notify_one();
    }
}

impl<T> Sender<T> {
    /// Puts an item at the end of its tenant's line. When too many wait, the newest of the longest line is left out,
    /// and given back.
    pub(super) fn put(&self, tenant: TenantId, item: T) -> Option<T> {
        let left_out = self.0.lines().put(tenant, item);
        self.0.changed.notify_one();
        left_out
    }
}

impl<T> Receiver<T> {
    /// Waits until there is something and takes up to so many, a tenant after the other; none: nothing will come.
    pub(super) async fn take(&self, most: usize) -> Vec<T> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut lines = self.0.lines();
                let taken: Vec<T> = std::iter::from_fn(|| lines.take()).take(most).collect();
                if !taken.is_empty() || lines.senders == 0 {
                    return taken;
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tenants_take_turns_and_the_longest_line_is_cut() {
        let (loud, quiet) = (TenantId::HOST, TenantId::LOCAL_SUPER);
        let (sender, receiver) = queue();
        for number in 0..WAITING {
            assert_eq!(sender.put(loud, ("loud", number)), None);
        }
        assert_eq!(sender.put(quiet, ("quiet", 0)), Some(("loud", WAITING - 1)));
        assert_eq!(sender.put(loud, ("loud", WAITING)), Some(("loud", WAITING - 2)));
        assert_eq!(receiver.take(3).await, [("loud", 0), ("quiet", 0), ("loud", 1)]);
        drop(sender.clone());
        drop(sender);
        assert_eq!(receiver.take(WAITING).await.len(), WAITING - 3);
        assert_eq!(receiver.take(1).await, []);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let (sender, receiver) = queue();
        let waiting = tokio::spawn(async move { receiver.take(5).await });
        tokio::task::yield_now().await;
        sender.put(TenantId::HOST, 1);
        assert_eq!(waiting.await.unwrap(), [1]);
    }
}
