//! What was acknowledged survives `kill -9`.
//!
//! The test starts itself again as a writer, which prints what was acknowledged; kills it at a random moment;
//! and proves by the whole history that every acknowledged write is there with its value, that no commit is there
//! by halves, that every precondition held, and that reads agree with the history. Many times on one directory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use api_types::{Revision, TenantId};
use bytes::Bytes;
use object_store::{Commit, CommitError, EmbeddedOptions, EmbeddedStore, ObjectStore, Range, Space};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Kills in the short form at least; in the long one (`TORTURE_SECONDS`) as many as there is time for.
const ROUNDS: u64 = 15;
/// Acknowledged writes in the short form at least.
const WRITES: usize = 1000;
const WRITERS: u64 = 32;
const KEYS: u64 = 60;
const SPACE: Space = Space::new(TenantId::new(Uuid::from_u128(7)));
/// Each commit writes its key and this one's copy of it.
const MIRROR: Space = Space::new(TenantId::new(Uuid::from_u128(8)));

fn options() -> EmbeddedOptions {
    // The log is written over many times.
    EmbeddedOptions { table_revisions: 500, wal_half: 64 << 10, ..Default::default() }
}

/// Key, revision, value.
type Written = (String, u64, String);

#[test]
fn acknowledged_writes_survive_kill() {
    if let Some(dir) = std::env::var_os("CRASH_TEST_DIR") {
        let compact = std::env::var("CRASH_TEST_COMPACT").unwrap().parse().unwrap();
        write_for_ever(Path::new(&dir), compact);
    }
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let mut proof = Proof::default();
    let mut acknowledged = 0;
    let seconds = std::env::var("TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for round in 0.. {
        if end.map_or(round >= ROUNDS && acknowledged >= WRITES, |end| Instant::now() >= end) {
            break;
        }
        let acks = run_and_kill(dir.path(), proof.revision);
        acknowledged += acks.len();
        let store = EmbeddedStore::open(dir.path(), options()).unwrap();
        runtime.block_on(proof.check(&store, &acks));
        store.close();
        println!("round {round}: {} acknowledged, at revision {}", acks.len(), proof.revision);
    }
    println!("{acknowledged} writes were acknowledged");
}

/// Starts a writer, kills it at a random moment after its first acknowledgements, and returns these.
fn run_and_kill(dir: &Path, compact: Revision) -> Vec<Written> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "acknowledged_writes_survive_kill", "--nocapture"])
        .env("CRASH_TEST_DIR", dir)
        .env("CRASH_TEST_COMPACT", compact.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (first, started) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut acks = Vec::new();
        for line in output.lines() {
            let Ok(line) = line else { break };
            let mut words = line.split(' ');
            // The last line may be cut off; `end` says that it is not.
            if let (Some("ack"), Some(key), Some(revision), Some(value), Some("end")) =
                (words.next(), words.next(), words.next(), words.next(), words.next())
            {
                acks.push((key.to_owned(), revision.parse().unwrap(), value.to_owned()));
                if acks.len() == 1 {
                    first.send(()).unwrap();
                }
            }
        }
        acks
    });
    started.recv_timeout(Duration::from_secs(60)).expect("the writer acknowledges something");
    // Not a wait for a state: the moment of the crash is the random input of this test.
    std::thread::sleep(Duration::from_micros(rand_below(300_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn rand_below(limit: u64) -> u64 {
    Uuid::new_v4().as_u128() as u64 % limit
}

/// The writer: many tasks that compare and swap a few keys; some remove; one compacts up to what the parent has
/// checked already.
fn write_for_ever(dir: &Path, compact: u64) -> ! {
    let store = Arc::new(EmbeddedStore::open(dir, options()).unwrap());
    let runtime = Runtime::new().unwrap();
    for writer in 0..WRITERS {
        let store = store.clone();
        runtime.spawn(async move {
            let mut known = HashMap::new();
            for n in 0u64.. {
                let key = format!("key-{}", rand_below(KEYS));
                let expected = known.get(&key).copied().unwrap_or(Revision::ZERO);
                let value = format!("{expected}/{writer}/{n}/{}", "x".repeat(rand_below(2000) as usize));
                let remove = expected > Revision::ZERO && n % 10 == 0;
                let operations = if remove {
                    vec![SPACE.delete(&key), MIRROR.put(&key, Bytes::from(format!("removed/{value}")))]
                } else {
                    let value = Bytes::from(value.clone());
                    vec![SPACE.put(&key, value.clone()), MIRROR.put(&key, value)]
                };
                let preconditions = vec![SPACE.expect(&key, expected)];
                match store.commit(Commit { preconditions, operations }).await {
                    Ok(revision) => {
                        let shown = if remove { "removed" } else { &value };
                        let line = format!("ack {key} {revision} {shown} end\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        known.insert(key, if remove { Revision::ZERO } else { revision });
                    }
                    Err(CommitError::Precondition { actual, .. }) => {
                        known.insert(key, actual);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    runtime.block_on(async {
        for at in (0..=compact).step_by(50) {
            store.compact(Revision(at)).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    unreachable!()
}

/// What is known of the history so far.
#[derive(Default)]
struct Proof {
    revision: Revision,
    /// Where each key is, and its value.
    keys: HashMap<String, (u64, String)>,
}

impl Proof {
    async fn check(&mut self, store: &EmbeddedStore, acks: &[Written]) {
        let newest = store.revision().await.unwrap();
        assert!(newest >= self.revision, "the revision went back");
        let mut history: HashMap<(String, u64), String> = HashMap::new();
        let mut watch = store.watch(self.revision).await.unwrap();
        while self.revision < newest {
            let batch = watch.recv().await.unwrap();
            assert_eq!(batch.revision.0, self.revision.0 + 1, "a commit is missing");
            self.revision = batch.revision;
            let [event, mirror] = batch.events.as_slice() else {
                panic!("revision {} has {} of 2 events", batch.revision, batch.events.len());
            };
            assert_eq!((event.tenant, mirror.tenant), (SPACE.tenant(), MIRROR.tenant()));
            assert_eq!(event.key, mirror.key);
            let mirrored = String::from_utf8(mirror.value.clone().unwrap().to_vec()).unwrap();
            let (shown, value) = match &event.value {
                Some(value) => {
                    assert_eq!(value, mirrored.as_bytes());
                    (mirrored.clone(), mirrored.as_str())
                }
                None => ("removed".to_owned(), mirrored.strip_prefix("removed/").unwrap()),
            };
            // The value says which revision its precondition expected.
            let expected: u64 = value.split('/').next().unwrap().parse().unwrap();
            let actual = self.keys.get(&event.key).map_or(0, |(at, _)| *at);
            assert_eq!(expected, actual, "a precondition did not hold at {}", batch.revision);
            match event.value {
                Some(_) => self.keys.insert(event.key.clone(), (batch.revision.0, mirrored)),
                None => self.keys.remove(&event.key),
            };
            history.insert((event.key.clone(), batch.revision.0), shown);
        }
        for (key, revision, value) in acks {
            let kept = history.get(&(key.clone(), *revision));
            assert_eq!(kept, Some(value), "an acknowledged write of {key} at {revision} is lost");
        }

        let range = Range { space: Some(SPACE), ..Range::default() };
        let page = store.range(range).await.unwrap();
        assert_eq!(page.items.len(), self.keys.len());
        for item in page.items {
            let (revision, value) = &self.keys[&item.key];
            assert_eq!((item.modified.0, &item.value[..]), (*revision, value.as_bytes()), "{}", item.key);
        }
    }
}
