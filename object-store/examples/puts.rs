//! How many puts a second the embedded store takes, and how long one takes, by the number of concurrent writers:
//! `cargo run --release -p object-store --example puts [DIR [SECONDS]]`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use api_types::TenantId;
use bytes::Bytes;
use object_store::{Commit, EmbeddedOptions, EmbeddedStore, ObjectStore, Space};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const VALUE: usize = 1024;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| "target/puts".into()));
    let time = Duration::from_secs(arguments.next().map_or(3, |seconds| seconds.parse().unwrap()));
    println!("{:>8} {:>10} {:>10} {:>10}", "writers", "puts/s", "p50 ms", "p99 ms");
    for writers in [1, 8, 64, 256] {
        // A directory of its own: keys are random, and the file grows.
        let dir = dir.join(writers.to_string());
        let _ = std::fs::remove_dir_all(&dir);
        let store = Arc::new(EmbeddedStore::open(&dir, EmbeddedOptions::default()).unwrap());
        let end = Instant::now() + time;
        let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write(store.clone(), end))).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
        let rate = times.len() as f64 / time.as_secs_f64();
        println!("{writers:>8} {rate:>10.0} {:>10.2} {:>10.2}", at(0.5), at(0.99));
    }
}

async fn write(store: Arc<EmbeddedStore>, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let id = Uuid::new_v4();
        let space = Space::new(TenantId::new(Uuid::from_u128(id.as_u128() % 100)));
        let put = space.put(format!("/pods/default/{id}"), Bytes::from(vec![b'x'; VALUE]));
        let start = Instant::now();
        store.commit(Commit { preconditions: Vec::new(), operations: vec![put] }).await.unwrap();
        times.push(start.elapsed());
    }
    times
}
