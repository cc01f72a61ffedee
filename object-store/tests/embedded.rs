//! The embedded store: files that cannot be opened, space that comes back, and comparison with a model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use api_types::{Revision, TenantId};
use bytes::Bytes;
use object_store::{
    Commit, EmbeddedOptions, EmbeddedStore, ObjectStore, Operation, Range, Space, StoreError,
};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, TableHandle};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

const A: Space = Space::new(TenantId::new(Uuid::from_u128(0x10)));

fn small() -> EmbeddedOptions {
    EmbeddedOptions { table_revisions: 16, ..Default::default() }
}

fn open(dir: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(dir, small())
}

async fn write(store: &EmbeddedStore, operations: Vec<Operation>) -> Revision {
    store.commit(Commit { preconditions: Vec::new(), operations }).await.unwrap()
}

/// A store with some history.
async fn filled() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for n in 0..200 {
        write(&store, vec![A.put(format!("key-{}", n % 90), Bytes::from(vec![n as u8; 500]))]).await;
    }
    store.close();
    let file = dir.path().join("objects.redb");
    (dir, file)
}

#[tokio::test]
async fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::InUse { .. })));
    store.close();
    open(dir.path()).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _) = filled().await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["objects.redb", "objects.wal"], "nothing else is left in the directory");
}

/// Opens what should be a damaged store, and returns why it is refused.
fn corrupt(dir: &Path) -> String {
    match open(dir) {
        Err(StoreError::Corrupt { path, why }) => {
            assert!(path.ends_with("objects.redb"));
            why
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a damaged store was opened"),
    }
}

#[tokio::test]
async fn what_is_no_store_is_refused_with_its_reason() {
    type Damage = fn(&Path);
    let table: [(&str, Damage, &str); 7] = [
        ("empty", |file| std::fs::write(file, b"").unwrap(), "it is empty"),
        ("text", |file| std::fs::write(file, "hello ".repeat(2000)).unwrap(), ""),
        ("cut off", |file| std::fs::write(file, &std::fs::read(file).unwrap()[..9000]).unwrap(), ""),
        (
            "another program's",
            |file| {
                std::fs::remove_file(file).unwrap();
                let database = Database::create(file).unwrap();
                let transaction = database.begin_write().unwrap();
                transaction.open_table(TableDefinition::<u64, u64>::new("cats")).unwrap();
                transaction.commit().unwrap();
            },
            "it is not an object store",
        ),
        ("without a format", |file| change_meta(file, "format", None), "it does not say its format"),
        ("of format 0", |file| change_meta(file, "format", Some(0)), "its format is 0"),
        (
            "compacted beyond its end",
            |file| change_meta(file, "compacted", Some(999)),
            "its newest records are missing",
        ),
    ];
    for (name, damage, expected) in table {
        let (dir, file) = filled().await;
        damage(&file);
        let why = corrupt(dir.path());
        assert!(why.contains(expected) && !why.is_empty(), "{name}: {why}");
    }
}

fn change_meta(file: &Path, name: &str, value: Option<u64>) {
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap();
        match value {
            Some(value) => drop(meta.insert(name, value).unwrap()),
            None => drop(meta.remove(name).unwrap()),
        }
    }
    transaction.commit().unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let (dir, file) = filled().await;
    change_meta(&file, "format", Some(7));
    let error = open(dir.path()).err().expect("a newer store is refused");
    assert!(matches!(error, StoreError::NewerFormat { found: 7, supported: 2, .. }), "{error}");
    // And it is left alone.
    change_meta(&file, "format", Some(2));
    assert_eq!(open(dir.path()).unwrap().revision().await.unwrap(), Revision(200));
}

/// The store before there was a write-ahead log.
#[tokio::test]
async fn a_store_of_the_first_format_gets_its_log() {
    let (dir, file) = filled().await;
    for name in ["wal", "wal-half", "closed"] {
        change_meta(&file, name, None);
    }
    change_meta(&file, "format", Some(1));
    std::fs::remove_file(dir.path().join("objects.wal")).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(store.revision().await.unwrap(), Revision(200));
    write(&store, vec![A.put("one-more", "x".into())]).await;
    store.close();
    assert_eq!(open(dir.path()).unwrap().revision().await.unwrap(), Revision(201));
}

#[tokio::test]
async fn a_log_without_its_store_is_kept() {
    let (dir, file) = filled().await;
    std::fs::remove_file(file).unwrap();
    let log = std::fs::read(dir.path().join("objects.wal")).unwrap();
    open(dir.path()).unwrap().close();
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<PathBuf> = names.filter(|path| path.to_string_lossy().contains("objects.wal.")).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), log);
}

/// Bytes changed anywhere in the file: it opens and answers, or says that it is corrupt; a value is never wrong.
#[tokio::test]
async fn damage_anywhere_is_no_panic_and_no_wrong_value() {
    let (_dir, file) = filled().await;
    let whole = std::fs::read(&file).unwrap();
    let mut refused = 0;
    for n in 0..200 {
        let mut bytes = whole.clone();
        let at = Uuid::new_v5(&Uuid::nil(), format!("damage {n}").as_bytes()).as_u128() as usize;
        let at = at % (bytes.len() - 64);
        bytes[at..at + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("objects.redb"), &bytes).unwrap();
        match open(dir.path()) {
            Err(StoreError::Corrupt { .. } | StoreError::Unavailable(_) | StoreError::NewerFormat { .. }) => {
                refused += 1;
            }
            Err(error) => panic!("byte {at}: {error}"),
            Ok(store) => {
                for item in store.range(Range::default()).await.unwrap().items {
                    assert!(item.value.iter().all(|byte| *byte == item.value[0]), "byte {at}: a wrong value");
                }
            }
        }
    }
    assert!(refused > 0, "no damage was found");
}

