//! What the embedded store keeps in memory: every key with its revisions and where their records lie.
//!
//! History is kept back to the compacted revision: ranges and preconditions need no disk to know what was there.

use super::format::Position;
use crate::engine::Range;
use api_types::{Revision, TenantId};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use uuid::Uuid;

/// One revision of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub revision: u64,
    /// The number of the log table.
    pub table: u32,
    /// The record's index in its commit.
    pub index: u32,
    /// The record's length in bytes.
    pub size: u32,
    /// The key was removed.
    pub removed: bool,
}

impl Version {
    /// Where the record lies in its table.
    pub fn position(&self) -> Position {
        (self.revision, self.index)
    }
}

/// The versions of one key, oldest first; never empty.
#[derive(Debug)]
struct Versions {
    older: Vec<Version>,
    last: Version,
}

impl Versions {
    fn at(&self, revision: u64) -> Option<&Version> {
        if self.last.revision <= revision {
            return Some(&self.last);
        }
        self.older[..self.older.partition_point(|version| version.revision <= revision)].last()
    }

    fn get_mut(&mut self, revision: u64) -> Option<&mut Version> {
        if self.last.revision == revision {
            return Some(&mut self.last);
        }
        let at = self.older.binary_search_by_key(&revision, |version| version.revision).ok()?;
        self.older.get_mut(at)
    }
}

type Keys = BTreeMap<Arc<str>, Versions>;

/// A key that was found, and where its value lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub tenant: TenantId,
    pub key: Arc<str>,
    pub version: Version,
}

/// All keys of all spaces.
#[derive(Debug, Default)]
pub(super) struct Index {
    spaces: BTreeMap<TenantId, Keys>,
    /// Versions that replaced or removed something, in order of revision: what compaction has to look at.
    superseding: VecDeque<(u64, TenantId, Arc<str>)>,
    newest: u64,
    compacted: u64,
    living_bytes: u64,
}

impl Index {
    /// The newest revision.
    pub fn newest(&self) -> Revision {
        Revision(self.newest)
    }

    /// The oldest revision that can be read.
    pub fn compacted(&self) -> Revision {
        Revision(self.compacted)
    }

    /// True when no key is there.
    pub fn is_empty(&self) -> bool {
        self.spaces.values().flat_map(BTreeMap::values).all(|versions| versions.last.removed)
    }

    /// Lets revisions go on after `floor`.
    pub fn raise(&mut self, floor: Revision) {
        self.newest = self.newest.max(floor.0);
        self.set_compacted(floor);
    }

    /// The bytes of all records that the index knows.
    pub fn living_bytes(&self) -> u64 {
        self.living_bytes
    }

    /// When a key was last written; zero when it is absent.
    pub fn modified(&self, tenant: TenantId, key: &str) -> Revision {
        match self.spaces.get(&tenant).and_then(|keys| keys.get(key)) {
            Some(versions) if !versions.last.removed => Revision(versions.last.revision),
            _ => Revision::ZERO,
        }
    }

    /// The keys of a space that are there, in order.
    pub fn present(&self, tenant: TenantId) -> impl Iterator<Item = &Arc<str>> {
        let keys = self.spaces.get(&tenant).into_iter().flatten();
        keys.filter(|(_, versions)| !versions.last.removed).map(|(key, _)| key)
    }

    /// Adds the version of a new commit; its revision is the newest from now on.
    pub fn append(&mut self, tenant: TenantId, key: &str, version: Version) {
        self.newest = version.revision;
        self.living_bytes += u64::from(version.size);
        let keys = self.spaces.entry(tenant).or_default();
        let Some((key, _)) = keys.get_key_value(key) else {
            let key: Arc<str> = key.into();
            if version.removed {
                self.superseding.push_back((version.revision, tenant, key.clone()));
            }
            keys.insert(key, Versions { older: Vec::new(), last: version });
            return;
        };
        let key = key.clone();
        if let Some(versions) = keys.get_mut(&key) {
            versions.older.push(std::mem::replace(&mut versions.last, version));
        }
        self.superseding.push_back((version.revision, tenant, key));
    }

    /// Adds a version found in a log while opening, in any order. Of two with one revision, cleaning was about
    /// to move it: the one in the newer table counts.
    pub fn load(&mut self, tenant: TenantId, key: &str, version: Version) {
        self.newest = self.newest.max(version.revision);
        let keys = self.spaces.entry(tenant).or_default();
        let Some(versions) = keys.get_mut(key) else {
            keys.insert(key.into(), Versions { older: Vec::new(), last: version });
            return;
        };
        if let Some(same) = versions.get_mut(version.revision) {
            if same.table < version.table {
                *same = version;
            }
        } else if version.revision > versions.last.revision {
            versions.older.push(std::mem::replace(&mut versions.last, version));
        } else {
            let at = versions.older.partition_point(|older| older.revision < version.revision);
            versions.older.insert(at, version);
        }
    }

    /// Ends loading: forgets what is compacted, and counts what lives. Revisions go on after `floor`.
    pub fn loaded(&mut self, compacted: Revision, floor: Revision) {
        self.compacted = compacted.0;
        self.newest = self.newest.max(floor.0);
        let mut superseding = Vec::new();
        self.spaces.retain(|tenant, keys| {
            keys.retain(|key, versions| {
                let _ = drop_before(versions, compacted.0);
                let keep = !is_forgotten(versions, compacted.0);
                if keep {
                    let mut kept = versions.older.iter().chain([&versions.last]);
                    let first = kept.clone().next().is_some_and(|version| version.removed);
                    let skip = usize::from(!first);
                    self.living_bytes += kept.clone().map(|version| u64::from(version.size)).sum::<u64>();
                    superseding.extend(
                        kept.by_ref().skip(skip).map(|version| (version.revision, *tenant, key.clone())),
                    );
                }
                keep
            });
            !keys.is_empty()
        });
        superseding.sort_unstable_by_key(|(revision, _, _)| *revision);
        self.superseding = superseding.into();
    }

