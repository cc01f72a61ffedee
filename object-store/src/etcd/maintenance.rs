//! What an operator asks for: a later start of revisions, and how large it all is.

use super::Core;
use super::errors::unavailable;
use crate::engine::{Size, StoreError};
use api_types::Revision;
use etcd_client::GetOptions;
use std::sync::atomic::Ordering;

/// Reads what is added to etcd's revisions.
pub(super) fn read_floor(key: &[u8], value: &[u8]) -> Result<u64, StoreError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::Corrupt {
        path: String::from_utf8_lossy(key).into_owned(),
        why: "it is not a revision".to_owned(),
    })
}

impl Core {
    /// Lets revisions go on after `floor`.
    pub async fn raise(&self, floor: Revision) -> Result<(), StoreError> {
        let mut kv = self.kv.clone();
        let count = GetOptions::new().with_range(self.keys.end()).with_count_only();
        let found = self.call(async { kv.get(self.keys.start(), Some(count)).await }).await;
        let found = found.map_err(|error| unavailable(&error))?;
        if found.count() > 0 {
            let path = String::from_utf8_lossy(&self.keys.start()).into_owned();
            return Err(StoreError::NotEmpty { path });
        }
        if floor <= self.revision(found.header().map_or(0, |header| header.revision())) {
            return Ok(());
        }
        let put = self.call(async { kv.put(self.keys.floor(), floor.0.to_string(), None).await }).await;
        put.map_err(|error| unavailable(&error))?;
        self.floor.store(floor.0, Ordering::Release);
        self.compacted.fetch_max(floor.0, Ordering::AcqRel);
        self.saw(floor);
        self.feed.interrupt(floor);
        Ok(())
    }

    pub async fn size(&self) -> Result<Size, StoreError> {
        let mut maintenance = self.maintenance.clone();
        let status = self.call(async { maintenance.status().await }).await;
        let status = status.map_err(|error| unavailable(&error))?;
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Size {
            engine: format!("etcd {}, {}", status.version(), String::from_utf8_lossy(&self.keys.start())),
            revision: self.fetch_newest().await?,
            compacted: Revision(self.compacted.load(Ordering::Acquire)),
            disk_bytes: bytes(status.db_size()),
            used_bytes: bytes(status.raft_used_db_size()),
        })
    }
}
