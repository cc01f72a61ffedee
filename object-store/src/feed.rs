//! Gives batches to watchers, in order of revision, and keeps the most recent ones so that a watch which starts
//! a little in the past needs no disk.

use crate::engine::Batch;
use api_types::Revision;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// How much the feed keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedLimits {
    /// Batches kept for watches that start in the past.
    pub recent_batches: usize,
    /// Bytes of their keys and values.
    pub recent_bytes: usize,
}

/// Whether a watcher is now fed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It has, or will get, every batch after where it was.
    Live,
    /// It is further back than the recent batches, or its buffer has no room for them: replay, then join again.
    Behind,
    /// Nothing will be published any more.
    Closed,
}

/// The live batches and who watches them.
pub(crate) struct Feed {
    limits: FeedLimits,
    state: Mutex<State>,
}

struct State {
    closed: bool,
    /// `recent` has every batch after this revision.
    floor: Revision,
    recent: VecDeque<Arc<Batch>>,
    recent_bytes: usize,
    watchers: Vec<Watcher>,
}

struct Watcher {
    after: Revision,
    sender: Sender<Arc<Batch>>,
}

impl Feed {
    /// A feed of every batch after `start`.
    pub fn new(start: Revision, limits: FeedLimits) -> Self {
        Feed {
            limits,
            state: Mutex::new(State {
                closed: false,
                floor: start,
                recent: VecDeque::new(),
                recent_bytes: 0,
                watchers: Vec::new(),
            }),
        }
    }

    /// Gives a batch to every watcher. One whose buffer is full is let go: its stream ends after what it has.
    pub fn publish(&self, batch: Arc<Batch>) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.watchers.retain(|watcher| {
            watcher.after >= batch.revision || watcher.sender.try_send(batch.clone()).is_ok()
        });
        state.recent_bytes += size(&batch);
        state.recent.push_back(batch);
        while state.recent.len() > self.limits.recent_batches || state.recent_bytes > self.limits.recent_bytes
        {
            let Some(oldest) = state.recent.pop_front() else { break };
            state.recent_bytes -= size(&oldest);
            state.floor = oldest.revision;
        }
    }

    /// Feeds `sender` with every batch after `after`, those of the past first.
    pub fn join(&self, after: Revision, sender: &Sender<Arc<Batch>>) -> Joined {
        let mut state = self.state.lock();
        if state.closed {
            return Joined::Closed;
        }
        let first = state.recent.partition_point(|batch| batch.revision <= after);
        if after < state.floor || state.recent.len() - first > sender.capacity() {
            return Joined::Behind;
        }
        for batch in state.recent.iter().skip(first) {
            // Nobody else sends to this watcher, so the room counted above is still there; an error can only
            // mean that its receiver is gone.
            if sender.try_send(batch.clone()).is_err() {
                return Joined::Live;
            }
        }
        state.watchers.push(Watcher { after, sender: sender.clone() });
        Joined::Live
    }

    /// Ends every stream because batches up to `resume` were missed, and goes on after it.
    pub fn interrupt(&self, resume: Revision) {
        let mut state = self.state.lock();
        state.watchers.clear();
        state.recent.clear();
        state.recent_bytes = 0;
        state.floor = resume;
    }

    /// Ends every stream, and refuses new ones.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.watchers.clear();
        state.recent.clear();
        state.recent_bytes = 0;
    }
}

fn size(batch: &Batch) -> usize {
    let events = batch.events.iter();
    events.map(|event| event.key.len() + event.value.as_ref().map_or(0, |value| value.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{Receiver, channel, error::TryRecvError};

    fn batch(revision: u64) -> Arc<Batch> {
        Arc::new(Batch { revision: Revision(revision), events: Vec::new() })
    }

    fn feed(published: u64) -> Feed {
        let feed = Feed::new(Revision(0), FeedLimits { recent_batches: 3, recent_bytes: 1000 });
        (1..=published).for_each(|revision| feed.publish(batch(revision)));
        feed
    }

    fn drain(watch: &mut Receiver<Arc<Batch>>) -> (Vec<u64>, bool) {
        let mut seen = Vec::new();
        loop {
            match watch.try_recv() {
                Ok(batch) => seen.push(batch.revision.0),
                Err(error) => return (seen, error == TryRecvError::Disconnected),
            }
        }
    }

    #[test]
    fn joining_continues_from_recent_batches() {
        // After which revision, how much room, what is seen once 6 is published.
        let table: &[(u64, usize, Joined, &[u64])] = &[
            (5, 8, Joined::Live, &[6]),
            (3, 8, Joined::Live, &[4, 5, 6]),
            (2, 8, Joined::Live, &[3, 4, 5, 6]),
            (1, 8, Joined::Behind, &[]),
            (2, 2, Joined::Behind, &[]),
            // A watcher that is ahead of the feed skips what it knows.
            (6, 8, Joined::Live, &[]),
        ];
        for (after, room, joined, seen) in table {
            let feed = feed(5);
            let (sender, mut watch) = channel(*room);
            assert_eq!(feed.join(Revision(*after), &sender), *joined, "after {after}");
            drop(sender);
            feed.publish(batch(6));
            assert_eq!(drain(&mut watch).0, *seen, "after {after}");
        }
    }

    #[test]
    fn a_watcher_that_lags_gets_what_it_has_and_then_the_end() {
        let feed = feed(0);
        let (sender, mut watch) = channel(2);
        assert_eq!(feed.join(Revision(0), &sender), Joined::Live);
        drop(sender);
        (1..=3).for_each(|revision| feed.publish(batch(revision)));
        assert_eq!(drain(&mut watch), (vec![1, 2], true));
    }

    #[test]
    fn an_interruption_ends_streams_and_goes_on_after_the_gap() {
        let feed = feed(2);
        let (sender, mut watch) = channel(8);
        assert_eq!(feed.join(Revision(2), &sender), Joined::Live);
        drop(sender);
        feed.interrupt(Revision(10));
        assert_eq!(drain(&mut watch), (vec![], true));
        let (sender, _watch) = channel(8);
        assert_eq!(feed.join(Revision(9), &sender), Joined::Behind);
        assert_eq!(feed.join(Revision(10), &sender), Joined::Live);
        feed.close();
        assert_eq!(feed.join(Revision(10), &sender), Joined::Closed);
    }
}
