//! Watches.

use crate::engines::{Fixture, WATCH_BUFFER};
use crate::promises::{A, B, put, write};
use api_types::Revision;
use object_store::{ObjectStore, StoreError, Watch};
use std::sync::Arc;

/// Receives batches until `last`, each newer than the one before and than `from`. On a busy machine a reader may
/// not get its turn until its buffer is full, and its watch then ends: it goes on with another from where it was.
async fn through(
    store: &dyn ObjectStore,
    watch: &mut Watch,
    from: Revision,
    last: Revision,
) -> Vec<Revision> {
    let mut seen = vec![from];
    while *seen.last().unwrap() < last {
        let newest = *seen.last().unwrap();
        let Some(batch) = watch.recv().await else {
            *watch = store.watch(newest).await.unwrap();
            continue;
        };
        assert!(batch.revision > newest, "{} came again or late", batch.revision);
        seen.push(batch.revision);
    }
    seen.remove(0);
    seen
}

pub async fn a_watch_shows_what_follows(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let now = put(store, A, "a", "1").await;
    let mut watch = store.watch(now).await.unwrap();
    let r2 = put(store, A, "a", "2").await;
    let r3 = write(store, vec![A.delete("a"), B.put("b", "3".into())]).await;
    let batch = watch.recv().await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (r2, 1));
    let event = &batch.events[0];
    assert_eq!((event.tenant, &*event.key, event.value.as_deref()), (A.tenant(), "a", Some(&b"2"[..])));
    let batch = watch.recv().await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (r3, 2));
    assert_eq!(batch.events[0].value, None);
    assert_eq!((batch.events[1].tenant, &*batch.events[1].key), (B.tenant(), "b"));

    let future = Revision(r3.0 + 1);
    let result = store.watch(future).await;
    let Err(StoreError::Future { requested, newest }) = result else { panic!("{result:?}") };
    assert_eq!((requested, newest), (future, r3));
}

/// Writes from four tasks at once, and returns every revision in order.
async fn storm(store: &Arc<dyn ObjectStore>, each: usize) -> Vec<Revision> {
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for n in 0..each {
                    revisions.push(put(&*store, A, &format!("{task}-{}", n % 7), &n.to_string()).await);
                }
                revisions
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    all
}

pub async fn a_watch_of_the_past_goes_live_without_gap_or_repetition(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let start = store.revision().await.unwrap();
    let past = storm(&store, 60).await;
    // Started while writes go on, from the very first revision, from the middle, from nearly the end.
    let mut watchers = Vec::new();
    let writer = tokio::spawn({
        let store = store.clone();
        async move { storm(&store, 60).await }
    });
    for from in [start, past[3], past[120], past[230], past[239]] {
        watchers.push((from, store.watch(from).await.unwrap()));
    }
    let readers: Vec<_> = watchers
        .into_iter()
        .map(|(from, mut watch)| {
            let last = Revision(past[239].0 + 240);
            let store = store.clone();
            tokio::spawn(async move { (from, through(&*store, &mut watch, from, last).await) })
        })
        .collect();
    let mut all = past;
    all.extend(writer.await.unwrap());
    for reader in readers {
        let (from, seen) = reader.await.unwrap();
        let expected: Vec<Revision> = all.iter().copied().filter(|revision| *revision > from).collect();
        assert_eq!(seen, expected, "from {from}");
    }
}

pub async fn a_watch_that_lags_ends_and_goes_on(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let start = put(&*store, A, "a", "1").await;
    let mut watch = store.watch(start).await.unwrap();
    let all = storm(&store, WATCH_BUFFER).await;
    // Nothing was received: the buffer is full, and the rest was dropped with the stream.
    let mut seen = start;
    let mut count = 0;
    while let Some(batch) = watch.recv().await {
        assert!(batch.revision > seen);
        seen = batch.revision;
        count += 1;
    }
    assert_eq!(count, WATCH_BUFFER);
    let mut again = store.watch(seen).await.unwrap();
    let rest = through(&*store, &mut again, seen, *all.last().unwrap()).await;
    assert_eq!(count + rest.len(), all.len());
}

pub async fn every_watcher_sees_everything(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let start = put(&*store, A, "a", "1").await;
    let last = Revision(start.0 + 200);
    let mut readers = Vec::new();
    for _ in 0..20 {
        let store = store.clone();
        let mut watch = store.watch(start).await.unwrap();
        readers.push(tokio::spawn(async move { through(&*store, &mut watch, start, last).await }));
    }
    // One that goes away disturbs nobody.
    drop(store.watch(start).await.unwrap());
    let all = storm(&store, 50).await;
    for reader in readers {
        assert_eq!(reader.await.unwrap(), all);
    }
}
