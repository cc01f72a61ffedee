//! Sealed secrets: what is in the file, what can be read with which keys, and how keys change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use api_types::{Revision, TenantId};
use bytes::Bytes;
use object_store::{
    Commit, EmbeddedOptions, EmbeddedStore, ObjectStore, Operation, Range, SealedStore, SealingKeys, Space,
    StoreError,
};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

const A: Space = Space::new(TenantId::new(Uuid::from_u128(0x10)));
const B: Space = Space::new(TenantId::new(Uuid::from_u128(0x11)));
const SECRET: &str = "correct horse battery staple";

fn is_secret(key: &str) -> bool {
    key.starts_with("/secrets/")
}

fn plain(dir: &TempDir) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(dir.path(), EmbeddedOptions::default()).unwrap())
}

fn sealed(dir: &TempDir, keys: &SealingKeys) -> SealedStore {
    SealedStore::new(plain(dir), keys.clone(), is_secret)
}

async fn write(store: &dyn ObjectStore, operations: Vec<Operation>) -> Revision {
    store.commit(Commit { preconditions: Vec::new(), operations }).await.unwrap()
}

async fn read(store: &dyn ObjectStore) -> Result<Vec<(String, Bytes)>, StoreError> {
    let page = store.range(Range::default()).await?;
    Ok(page.items.into_iter().map(|item| (item.key, item.value)).collect())
}

/// How often a text is in the files of a directory.
fn found(dir: &Path, text: &str) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.map(|bytes| bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()).sum()
}

fn names(keys: &SealingKeys) -> Vec<String> {
    keys.names().map(|name| name.to_string()).collect()
}

#[tokio::test]
async fn the_file_has_no_secret_in_it() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    let store = sealed(&dir, &keys);
    let operations =
        || vec![A.put("/secrets/x/a", SECRET.into()), A.put("/configmaps/x/a", "an open text".into())];
    let first = write(&store, operations()).await;
    let mut watch = store.watch(first).await.unwrap();
    write(&store, operations()).await;
    let batch = watch.recv().await.unwrap();
    assert_eq!(batch.events[0].value.as_deref(), Some(SECRET.as_bytes()), "a watch shows what it was");
    let all = read(&store).await.unwrap();
    assert_eq!(
        all,
        [("/configmaps/x/a".into(), "an open text".into()), ("/secrets/x/a".into(), SECRET.into())]
    );
    drop((store, watch));
    assert_eq!(found(dir.path(), SECRET), 0);
    assert!(found(dir.path(), "an open text") > 0, "what is no secret is as it was");

    let again = sealed(&dir, &keys);
    assert_eq!(read(&again).await.unwrap(), all, "with the keys it is read again");
}

#[tokio::test]
async fn without_its_keys_nothing_is_read() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    write(&sealed(&dir, &keys), vec![A.put("/secrets/x/a", SECRET.into())]).await;
    let other = SealingKeys::generate().unwrap();
    let error = read(&sealed(&dir, &other)).await.unwrap_err().to_string();
    let missing =
        format!("it is sealed under the key {}, which is not among the sealing keys", names(&keys)[0]);
    assert!(error.contains(&missing), "{error}");
}

#[tokio::test]
async fn the_end_of_a_plane_is_the_end_of_its_key() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    let store = sealed(&dir, &keys);
    let both =
        |value: &'static str| vec![A.put("/secrets/x/a", value.into()), B.put("/secrets/x/a", value.into())];
    let mut watch = store.watch(write(&store, both("1")).await).await.unwrap();
    write(&store, vec![A.delete_all()]).await;
    assert_eq!(watch.recv().await.unwrap().events.len(), 1, "its data key is nobody's object");
    assert_eq!(read(&store).await.unwrap().len(), 1);
    // It is there again: with another key, and without a trace of the one that is known no more.
    write(&store, both("2")).await;
    assert_eq!(
        read(&store).await.unwrap(),
        [("/secrets/x/a".into(), "2".into()), ("/secrets/x/a".into(), "2".into())]
    );
}

