//! How many workers one super cluster may keep busy.
//!
//! Guarantees: work on a super cluster that is slow to answer leaves workers for all others: each may have as many as there
//! are for one alone. What finds no seat waits in a line that is as fair to tenants as the queue, in its rank, and goes back
//! into the queue when one is free; none is forgotten, also when the cluster is let go. No longer than the number of live keys.

use crate::kinds::{Keys, LeasedKey};
use parking_lot::Mutex;

/// The seats of one super cluster.
pub struct Seats {
    inner: Mutex<Inner>,
    line: Keys,
}

struct Inner {
    free: usize,
    is_closed: bool,
}

/// A seat, until it is dropped.
pub struct Seat<'a> {
    seats: &'a Seats,
    queue: &'a Keys,
}

impl Seats {
    /// So many.
    pub fn new(count: usize) -> Self {
        let inner = Inner { free: count.max(1), is_closed: false };
        Seats { inner: Mutex::new(inner), line: Keys::default() }
    }

    /// A seat for work on a key; `None` when all are taken: then the key comes into `queue` again when one is free.
    pub fn take<'a>(&'a self, queue: &'a Keys, lease: LeasedKey) -> Option<(Seat<'a>, LeasedKey)> {
        let mut inner = self.inner.lock();
        if inner.free == 0 && !inner.is_closed {
            lease.move_to(&self.line);
            return None;
        }
        inner.free = inner.free.saturating_sub(1);
        Some((Seat { seats: self, queue }, lease))
    }

    /// From time to time: calls as many as there are seats. Who was called and needed none any more has called nobody.
    pub fn look_after(&self, queue: &Keys) {
        let free = self.inner.lock().free;
        self.line.hand_over(queue, free);
    }

    /// The keys that wait for a seat.
    pub fn line(&self) -> &Keys {
        &self.line
    }

    /// Lets all that wait go back into the queue: the cluster is let go.
    pub fn close(&self, queue: &Keys) {
        self.inner.lock().is_closed = true;
        self.line.hand_over(queue, usize::MAX);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.seats.inner.lock().free += 1;
        self.seats.line.hand_over(self.queue, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Key, Kind};
    use api_types::TenantId;

    #[test]
    fn who_finds_no_seat_comes_again_when_one_is_free() {
        let (seats, queue) = (Seats::new(2), Keys::default());
        let tenant = |n: u128| TenantId::new(uuid::Uuid::from_u128(n));
        let key = |n: usize| Key::object(Kind::Pod, "shop", n.to_string());
        let take = |of: u128, n: usize| {
            queue.add(tenant(of), key(n));
            let (seat, lease) = seats.take(&queue, queue.try_next().unwrap())?;
            lease.done(None);
            Some(seat)
        };
        let first = take(7, 0).unwrap();
        let second = take(7, 1).unwrap();
        for n in 2..5 {
            assert!(take(7, n).is_none());
        }
        assert!(take(8, 5).is_none() && take(8, 5).is_none());
        assert!(queue.is_empty() && seats.line().is_pending(&tenant(8), &key(5)));
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
        assert!(!seats.line().is_pending(&tenant(8), &key(5)));
        let third = take(8, 5).unwrap();
        seats.close(&queue);
        assert_eq!((next(), next(), next()), (Some((tenant(7), key(3))), Some((tenant(7), key(4))), None));
        assert!(take(7, 6).is_some(), "nobody waits for what is let go");
        drop((second, third));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_needs_no_seat_any_more_holds_up_nobody() {
        let (seats, queue) = (Seats::new(1), Keys::default());
        let tenant = TenantId::new(uuid::Uuid::from_u128(7));
        let key = |n: usize| Key::object(Kind::Pod, "shop", n.to_string());
        queue.add(tenant, Key::Everything);
        let (seat, first) = seats.take(&queue, queue.try_next().unwrap()).unwrap();
        first.done(None);
        for n in 0..3 {
            queue.add(tenant, key(n));
            assert!(seats.take(&queue, queue.try_next().unwrap()).is_none());
        }
        drop(seat);
        // The tenant is on another super cluster by now.
        queue.try_next().unwrap().done(None);
        assert!(queue.is_empty() && !seats.line().is_empty());
        seats.look_after(&queue);
        assert_eq!(queue.try_next().map(|lease| lease.key.clone()), Some(key(1)));
    }

    #[test]
    fn shares_by_weight_hold_in_the_line_too() {
        let (seats, queue) = (Seats::new(1), Keys::default());
        let tenant = |n: u128| TenantId::new(uuid::Uuid::from_u128(n));
        queue.set_weight(tenant(7), 3);
        seats.line().set_weight(tenant(7), 3);
        queue.add(tenant(9), Key::Everything);
        let (mut seat, first) = seats.take(&queue, queue.try_next().unwrap()).unwrap();
        first.done(None);
        for n in 0..6 {
            for of in [7, 8] {
                queue.add(tenant(of), Key::object(Kind::Pod, "shop", n.to_string()));
            }
        }
        while let Some(lease) = queue.try_next() {
            assert!(seats.take(&queue, lease).is_none());
        }
        let mut served = Vec::new();
        for _ in 0..8 {
            drop(seat);
            let lease = queue.try_next().unwrap();
            served.push(lease.tenant);
            let (next, lease) = seats.take(&queue, lease).unwrap();
            lease.done(None);
            seat = next;
        }
        assert_eq!(served.iter().filter(|of| **of == tenant(7)).count(), 6, "{served:?}");
    }
}
