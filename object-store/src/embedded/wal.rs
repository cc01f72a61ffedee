//! The write-ahead log: what was committed and is not in the tables yet.
//!
//! A group of commits is one frame, written with one write and one sync to a file whose blocks are written over again and
//! again: a sync then has nothing to tell the file system's journal, and takes a fraction of what a transaction of the
//! tables does. The file has two halves. When one is full, the log goes on in the other, once all of that one is in the tables.
//!
//! A frame, little endian: magic (4 bytes), CRC-32 of the log's number and of all that follows (4), length of the payload
//! (4), how many commits (4), number of the half (8), revision of the first commit (8), payload; zeros up to the next
//! multiple of 8. The payload has for each commit the number of its records (4), and for each of these its length (4) and the
//! record as in the tables.
//!
//! A log begins with a frame without commits, so that one that is not the store's is known.
//!
//! Guarantees: what [`Wal::append`] returned from is there after a crash; a frame is there whole or not at all. What was
//! in a half before is never taken for what is in it now: the number of the half grows, and that of the log is new
//! each time a store was closed. Damage in the middle is found; that of the end, of one frame or of several, looks like what
//! was not written to its end. Frames share sectors: a disk is expected to leave what was in a sector when it fails while it
//! writes more of the same behind it.

use super::disk::Disk;
use super::format::{Record, decode, encode};
use crate::engine::{Batch, Event};
use api_types::Revision;
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;

const MAGIC: u32 = 0x6c61_7769;
const HEADER: usize = 32;
/// Where a frame may begin.
const ALIGN: usize = 8;
/// By how much the file grows, until it has both halves.
const GROWS_BY: u64 = 1 << 20;

/// The log, for its one writer.
pub(super) struct Wal {
    disk: Arc<Disk>,
    /// Like no other log's.
    id: u64,
    /// Bytes of a half.
    half: u64,
    /// Bytes of the file.
    length: u64,
    /// The number of the half that is written: the even ones are the first half.
    number: u64,
    /// Where in it the next frame goes.
    at: u64,
    /// The last revision in each half.
    last: [u64; 2],
    buffer: Vec<u8>,
}

/// Why a log could not be read.
pub(super) enum Unreadable {
    Io(io::Error),
    /// It is damaged, and why.
    Damaged(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Unreadable::Io(error)
    }
}

/// A frame that was read.
struct Frame {
    number: u64,
    first: u64,
    count: u32,
    payload: Range<usize>,
    end: usize,
}

/// A commit, and the length of each of its records.
pub(super) type Measured = (Batch, Vec<u32>);

/// What a group takes, before it is known whether there is room for it.
pub(super) struct Encoded {
    bytes: Vec<u8>,
    count: u32,
    first: u64,
    last: u64,
}

impl Wal {
    fn new(disk: Arc<Disk>, id: u64, half: u64) -> io::Result<Self> {
        let length = disk.log_size()?;
        Ok(Wal { disk, id, half, length, number: 0, at: 0, last: [0; 2], buffer: Vec::new() })
    }

    /// Begins a log for what comes after a revision.
    pub fn begin(disk: Arc<Disk>, id: u64, half: u64, newest: Revision) -> io::Result<Self> {
        let mut wal = Wal::new(disk, id, half)?;
        let nothing = Encoded { bytes: vec![0; HEADER], count: 0, first: newest.0, last: newest.0 };
        wal.append(nothing)?;
        Ok(wal)
    }

