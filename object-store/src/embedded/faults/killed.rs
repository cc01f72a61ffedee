//! A real process that ends before any step on a real file, or in the middle of it.

use super::simulated::Step;
use super::workload::{History, open, open_files, options};
use super::{Dice, is_long, seeds};
use crate::embedded::EmbeddedStore;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NAME: &str = "embedded::faults::killed::a_process_that_ends_at_any_step_loses_nothing";
const GROUPS: u64 = 8;

/// A file whose process ends at a step of it.
#[derive(Debug)]
struct Deadly {
    file: FileBackend,
    /// Steps until then, of both files.
    left: Arc<AtomicU64>,
}

impl Deadly {
    fn step(&self, half: impl FnOnce()) {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            2 => {
                half();
                // Ends without unwinding and without destructors.
                std::process::abort()
            }
            1 => std::process::abort(),
            _ => {}
        }
    }
}

impl StorageBackend for Deadly {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(|| {});
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(|| {});
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(|| drop(self.file.write(offset, &data[..data.len() / 2])));
        self.file.write(offset, data)
    }
}

#[test]
fn a_process_that_ends_at_any_step_loses_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(dir) = std::env::var_os("FAULTS_DIR") {
        let (seed, step) = (number("FAULTS_SEED").unwrap(), number("FAULTS_STEP").unwrap());
        runtime.block_on(write_until_the_end(Path::new(&dir), seed, step));
        return;
    }
    for seed in seeds("killed") {
        // In the short form every third step, in the long form all of them.
        let stride = if is_long() { 1 } else { 3 };
        let mut step = 1 + seed % stride;
        while runtime.block_on(ends_at(seed, step)) {
            step += stride;
        }
        assert!(step > 60, "only {step} steps");
        eprintln!("killed: seed {seed}: at {} steps", step / stride);
    }
}

async fn write_until_the_end(dir: &Path, seed: u64, step: u64) {
    let left = Arc::new(AtomicU64::new(step));
    let files = ["objects.redb", "objects.wal"].map(|name| {
        let file = OpenOptions::new().read(true).write(true).open(dir.join(name)).unwrap();
        Deadly { file: FileBackend::new(file).unwrap(), left: left.clone() }
    });
    let store = open_files(files).unwrap();
    let noted = |step| {
        let mut line = String::new();
        match step {
            Step::Acknowledged(revision) => line = format!("acknowledged {revision} end\n"),
            Step::Compacted(at) => line = format!("compacted {at} end\n"),
            _ => {}
        }
        io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    History::default().write(&store, &mut Dice::of(seed), GROUPS, noted).await.unwrap();
}

/// One process that ends at a step; false when all was written before.
async fn ends_at(seed: u64, step: u64) -> bool {
    let dir = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(dir.path(), options()).unwrap());
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env("FAULTS_DIR", dir.path())
        .env("FAULTS_SEED", seed.to_string())
        .env("FAULTS_STEP", step.to_string())
        .output()
        .unwrap();
    let printed = String::from_utf8(ended.stdout).unwrap();
    let last = |what: &str| {
        let lines = printed
            .lines()
            .filter_map(|line| line.strip_prefix(what)?.strip_suffix(" end")?.trim().parse().ok());
        lines.max().unwrap_or(0)
    };
    // The same again, without a fault: what it wrote, and in which order.
    let mut all = History::default();
    let twin = open(super::simulated::Simulated::default()).unwrap();
    all.write(&twin, &mut Dice::of(seed), GROUPS, |_| {}).await.unwrap();
    let mut left = all.up_to(last("acknowledged"), last("compacted"));
    let store =
        EmbeddedStore::open(dir.path(), options()).unwrap_or_else(|error| panic!("step {step}: {error}"));
    left.check(&store).await;
    !ended.status.success()
}
