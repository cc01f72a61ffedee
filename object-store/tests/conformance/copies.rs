//! Copies, what is put where one was, and what operators ask for.

use crate::engines::{Embedded, Fixture};
use crate::promises::{A, B, C, put, value, write};
use api_types::Revision;
use object_store::backup::{self, Backup, Entry, GAP, Reader, Restore};
use object_store::{CommitError, ObjectStore, Range, StoreError};
use std::sync::Arc;

/// Tenant, key and value of everything.
async fn all(store: &dyn ObjectStore) -> Vec<(String, String, Vec<u8>)> {
    let items = store.range(Range::default()).await.unwrap().items.into_iter();
    items.map(|item| (item.tenant.to_string(), item.key, item.value.to_vec())).collect()
}

async fn copy_of(backup: &mut Backup) -> Vec<u8> {
    let mut copy = Vec::new();
    while let Some(bytes) = backup.next().await.unwrap() {
        copy.extend_from_slice(&bytes);
    }
    copy
}

/// Puts a copy into a store; returns the note and how many values it had.
async fn restore(store: &dyn ObjectStore, copy: &[u8]) -> Result<(Vec<u8>, u64), CommitError> {
    let mut reader = Reader::default();
    reader.push(copy);
    let Some(Entry::Head(head)) = reader.entry().unwrap() else { panic!("no head") };
    let mut restore = Restore::begin(store, &head).await?;
    while let Some(Entry::Item(item)) = reader.entry().unwrap() {
        restore.put(item).await?;
    }
    reader.end().unwrap();
    Ok((head.note.to_vec(), restore.finish().await?))
}

pub async fn revisions_go_on_after_a_floor(fixture: &dyn Fixture) {
    let floor = Revision(5_000_000_000);
    let store = fixture.open().await;
    store.raise(floor).await.unwrap();
    assert!(store.revision().await.unwrap() >= floor);
    // What was before is not to be had.
    for at in [Revision(1), Revision(floor.0 - 1)] {
        let range = store.range(Range { at: Some(at), ..Range::default() }).await;
        assert!(matches!(range, Err(StoreError::Compacted { .. })), "{range:?}");
        assert!(matches!(store.watch(at).await, Err(StoreError::Compacted { .. })));
    }
    let mut watch = store.watch(store.revision().await.unwrap()).await.unwrap();
    let first = put(&*store, A, "a", "1").await;
    assert!(first > floor);
    assert_eq!(watch.recv().await.unwrap().revision, first);
    let second = put(&*store, A, "a", "2").await;
    assert_eq!(second.0, first.0 + 1);
    assert_eq!(watch.recv().await.unwrap().revision, second);
    let past = store.range(Range { at: Some(first), ..Range::default() }).await.unwrap();
    assert_eq!((past.items[0].value.as_ref(), past.items[0].modified), (&b"1"[..], first));
    // Preconditions name revisions of both sides of it.
    for (at, holds) in [(Revision::ZERO, false), (Revision(3), false), (floor, false), (second, true)] {
        let commit = object_store::Commit { preconditions: vec![A.expect("a", at)], operations: vec![] };
        assert_eq!(store.commit(commit).await.is_ok(), holds, "{at}");
    }
    let refused = store.raise(Revision(floor.0 * 2)).await;
    assert!(matches!(refused, Err(StoreError::NotEmpty { .. })), "{refused:?}");
    store.compact(first).await.unwrap();
    drop((store, watch));

    let store = fixture.open().await;
    assert_eq!(store.revision().await.unwrap(), second);
    let mut watch = store.watch(first).await.unwrap();
    assert_eq!(watch.recv().await.unwrap().revision, second);
    assert_eq!(put(&*store, A, "b", "1").await.0, second.0 + 1);
}

