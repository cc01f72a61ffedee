//! Fair queues: whose turn it is where there is less of something than all planes together ask for: of processors for requests, and
//! of places in the commits of the store. Each plane gets its share by weight, whatever the others ask for.
//!
//! Start-time fair queuing: a plane's virtual time grows by what it has taken, divided by its weight, and the turn is
//! the plane's whose time is earliest. Who was away begins at the time of those who are served: nothing is saved up.
//!
//! [`FairQueue::fairly`] shares processors: it polls a request's future only in its turn, and counts how long that took, so
//! that a request which waits (for the store, a webhook, a slow body) holds nobody up. [`FairQueue::pass`] shares places
//! that are held until they are given back. Both cost two short locks where nobody waits. Where somebody does, a thread that
//! works off steps lets the system run another one now and then ([`AT_A_STRETCH`]).
//!
//! Limits: those who wait are requests that have a seat of their plane ([`crate::limits`]), so there is no limit here.

use api_types::TenantId;
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// So many planes are remembered while nobody asks for anything.
const REMEMBERED: usize = 1024;
/// A thread sleeps at most so often while others wait. There is a thread more than processors
/// ([`FairQueue::of_threads`]), and the system interrupts one for another at its ticks only, every 4 ms where they are 250 a second: with what it just read off a
/// connection in its hands, a thread would wait so long.
const AT_A_STRETCH: Duration = Duration::from_millis(3);
/// Only while several planes ask: those of one plane wait for themselves. So long after the last change from one to another.
const OF_LATE: Duration = Duration::from_millis(100);
/// What it sleeps then: no time at all, and so as little as the system can, some 50 µs. (A yield would not do: with it, a
/// thread gives up what is left of its share of the processor.) Whoever's turn the thread has just made it may be the next
/// that it polls, and waits as long.
const BREATH: Duration = Duration::from_nanos(1);

thread_local! {
    /// When this thread slept last.
    static BREATHED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Who asks, and for which share.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The plane.
    pub plane: TenantId,
    /// Its share beside others.
    pub weight: u32,
}

/// The queue for one thing.
pub struct FairQueue {
    state: Mutex<State>,
    /// Somebody stands in line, and several planes have asked of late.
    is_contended: AtomicBool,
}

#[derive(Default)]
struct State {
    slots: usize,
    /// How many are taken, or given to somebody who has not noticed yet.
    busy: usize,
    /// The virtual time of who was served last.
    now: u64,
    lines: HashMap<TenantId, Line>,
    /// Planes in which somebody waits, by their virtual time.
    order: BTreeSet<(u64, TenantId)>,
    /// Who asked last.
    latest: Option<TenantId>,
    /// When somebody asked who was not the one before.
    shared: Option<Instant>,
}

/// One plane.
#[derive(Default)]
struct Line {
    time: u64,
    taken: usize,
    waiting: VecDeque<Arc<Ticket>>,
}

/// One who waits.
struct Ticket(Mutex<Stage>);

enum Stage {
    Waiting(Waker),
    /// A slot is this one's.
    Granted,
    /// Nobody waits any more.
    Gone,
}

impl FairQueue {
    /// A queue for so many slots.
    pub fn new(slots: usize) -> Arc<Self> {
        let state = State { slots: slots.max(1), ..State::default() };
        Arc::new(FairQueue { state: Mutex::new(state), is_contended: AtomicBool::new(false) })
    }

    /// A queue for the threads of this runtime, all but one: that one takes what is ready to its line. With a slot for each
    /// thread whoever is polled would find one free, and the order would be the runtime's, first come, first served.
    pub fn of_threads() -> Arc<Self> {
        let threads =
            tokio::runtime::Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self::new(threads.saturating_sub(1))
    }

