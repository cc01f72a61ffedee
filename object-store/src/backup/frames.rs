//! The bytes of a copy.
//!
//! `INSULABK`, then frames, each of: length of what follows the checksum (4 bytes, little-endian, as all numbers), CRC-32
//! of it (4 bytes), kind (1 byte), the rest.
//!
//! - kind 1, first and once: format (4 bytes), revision (8 bytes), the maker's note.
//! - kind 2: the tenant's UID (16 bytes), length of the key (2 bytes), key, value.
//! - kind 3, last and once: the number of frames of kind 2 (8 bytes).

use crate::engine::Item;
use crate::operation::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use api_types::{Revision, TenantId};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"INSULABK";
/// The format that this release writes, and the newest that it reads.
const FORMAT: u32 = 1;
const HEADER: usize = 8;
/// The longest frame. Sealed values are a little longer than what was sealed.
const MAX_FRAME: usize = MAX_VALUE_BYTES + MAX_KEY_BYTES + 1024;

const HEAD: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;

/// What a copy says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The revision that it shows.
    pub revision: Revision,
    /// What its maker noted.
    pub note: Bytes,
}

/// What a copy is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What it is; the first.
    Head(Head),
    /// A value, in order of tenant and key. When it was modified is not told.
    Item(Item),
    /// It is whole, with so many values; the last.
    End(u64),
}

/// Why a copy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It begins otherwise than a copy does.
    #[error("this is no backup")]
    NoBackup,
    /// It was made by a newer release.
    #[error("this backup has format {0}; this release reads up to {FORMAT}: use the newer release")]
    NewerFormat(u32),
    /// Something in it is wrong.
    #[error("the backup is damaged at byte {at}: {why}")]
    Frame {
        /// Where.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// It has no end.
    #[error("the backup ends at byte {0}, before it is whole")]
    CutOff(u64),
}

pub(super) fn write_head(head: &Head, out: &mut BytesMut) {
    out.put_slice(MAGIC);
    frame(out, HEAD, |out| {
        out.put_u32_le(FORMAT);
        out.put_u64_le(head.revision.0);
        out.put_slice(&head.note);
    });
}

pub(super) fn write_item(item: &Item, out: &mut BytesMut) {
    frame(out, ITEM, |out| {
        out.put_slice(item.tenant.uuid().as_bytes());
        // Commits with longer keys are refused as malformed.
        out.put_u16_le(item.key.len() as u16);
        out.put_slice(item.key.as_bytes());
        out.put_slice(&item.value);
    });
}

pub(super) fn write_end(items: u64, out: &mut BytesMut) {
    frame(out, END, |out| out.put_u64_le(items));
}

fn frame(out: &mut BytesMut, kind: u8, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0, HEADER);
    out.put_u8(kind);
    write(out);
    let length = (out.len() - start - HEADER) as u32;
    let sum = crc32fast::hash(&out[start + HEADER..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEADER].copy_from_slice(&sum.to_le_bytes());
}

/// Reads a copy, piece by piece.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    /// The bytes that were read before those of the buffer.
    at: u64,
    items: u64,
    state: Expected,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    Magic,
    Head,
    Items,
    Nothing,
}

impl Reader {
    /// Takes the next bytes of it. Ask for entries before giving more, so that no more than a frame waits.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next entry; `None`: more bytes are needed.
    pub fn entry(&mut self) -> Result<Option<Entry>, Damage> {
        if self.state == Expected::Magic {
            let known = self.buffer.len().min(MAGIC.len());
            if self.buffer[..known] != MAGIC[..known] {
                return Err(Damage::NoBackup);
            }
            if known < MAGIC.len() {
                return Ok(None);
            }
            self.skip(MAGIC.len());
            self.state = Expected::Head;
        }
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return match (self.state, self.buffer.is_empty()) {
                (Expected::Nothing, false) => Err(self.wrong("something follows its end")),
                _ => Ok(None),
            };
        };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if !(1..=MAX_FRAME).contains(&length) {
            return Err(self.wrong("a length is wrong"));
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        let payload = Bytes::copy_from_slice(&self.buffer[HEADER..HEADER + length]);
        if crc32fast::hash(&payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(self.wrong("a checksum is wrong"));
        }
        let entry = self.decoded(payload)?;
        self.skip(HEADER + length);
        Ok(Some(entry))
    }

    /// No more bytes come: an error unless the copy was whole.
    pub fn end(&self) -> Result<(), Damage> {
        match self.state {
            Expected::Nothing if self.buffer.is_empty() => Ok(()),
            _ => Err(Damage::CutOff(self.at + self.buffer.len() as u64)),
        }
    }

