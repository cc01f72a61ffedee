//! etcd going away and coming back, refusing, and asking for certificates.

use crate::engines::Etcd;
use crate::promises::A;
use api_types::Revision;
use object_store::{Commit, CommitError, EtcdOptions, EtcdStore, ObjectStore, Range, StoreError};
use std::time::Duration;

fn put(key: &str) -> Commit {
    Commit { preconditions: vec![], operations: vec![A.put(key, "x".into())] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_etcd_was_away() {
    let mut etcd = Etcd::start().await;
    let store = EtcdStore::connect(etcd.options()).await.unwrap();
    let other = EtcdStore::connect(etcd.options()).await.unwrap();
    let mut seen = store.commit(put("before")).await.unwrap();
    let mut watch = store.watch(seen).await.unwrap();

    etcd.stop();
    // Nothing of it may be taken for done.
    match store.commit(put("away")).await {
        Err(CommitError::Unknown(_) | CommitError::Store(StoreError::Unavailable(_))) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(store.range(Range::default()).await, Err(StoreError::Unavailable(_))));
    etcd.start_again().await;

    // Both replicas write; the one watch shows everything, in order.
    let mut written = Vec::new();
    for n in 0..20 {
        let store = if n % 2 == 0 { &store } else { &other };
        let revision = loop {
            match store.commit(put(&format!("key-{n}"))).await {
                Ok(revision) => break revision,
                Err(CommitError::Unknown(_) | CommitError::Store(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        written.push(revision);
    }
    let mut shown: Vec<Revision> = Vec::new();
    while seen < *written.last().unwrap() {
        let batch = watch.recv().await.expect("the watch goes on");
        assert!(batch.revision > seen);
        seen = batch.revision;
        shown.push(seen);
    }
    assert!(written.iter().all(|revision| shown.contains(revision)), "{written:?} in {shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_etcd_cannot_take_is_refused_and_nothing_is_done() {
    let etcd = Etcd::start().await;
    let store = EtcdStore::connect(etcd.options()).await.unwrap();
    let large = |size: usize| Commit {
        preconditions: vec![],
        operations: vec![A.put("small", "x".into()), A.put("large", vec![b'x'; size].into())],
    };
    assert!(matches!(store.commit(large(2 << 20)).await, Err(CommitError::Malformed(_))));
    // Also where the servers' limit is lower than we believe.
    let options = EtcdOptions { max_request_bytes: 8 << 20, ..etcd.options() };
    let believer = EtcdStore::connect(options).await.unwrap();
    let result = believer.commit(large(2 << 20)).await;
    assert!(matches!(result, Err(CommitError::Malformed(_))), "{result:?}");
    assert!(store.range(Range::default()).await.unwrap().items.is_empty());
    store.commit(large(1 << 20)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_open_etcd_and_their_lack_does_not() {
    let etcd = Etcd::start_with_tls().await;
    let store = EtcdStore::connect(etcd.options()).await.unwrap();
    let revision = store.commit(put("a")).await.unwrap();
    let mut watch = store.watch(revision).await.unwrap();
    let next = store.commit(put("b")).await.unwrap();
    assert_eq!(watch.recv().await.unwrap().revision, next);

    let mut without = etcd.options();
    without.timeout = Duration::from_secs(2);
    without.tls.as_mut().unwrap().identity = None;
    assert!(matches!(EtcdStore::connect(without).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn no_etcd_is_an_error() {
    let options = EtcdOptions {
        timeout: Duration::from_millis(500),
        ..EtcdOptions::new(vec!["http://127.0.0.1:1".into()], "/insula")
    };
    assert!(matches!(EtcdStore::connect(options).await, Err(StoreError::Unavailable(_))));
}
