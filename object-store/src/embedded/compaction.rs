//! Giving memory and space back, a little at a time.
//!
//! First the index forgets what is compacted. Then, while the log has as much garbage as living records, the
//! oldest table is cleaned: its living records are copied to the newest table of the file in batches, and it is dropped.
//! Tables are dropped strictly in order: then the record of a removal always outlives the records of what it
//! removed, and a key cannot come back when the file is opened again. Copying when half is garbage writes each
//! living record at most about once for each time the same amount is written anew.

use super::applying::Applier;
use super::format::{LOGS, Position, Record, decode, encode, log_name, log_table};
use super::{Shared, State, file_error};
use crate::engine::StoreError;
use api_types::TenantId;
use redb::{Database, ReadableTable, WriteTransaction};

/// Versions that the index forgets in one step, under its lock.
const FORGET: usize = 10_000;
/// Records looked at, and bytes copied, in one step.
const LOOK: usize = 8192;
const COPY_BYTES: usize = 1 << 20;

/// A record that was copied.
struct Moved {
    tenant: TenantId,
    key: String,
    position: Position,
    size: u32,
}

/// What one step of cleaning did.
enum Cleaned {
    /// Copied these; the table has more.
    Some(Vec<Moved>),
    /// Nothing lives in the table; it is dropped.
    Dropped,
}

impl Applier {
    /// Does one step; true when there is more to do.
    pub(super) fn compact_some(&mut self) -> Result<bool, StoreError> {
        let shared = self.shared.clone();
        if shared.state.read().failed.is_some() {
            return Ok(false);
        }
        if shared.state.write().index.forget(FORGET) {
            return Ok(true);
        }
        let eager = !self.shrinking.is_empty();
        let Some((oldest, newest)) = cleanable(&shared.state.read(), eager) else { return Ok(false) };
        let database = shared.database.read();
        let Some(database) = database.as_ref() else { return Ok(false) };
        let cleaned = self.clean(database, &shared, oldest, newest)?;
        let mut state = shared.state.write();
        match cleaned {
            Cleaned::Dropped => {
                state.logs.remove(&oldest);
            }
            Cleaned::Some(moved) => {
                for Moved { tenant, key, position, size } in moved {
                    state.index.moved(tenant, &key, position, newest);
                    if let Some(log) = state.logs.get_mut(&newest) {
                        log.bytes += u64::from(size);
                    }
                }
            }
        }
        Ok(true)
    }

    fn clean(
        &mut self,
        database: &Database,
        shared: &Shared,
        oldest: u32,
        newest: u32,
    ) -> Result<Cleaned, StoreError> {
        let err = |error: redb::Error| file_error(&shared.path, error);
        let transaction = database.begin_write().map_err(|error| err(error.into()))?;
        let cleaned = self.copy(&transaction, shared, oldest, newest)?;
        if matches!(cleaned, Cleaned::Dropped) {
            let drop = || -> Result<(), redb::Error> {
                transaction.delete_table(log_table(&log_name(oldest)))?;
                transaction.open_table(LOGS)?.remove(oldest)?;
                Ok(())
            };
            drop().map_err(err)?;
        }
        transaction.commit().map_err(|error| err(error.into()))?;
        shared.check_disk()?;
        Ok(cleaned)
    }

    /// Copies living records of the oldest table to the newest.
    fn copy(
        &mut self,
        transaction: &WriteTransaction,
        shared: &Shared,
        oldest: u32,
        newest: u32,
    ) -> Result<Cleaned, StoreError> {
        let err = |error: redb::Error| file_error(&shared.path, error);
        let (old_name, new_name) = (log_name(oldest), log_name(newest));
        let old = transaction.open_table(log_table(&old_name)).map_err(|error| err(error.into()))?;
        let mut new = transaction.open_table(log_table(&new_name)).map_err(|error| err(error.into()))?;
        let state = shared.state.read();
        let from = self.cleaning.filter(|(table, _)| *table == oldest).map_or((0, 0), |(_, next)| next);
        let mut moved = Vec::new();
        let mut bytes = 0;
        let entries = old.range(from..).map_err(|error| err(error.into()))?;
        for (looked, entry) in entries.enumerate() {
            let (position, value) = entry.map_err(|error| err(error.into()))?;
            let position = position.value();
            if looked == LOOK || bytes >= COPY_BYTES {
                self.cleaning = Some((oldest, position));
                return Ok(Cleaned::Some(moved));
            }
            let record = decode(position, value.value()).map_err(|why| StoreError::Corrupt {
                path: shared.path.clone(),
                why: format!("revision {}: {why}", position.0),
            })?;
            if !state.index.lives(record.tenant, record.key, oldest, position) {
                continue;
            }
            bytes += value.value().len();
            let mut put = |position: Position, bytes: &[u8]| -> Result<(), StoreError> {
                let known = new.insert(position, bytes).map_err(|error| err(error.into()))?.is_some();
                if !known {
                    let key = record.key.to_owned();
                    moved.push(Moved { tenant: record.tenant, key, position, size: bytes.len() as u32 });
                }
                Ok(())
            };
            put(position, value.value())?;
            let removals = state.index.removals_after(record.tenant, record.key, position);
            for removal in removals.filter(|removal| removal.table < newest) {
                let removed = Record { tenant: record.tenant, key: record.key, value: None };
                encode(removal.position(), &removed, &mut self.buffer);
                put(removal.position(), &self.buffer)?;
            }
        }
        // What this step copied must be known to readers before the table goes.
        if moved.is_empty() {
            self.cleaning = None;
            return Ok(Cleaned::Dropped);
        }
        self.cleaning = Some((oldest, (u64::MAX, u32::MAX)));
        Ok(Cleaned::Some(moved))
    }
}

/// The oldest table and the newest of the file, when the oldest is to be cleaned now: eagerly whenever it may have garbage.
fn cleanable(state: &State, eager: bool) -> Option<(u32, u32)> {
    let mut tables = state.logs.iter();
    let (oldest, _) = tables.next()?;
    let (_, next) = tables.next()?;
    let newest = state.newest_applied().filter(|newest| newest > oldest)?;
    let all: u64 = state.logs.values().map(|log| log.bytes).sum();
    let living = state.index.living_bytes();
    let compacted = next.first - 1 <= state.index.compacted().0;
    let garbage = all.saturating_sub(living);
    let due = if eager { garbage > 0 } else { garbage >= living };
    (compacted && due).then_some((*oldest, newest))
}