    /// Refuses reads from before `at` from now on. [`Index::forget`] then gives the memory back.
    pub fn set_compacted(&mut self, at: Revision) {
        self.compacted = self.compacted.max(at.0);
    }

    /// Forgets at most `limit` compacted versions; true when there are more.
    pub fn forget(&mut self, limit: usize) -> bool {
        for _ in 0..limit {
            match self.superseding.front() {
                Some((revision, _, _)) if *revision <= self.compacted => {}
                _ => return false,
            }
            let Some((_, tenant, key)) = self.superseding.pop_front() else { return false };
            let Some(keys) = self.spaces.get_mut(&tenant) else { continue };
            let Some(versions) = keys.get_mut(&key) else { continue };
            self.living_bytes -= drop_before(versions, self.compacted);
            if is_forgotten(versions, self.compacted) {
                self.living_bytes -= u64::from(versions.last.size);
                keys.remove(&key);
                if keys.is_empty() {
                    self.spaces.remove(&tenant);
                }
            }
        }
        self.superseding.front().is_some_and(|(revision, _, _)| *revision <= self.compacted)
    }

    /// True when the record at this place is still needed.
    pub fn lives(&self, tenant: TenantId, key: &str, table: u32, position: Position) -> bool {
        let versions = self.spaces.get(&tenant).and_then(|keys| keys.get(key));
        let version = versions.and_then(|versions| versions.at(position.0));
        version.is_some_and(|version| version.table == table && version.position() == position)
    }

    /// The removals of a key after the record at `position`, oldest first.
    ///
    /// Cleaning copies those removals along with the record: were it in a newer table than one of them, then
    /// dropping the tables in order would bring the key back, now or at a revision of the past.
    pub fn removals_after(
        &self,
        tenant: TenantId,
        key: &str,
        position: Position,
    ) -> impl Iterator<Item = &Version> {
        let versions = self.spaces.get(&tenant).and_then(|keys| keys.get(key));
        let all = versions.into_iter().flat_map(|versions| versions.older.iter().chain([&versions.last]));
        all.filter(move |version| version.removed && version.revision > position.0)
    }

    /// Notes that a record was copied to another table.
    pub fn moved(&mut self, tenant: TenantId, key: &str, position: Position, table: u32) {
        let versions = self.spaces.get_mut(&tenant).and_then(|keys| keys.get_mut(key));
        if let Some(version) = versions.and_then(|versions| versions.get_mut(position.0)) {
            version.table = table;
        }
    }

    /// The keys of a range as of a revision, in order, and whether more follow. The caller has checked that the
    /// revision is kept.
    pub fn range(&self, range: &Range, at: Revision) -> (Vec<Found>, bool) {
        let mut found = Vec::new();
        let mut next = match (range.space, &range.after) {
            (Some(space), _) => Some(space.tenant()),
            (None, Some((tenant, _))) => Some(*tenant),
            (None, None) => Some(TenantId::new(Uuid::nil())),
        };
        while let Some(from) = next {
            let Some((tenant, keys)) = self.spaces.range(from..).next() else { break };
            if range.space.is_some_and(|space| space.tenant() != *tenant) {
                break;
            }
            let start = match &range.after {
                Some((after, _)) if after > tenant => break,
                Some((after, key)) if after == tenant && **key >= *range.prefix => {
                    Bound::Excluded(key.as_str())
                }
                _ => Bound::Included(range.prefix.as_str()),
            };
            for (key, versions) in keys.range::<str, _>((start, Bound::Unbounded)) {
                if !key.starts_with(&range.prefix) {
                    break;
                }
                let Some(version) = versions.at(at.0).filter(|version| !version.removed) else { continue };
                if range.limit > 0 && found.len() == range.limit {
                    return (found, true);
                }
                found.push(Found { tenant: *tenant, key: key.clone(), version: *version });
            }
            next = match range.space {
                Some(_) => None,
                None => tenant.uuid().as_u128().checked_add(1).map(|id| TenantId::new(Uuid::from_u128(id))),
            };
        }
        (found, false)
    }
}

/// Drops what was replaced at or before `compacted`, and returns how many bytes that was.
fn drop_before(versions: &mut Versions, compacted: u64) -> u64 {
    let needed_from = if versions.last.revision <= compacted {
        versions.older.len()
    } else {
        // The newest at or before the compacted revision is still what a range there shows, unless it says
        // that the key was removed.
        let upto = versions.older.partition_point(|version| version.revision <= compacted);
        match upto.checked_sub(1).and_then(|at| versions.older.get(at)) {
            Some(version) if version.removed => upto,
            _ => upto.saturating_sub(1),
        }
    };
    let bytes = versions.older.drain(..needed_from).map(|version| u64::from(version.size)).sum();
    if versions.older.is_empty() {
        versions.older.shrink_to_fit();
    }
    bytes
}

/// True when nothing of the key can be read any more.
fn is_forgotten(versions: &Versions, compacted: u64) -> bool {
    versions.older.is_empty() && versions.last.removed && versions.last.revision <= compacted
}
