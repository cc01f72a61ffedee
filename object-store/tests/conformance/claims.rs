//! One process alone writes to etcd.

use crate::engines::Etcd;
use crate::promises::A;
use object_store::{Commit, CommitError, EtcdOptions, EtcdStore, ObjectStore, StoreError};

fn options(etcd: &Etcd, who: &str) -> EtcdOptions {
    EtcdOptions { claim: Some(who.to_owned()), ..etcd.options() }
}

fn put(key: &str) -> Commit {
    Commit { preconditions: vec![], operations: vec![A.put(key, "x".into())] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_refused_until_the_first_one_ends() {
    let etcd = Etcd::start().await;
    let first = EtcdStore::connect(options(&etcd, "the first")).await.unwrap();
    first.commit(put("a")).await.unwrap();
    match EtcdStore::connect(options(&etcd, "the second")).await.map(drop) {
        Err(error @ StoreError::InUse { .. }) => {
            assert!(error.to_string().contains("which the first has"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    first.release().await;
    let second = EtcdStore::connect(options(&etcd, "the second")).await.unwrap();
    second.commit(put("b")).await.unwrap();
    // What is thought to have ended cannot write.
    match first.commit(put("c")).await {
        Err(CommitError::Store(StoreError::Unavailable(why))) => {
            assert!(why.contains("the second has"), "{why}")
        }
        other => panic!("{other:?}"),
    }
    // A precondition that fails is told as ever.
    let expected = Commit { preconditions: vec![A.expect("b", api_types::Revision(1))], operations: vec![] };
    assert!(matches!(second.commit(expected).await, Err(CommitError::Precondition { index: 0, .. })));
    // It goes on when it has the store again.
    second.release().await;
    drop(second);
    while first.commit(put("d")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_claim_of_a_process_that_was_killed_ends() {
    let mut etcd = Etcd::start().await;
    let first = EtcdStore::connect(options(&etcd, "the first")).await.unwrap();
    first.commit(put("a")).await.unwrap();
    // It is not given up, and nothing keeps it alive any more.
    drop(first);
    assert!(matches!(EtcdStore::connect(options(&etcd, "the second")).await, Err(StoreError::InUse { .. })));
    let second = loop {
        match EtcdStore::connect(options(&etcd, "the second")).await {
            Ok(store) => break store,
            Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    // It is kept over an end of etcd.
    etcd.stop();
    etcd.start_again().await;
    while second.commit(put("b")).await.is_err() {
        tokio::task::yield_now().await;
    }
}