#[tokio::test]
async fn compaction_gives_space_back_and_nothing_comes_back_to_life() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    write(&store, vec![A.put("cold", "kept".into())]).await;
    write(&store, vec![A.put("removed", "x".into())]).await;
    write(&store, vec![A.delete("removed")]).await;
    for n in 0..2000 {
        let last = write(&store, vec![A.put(format!("hot-{}", n % 5), Bytes::from(vec![1; 1000]))]).await;
        if n % 100 == 99 {
            store.compact(last).await.unwrap();
        }
    }
    let newest = store.revision().await.unwrap();
    store.close();

    let (tables, records) = logs(dir.path());
    // 2003 records were written in 126 tables; six keys live.
    assert!(tables.len() <= 10 && records <= 160, "{tables:?} and {records} records are left");

    let store = open(dir.path()).unwrap();
    assert_eq!(store.revision().await.unwrap(), newest);
    let items = store.range(Range::default()).await.unwrap().items;
    let keys: Vec<&str> = items.iter().map(|item| &*item.key).collect();
    assert_eq!(keys, ["cold", "hot-0", "hot-1", "hot-2", "hot-3", "hot-4"]);
    assert_eq!((items[0].modified, &items[0].value[..]), (Revision(1), &b"kept"[..]));
}

/// The log tables of a closed store, and how many records are in them.
fn logs(dir: &Path) -> (Vec<String>, u64) {
    let database = Database::open(dir.join("objects.redb")).unwrap();
    let transaction = database.begin_read().unwrap();
    let names = transaction.list_tables().unwrap().map(|table| table.name().to_owned());
    let logs: Vec<String> = names.filter(|name| name.starts_with("log/")).collect();
    let records = |name: &String| {
        let log = TableDefinition::<(u64, u32), &[u8]>::new(name);
        transaction.open_table(log).unwrap().len().unwrap()
    };
    let records = logs.iter().map(records).sum();
    (logs, records)
}

/// Cleaning copies an old value that history still needs into a table newer than the one with its removal. The
/// removal must not be dropped first.
#[tokio::test]
async fn a_removed_key_stays_removed_when_its_history_was_copied() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { table_revisions: 4, ..Default::default() };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let large = |size: usize| Bytes::from(vec![1; size]);
    let hot = |value: Bytes| vec![A.put("hot", value)];
    let put = |key: &str| vec![A.put(key, "x".into())];
    // Three tables of four revisions: the first is mostly garbage, and so is later the second, which has the
    // removal.
    let commits = [
        [put("removed"), hot(large(200_000)), hot(large(200_000)), hot("x".into())],
        [vec![A.delete("removed")], hot(large(50_000)), hot("x".into()), put("a")],
        [put("b"), put("c"), put("d"), put("e")],
    ];
    for operations in commits.into_iter().flatten() {
        write(&store, operations).await;
    }
    // Each call lets the store do one more step in the background.
    for at in [4; 10] {
        store.compact(Revision(at)).await.unwrap();
    }
    let there = store.range(Range { at: Some(Revision(4)), ..Range::default() }).await.unwrap();
    assert_eq!(there.items.len(), 2);
    for at in [12; 10] {
        store.compact(Revision(at)).await.unwrap();
    }
    let before = store.range(Range::default()).await.unwrap();
    store.close();
    let (tables, _) = logs(dir.path());
    assert_eq!(tables, ["log/00000003"], "the case did not happen");
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let after = store.range(Range::default()).await.unwrap();
    assert_eq!(after.items.len(), 6);
    assert_eq!(after, before);
}

/// The same when the key was made again: between its removal and its return it was absent, and stays so.
#[tokio::test]
async fn a_key_that_came_back_stays_absent_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { table_revisions: 4, ..Default::default() };
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let hot = |size: usize| vec![A.put("hot", Bytes::from(vec![1; size]))];
    let put = |key: &str| vec![A.put(key, "x".into())];
    let commits = [
        [put("back"), hot(200_000), hot(200_000), hot(1)],
        [vec![A.delete("back")], hot(50_000), hot(1), put("a")],
        [put("b"), put("back"), put("c"), put("d")],
    ];
    for operations in commits.into_iter().flatten() {
        write(&store, operations).await;
    }
    for at in [4, 8].into_iter().flat_map(|at| [at; 10]) {
        store.compact(Revision(at)).await.unwrap();
    }
    let then = Range { at: Some(Revision(8)), ..Range::default() };
    let before = store.range(then.clone()).await.unwrap();
    store.close();
    let (tables, _) = logs(dir.path());
    assert_eq!(tables, ["log/00000003"], "the case did not happen");
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    assert_eq!(before.items.len(), 2);
    assert_eq!(store.range(then).await.unwrap(), before);
}
