//! A disk in memory with both files of a store, that notes each step, and fails when it is told to.

use super::Dice;
use parking_lot::Mutex;
use redb::StorageBackend;
use std::io;
use std::sync::Arc;

/// What a disk writes at once, or not.
const SECTOR: usize = 512;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    Tables,
    Log,
}

/// What is on a disk: the bytes of each file.
pub type Image = [Vec<u8>; 2];

/// One step of the store on its disk, or of its caller.
#[derive(Clone, Debug)]
pub enum Step {
    Write(File, u64, Vec<u8>),
    Length(File, u64),
    Sync(File),
    /// The caller knows that everything up to this revision is committed.
    Acknowledged(u64),
    /// The caller knows that everything up to this revision is compacted.
    Compacted(u64),
}

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO, and nothing is done.
    Broken,
    /// ENOSPC from then on for all that needs more room; what is there can be written over.
    Full,
    /// EIO after some of it was done.
    Torn,
    /// EIO once; the disk does the next steps as if nothing had been.
    Once,
    /// EIO for a read.
    Unread,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Image,
    steps: Vec<Step>,
    /// The fault, and after how many more steps of its kind it comes.
    fault: Option<(Fault, usize)>,
    failed: bool,
    /// Steps that were tried after the failure.
    late: usize,
}

/// The disk; a copy is the same disk.
#[derive(Clone, Debug, Default)]
pub struct Simulated(Arc<Mutex<Inner>>);

impl Simulated {
    pub fn with(bytes: Image) -> Self {
        Simulated(Arc::new(Mutex::new(Inner { bytes, ..Inner::default() })))
    }

    /// Lets the step after `steps` more ones fail.
    pub fn fail_after(&self, steps: usize, fault: Fault) {
        self.0.lock().fault = Some((fault, steps));
    }

    pub fn has_failed(&self) -> bool {
        self.0.lock().failed
    }

    /// How many steps were tried after the failure.
    pub fn late(&self) -> usize {
        self.0.lock().late
    }

    pub fn note(&self, step: Step) {
        self.0.lock().steps.push(step);
    }

    pub fn steps(&self) -> Vec<Step> {
        self.0.lock().steps.clone()
    }

    pub fn bytes(&self) -> Image {
        self.0.lock().bytes.clone()
    }

    /// The file of the tables, and the log.
    pub fn files(&self) -> [OnDisk; 2] {
        [File::Tables, File::Log].map(|file| OnDisk { disk: self.clone(), file })
    }
}

/// One file of a disk.
#[derive(Clone, Debug)]
pub struct OnDisk {
    disk: Simulated,
    file: File,
}

impl Inner {
    /// Whether a step fails now. `grows`: it needs room.
    fn fails(&mut self, reads: bool, grows: bool) -> Option<Fault> {
        if self.failed {
            self.late += usize::from(!reads);
        }
        let (fault, left) = self.fault.as_mut()?;
        if reads != (*fault == Fault::Unread) || (*fault == Fault::Full && !grows) {
            return None;
        }
        if *left > 0 {
            *left -= 1;
            return None;
        }
        if *fault == Fault::Once && self.failed {
            return None;
        }
        self.failed = true;
        Some(*fault)
    }

    fn apply(&mut self, step: Step) {
        apply(&mut self.bytes, &step);
        self.steps.push(step);
    }
}

impl Fault {
    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(if self == Fault::Full { 28 } else { 5 })
    }
}

/// Does a step to an image of a disk.
pub fn apply(image: &mut Image, step: &Step) {
    match step {
        Step::Write(file, offset, data) => write(&mut image[*file as usize], *offset as usize, data),
        Step::Length(file, len) => image[*file as usize].resize(*len as usize, 0),
        Step::Sync(_) | Step::Acknowledged(_) | Step::Compacted(_) => {}
    }
}

fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if image.len() < offset + data.len() {
        image.resize(offset + data.len(), 0);
    }
    image[offset..offset + data.len()].copy_from_slice(data);
}

/// Does what a disk that loses power may have done of steps that were not synced: each of them or not, in part or
/// whole.
pub fn apply_some<'a>(image: &mut Image, steps: impl IntoIterator<Item = &'a Step>, dice: &mut Dice) {
    let share = 1 + dice.below(9);
    for step in steps {
        match step {
            Step::Write(file, offset, data) if dice.below(10) < share => {
                let torn = dice.below(3) == 0;
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if !torn || dice.below(2) == 0 {
                        write(&mut image[*file as usize], *offset as usize + number * SECTOR, sector);
                    }
                }
            }
            Step::Length(..) if dice.below(10) < share => apply(image, step),
            _ => {}
        }
    }
}

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().bytes[self.file as usize].len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        if let Some(fault) = disk.fails(true, false) {
            return Err(fault.error());
        }
        let there = disk.bytes[self.file as usize].get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        let grows = len > disk.bytes[self.file as usize].len() as u64;
        if let Some(fault) = disk.fails(false, grows) {
            return Err(fault.error());
        }
        disk.apply(Step::Length(self.file, len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        if let Some(fault) = disk.fails(false, false) {
            return Err(fault.error());
        }
        disk.apply(Step::Sync(self.file));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.0.lock();
        // A sparse file: room is taken when it is written to for the first time.
        let there = disk.bytes[self.file as usize].get(offset as usize..offset as usize + data.len());
        let grows = there.is_none_or(|there| there.iter().all(|byte| *byte == 0));
        if let Some(fault) = disk.fails(false, grows) {
            if fault == Fault::Torn {
                disk.apply(Step::Write(self.file, offset, data[..data.len() / 2].to_vec()));
            }
            return Err(fault.error());
        }
        disk.apply(Step::Write(self.file, offset, data.to_vec()));
        Ok(())
    }
}

/// What of some steps may be lost: those of each file since it was synced the last time, up to a step.
pub fn unsynced(steps: &[Step]) -> Vec<&Step> {
    let synced = [File::Tables, File::Log].map(|file| {
        steps.iter().rposition(|step| matches!(step, Step::Sync(of) if *of == file)).map_or(0, |at| at + 1)
    });
    let of = |step: &Step| match step {
        Step::Write(file, ..) | Step::Length(file, _) => Some(*file),
        _ => None,
    };
    let pending = |(at, step): &(usize, &Step)| of(step).is_some_and(|file| *at >= synced[file as usize]);
    steps.iter().enumerate().filter(pending).map(|(_, step)| step).collect()
}