    fn decoded(&mut self, mut payload: Bytes) -> Result<Entry, Damage> {
        let cut = self.wrong("a frame is too short");
        match (payload.try_get_u8().map_err(|_| cut.clone())?, self.state) {
            (HEAD, Expected::Head) => {
                let format = payload.try_get_u32_le().map_err(|_| cut.clone())?;
                if format != FORMAT {
                    return Err(Damage::NewerFormat(format));
                }
                let revision = Revision(payload.try_get_u64_le().map_err(|_| cut)?);
                self.state = Expected::Items;
                Ok(Entry::Head(Head { revision, note: payload }))
            }
            (ITEM, Expected::Items) => {
                let tenant = payload.try_get_u128().map_err(|_| cut.clone())?;
                let length = usize::from(payload.try_get_u16_le().map_err(|_| cut.clone())?);
                if payload.len() < length {
                    return Err(cut);
                }
                let key = payload.split_to(length);
                let key = std::str::from_utf8(&key).map_err(|_| self.wrong("a key is not text"))?;
                self.items += 1;
                Ok(Entry::Item(Item {
                    tenant: TenantId::new(Uuid::from_u128(tenant)),
                    key: key.to_owned(),
                    value: payload,
                    modified: Revision::ZERO,
                }))
            }
            (END, Expected::Items) => {
                let items = payload.try_get_u64_le().map_err(|_| cut)?;
                if items != self.items {
                    return Err(self.wrong("values are missing"));
                }
                self.state = Expected::Nothing;
                Ok(Entry::End(items))
            }
            _ => Err(self.wrong("a frame is where it should not be")),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.at += bytes as u64;
    }

    fn wrong(&self, why: &'static str) -> Damage {
        Damage::Frame { at: self.at, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(tenant: u128, key: &str, value: &[u8]) -> Item {
        let (key, value) = (key.to_owned(), Bytes::copy_from_slice(value));
        Item { tenant: TenantId::new(Uuid::from_u128(tenant)), key, value, modified: Revision::ZERO }
    }

    fn written(head: &Head, items: &[Item]) -> Vec<u8> {
        let mut out = BytesMut::new();
        write_head(head, &mut out);
        items.iter().for_each(|item| write_item(item, &mut out));
        write_end(items.len() as u64, &mut out);
        out.to_vec()
    }

    /// Reads pieces of so many bytes.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Entry>, Damage> {
        let (mut reader, mut entries) = (Reader::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            while let Some(entry) = reader.entry()? {
                entries.push(entry);
            }
        }
        reader.end().map(|()| entries)
    }

    proptest! {
        #[test]
        fn copies_come_back(
            revision: u64, note: Vec<u8>, piece in 1usize..200,
            items in prop::collection::vec((any::<u128>(), ".{0,20}", any::<Vec<u8>>()), 0..8),
        ) {
            let head = Head { revision: Revision(revision), note: note.into() };
            let items: Vec<Item> = items.iter().map(|(tenant, key, value)| item(*tenant, key, value)).collect();
            let mut expected = vec![Entry::Head(head.clone())];
            expected.extend(items.iter().cloned().map(Entry::Item));
            expected.push(Entry::End(items.len() as u64));
            prop_assert_eq!(read(&written(&head, &items), piece), Ok(expected));
        }

        #[test]
        fn damage_is_found(at: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index) {
            let head = Head { revision: Revision(7), note: Bytes::from_static(b"note") };
            let whole = written(&head, &[item(1, "/pods/a/b", b"value"), item(2, "/pods/a/c", b"")]);
            prop_assert!(read(&whole[..cut.index(whole.len())], 16).is_err());
            let mut longer = whole.clone();
            longer.push(flip);
            prop_assert!(read(&longer, 16).is_err());
            let mut flipped = whole;
            let at = at.index(flipped.len());
            flipped[at] ^= flip;
            prop_assert!(read(&flipped, 16).is_err());
        }

        #[test]
        fn anything_else_is_refused(bytes: Vec<u8>) {
            prop_assert!(read(&bytes, 16).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let head = Head { revision: Revision(7), note: Bytes::new() };
        let whole = written(&head, &[item(1, "k", b"v")]);
        assert_eq!(read(b"PK\x03\x04", 16), Err(Damage::NoBackup));
        let cut = read(&whole[..whole.len() - 1], 16).unwrap_err();
        assert_eq!(
            cut.to_string(),
            format!("the backup ends at byte {}, before it is whole", whole.len() - 1)
        );
        // A frame less, and all checksums right.
        let mut missing = BytesMut::new();
        write_head(&head, &mut missing);
        write_end(1, &mut missing);
        let missing = read(&missing, 16).unwrap_err();
        assert_eq!(missing.to_string(), "the backup is damaged at byte 29: values are missing");
    }
}
