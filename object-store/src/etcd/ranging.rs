//! Ranges, in pages pinned to one revision.

use super::Core;
use super::errors::unavailable;
use crate::engine::{Item, Page, Range, StoreError};
use api_types::Revision;
use bytes::Bytes;
use etcd_client::{Error, GetOptions, GetResponse};
use std::sync::atomic::Ordering;

/// Keys asked for at once: enough to be fast, few enough to bound an answer.
const PAGE: usize = 500;

/// A range that is being read.
struct Reading<'a> {
    core: &'a Core,
    /// The revision that is shown; known after the first answer unless it was asked for.
    at: Option<Revision>,
    /// How many items are wanted: one more than the limit, to know whether more follow.
    wanted: usize,
    items: Vec<Item>,
}

impl Core {
    pub async fn range(&self, range: Range) -> Result<Page, StoreError> {
        let wanted = if range.limit == 0 { usize::MAX } else { range.limit + 1 };
        range.at.map_or(Ok(()), |at| self.check_known(at))?;
        let mut reading = Reading { core: self, at: range.at, wanted, items: Vec::new() };
        let after = range.after.as_ref().map(|(tenant, key)| self.keys.just_after(*tenant, key));
        if range.space.is_none() && !range.prefix.is_empty() {
            reading.each_space(&range.prefix, after).await?;
        } else {
            let (mut start, end) = self.keys.whole(range.space, &range.prefix);
            if let Some(after) = after {
                start = start.max(after);
            }
            reading.span(start, end).await?;
        }
        let Reading { at, mut items, .. } = reading;
        let more = range.limit > 0 && items.len() > range.limit;
        if more {
            items.truncate(range.limit);
        }
        let newest = self.newest();
        Ok(Page { items, revision: range.at.or(at).unwrap_or(newest), more })
    }

    /// An error when what was there at a revision cannot be told.
    pub async fn check_kept(&self, at: Revision) -> Result<(), StoreError> {
        self.check_known(at)?;
        let mut reading = Reading { core: self, at: Some(at), wanted: 1, items: Vec::new() };
        reading.ask(self.keys.start(), GetOptions::new().with_count_only()).await?;
        Ok(())
    }

    /// What was before the store was restored is not in it.
    fn check_known(&self, requested: Revision) -> Result<(), StoreError> {
        let oldest = Revision(self.floor.load(Ordering::Acquire));
        if requested < oldest { Err(StoreError::Compacted { requested, oldest }) } else { Ok(()) }
    }
}

impl Reading<'_> {
    async fn ask(&mut self, key: Vec<u8>, options: GetOptions) -> Result<GetResponse, StoreError> {
        // etcd takes 0 for the newest; its first revision, 1, is as empty.
        let at = self.at.map_or(0, |at| self.core.number(at).max(1));
        let mut kv = self.core.kv.clone();
        let asked = self.core.call(async { kv.get(key, Some(options.with_revision(at))).await }).await;
        match asked {
            Ok(answer) => {
                let newest =
                    self.core.saw(self.core.revision(answer.header().map_or(0, |header| header.revision())));
                self.at.get_or_insert(newest);
                Ok(answer)
            }
            Err(error @ Error::GRpcStatus(_)) => {
                Err(self.core.store_error(self.at.unwrap_or_default(), error).await)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Reads the keys from `start` up to `end`.
    async fn span(&mut self, mut start: Vec<u8>, end: Vec<u8>) -> Result<(), StoreError> {
        while start < end && self.items.len() < self.wanted {
            let limit = PAGE.min(self.wanted - self.items.len());
            let options = GetOptions::new().with_range(end.clone()).with_limit(limit as i64);
            let mut answer = self.ask(start.clone(), options).await?;
            let more = answer.more();
            for found in answer.take_kvs() {
                let modified = self.core.revision(found.mod_revision());
                let (key, value) = found.into_key_value();
                let (tenant, name) = self.core.keys.parse(&key).ok_or_else(|| foreign(&key))?;
                start = key;
                self.items.push(Item { tenant, key: name, value: Bytes::from(value), modified });
            }
            if !more {
                break;
            }
            start.push(0);
        }
        Ok(())
    }

    /// Reads the keys of each space that start with `prefix`. Spaces are found one after the other.
    async fn each_space(&mut self, prefix: &str, after: Option<Vec<u8>>) -> Result<(), StoreError> {
        let keys = &self.core.keys;
        let end = keys.end();
        let mut next = after.clone().unwrap_or_else(|| keys.start());
        while self.items.len() < self.wanted {
            let first = GetOptions::new().with_range(end.clone()).with_limit(1).with_keys_only();
            let answer = self.ask(next, first).await?;
            let Some(found) = answer.kvs().first() else { break };
            let (tenant, _) = keys.parse(found.key()).ok_or_else(|| foreign(found.key()))?;
            let (mut start, end) = keys.span(tenant, prefix);
            if let Some(after) = &after {
                start = start.max(after.clone());
            }
            self.span(start, end).await?;
            next = keys.span(tenant, "").1;
        }
        Ok(())
    }
}

fn foreign(key: &[u8]) -> StoreError {
    StoreError::Corrupt {
        path: String::from_utf8_lossy(key).into_owned(),
        why: "the key was not written by this store".into(),
    }
}
