//! What a process that ends leaves in the two files of its store, and what is needed of it.

use super::simulated::{Image, Simulated};
use super::workload::open;
use crate::embedded::EmbeddedStore;
use crate::engine::{ObjectStore, Range, StoreError};
use crate::operation::{Commit, Operation, Space};
use api_types::{Revision, TenantId};
use bytes::Bytes;
use std::time::{Duration, Instant};

const A: Space = Space::new(TenantId::HOST);

async fn write(store: &EmbeddedStore, operations: Vec<Operation>) -> Revision {
    store.commit(Commit { preconditions: Vec::new(), operations }).await.unwrap()
}

/// Why what is left is refused.
fn corrupt(left: Image) -> String {
    match open(Simulated::with(left)) {
        Err(StoreError::Corrupt { why, .. }) => why,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn value(store: &EmbeddedStore) -> Bytes {
    store.range(Range::default()).await.unwrap().items[0].value.clone()
}

#[tokio::test]
async fn a_log_that_is_needed_and_not_there_is_missed() {
    let disks = [Simulated::default(), Simulated::default()];
    let stores = disks.clone().map(|disk| open(disk).unwrap());
    for (store, value) in stores.iter().zip(["x", "y"]) {
        write(store, vec![A.put("a", value.into())]).await;
    }
    let [left, of_other] = disks.clone().map(|disk| disk.bytes());
    let [tables, log] = left;
    assert!(corrupt([tables.clone(), Vec::new()]).contains("objects.wal: it is missing"));
    assert!(corrupt([tables.clone(), of_other[1].clone()]).contains("not the one of this store"));
    assert_eq!(value(&open(Simulated::with([tables, log])).unwrap()).await, "x");

    // A store that was closed needs none, and another one does not harm it.
    let [store, _other] = stores;
    store.release().await;
    let late = Commit { preconditions: Vec::new(), operations: vec![A.put("a", "z".into())] };
    assert!(store.commit(late).await.unwrap_err().to_string().contains("is closed"));
    let [tables, _] = disks[0].bytes();
    for log in [Vec::new(), of_other[1].clone()] {
        assert_eq!(value(&open(Simulated::with([tables.clone(), log])).unwrap()).await, "x");
    }
}

/// Also what is larger than the log, and what is read before it is in the tables.
#[tokio::test]
async fn commits_of_every_size_are_read_at_once_and_after_the_end_of_the_process() {
    let disk = Simulated::default();
    let store = open(disk.clone()).unwrap();
    let mut expected = Vec::new();
    for (number, size) in [10, 20_000, 3_000, 50_000, 1, 5_000, 5_500, 0, 4_000].into_iter().enumerate() {
        let value = Bytes::from(vec![number as u8; size]);
        let puts = vec![A.put(format!("key-{number}"), value.clone()), A.put("same", value.clone())];
        expected.push((write(&store, puts).await, number, value));
        let left = Simulated::with(disk.bytes());
        let again = open(left.clone()).unwrap();
        check(&store, &expected).await;
        check(&again, &expected).await;
        again.close();
        check(&open(left).unwrap(), &expected).await;
    }
}

#[tokio::test]
async fn what_the_log_has_no_room_for_comes_after_a_floor_too() {
    let disk = Simulated::default();
    let store = open(disk.clone()).unwrap();
    store.raise(Revision(1000)).await.unwrap();
    assert_eq!(write(&store, vec![A.put("a", Bytes::from(vec![1; 50_000]))]).await, Revision(1001));
    assert_eq!(write(&store, vec![A.put("a", "x".into())]).await, Revision(1002));
    let again = open(Simulated::with(disk.bytes())).unwrap();
    assert_eq!((value(&again).await, again.revision().await.unwrap()), ("x".into(), Revision(1002)));
}

/// Also when nothing is asked of the store any more.
#[tokio::test]
async fn what_is_committed_comes_into_the_tables() {
    let disk = Simulated::default();
    let store = open(disk.clone()).unwrap();
    write(&store, vec![A.put("a", "x".into())]).await;
    // Nothing tells it but the file itself.
    let end = Instant::now() + Duration::from_secs(60);
    while !disk.bytes()[0].windows(5).any(|bytes| bytes == b"log/0") {
        assert!(Instant::now() < end, "it did not come");
        tokio::task::yield_now().await;
    }
    store.shrink().await.unwrap();
    assert_eq!(value(&store).await, "x");
}

/// All that was written is there, as it was at each revision, and a watch shows it.
async fn check(store: &EmbeddedStore, expected: &[(Revision, usize, Bytes)]) {
    let mut watch = store.watch(Revision(0)).await.unwrap();
    for (revision, number, value) in expected {
        let page = store.range(Range { at: Some(*revision), ..Range::default() }).await.unwrap();
        assert_eq!(page.items.len(), number + 2);
        let same = page.items.iter().find(|item| item.key == "same").unwrap();
        assert_eq!((same.modified, &same.value), (*revision, value));
        let batch = watch.recv().await.unwrap();
        assert_eq!((batch.revision, batch.events[0].value.as_ref()), (*revision, Some(value)));
    }
}
