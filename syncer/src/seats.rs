//! How many workers one super cluster may keep busy.
//!
//! Guarantees: work on a super cluster that is slow to answer leaves workers for all others: each may have as many as there
//! are for one alone. What finds no seat waits in a line that is fair to tenants, in its rank, and goes back into the queue when one is
//! free; none is forgotten, also when the cluster is let go. No longer than the number of live keys.

use crate::kinds::Key;
use api_types::TenantId;
use parking_lot::Mutex;
use service_runtime::{FairQueue, Rank};

type Queue = FairQueue<TenantId, Key>;

/// The seats of one super cluster.
pub struct Seats {
    inner: Mutex<Inner>,
    line: Queue,
}

struct Inner {
    free: usize,
    is_closed: bool,
}

/// A seat, until it is dropped.
pub struct Seat<'a> {
    seats: &'a Seats,
    queue: &'a Queue,
}

impl Seats {
    /// So many.
    pub fn new(count: usize) -> Self {
        let inner = Inner { free: count.max(1), is_closed: false };
        Seats { inner: Mutex::new(inner), line: Queue::default() }
    }

    /// A seat; `None` when all are taken: then the key comes into `queue` again when one is free.
    pub fn take<'a>(
        &'a self,
        queue: &'a Queue,
        tenant: TenantId,
        (key, rank): (&Key, Rank),
    ) -> Option<Seat<'a>> {
        let mut inner = self.inner.lock();
        if inner.free == 0 && !inner.is_closed {
            self.line.add_ranked(tenant, key.clone(), rank);
            return None;
        }
        inner.free = inner.free.saturating_sub(1);
        Some(Seat { seats: self, queue })
    }

    /// Whether a key waits for a seat.
    pub fn is_awaited(&self, tenant: TenantId, key: &Key) -> bool {
        self.line.is_pending(&tenant, key)
    }

    /// How many keys of each tenant wait for a seat.
    pub fn lengths(&self) -> Vec<(TenantId, usize)> {
        self.line.lengths()
    }

    /// Whether any key waits for a seat.
    #[cfg(test)]
    pub fn has_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// Lets all that wait go back into the queue: the cluster is let go.
    pub fn close(&self, queue: &Queue) {
        self.inner.lock().is_closed = true;
        while self.call_next(queue) {}
    }

    /// False when none waits.
    fn call_next(&self, queue: &Queue) -> bool {
        let Some(next) = self.line.try_next() else { return false };
        // In this order: it is on its way all the time.
        queue.add_ranked(next.tenant, next.key.clone(), next.rank);
        next.done(None);
        true
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.seats.inner.lock().free += 1;
        self.seats.call_next(self.queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kind;

    #[test]
    fn who_finds_no_seat_comes_again_when_one_is_free() {
        let (seats, queue) = (Seats::new(2), Queue::default());
        let tenant = |n: u128| TenantId::new(uuid::Uuid::from_u128(n));
        let key = |n: usize| Key::object(Kind::Pod, "shop", n.to_string());
        let take = |of: u128, n: usize| seats.take(&queue, tenant(of), (&key(n), Rank::Usual));
        let first = take(7, 0).unwrap();
        let second = take(7, 1).unwrap();
        for n in 2..5 {
            assert!(take(7, n).is_none());
        }
        assert!(take(8, 5).is_none() && take(8, 5).is_none());
        assert!(queue.is_empty() && seats.is_awaited(tenant(8), &key(5)));
        let next = || {
            let lease = queue.try_next()?;
            let at = (lease.tenant, lease.key.clone());
            lease.done(None);
            Some(at)
        };
        drop(first);
        assert_eq!(next(), Some((tenant(7), key(2))));
        // Tenants take turns.
        drop(take(7, 2).unwrap());
        assert_eq!((next(), next()), (Some((tenant(8), key(5))), None));
        assert!(!seats.is_awaited(tenant(8), &key(5)));
        let third = take(8, 5).unwrap();
        seats.close(&queue);
        assert_eq!((next(), next(), next()), (Some((tenant(7), key(3))), Some((tenant(7), key(4))), None));
        assert!(take(7, 6).is_some(), "nobody waits for what is let go");
        drop((second, third));
        assert!(queue.is_empty());
    }
}