    /// Does something of a plane, each step of it in the plane's turn.
    pub fn fairly<'a, T>(
        self: &Arc<Self>,
        who: Who,
        work: impl Future<Output = T> + Send + 'a,
    ) -> Fairly<'a, T> {
        Fairly { queue: self.clone(), who, ticket: None, work: Box::pin(work) }
    }

    /// A slot, once it is the plane's turn. It is free again when dropped.
    pub async fn pass(self: &Arc<Self>, who: Who) -> Pass {
        let mut waiting = Waits { queue: self.clone(), who, ticket: None };
        std::future::poll_fn(|context| waiting.poll(context)).await;
        Pass { queue: self.clone(), who, since: Instant::now() }
    }

    /// Takes a slot, or stands in line.
    fn enter(&self, who: Who, waker: &Waker) -> Option<Arc<Ticket>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.latest.replace(who.plane).is_some_and(|before| before != who.plane) {
            state.shared = Some(Instant::now());
        }
        let line = state.lines.entry(who.plane).or_default();
        if line.taken == 0 && line.waiting.is_empty() {
            line.time = line.time.max(state.now);
        }
        if state.busy < state.slots {
            // Nobody waits: slots are given away as soon as they are free.
            state.busy += 1;
            state.now = state.now.max(line.time);
            line.taken += 1;
            return None;
        }
        if line.waiting.is_empty() {
            state.order.insert((line.time, who.plane));
        }
        let ticket = Arc::new(Ticket(Mutex::new(Stage::Waiting(waker.clone()))));
        line.waiting.push_back(ticket.clone());
        Some(ticket)
    }

    /// Gives a slot back that was taken for so long, to whose turn it is.
    fn leave(&self, who: Who, taken: Duration) {
        let mut state = self.state.lock();
        let next = state.leave(who, taken);
        let is_contended = !state.order.is_empty() && state.is_shared(Instant::now());
        self.is_contended.store(is_contended, Ordering::Relaxed);
        drop(state);
        for waker in next {
            waker.wake();
        }
    }
}

impl State {
    /// Several planes have asked of late.
    fn is_shared(&self, now: Instant) -> bool {
        self.shared.is_some_and(|at| now.duration_since(at) < OF_LATE)
    }

    fn leave(&mut self, who: Who, taken: Duration) -> Vec<Waker> {
        if let Some(line) = self.lines.get_mut(&who.plane) {
            let cost = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX) / u64::from(who.weight.max(1));
            let later = line.time.saturating_add(cost.max(1));
            if !line.waiting.is_empty() {
                self.order.remove(&(line.time, who.plane));
                self.order.insert((later, who.plane));
            }
            line.time = later;
            line.taken = line.taken.saturating_sub(1);
        }
        self.busy -= 1;
        let mut woken = Vec::new();
        while self.busy < self.slots
            && let Some((time, plane)) = self.order.first().copied()
        {
            let Some(line) = self.lines.get_mut(&plane) else {
                self.order.remove(&(time, plane));
                continue;
            };
            let granted = line.waiting.pop_front().and_then(|ticket| ticket.grant());
            if line.waiting.is_empty() {
                self.order.remove(&(time, plane));
            }
            if let Some(waker) = granted {
                self.busy += 1;
                line.taken += 1;
                self.now = self.now.max(time);
                woken.push(waker);
            }
        }
        if self.busy == 0 && self.lines.len() > REMEMBERED {
            self.lines.clear();
        }
        woken
    }
}

impl Ticket {
    /// Gives it a slot; `None`: nobody waits for it any more.
    fn grant(&self) -> Option<Waker> {
        let mut stage = self.0.lock();
        match std::mem::replace(&mut *stage, Stage::Granted) {
            Stage::Waiting(waker) => Some(waker),
            other => {
                *stage = other;
                None
            }
        }
    }

    /// Whether it has a slot; else it is told by this waker.
    fn is_granted(&self, waker: &Waker) -> bool {
        let mut stage = self.0.lock();
        match &mut *stage {
            Stage::Granted => true,
            Stage::Waiting(told) => {
                told.clone_from(waker);
                false
            }
            Stage::Gone => false,
        }
    }

    /// Nobody waits any more. Whether it had a slot.
    fn give_up(&self) -> bool {
        matches!(std::mem::replace(&mut *self.0.lock(), Stage::Gone), Stage::Granted)
    }
}

/// Waits for a slot; leaves the line when dropped.
struct Waits {
    queue: Arc<FairQueue>,
    who: Who,
    ticket: Option<Arc<Ticket>>,
}