    /// A log as it was left, and its commits after a revision, each with the lengths of its records.
    pub fn read(
        disk: Arc<Disk>,
        id: u64,
        half: u64,
        newest: Revision,
    ) -> Result<(Self, Vec<Measured>), Unreadable> {
        let mut wal = Wal::new(disk, id, half)?;
        let mut halves = Vec::new();
        for start in [0, half] {
            let mut bytes = vec![0; usize::try_from(wal.length.saturating_sub(start).min(half)).unwrap_or(0)];
            if !bytes.is_empty() {
                wal.disk.read_log(start, &mut bytes)?;
            }
            let frames = frames(id, &bytes);
            halves.push((frames, bytes));
        }
        let begun = |half: &(Vec<Frame>, Vec<u8>)| half.0.first().map(|frame| frame.number);
        halves.sort_by_key(begun);
        if halves.iter().all(|(frames, _)| frames.is_empty()) {
            let why = "it is missing, or not the one of this store, which was not closed: put back the one that was";
            return Err(Unreadable::Damaged(why.to_owned()));
        }
        let mut newest = newest.0;
        let mut batches = Vec::new();
        for (frames, bytes) in &halves {
            for frame in frames {
                let side = (frame.number % 2) as usize;
                for batch in batches_of(frame, bytes).map_err(Unreadable::Damaged)? {
                    let revision = batch.0.revision.0;
                    wal.last[side] = wal.last[side].max(revision);
                    if revision <= newest {
                        continue;
                    }
                    if revision != newest + 1 {
                        return Err(Unreadable::Damaged(format!("after revision {newest} comes {revision}")));
                    }
                    newest = revision;
                    batches.push(batch);
                }
                (wal.number, wal.at) = (frame.number, frame.end as u64);
            }
        }
        // What a sync that failed has left may be in the system's memory only, and taken for written.
        if let Some((frames, bytes)) = halves.last()
            && let Some(frame) = frames.last()
        {
            let offset = wal.number % 2 * half + (frame.payload.start - HEADER) as u64;
            wal.disk.write_log(offset, &bytes[frame.payload.start - HEADER..frame.payload.end])?;
            wal.disk.sync_log()?;
        }
        // A frame is written when the one before is on the disk: one that stands behind a gap says that this is damage.
        for (frames, bytes) in &halves {
            let end = frames.last().map_or(0, |frame| frame.end);
            if let Some(lost) = stray(id, bytes, end).find(|frame| frame.first > newest) {
                return Err(Unreadable::Damaged(format!(
                    "what is before revision {} cannot be read",
                    lost.first
                )));
            }
        }
        Ok((wal, batches))
    }

    /// What a group of commits is in the log, and the length of each record of each commit.
    pub fn encode(&mut self, batches: &[Batch]) -> (Encoded, Vec<Vec<u32>>) {
        let mut bytes = vec![0; HEADER];
        let mut sizes = Vec::with_capacity(batches.len());
        for batch in batches {
            bytes.extend_from_slice(&(batch.events.len() as u32).to_le_bytes());
            let records = (0u32..).zip(&batch.events).map(|(index, event)| {
                let record = Record { tenant: event.tenant, key: &event.key, value: event.value.as_deref() };
                encode((batch.revision.0, index), &record, &mut self.buffer);
                // A value is at most 3 MiB.
                let size = self.buffer.len() as u32;
                bytes.extend_from_slice(&size.to_le_bytes());
                bytes.extend_from_slice(&self.buffer);
                size
            });
            sizes.push(records.collect());
        }
        let revision = |batch: Option<&Batch>| batch.map_or(0, |batch| batch.revision.0);
        let (first, last) = (revision(batches.first()), revision(batches.last()));
        (Encoded { bytes, count: batches.len() as u32, first, last }, sizes)
    }

    /// The revision up to which all must be in the tables before there is room for a group; `None`: it is larger than a
    /// half.
    pub fn needs(&self, group: &Encoded) -> Option<Revision> {
        let length = group.bytes.len().next_multiple_of(ALIGN) as u64;
        match () {
            () if length > self.half => None,
            () if self.at + length <= self.half => Some(Revision::ZERO),
            () => Some(Revision(self.last[(self.number + 1) as usize % 2])),
        }
    }

    /// Writes a group for which there is room, and waits until it is on the disk.
    pub fn append(&mut self, group: Encoded) -> io::Result<()> {
        let Encoded { mut bytes, count, first, last } = group;
        let payload = (bytes.len() - HEADER) as u32;
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        if self.at + bytes.len() as u64 > self.half {
            (self.number, self.at) = (self.number + 1, 0);
        }
        let fields = [payload, count];
        bytes[8..16].copy_from_slice(fields.map(u32::to_le_bytes).as_flattened());
        bytes[16..HEADER].copy_from_slice([self.number, first].map(u64::to_le_bytes).as_flattened());
        let sum = checksum(self.id, &bytes[8..HEADER + payload as usize]);
        bytes[..8].copy_from_slice([MAGIC, sum].map(u32::to_le_bytes).as_flattened());
        let side = self.number % 2;
        let offset = side * self.half + self.at;
        let end = offset + bytes.len() as u64;
        if end > self.length {
            let length = end.next_multiple_of(GROWS_BY).min(2 * self.half);
            self.disk.grow_log(length)?;
            self.length = length;
        }
        self.disk.write_log(offset, &bytes)?;
        self.disk.sync_log()?;
        self.at += bytes.len() as u64;
        self.last[side as usize] = last;
        Ok(())
    }
}

