//! The file under redb and the write-ahead log beside it, which both stand still from the first failure of either on.
//!
//! redb answers nothing any more once a write failed, reads neither. So it is not told: from the first write that
//! fails, nothing is written to the file, and what redb still writes, at most the rest of its transaction, is kept in
//! memory over the file for what redb still reads. The store asks after each transaction whether it [`Disk::failure`]d,
//! and commits nothing any more.
//!
//! Guarantees: after a failure the file is as a crash at that moment would have left it; reading goes on.
//! Caveats: a read that fails is told, and ends reading. When an fsync failed, what is on disk of the last group is not
//! known: opened again it is there whole or not at all.

use parking_lot::RwLock;
use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The unit in which what is not written is kept.
const BLOCK: u64 = 4096;
/// The most of it: a transaction is smaller. When more is written, redb is told that the disk failed.
const MAX_BLOCKS: usize = (64 << 20) / BLOCK as usize;

/// Two files and whether one failed.
#[derive(Debug)]
pub(super) struct Disk {
    file: Box<dyn StorageBackend>,
    log: Box<dyn StorageBackend>,
    /// True when `still` is something: asked for at each access.
    stands_still: AtomicBool,
    still: RwLock<Option<Still>>,
}

/// What is over a file that stands still.
#[derive(Debug)]
struct Still {
    why: String,
    /// The length that redb believes in.
    len: u64,
    /// Up to where bytes of the file are seen.
    seen: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Disk {
    pub fn new(file: impl StorageBackend, log: impl StorageBackend) -> Arc<Self> {
        let (file, log) = (Box::new(file), Box::new(log));
        Arc::new(Disk { file, log, stands_still: AtomicBool::new(false), still: RwLock::new(None) })
    }

    /// The first failure of the disk.
    pub fn failure(&self) -> Option<String> {
        if !self.stands_still.load(Ordering::Acquire) {
            return None;
        }
        self.still.read().as_ref().map(|still| still.why.clone())
    }

    /// Bytes of both files.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.len()? + self.log.len()?)
    }

    /// Bytes of the log.
    pub fn log_size(&self) -> io::Result<u64> {
        self.log.len()
    }

    /// Reads from the log.
    pub fn read_log(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.log.read(offset, out)
    }

    /// Makes the log longer.
    pub fn grow_log(&self, len: u64) -> io::Result<()> {
        self.log_step("making the log longer", || self.log.set_len(len))
    }

    /// Writes to the log.
    pub fn write_log(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.log_step("writing the log", || self.log.write(offset, data))
    }

    /// Waits until what was written to the log is on the disk.
    pub fn sync_log(&self) -> io::Result<()> {
        self.log_step("syncing the log", || self.log.sync_data())
    }

    /// The writer of the log is told: it commits nothing any more.
    fn log_step(&self, what: &str, step: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if let Some(why) = self.failure() {
            return Err(io::Error::other(why));
        }
        step().map_err(|error| match self.stand_still(format!("{what} failed: {error}")) {
            Ok(()) => io::Error::other(self.failure().unwrap_or_default()),
            Err(error) => error,
        })
    }

    fn is_still(&self) -> bool {
        self.stands_still.load(Ordering::Acquire)
    }

    /// Stands still from now on, unless it does already.
    fn stand_still(&self, why: String) -> io::Result<()> {
        let mut still = self.still.write();
        if still.is_none() {
            let len = self.file.len()?;
            *still = Some(Still { why, len, seen: len, blocks: BTreeMap::new() });
            self.stands_still.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// What a failure of the file is to redb: something that it is not told.
    fn tried(
        &self,
        what: &str,
        tried: io::Result<()>,
        instead: impl FnOnce(&mut Still) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Err(error) = tried {
            self.stand_still(format!("{what} failed: {error}"))?;
            self.beyond(instead)
        } else {
            Ok(())
        }
    }

    fn beyond(&self, change: impl FnOnce(&mut Still) -> io::Result<()>) -> io::Result<()> {
        match &mut *self.still.write() {
            Some(still) => change(still),
            None => Ok(()),
        }
    }

    fn read_file(&self, seen: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = seen.saturating_sub(offset).min(out.len() as u64) as usize;
        out[there..].fill(0);
        if there == 0 { Ok(()) } else { self.file.read(offset, &mut out[..there]) }
    }

    /// Writes over the file that stands still.
    fn keep(&self, still: &mut Still, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        still.len = still.len.max(end);
        for number in offset / BLOCK..end.div_ceil(BLOCK) {
            let start = number * BLOCK;
            if !still.blocks.contains_key(&number) {
                if still.blocks.len() >= MAX_BLOCKS {
                    return Err(io::Error::other(still.why.clone()));
                }
                let mut block = vec![0; BLOCK as usize].into_boxed_slice();
                self.read_file(still.seen, start, &mut block)?;
                still.blocks.insert(number, block);
            }
            let Some(block) = still.blocks.get_mut(&number) else { continue };
            let (from, to) = (offset.max(start), end.min(start + BLOCK));
            block[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        }
        Ok(())
    }

    fn read_still(&self, still: &Still, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        if end > still.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(still.seen, offset, out)?;
        for (number, block) in still.blocks.range(offset / BLOCK..end.div_ceil(BLOCK)) {
            let start = number * BLOCK;
            let (from, to) = (offset.max(start), end.min(start + BLOCK));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&block[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }
}

impl Still {
    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.seen = self.seen.min(len);
            self.blocks.split_off(&len.div_ceil(BLOCK));
            if let Some(block) = self.blocks.get_mut(&(len / BLOCK)) {
                block[(len % BLOCK) as usize..].fill(0);
            }
        }
        self.len = len;
    }
}

/// A disk as redb has it.
#[derive(Debug)]
pub(super) struct Handle(pub Arc<Disk>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        if self.0.is_still()
            && let Some(still) = &*self.0.still.read()
        {
            return Ok(still.len);
        }
        self.0.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = &self.0;
        let read = if disk.is_still()
            && let Some(still) = &*disk.still.read()
        {
            disk.read_still(still, offset, out)
        } else {
            disk.file.read(offset, out)
        };
        // redb answers nothing any more after this: why is then known.
        read.inspect_err(|error| {
            let _ = disk.stand_still(format!("reading failed: {error}"));
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let disk = &self.0;
        let change = |still: &mut Still| {
            still.set_len(len);
            Ok(())
        };
        if disk.is_still() {
            return disk.beyond(change);
        }
        disk.tried("changing its length", disk.file.set_len(len), change)
    }

    fn sync_data(&self) -> io::Result<()> {
        let disk = &self.0;
        if disk.is_still() {
            return Ok(());
        }
        disk.tried("syncing", disk.file.sync_data(), |_| Ok(()))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let disk = &self.0;
        let change = |still: &mut Still| disk.keep(still, offset, data);
        if disk.is_still() {
            return disk.beyond(change);
        }
        disk.tried("writing", disk.file.write(offset, data), change)
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