pub async fn shrinking_loses_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    for n in 0..100 {
        put(&*store, A, &format!("key-{}", n % 10), &format!("{n}/{}", "x".repeat(10_000))).await;
        put(&*store, B, &format!("once-{n}"), &n.to_string()).await;
    }
    write(&*store, vec![A.delete("key-3")]).await;
    let before = all(&*store).await;
    let size = store.size().await.unwrap();
    assert_eq!(size.revision, store.revision().await.unwrap());
    store.compact(store.revision().await.unwrap()).await.unwrap();
    if store.shrink().await.unwrap() {
        let after = store.size().await.unwrap();
        assert!(after.disk_bytes < size.disk_bytes, "{size:?} {after:?}");
        assert!(after.used_bytes < size.used_bytes && after.used_bytes <= after.disk_bytes, "{after:?}");
    }
    assert_eq!(all(&*store).await, before);
    let last = put(&*store, A, "key-0", "new").await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.revision().await.unwrap(), last);
    assert_eq!(all(&*store).await.len(), before.len());
}

pub async fn a_copy_comes_back_as_of_one_revision(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    // More than a page of it, and values that fill a commit of their own.
    for n in 0..13 {
        write(&*store, (0..90).map(|m| A.put(format!("key-{n}-{m}"), value(format!("{n}.{m}")))).collect())
            .await;
    }
    put(&*store, B, "large", &"x".repeat(700_000)).await;
    put(&*store, B, "larger", &"y".repeat(900_000)).await;
    put(&*store, C, "a", "1").await;
    let expected = all(&*store).await;
    let mut backup = Backup::begin(store.clone(), None, value("note")).await.unwrap();
    let revision = backup.revision();
    // What comes after it began is not in it.
    put(&*store, A, "later", "1").await;
    write(&*store, vec![A.delete("key-0-0"), B.put("large", value("changed"))]).await;
    let copy = copy_of(&mut backup).await;
    assert_eq!(backup.items(), expected.len() as u64);

    let other = Embedded::new();
    let target: Arc<dyn ObjectStore> = other.open().await;
    assert_eq!(restore(&*target, &copy).await.unwrap(), (b"note".to_vec(), expected.len() as u64));
    assert_eq!(all(&*target).await, expected);
    assert!(target.revision().await.unwrap().0 > revision.0 + GAP);
    assert!(!backup::is_unfinished(&*target).await.unwrap());

    // Of one space, into the engine under test.
    let mut one = Backup::begin(target, Some(A), value("")).await.unwrap();
    let copy = copy_of(&mut one).await;
    write(&*store, vec![A.delete_all(), B.delete_all(), C.delete_all()]).await;
    assert_eq!(restore(&*store, &copy).await.unwrap().1, 13 * 90);
    let expected: Vec<_> = expected.into_iter().filter(|(of, ..)| *of == A.tenant().to_string()).collect();
    assert_eq!(all(&*store).await, expected);
}

pub async fn a_copy_goes_into_an_empty_store_only(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    put(&*store, A, "a", "1").await;
    let copy = copy_of(&mut Backup::begin(store.clone(), None, value("")).await.unwrap()).await;
    let refused = restore(&*store, &copy).await.unwrap_err();
    assert!(matches!(refused, CommitError::Store(StoreError::NotEmpty { .. })), "{refused}");
    assert_eq!(all(&*store).await.len(), 1);
    // One that does not end is found.
    write(&*store, vec![A.delete_all()]).await;
    let mut reader = Reader::default();
    reader.push(&copy);
    let Some(Entry::Head(head)) = reader.entry().unwrap() else { panic!("no head") };
    drop(Restore::begin(&*store, &head).await.unwrap());
    assert!(backup::is_unfinished(&*store).await.unwrap());
    drop(store);
    let store = fixture.open().await;
    assert!(backup::is_unfinished(&*store).await.unwrap());
    let refused = restore(&*store, &copy).await.unwrap_err();
    assert!(matches!(refused, CommitError::Store(StoreError::NotEmpty { .. })), "{refused}");
}