fn checksum(id: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// The frames of a half, as far as they follow each other.
fn frames(id: u64, bytes: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    while let Some(frame) = frame(id, bytes, frames.last().map_or(0, |frame| frame.end))
        && frames.last().is_none_or(|before| before.number == frame.number && before.first < frame.first)
    {
        frames.push(frame);
    }
    frames
}

/// The frame at a place, if there is one.
fn frame(id: u64, bytes: &[u8], at: usize) -> Option<Frame> {
    let header = bytes.get(at..at + HEADER)?;
    let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let double = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    if word(0)? != MAGIC {
        return None;
    }
    let payload = at + HEADER..at + HEADER + word(8)? as usize;
    if checksum(id, bytes.get(at + 8..payload.end)?) != word(4)? {
        return None;
    }
    let end = payload.end.next_multiple_of(ALIGN);
    Some(Frame { number: double(16)?, first: double(24)?, count: word(12)?, payload, end })
}

/// Frames after a place, wherever they begin.
fn stray(id: u64, bytes: &[u8], from: usize) -> impl Iterator<Item = Frame> {
    let magic = MAGIC.to_le_bytes();
    let places = (from..bytes.len()).step_by(ALIGN);
    places.filter(move |at| bytes[*at..].starts_with(&magic)).filter_map(move |at| frame(id, bytes, at))
}

/// The commits of a frame; says what is wrong with one that is damaged.
fn batches_of(frame: &Frame, bytes: &[u8]) -> Result<Vec<Measured>, String> {
    let mut rest = &bytes[frame.payload.clone()];
    let mut batches = Vec::with_capacity(frame.count as usize);
    let cut = || "a commit is cut off".to_owned();
    let word = |rest: &mut &[u8]| -> Result<usize, String> {
        let (word, left) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        *rest = left;
        Ok(u32::from_le_bytes(*word) as usize)
    };
    for revision in (frame.first..).take(frame.count as usize) {
        let records = word(&mut rest)?;
        let (mut events, mut sizes) = (Vec::new(), Vec::new());
        for index in (0u32..).take(records) {
            let size = word(&mut rest)?;
            let (record, left) = rest.split_at_checked(size).ok_or_else(cut)?;
            rest = left;
            sizes.push(size as u32);
            let record =
                decode((revision, index), record).map_err(|why| format!("revision {revision}: {why}"))?;
            events.push(Event {
                tenant: record.tenant,
                key: record.key.to_owned(),
                value: record.value.map(Bytes::copy_from_slice),
            });
        }
        batches.push((Batch { revision: Revision(revision), events }, sizes));
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::TenantId;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    const HALF: u64 = 600;

    fn disk(log: &[u8]) -> Arc<Disk> {
        let disk = Disk::new(InMemoryBackend::new(), InMemoryBackend::new());
        disk.grow_log(log.len() as u64).unwrap();
        disk.write_log(0, log).unwrap();
        disk
    }

    fn image(disk: &Disk) -> Vec<u8> {
        let mut bytes = vec![0; disk.log_size().unwrap() as usize];
        disk.read_log(0, &mut bytes).unwrap();
        bytes
    }

    fn batch(revision: u64, sizes: &[usize]) -> Batch {
        let event = |(index, size): (usize, &usize)| Event {
            tenant: TenantId::HOST,
            key: format!("key-{index}"),
            value: (*size > 0).then(|| Bytes::from(vec![revision as u8; *size])),
        };
        Batch { revision: Revision(revision), events: sizes.iter().enumerate().map(event).collect() }
    }

    fn read(disk: Arc<Disk>, newest: u64) -> Result<(Wal, Vec<Batch>), String> {
        let read = Wal::read(disk, 7, HALF, Revision(newest));
        match read {
            Ok((wal, batches)) => Ok((wal, batches.into_iter().map(|(batch, _)| batch).collect())),
            Err(Unreadable::Damaged(why)) => Err(why),
            Err(Unreadable::Io(error)) => panic!("{error}"),
        }
    }

    fn append(wal: &mut Wal, batches: &[Batch]) {
        let (group, _) = wal.encode(batches);
        wal.append(group).unwrap();
    }

    proptest! {
        /// Groups of commits, and before which of them the log is read again.
        #[test]
        fn what_is_not_written_over_comes_back(
            groups in proptest::collection::vec(
                (proptest::collection::vec(proptest::collection::vec(0usize..60, 1..3), 1..3), any::<bool>()), 1..30)
        ) {
            let files = disk(&[]);
            let mut wal = Wal::begin(files.clone(), 7, HALF, Revision(0)).unwrap();
            let mut all: Vec<Batch> = Vec::new();
            // What may be written over, since it is in the tables.
            let mut applied = 0;
            for (sizes, again) in groups {
                let first = all.len() as u64 + 1;
                let group: Vec<Batch> = (first..).zip(&sizes).map(|(revision, sizes)| batch(revision, sizes)).collect();
                let (encoded, _) = wal.encode(&group);
                match wal.needs(&encoded) {
                    None => prop_assert!(encoded.bytes.len() as u64 > HALF - ALIGN as u64),
                    Some(needed) => {
                        applied = applied.max(needed.0);
                        wal.append(encoded).unwrap();
                        all.extend(group);
                    }
                }
                if again {
                    let (read, batches) = read(files.clone(), applied).unwrap();
                    prop_assert_eq!(&batches[..], &all[applied as usize..]);
                    prop_assert_eq!((read.number, read.at, read.last), (wal.number, wal.at, wal.last));
                    wal = read;
                }
            }
            prop_assert_eq!(read(files, applied).unwrap().1, &all[applied as usize..]);
        }
    }

    #[test]
    fn damage_is_found_but_for_that_of_the_end() {
        let files = disk(&[]);
        let mut wal = Wal::begin(files.clone(), 7, HALF, Revision(0)).unwrap();
        let mut ends = vec![wal.at];
        for revision in 1..=3 {
            append(&mut wal, &[batch(revision, &[20])]);
            ends.push(wal.at);
        }
        let whole = image(&files);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x5a;
            let read = read(disk(&bytes), 0).map(|(_, batches)| batches.len());
            // The zeros behind a frame say nothing.
            match (read, at as u64) {
                (Ok(3), _) => assert!(!frame_covers(&whole, at), "byte {at} was not looked at"),
                (Ok(2), at) => assert!(at >= ends[2], "byte {at}"),
                (Err(_), at) => assert!(at < ends[2], "byte {at}"),
                (Ok(count), at) => panic!("byte {at}: {count} commits are left"),
            }
        }
        for cut in 0..whole.len() {
            let read = read(disk(&whole[..cut]), 0).map(|(_, batches)| batches.len());
            let left = ends.iter().rposition(|end| cut as u64 >= *end);
            assert_eq!(read.ok(), left, "cut off at {cut}");
        }
    }

    fn frame_covers(bytes: &[u8], at: usize) -> bool {
        let frames = frames(7, bytes);
        frames.iter().any(|frame| (frame.payload.start - HEADER..frame.payload.end).contains(&at))
    }

    #[test]
    fn a_log_that_is_not_the_stores_is_refused() {
        let files = disk(&[]);
        Wal::begin(files.clone(), 8, HALF, Revision(0)).unwrap();
        assert!(read(files, 0).err().unwrap().contains("put back"));
        assert!(read(disk(&[]), 0).err().unwrap().contains("put back"));
    }

    #[test]
    fn a_gap_before_the_log_is_told() {
        let files = disk(&[]);
        let mut wal = Wal::begin(files.clone(), 7, HALF, Revision(4)).unwrap();
        append(&mut wal, &[batch(5, &[1]), batch(6, &[])]);
        for (newest, expected) in [(4, Ok(2)), (5, Ok(1)), (6, Ok(0)), (9, Ok(0))] {
            assert_eq!(read(files.clone(), newest).map(|(_, batches)| batches.len()), expected);
        }
        assert_eq!(read(files, 3).err().unwrap(), "after revision 3 comes 5");
    }

    #[test]
    fn what_was_in_a_half_before_is_not_taken_for_what_is() {
        let files = disk(&[]);
        let mut wal = Wal::begin(files.clone(), 7, HALF, Revision(0)).unwrap();
        for revision in 1..=40 {
            append(&mut wal, &[batch(revision, &[60])]);
            let kept = wal.last[(wal.number + 1) as usize % 2];
            let (_, batches) = read(files.clone(), kept).unwrap();
            assert_eq!(batches.len() as u64, revision - kept);
        }
        assert!(wal.number > 4);
    }
}
