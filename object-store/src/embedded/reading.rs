//! Reading values: ranges, and the past events of a watch.

use super::format::{Position, Record, decode, log_name, log_table};
use super::{Shared, file_error};
use crate::engine::{Batch, Event, Item, Page, Range, StoreError};
use crate::feed::Joined;
use api_types::Revision;
use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::mpsc::Sender;

/// Batches, and about how many bytes, that a replay reads at once.
const CHUNK_BATCHES: usize = 512;
const CHUNK_BYTES: usize = 4 << 20;

impl Shared {
    /// Reads a range. Blocks on the disk.
    pub(super) fn read_range(&self, range: &Range) -> Result<Page, StoreError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or_else(|| self.closed())?;
        let (found, unapplied, more, revision, transaction) = {
            let state = self.state.read();
            let revision = range.at.unwrap_or(state.index.newest());
            state.check_readable(revision)?;
            let (found, more) = state.index.range(range, revision);
            let unapplied: Vec<_> = found.iter().map(|found| state.unapplied_value(&found.version)).collect();
            // Begun under the lock: what the index names now and is not in memory is in this snapshot of the file, even
            // when its table is dropped before it is read.
            (found, unapplied, more, revision, self.begin(database)?)
        };
        let mut tables = HashMap::new();
        let mut items = Vec::with_capacity(found.len());
        for (found, unapplied) in found.into_iter().zip(unapplied) {
            let version = found.version;
            let (tenant, key, modified) = (found.tenant, found.key.to_string(), Revision(version.revision));
            if let Some(value) = unapplied {
                items.push(Item { tenant, key, value, modified });
                continue;
            }
            let table = match tables.entry(version.table) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(self.table(&transaction, version.table)?)
                }
            };
            let bytes = table.get(version.position()).map_err(|error| file_error(&self.path, error))?;
            let bytes = bytes.ok_or_else(|| self.damaged(version.position(), "its record is missing"))?;
            let record = self.decode(version.position(), bytes.value())?;
            let value = record.value.ok_or_else(|| self.damaged(version.position(), "it has no value"))?;
            items.push(Item { tenant, key, value: Bytes::copy_from_slice(value), modified });
        }
        Ok(Page { items, revision, more })
    }

    /// Reads some of the batches after a revision, in order. Blocks on the disk.
    fn read_batches(&self, after: Revision) -> Result<Vec<Arc<Batch>>, StoreError> {
        let database = self.database.read();
        let database = database.as_ref().ok_or_else(|| self.closed())?;
        let (applied, logs, unapplied, transaction) = {
            let state = self.state.read();
            state.check_readable(after)?;
            let first = state.unapplied.front().map(|commit| Revision(commit.batch.revision.0 - 1));
            let from = state.unapplied.partition_point(|commit| commit.batch.revision <= after);
            let some = state.unapplied.range(from..).take(CHUNK_BATCHES);
            let unapplied: Vec<_> = some.map(|commit| (commit.batch.clone(), commit.bytes)).collect();
            (first.unwrap_or(state.index.newest()), state.logs.clone(), unapplied, self.begin(database)?)
        };
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut tables = logs.iter().peekable();
        while let Some((number, log)) = tables.next() {
            // Only the table's own revisions: the older ones in it are copies.
            let last = tables.peek().map_or(applied.0, |(_, next)| (next.first - 1).min(applied.0));
            let first = log.first.max(after.0 + 1);
            if first > last {
                continue;
            }
            let table = self.table(&transaction, *number)?;
            let mut events: Vec<Event> = Vec::new();
            let mut revision = first;
            for entry in
                table.range((first, 0)..=(last, u32::MAX)).map_err(|error| file_error(&self.path, error))?
            {
                let (position, value) = entry.map_err(|error| file_error(&self.path, error))?;
                let position = position.value();
                if position.0 != revision {
                    push(&mut batches, revision, &mut events);
                    if batches.len() >= CHUNK_BATCHES || bytes >= CHUNK_BYTES {
                        return Ok(batches);
                    }
                    revision = position.0;
                }
                bytes += value.value().len();
                let record = self.decode(position, value.value())?;
                events.push(Event {
                    tenant: record.tenant,
                    key: record.key.to_owned(),
                    value: record.value.map(Bytes::copy_from_slice),
                });
            }
            push(&mut batches, revision, &mut events);
        }
        for (batch, size) in unapplied {
            if batches.len() >= CHUNK_BATCHES || bytes >= CHUNK_BYTES {
                break;
            }
            bytes += size;
            batches.push(batch);
        }
        Ok(batches)
    }

    fn begin(&self, database: &redb::Database) -> Result<ReadTransaction, StoreError> {
        database.begin_read().map_err(|error| file_error(&self.path, error))
    }

    fn table(
        &self,
        transaction: &ReadTransaction,
        number: u32,
    ) -> Result<ReadOnlyTable<Position, &'static [u8]>, StoreError> {
        let name = log_name(number);
        transaction.open_table(log_table(&name)).map_err(|error| file_error(&self.path, error))
    }

    fn decode<'a>(&self, position: Position, bytes: &'a [u8]) -> Result<Record<'a>, StoreError> {
        decode(position, bytes).map_err(|why| self.damaged(position, why))
    }

    fn damaged(&self, position: Position, why: &str) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), why: format!("revision {}: {why}", position.0) }
    }

    pub(super) fn closed(&self) -> StoreError {
        StoreError::Unavailable(format!("{} is closed", self.path))
    }
}

fn push(batches: &mut Vec<Arc<Batch>>, revision: u64, events: &mut Vec<Event>) {
    if !events.is_empty() {
        let events = std::mem::take(events);
        batches.push(Arc::new(Batch { revision: Revision(revision), events }));
    }
}

/// Sends past batches from the file until the watcher can go live. The store may be closed meanwhile: it is held
/// only while it is read.
pub(super) async fn replay(shared: Weak<Shared>, mut after: Revision, sender: Sender<Arc<Batch>>) {
    loop {
        let Some(store) = shared.upgrade() else { return };
        match store.feed.join(after, &sender) {
            Joined::Live | Joined::Closed => return,
            Joined::Behind => {}
        }
        let path = store.path.clone();
        let chunk = tokio::task::spawn_blocking(move || store.read_batches(after)).await;
        let batches = match chunk {
            Ok(Ok(batches)) => batches,
            Ok(Err(error)) => {
                tracing::warn!(%path, %error, "a watch of the past ends");
                return;
            }
            // The runtime is shutting down.
            Err(_) => return,
        };
        for batch in batches {
            after = batch.revision;
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    }
}