impl Waits {
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        match &self.ticket {
            Some(ticket) if ticket.is_granted(context.waker()) => {
                self.ticket = None;
                Poll::Ready(())
            }
            Some(_) => Poll::Pending,
            None => {
                self.ticket = self.queue.enter(self.who, context.waker());
                if self.ticket.is_none() { Poll::Ready(()) } else { Poll::Pending }
            }
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.ticket.take().is_some_and(|ticket| ticket.give_up()) {
            self.queue.leave(self.who, Duration::ZERO);
        }
    }
}

/// A slot.
pub struct Pass {
    queue: Arc<FairQueue>,
    who: Who,
    since: Instant,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.queue.leave(self.who, self.since.elapsed());
    }
}

/// Work that goes on in its turns.
pub struct Fairly<'a, T> {
    queue: Arc<FairQueue>,
    who: Who,
    ticket: Option<Waits>,
    work: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
}

impl<T> Future for Fairly<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let mut waits = this.ticket.take().unwrap_or_else(|| Waits {
            queue: this.queue.clone(),
            who: this.who,
            ticket: None,
        });
        if waits.poll(context).is_pending() {
            this.ticket = Some(waits);
            return Poll::Pending;
        }
        // Free again also when the step panics.
        let step = Pass { queue: this.queue.clone(), who: this.who, since: Instant::now() };
        let done = this.work.as_mut().poll(context);
        drop(step);
        if this.queue.is_contended.load(Ordering::Relaxed) {
            breathe();
        }
        done
    }
}

