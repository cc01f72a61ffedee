//! How the embedded store lies in its file, once it is in the tables: what is not yet is in the write-ahead log beside it.
//!
//! - `meta`: name to number: `format`, `compacted`, in a store that was restored `floor`: revisions go on after it; of
//!   its write-ahead log `wal`, its number, and `wal-half`, the bytes of a half; and `closed`, 1 when all of that is in the tables.
//! - `logs`: number of a log table to the first revision appended to it. Numbers grow.
//! - `log/<number>`: (revision, index in the commit) to record. New records are appended to the newest table;
//!   cleaning copies living records of the oldest table into the newest, under their old key, and drops the
//!   oldest. So a table holds all records of its own revisions, and some of older ones.
//!
//! A record is: CRC-32 of all that follows and of its key (4 bytes, little endian), kind (1: a value, 2: the key
//! was removed), the tenant's UID (16 bytes), length of the key (2 bytes, little endian), key, value.

use api_types::TenantId;
use redb::TableDefinition;
use uuid::Uuid;

/// The format that this release writes, and the newest that it reads. Since 2 there is a write-ahead log.
pub(super) const FORMAT: u32 = 2;

/// Where a record lies in a log table: revision, index in the commit.
pub(super) type Position = (u64, u32);

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const META_FORMAT: &str = "format";
pub(super) const META_COMPACTED: &str = "compacted";
pub(super) const META_FLOOR: &str = "floor";
pub(super) const META_WAL: &str = "wal";
pub(super) const META_WAL_HALF: &str = "wal-half";
pub(super) const META_CLOSED: &str = "closed";
pub(super) const LOGS: TableDefinition<u32, u64> = TableDefinition::new("logs");

/// The definition of a log table, whose name the caller keeps.
pub(super) fn log_table(name: &str) -> TableDefinition<'_, Position, &'static [u8]> {
    TableDefinition::new(name)
}

/// The name of a log table.
pub(super) fn log_name(number: u32) -> String {
    format!("log/{number:08x}")
}

const KIND_VALUE: u8 = 1;
const KIND_REMOVED: u8 = 2;
const HEADER: usize = 4 + 1 + 16 + 2;

/// A decoded record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub tenant: TenantId,
    pub key: &'a str,
    /// `None`: the key was removed.
    pub value: Option<&'a [u8]>,
}

/// Encodes a record for its position into `out`, which is cleared first.
pub(super) fn encode(position: Position, record: &Record<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0; 4]);
    out.push(if record.value.is_some() { KIND_VALUE } else { KIND_REMOVED });
    out.extend_from_slice(record.tenant.uuid().as_bytes());
    // Commits with longer keys are refused as malformed.
    out.extend_from_slice(&(record.key.len() as u16).to_le_bytes());
    out.extend_from_slice(record.key.as_bytes());
    out.extend_from_slice(record.value.unwrap_or_default());
    let sum = checksum(position, &out[4..]);
    out[..4].copy_from_slice(&sum.to_le_bytes());
}

/// Decodes the record of a position; says what is wrong with one that is damaged.
pub(super) fn decode(position: Position, bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    let (header, rest) = bytes.split_at_checked(HEADER).ok_or("a record is cut off")?;
    let [c0, c1, c2, c3, kind, tenant @ .., l0, l1] = header else { return Err("a record is cut off") };
    if u32::from_le_bytes([*c0, *c1, *c2, *c3]) != checksum(position, &bytes[4..]) {
        return Err("a record's checksum is wrong");
    }
    let tenant = Uuid::from_slice(tenant).map_err(|_| "a record is cut off")?;
    let length = usize::from(u16::from_le_bytes([*l0, *l1]));
    let (key, value) = rest.split_at_checked(length).ok_or("a record is cut off")?;
    let key = std::str::from_utf8(key).map_err(|_| "a record's key is not text")?;
    let value = match *kind {
        KIND_VALUE => Some(value),
        KIND_REMOVED => None,
        _ => return Err("a record is of unknown kind"),
    };
    Ok(Record { tenant: TenantId::new(tenant), key, value })
}

fn checksum(position: Position, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.0.to_le_bytes());
    hasher.update(&position.1.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_come_back(tenant: u128, revision: u64, index: u32, key in ".{0,40}", value: Option<Vec<u8>>) {
            let record = Record {
                tenant: TenantId::new(Uuid::from_u128(tenant)),
                key: &key,
                value: value.as_deref(),
            };
            let mut bytes = Vec::new();
            encode((revision, index), &record, &mut bytes);
            prop_assert_eq!(decode((revision, index), &bytes), Ok(record));
        }

        #[test]
        fn damage_is_found(value: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
            let record = Record { tenant: TenantId::HOST, key: "/pods/a/b", value: Some(&value) };
            let mut bytes = Vec::new();
            encode((7, 1), &record, &mut bytes);
            prop_assert!(decode((7, 2), &bytes).is_err());
            prop_assert!(decode((7, 1), &bytes[..bytes.len() - 1]).is_err());
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(decode((7, 1), &bytes).is_err());
        }
    }
}
