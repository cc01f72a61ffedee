//! The replica's one watch, and the watches that first catch up with it.

use super::Core;
use super::errors::why;
use crate::engine::{Batch, Event};
use crate::feed::Joined;
use api_types::Revision;
use bytes::Bytes;
use etcd_client::{Error, EventType, WatchOptions, WatchResponse, WatchStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// How long to wait before connecting again: doubled with each failure up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Feeds the replica's watchers.
pub(super) struct Follower {
    core: Arc<Core>,
    after: Revision,
    wait: Duration,
}

impl Follower {
    pub fn new(core: Arc<Core>, after: Revision) -> Self {
        Follower { core, after, wait: FIRST_WAIT }
    }

    /// Follows etcd until the store is closed, connecting again where it was.
    pub async fn run(mut self) {
        let mut closed = self.core.closed.clone();
        tokio::select! {
            // Only the end of the sender is waited for.
            _ = closed.changed() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        loop {
            match self.stream().await {
                Ok(()) => tracing::info!("etcd ended the watch; watching again"),
                Err(error) => {
                    tracing::warn!(error = %why(&error), "the watch of etcd failed; watching again")
                }
            }
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn stream(&mut self) -> Result<(), Error> {
        let mut stream = open(&self.core, Revision(self.after.0 + 1)).await?;
        while let Some(message) = stream.message().await? {
            self.wait = FIRST_WAIT;
            if message.canceled() {
                if message.compact_revision() > 0 {
                    // What happened meanwhile cannot be had any more: every watcher lists again.
                    let compacted = self.core.revision(message.compact_revision());
                    tracing::warn!(after = %self.after, %compacted, "changes were missed");
                    self.core.compacted.fetch_max(compacted.0, Ordering::AcqRel);
                    self.core.feed.interrupt(compacted);
                    self.after = compacted;
                }
                return Ok(());
            }
            for batch in batches(&self.core, &message) {
                // Events come in order; one seen before can only come again with a new connection.
                if batch.revision > self.after {
                    self.after = self.core.saw(batch.revision);
                    self.core.feed.publish(Arc::new(batch));
                }
            }
        }
        Ok(())
    }
}

/// A watch from the past, until it has caught up with the feed.
pub(super) struct Past {
    core: Arc<Core>,
    after: Revision,
    sender: Sender<Arc<Batch>>,
}

impl Past {
    pub fn new(core: Arc<Core>, after: Revision, sender: Sender<Arc<Batch>>) -> Self {
        Past { core, after, sender }
    }

    /// Sends batches until the watcher is live or gone. When etcd fails, the stream ends.
    pub async fn run(mut self) {
        let mut closed = self.core.closed.clone();
        let sender = self.sender.clone();
        tokio::select! {
            _ = closed.changed() => {}
            () = sender.closed() => {}
            result = self.catch_up() => if let Err(error) = result {
                tracing::warn!(error = %why(&error), "a watch of the past ends");
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        // From the revision itself, which is left out below: then etcd refuses exactly when events after it may
        // be compacted.
        let mut stream = open(&self.core, self.after).await?;
        while let Some(message) = stream.message().await? {
            if message.canceled() {
                return Ok(());
            }
            for batch in batches(&self.core, &message) {
                if batch.revision <= self.after {
                    continue;
                }
                self.after = batch.revision;
                if self.sender.send(Arc::new(batch)).await.is_err() {
                    return Ok(());
                }
            }
            if self.core.feed.join(self.after, &self.sender) != Joined::Behind {
                return Ok(());
            }
        }
        Ok(())
    }
}

async fn open(core: &Core, from: Revision) -> Result<WatchStream, Error> {
    // etcd takes 0 for what is to come only.
    let options =
        WatchOptions::new().with_range(core.keys.end()).with_start_revision(core.number(from).max(1));
    let mut client = core.watch.clone();
    core.call(async { client.watch(core.keys.start(), Some(options)).await }).await
}

/// The events of a message by revision. etcd keeps the events of a transaction in one message, in order.
fn batches(core: &Core, message: &WatchResponse) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for event in message.events() {
        let Some(kv) = event.kv() else { continue };
        let Some((tenant, key)) = core.keys.parse(kv.key()) else {
            tracing::warn!(key = %String::from_utf8_lossy(kv.key()), "etcd holds a key that is not ours");
            continue;
        };
        let value = match event.event_type() {
            EventType::Put => Some(Bytes::copy_from_slice(kv.value())),
            EventType::Delete => None,
        };
        let event = Event { tenant, key, value };
        let at = core.revision(kv.mod_revision());
        match batches.last_mut() {
            Some(batch) if batch.revision == at => batch.events.push(event),
            _ => batches.push(Batch { revision: at, events: vec![event] }),
        }
    }
    batches
}
