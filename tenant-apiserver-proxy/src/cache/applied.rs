//! Which revision reads show, and who waits for one. Each of these is woken once, when its own is there: were all woken with
//! every commit, those of one group would each be polled as often as the group has commits.
//!
//! Limits: those who wait are requests that have a seat of their plane, and parts of the server; who does not wait any more
//! is forgotten.

use api_types::Revision;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// The newest revision that reads show.
#[derive(Default)]
pub struct Applied {
    newest: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By the revision and the number of who waits.
    wakers: BTreeMap<(Revision, u64), Waker>,
    /// How many have waited.
    numbered: u64,
}

impl Applied {
    /// The newest revision.
    pub fn newest(&self) -> Revision {
        Revision(self.newest.load(Ordering::Acquire))
    }

    /// It is this one now, if it was an older one.
    pub fn advance(&self, revision: Revision) {
        // Before those who wait are looked at: who comes to wait meanwhile sees it.
        self.newest.fetch_max(revision.0, Ordering::AcqRel);
        let due = {
            let mut waiting = self.waiting.lock();
            if waiting.wakers.first_key_value().is_none_or(|((first, _), _)| *first > revision) {
                return;
            }
            let later = waiting.wakers.split_off(&(Revision(revision.0.saturating_add(1)), 0));
            std::mem::replace(&mut waiting.wakers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Waits until it is this one, or a newer one.
    pub fn reach(&self, revision: Revision) -> Reach<'_> {
        Reach { applied: self, revision, number: None }
    }
}

/// One who waits.
pub struct Reach<'a> {
    applied: &'a Applied,
    revision: Revision,
    number: Option<u64>,
}

impl Future for Reach<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.applied.newest() >= this.revision {
            return Poll::Ready(());
        }
        let mut waiting = this.applied.waiting.lock();
        if this.applied.newest() >= this.revision {
            return Poll::Ready(());
        }
        let number = *this.number.get_or_insert_with(|| {
            waiting.numbered += 1;
            waiting.numbered
        });
        waiting.wakers.insert((this.revision, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reach<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.applied.waiting.lock().wakers.remove(&(self.revision, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::task::{ArcWake, waker};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_is_woken_once_when_its_own_is_there() {
        let applied = Applied::default();
        let counts: Vec<Arc<Count>> = (0..5).map(|_| Arc::default()).collect();
        let mut waits: Vec<_> = [3, 1, 2, 3, 9].map(|at| applied.reach(Revision(at))).into();
        for (wait, count) in waits.iter_mut().zip(&counts) {
            assert!(wait.poll_unpin(&mut Context::from_waker(&waker(count.clone()))).is_pending());
        }
        let woken = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        for (advanced, expected) in
            [(1, [0, 1, 0, 0, 0]), (3, [1, 1, 1, 1, 0]), (2, [1, 1, 1, 1, 0]), (8, [1, 1, 1, 1, 0])]
        {
            applied.advance(Revision(advanced));
            assert_eq!(woken(), expected, "at {advanced}");
        }
        assert_eq!(applied.newest(), Revision(8));
        let last = waits.pop();
        assert!(waits.into_iter().all(|wait| wait.now_or_never().is_some()));
        assert!(!applied.waiting.lock().wakers.is_empty());
        drop(last);
        assert!(applied.waiting.lock().wakers.is_empty(), "who does not wait any more is forgotten");
        applied.advance(Revision(9));
        assert_eq!(woken()[4], 0);
    }

    #[test]
    fn what_is_there_already_is_not_waited_for() {
        let applied = Applied::default();
        applied.advance(Revision(5));
        assert!(applied.reach(Revision(5)).now_or_never().is_some());
        assert!(applied.reach(Revision(6)).now_or_never().is_none());
        assert!(applied.waiting.lock().wakers.is_empty());
    }

    #[test]
    fn the_waker_of_the_last_poll_is_woken() {
        let applied = Applied::default();
        let counts: [Arc<Count>; 2] = Default::default();
        let mut wait = applied.reach(Revision(1));
        for count in &counts {
            assert!(wait.poll_unpin(&mut Context::from_waker(&waker(count.clone()))).is_pending());
        }
        applied.advance(Revision(1));
        assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_forgotten_while_it_advances() {
        let applied = Arc::<Applied>::default();
        let mut waits = tokio::task::JoinSet::new();
        for revision in 1..=10_000 {
            let applied = applied.clone();
            waits.spawn(async move { applied.reach(Revision(revision)).await });
        }
        let advances = tokio::task::spawn_blocking(move || {
            for revision in 1..=10_000 {
                applied.advance(Revision(revision));
            }
        });
        advances.await.unwrap();
        waits.join_all().await;
    }
}