/// Lets the system run another thread, when this one has not for long.
fn breathe() {
    BREATHED.with(|breathed| {
        let now = Instant::now();
        if breathed.get().is_none_or(|last| now.duration_since(last) >= AT_A_STRETCH) {
            std::thread::sleep(BREATH);
            breathed.set(Some(Instant::now()));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::atomic::AtomicUsize;
    use uuid::Uuid;

    fn who(number: u128, weight: u32) -> Who {
        Who { plane: TenantId::new(Uuid::from_u128(number)), weight }
    }

    /// One plane asks a thousand times, another one once: it comes next.
    #[test]
    fn who_asks_for_little_does_not_wait_for_who_asks_for_much() {
        let queue = FairQueue::new(1);
        let first = queue.pass(who(1, 1)).now_or_never().unwrap();
        let mut greedy: Vec<_> = (0..1000).map(|_| Box::pin(queue.pass(who(1, 1)))).collect();
        assert!(greedy.iter_mut().all(|pass| pass.now_or_never().is_none()));
        let mut other = Box::pin(queue.pass(who(2, 1)));
        assert!((&mut other).now_or_never().is_none());
        // The greedy one has taken something by then.
        drop(first);
        assert!((&mut other).now_or_never().is_some());
    }

    /// Serves two planes that always ask, and hold each slot for as long; who was served how often.
    fn shares(weights: [u32; 2], turns: usize) -> [usize; 2] {
        let (queue, waker) = (FairQueue::new(1), Waker::noop());
        let all = [who(0, weights[0]), who(1, weights[1])];
        let mut tickets = [VecDeque::new(), VecDeque::new()];
        let (mut holder, mut served) = (0, [0, 0]);
        assert!(queue.enter(all[holder], waker).is_none());
        for _ in 0..turns {
            for (who, tickets) in all.iter().zip(&mut tickets) {
                tickets.extend(queue.enter(*who, waker));
            }
            queue.leave(all[holder], Duration::from_micros(100));
            // Those of a plane are served in their order.
            holder =
                (0..2).find(|plane| tickets[*plane].front().is_some_and(|t| t.is_granted(waker))).unwrap();
            tickets[holder].pop_front();
            served[holder] += 1;
        }
        served
    }

    #[test]
    fn shares_are_by_weight() {
        let [first, second] = shares([1, 1], 1000);
        assert!((499..=501).contains(&first), "{first} {second}");
        let [first, second] = shares([3, 1], 1000);
        assert!((748..=752).contains(&first), "{first} {second}");
    }

    #[test]
    fn nothing_is_saved_up_by_being_away() {
        let queue = FairQueue::new(1);
        for _ in 0..100 {
            assert!(queue.enter(who(1, 1), Waker::noop()).is_none());
            queue.leave(who(1, 1), Duration::from_millis(1));
        }
        // The other one comes, and has no more turns than the first from now on.
        assert!(queue.enter(who(2, 1), Waker::noop()).is_none());
        let theirs = queue.enter(who(2, 1), Waker::noop()).unwrap();
        let ours = queue.enter(who(1, 1), Waker::noop()).unwrap();
        queue.leave(who(2, 1), Duration::from_millis(2));
        assert!(ours.is_granted(Waker::noop()) && !theirs.is_granted(Waker::noop()));
    }

    #[test]
    fn who_gives_up_leaves_no_slot_behind() {
        let queue = FairQueue::new(1);
        let first = queue.pass(who(1, 1)).now_or_never().unwrap();
        let mut second = Box::pin(queue.pass(who(1, 1)));
        let mut third = Box::pin(queue.pass(who(2, 1)));
        let mut fourth = Box::pin(queue.pass(who(1, 1)));
        for waits in [&mut second, &mut third, &mut fourth] {
            assert!(waits.now_or_never().is_none());
        }
        drop(second);
        drop(first);
        // It was given a slot, and does not take it.
        drop(third);
        let fourth = (&mut fourth).now_or_never().unwrap();
        drop(fourth);
        assert_eq!(queue.state.lock().busy, 0);
        assert!(queue.state.lock().order.is_empty());
        assert!(!queue.is_contended.load(Ordering::Relaxed), "threads would sleep for nobody");
    }

    #[test]
    fn no_thread_sleeps_for_a_plane_that_waits_for_itself() {
        let (queue, waker) = (FairQueue::new(1), Waker::noop());
        let asks = |number| queue.enter(who(number, 1), waker);
        let is_shared = |later| {
            let state = queue.state.lock();
            state.is_shared(state.shared.unwrap_or_else(Instant::now) + later)
        };
        let _own = (asks(1), asks(1), asks(1));
        assert!(!is_shared(Duration::ZERO));
        let _other = asks(2);
        assert!(is_shared(Duration::ZERO) && is_shared(OF_LATE / 2));
        assert!(!is_shared(OF_LATE), "another plane asked long ago");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn work_that_waits_holds_nobody_up() {
        let queue = FairQueue::new(1);
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let waits = tokio::spawn(queue.fairly(who(1, 1), async move { told.await.is_ok() }));
        let mut others = tokio::task::JoinSet::new();
        for number in 0..200 {
            others.spawn(queue.fairly(who(number % 7, 1), async move {
                tokio::task::yield_now().await;
                number
            }));
        }
        assert_eq!(others.join_all().await.len(), 200);
        tell.send(()).unwrap();
        assert!(waits.await.unwrap());
        let state = queue.state.lock();
        assert_eq!((state.busy, state.order.len()), (0, 0));
    }

    /// As a server is built: a greedy plane has much ready when another one comes.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn who_asks_for_little_is_served_while_much_of_others_is_ready() {
        const STEPS: usize = 20;
        let queue = FairQueue::of_threads();
        let steps = |done: Arc<AtomicUsize>| async move {
            for _ in 0..STEPS {
                std::hint::black_box((0..20_000_u64).fold(1, |of, by| of ^ by.wrapping_mul(of | 1)));
                tokio::task::yield_now().await;
            }
            done.fetch_add(1, Ordering::Relaxed)
        };
        let mut greedy = tokio::task::JoinSet::new();
        let (done, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..400 {
            greedy.spawn(queue.fairly(who(1, 1), steps(done.clone())));
        }
        tokio::spawn(queue.fairly(who(2, 1), steps(last))).await.unwrap();
        let before = done.load(Ordering::Relaxed);
        assert_eq!(greedy.join_all().await.len(), 400);
        // By the runtime's order all would have ended at about the same time.
        assert!(before < 200, "{before} of 400 had ended");
    }

    #[tokio::test]
    async fn a_panic_gives_the_slot_back() {
        let queue = FairQueue::new(1);
        let fails = tokio::spawn(queue.fairly(who(1, 1), async { std::panic::panic_any("as it must") }));
        assert!(fails.await.is_err_and(|error| error.is_panic()));
        assert_eq!(queue.state.lock().busy, 0);
    }
}