#[tokio::test]
async fn pages_go_on_over_data_keys() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    let store = sealed(&dir, &keys);
    write(&store, vec![A.put("/secrets/x/a", "1".into()), B.put("/secrets/x/a", "2".into())]).await;
    let mut range = Range { limit: 1, ..Range::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.range(range.clone()).await.unwrap();
        let Some(last) = page.items.last() else { break };
        range.after = Some((last.tenant, last.key.clone()));
        seen.extend(page.items.iter().map(|item| item.value.clone()));
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, ["1", "2"]);
}

#[tokio::test]
async fn another_sealing_key_writes_data_keys_anew_and_no_secret() {
    let (dir, old) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    let store = sealed(&dir, &old);
    let at =
        write(&store, vec![A.put("/secrets/x/a", SECRET.into()), B.put("/secrets/x/b", SECRET.into())]).await;
    let mut watch = store.watch(at).await.unwrap();
    let both = old.rotated().unwrap();
    let (count, revision) = store.rotate(both.clone()).await.unwrap();
    assert_eq!(count, 2);
    assert_eq!(store.uses().iter().map(|(_, planes)| *planes).collect::<Vec<_>>(), [2, 0]);
    let batch = watch.recv().await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (revision, 0), "no object has changed");
    assert_eq!(store.rotate(both.clone()).await.unwrap().0, 0, "a second time there is nothing to do");
    // Written with a data key of which it was known in which revision it was.
    write(&store, vec![A.put("/secrets/x/a", "new".into())]).await;
    drop((store, watch));

    let new = SealingKeys::parse(both.text().lines().find(|line| !line.starts_with('#')).unwrap()).unwrap();
    assert_eq!(names(&new), names(&both)[..1]);
    let values = read(&sealed(&dir, &new)).await.unwrap();
    assert_eq!(values, [("/secrets/x/a".into(), "new".into()), ("/secrets/x/b".into(), SECRET.into())]);
}

#[tokio::test]
async fn what_was_written_before_there_were_keys_is_sealed() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    let store = plain(&dir);
    for n in 0..150 {
        write(&*store, vec![A.put(format!("/secrets/x/{n:03}"), SECRET.into())]).await;
    }
    drop(store);
    let store = sealed(&dir, &keys);
    let before = read(&store).await.unwrap();
    assert_eq!(store.renew().await.unwrap().0, 150);
    assert_eq!(store.renew().await.unwrap().0, 0, "once");
    assert_eq!(read(&store).await.unwrap(), before);
    let at = store.revision().await.unwrap();
    store.compact(at).await.unwrap();
    drop(store);
    let direct = plain(&dir);
    let values = read(&*direct).await.unwrap();
    assert!(values.iter().all(|(_, value)| value != SECRET), "everything is sealed");
}

#[tokio::test]
async fn a_sealed_value_cannot_be_moved() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    write(&sealed(&dir, &keys), vec![A.put("/secrets/x/a", SECRET.into())]).await;
    let direct = plain(&dir);
    let values = read(&*direct).await.unwrap();
    let (_, stolen) = values.iter().find(|(key, _)| key == "/secrets/x/a").unwrap();
    write(&*direct, vec![A.put("/secrets/mine/a", stolen.clone())]).await;
    drop(direct);
    let error = read(&sealed(&dir, &keys)).await.unwrap_err().to_string();
    assert!(error.starts_with("/secrets/mine/a of plane "), "{error}");
    assert!(error.contains("was written for another place"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_make_the_first_secret_at_once_while_keys_change() {
    let (dir, keys) = (TempDir::new().unwrap(), SealingKeys::generate().unwrap());
    let store = sealed(&dir, &keys);
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                for m in 0..50 {
                    write(&store, vec![A.put(format!("/secrets/{n}/{m}"), SECRET.into())]).await;
                }
            })
        })
        .collect();
    let mut latest = keys;
    for _ in 0..10 {
        latest = latest.rotated().unwrap();
        store.rotate(latest.clone()).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    drop(store);
    let values = read(&sealed(&dir, &latest)).await.unwrap();
    assert_eq!(values.len(), 400);
    assert!(values.iter().all(|(_, value)| value == SECRET));
}
