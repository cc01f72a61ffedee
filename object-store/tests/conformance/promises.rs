//! Commits, ranges, compaction.

use crate::engines::Fixture;
use api_types::{Revision, TenantId};
use bytes::Bytes;
use object_store::{
    Commit, CommitError, Item, MAX_KEY_BYTES, MAX_OPERATIONS, ObjectStore, Operation, Precondition, Range,
    Space, StoreError,
};
use uuid::Uuid;

pub const A: Space = Space::new(TenantId::new(Uuid::from_u128(0x10)));
pub const B: Space = Space::new(TenantId::new(Uuid::from_u128(0x11)));
pub const C: Space = Space::new(TenantId::new(Uuid::from_u128(u128::MAX)));

pub fn value(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

pub async fn put(store: &dyn ObjectStore, space: Space, key: &str, text: &str) -> Revision {
    write(store, vec![space.put(key, value(text))]).await
}

pub async fn write(store: &dyn ObjectStore, operations: Vec<Operation>) -> Revision {
    store.commit(Commit { preconditions: Vec::new(), operations }).await.unwrap()
}

fn of(space: Space) -> Range {
    Range { space: Some(space), ..Range::default() }
}

async fn items(store: &dyn ObjectStore, range: Range) -> Vec<Item> {
    store.range(range).await.unwrap().items
}

/// Key and value of each item.
async fn texts(store: &dyn ObjectStore, range: Range) -> Vec<(String, String)> {
    let items = items(store, range).await.into_iter();
    items.map(|item| (item.key, String::from_utf8(item.value.to_vec()).unwrap())).collect()
}

async fn keys(store: &dyn ObjectStore, range: Range) -> Vec<String> {
    items(store, range).await.into_iter().map(|item| item.key).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

async fn refused(
    store: &dyn ObjectStore,
    preconditions: Vec<Precondition>,
    operations: Vec<Operation>,
) -> (usize, Revision) {
    match store.commit(Commit { preconditions, operations }).await {
        Err(CommitError::Precondition { index, actual }) => (index, actual),
        other => panic!("expected a failed precondition, got {other:?}"),
    }
}

pub async fn preconditions_decide(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let create = |key: &str| Commit {
        preconditions: vec![A.expect(key, Revision::ZERO)],
        operations: vec![A.put(key, value("new"))],
    };
    let one = store.commit(create("one")).await.unwrap();
    let two = store.commit(create("two")).await.unwrap();
    assert!(one < two);

    // Preconditions, the first that fails, where its key is.
    let table = [
        (vec![A.expect("one", Revision::ZERO)], 0, one),
        (vec![A.expect("one", two)], 0, one),
        (vec![A.expect("one", one), A.expect("two", one)], 1, two),
        (vec![A.expect("one", one), A.expect("two", two), A.expect("three", one)], 2, Revision::ZERO),
        // The same key in another space is another key.
        (vec![B.expect("one", one)], 0, Revision::ZERO),
    ];
    for (preconditions, index, actual) in table {
        let operations = vec![A.put("one", value("changed")), A.delete("two")];
        assert_eq!(
            refused(store, preconditions.clone(), operations).await,
            (index, actual),
            "{preconditions:?}"
        );
    }
    assert_eq!(store.revision().await.unwrap(), two);
    assert_eq!(texts(store, of(A)).await, pairs(&[("one", "new"), ("two", "new")]));

    let commit = Commit {
        preconditions: vec![A.expect("one", one), A.expect("two", two), B.expect("one", Revision::ZERO)],
        operations: vec![A.put("one", value("changed")), A.delete("two")],
    };
    let three = store.commit(commit).await.unwrap();
    assert!(three > two);
    assert_eq!(texts(store, of(A)).await, pairs(&[("one", "changed")]));
    // A removed key is absent, and a precondition may be all that a commit has.
    assert_eq!(refused(store, vec![A.expect("two", two)], vec![]).await, (0, Revision::ZERO));
    let only = Commit { preconditions: vec![A.expect("one", three)], operations: vec![] };
    assert_eq!(store.commit(only).await.unwrap(), three);
    assert!(store.commit(create("two")).await.unwrap() > three);
}

pub async fn operations_of_a_commit_share_a_revision(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let before = put(store, A, "gone", "x").await;
    let mut watch = store.watch(before).await.unwrap();
    let mut operations: Vec<Operation> =
        (0..MAX_OPERATIONS - 2).rev().map(|n| A.put(format!("key-{n:03}"), value(n.to_string()))).collect();
    operations.insert(10, A.delete("gone"));
    operations.push(B.put("other", value("y")));
    let preconditions =
        (0..MAX_OPERATIONS).map(|n| A.expect(format!("key-{n:03}"), Revision::ZERO)).collect();
    let revision = store.commit(Commit { preconditions, operations }).await.unwrap();

    let found = items(store, Range::default()).await;
    assert_eq!(found.len(), MAX_OPERATIONS - 1);
    assert!(found.iter().all(|item| item.modified == revision));

    let batch = watch.recv().await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (revision, MAX_OPERATIONS));
    assert_eq!((&*batch.events[0].key, &batch.events[0].value), ("key-097", &Some(value("97"))));
    assert_eq!((&*batch.events[10].key, &batch.events[10].value), ("gone", &None));
    let last = &batch.events[MAX_OPERATIONS - 1];
    assert_eq!((last.tenant, &*last.key), (B.tenant(), "other"));
}

pub async fn malformed_commits_are_refused(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let before = put(store, A, "a", "1").await;
    let many: Vec<Operation> = (0..=MAX_OPERATIONS).map(|n| A.put(n.to_string(), value(""))).collect();
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    let table = [
        ("too many operations", vec![], many),
        ("too many preconditions", vec![A.expect("a", before); MAX_OPERATIONS + 1], vec![]),
        ("a key twice", vec![], vec![A.put("a", value("2")), A.put("a", value("3"))]),
        ("put and deleted", vec![], vec![A.put("a", value("2")), A.delete("a")]),
        ("deleted twice", vec![], vec![A.delete("a"), A.delete("a")]),
        ("a space and a key of it", vec![], vec![A.delete_all(), A.put("a", value("2"))]),
        ("a space twice", vec![], vec![A.delete_all(), A.delete_all()]),
        ("an empty key", vec![], vec![A.put("", value("2"))]),
        ("an empty key deleted", vec![], vec![A.delete("")]),
        ("an empty key expected", vec![A.expect("", Revision::ZERO)], vec![]),
        ("a long key", vec![], vec![A.put(long, value("2"))]),
        ("a large value", vec![], vec![A.put("b", Bytes::from(vec![0; 4 << 20]))]),
    ];
    for (name, preconditions, operations) in table {
        let result = store.commit(Commit { preconditions, operations }).await;
        assert!(matches!(result, Err(CommitError::Malformed(_))), "{name}: {result:?}");
    }
    assert_eq!(store.revision().await.unwrap(), before);
    // The same key of two spaces is two keys.
    write(store, vec![A.put("a", value("2")), B.put("a", value("3")), C.delete_all()]).await;
}

pub async fn what_changes_nothing_makes_no_revision(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let before = put(store, A, "a", "1").await;
    let mut watch = store.watch(before).await.unwrap();
    for operations in [vec![], vec![A.delete("b"), B.delete("a")], vec![B.delete_all()]] {
        assert_eq!(write(store, operations).await, before);
    }
    assert_eq!(store.revision().await.unwrap(), before);
    // A deletion that hits and one that misses: one event.
    let after = write(store, vec![A.delete("b"), A.delete("a")]).await;
    let batch = watch.recv().await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (after, 1));
    // Writing the same value again is a change.
    let first = put(store, A, "c", "same").await;
    assert!(put(store, A, "c", "same").await > first);
}

pub async fn values_of_every_size_come_back(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let sizes = [0, 1, 100, 4096, 65_537, 1 << 20];
    let bytes = |size: usize| Bytes::from((0..size).map(|n| (n * 31 % 251) as u8).collect::<Vec<u8>>());
    let mut watch = store.watch(store.revision().await.unwrap()).await.unwrap();
    for size in sizes {
        write(store, vec![A.put(format!("{size:08}"), bytes(size))]).await;
        assert_eq!(watch.recv().await.unwrap().events[0].value, Some(bytes(size)));
    }
    let found = items(store, of(A)).await;
    assert_eq!(found.len(), sizes.len());
    for (item, size) in found.iter().zip(sizes) {
        assert!(item.value == bytes(size), "a value of {size} bytes");
    }
}

pub async fn a_range_is_of_one_revision(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    for n in 0..20 {
        put(store, A, &format!("key-{n:02}"), "old").await;
    }
    let first = store.range(Range { limit: 7, ..of(A) }).await.unwrap();
    assert_eq!((first.items.len(), first.more), (7, true));
    assert_eq!(first.revision, store.revision().await.unwrap());
    // What is written between the pages does not show.
    let mut after = first.items.last().map(|item| (item.tenant, item.key.clone()));
    let mut seen = first.items;
    let mut pages = 1;
    loop {
        put(store, A, &format!("key-{:02}", pages * 3), "changed").await;
        put(store, A, &format!("key-{:02}x", pages * 5), "added").await;
        write(store, vec![A.delete("key-19")]).await;
        let range = Range { limit: 7, at: Some(first.revision), after: after.take(), ..of(A) };
        let page = store.range(range).await.unwrap();
        assert_eq!(page.revision, first.revision);
        after = page.items.last().map(|item| (item.tenant, item.key.clone()));
        seen.extend(page.items);
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, 3);
    let expected: Vec<String> = (0..20).map(|n| format!("key-{n:02}")).collect();
    assert_eq!(seen.iter().map(|item| item.key.clone()).collect::<Vec<_>>(), expected);
    assert!(seen.iter().all(|item| item.value == "old" && item.modified <= first.revision));
}

pub async fn a_range_of_the_past_shows_the_past(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let empty = store.revision().await.unwrap();
    let r1 = put(store, A, "a", "1").await;
    let r2 = write(store, vec![A.put("a", value("2")), A.put("b", value("1"))]).await;
    let r3 = write(store, vec![A.delete("a")]).await;
    let r4 = put(store, A, "a", "3").await;
    let table: [(Revision, &[(&str, &str)]); 5] = [
        (empty, &[]),
        (r1, &[("a", "1")]),
        (r2, &[("a", "2"), ("b", "1")]),
        (r3, &[("b", "1")]),
        (r4, &[("a", "3"), ("b", "1")]),
    ];
    for (at, expected) in table {
        assert_eq!(texts(store, Range { at: Some(at), ..of(A) }).await, pairs(expected), "at {at}");
    }
    let modified = items(store, Range { at: Some(r3), ..of(A) }).await[0].modified;
    assert_eq!(modified, r2);
    let future = Revision(r4.0 + 1);
    let result = store.range(Range { at: Some(future), ..of(A) }).await;
    let Err(StoreError::Future { requested, newest }) = result else { panic!("{result:?}") };
    assert_eq!((requested, newest), (future, r4));
}

pub async fn ranges_select_by_prefix_and_page(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    for space in [A, B] {
        for key in ["/pods/a/1", "/pods/a/2", "/pods/ab/1", "/pods/b/1", "/podsx", "apps/deployments/a/1"] {
            put(store, space, key, "").await;
        }
    }
    let after = |key: &str| Some((A.tenant(), key.to_owned()));
    // Prefix, after, limit: keys, whether more follow.
    type Row = (&'static str, Option<&'static str>, usize, &'static [&'static str], bool);
    let table: [Row; 11] = [
        ("/pods/a/", None, 0, &["/pods/a/1", "/pods/a/2"], false),
        ("/pods/a/", None, 2, &["/pods/a/1", "/pods/a/2"], false),
        ("/pods/a/", None, 1, &["/pods/a/1"], true),
        ("/pods/", None, 3, &["/pods/a/1", "/pods/a/2", "/pods/ab/1"], true),
        ("/pods/", Some("/pods/ab/1"), 3, &["/pods/b/1"], false),
        ("/pods/", Some("/pods/ab/0"), 0, &["/pods/ab/1", "/pods/b/1"], false),
        ("/pods/", Some("/pods/b/1"), 0, &[], false),
        ("/pods/b", Some("/aaa"), 0, &["/pods/b/1"], false),
        ("/pods", Some("/pods/b/1"), 0, &["/podsx"], false),
        ("nothing", None, 0, &[], false),
        ("", Some("/podsx"), 0, &["apps/deployments/a/1"], false),
    ];
    for (prefix, from, limit, expected, more) in table {
        let range = Range { prefix: prefix.into(), after: from.and_then(after), limit, ..of(A) };
        let page = store.range(range.clone()).await.unwrap();
        let found: Vec<&str> = page.items.iter().map(|item| &*item.key).collect();
        assert_eq!((found.as_slice(), page.more), (expected, more), "{range:?}");
    }
    // Over all spaces, too.
    let range = Range { prefix: "/pods/a/".into(), limit: 3, ..Range::default() };
    let page = store.range(range.clone()).await.unwrap();
    assert_eq!((page.items.len(), page.more), (3, true));
    let last = page.items.last().map(|item| (item.tenant, item.key.clone()));
    let page = store.range(Range { after: last, ..range }).await.unwrap();
    assert_eq!(page.items.iter().map(|item| &*item.key).collect::<Vec<_>>(), ["/pods/a/2"]);
    assert_eq!((page.items[0].tenant, page.more), (B.tenant(), false));
}

pub async fn tenants_are_apart(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let from = store.revision().await.unwrap();
    for (n, space) in [C, A, B].into_iter().enumerate() {
        put(store, space, "/pods/default/web", &n.to_string()).await;
        put(store, space, "~", "last").await;
    }
    for (n, space) in [C, A, B].into_iter().enumerate() {
        let found = items(store, of(space)).await;
        assert!(found.iter().all(|item| item.tenant == space.tenant()));
        assert_eq!(found.iter().map(|item| &*item.key).collect::<Vec<_>>(), ["/pods/default/web", "~"]);
        assert_eq!(found[0].value, n.to_string());
    }
    // A place in another space is no way in.
    let after = Some((A.tenant(), "~".to_owned()));
    assert_eq!(keys(store, Range { after: after.clone(), ..of(A) }).await, Vec::<String>::new());
    let all = items(store, Range::default()).await;
    let order: Vec<TenantId> = all.iter().step_by(2).map(|item| item.tenant).collect();
    assert_eq!(order, [A.tenant(), B.tenant(), C.tenant()]);
    let rest = items(store, Range { after, ..Range::default() }).await;
    assert_eq!(rest, all[2..]);

    let mut watch = store.watch(from).await.unwrap();
    for space in [C, C, A, A, B, B] {
        assert_eq!(watch.recv().await.unwrap().events[0].tenant, space.tenant());
    }
    // A precondition and a deletion hit their own space only.
    let revision = write(store, vec![A.delete("~")]).await;
    assert_eq!(keys(store, of(B)).await.len(), 2);
    assert_eq!(keys(store, of(A)).await.len(), 1);
    assert!(all.iter().all(|item| item.modified < revision));
}

pub async fn deleting_a_space_leaves_the_others(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    for n in 0..150 {
        let operations =
            [A, B, C].map(|space| space.put(format!("key-{:03}", 149 - n), value(n.to_string()))).to_vec();
        write(store, operations).await;
    }
    let before = store.revision().await.unwrap();
    let mut watch = store.watch(before).await.unwrap();
    let commit = Commit {
        preconditions: vec![B.expect("tenant", Revision::ZERO)],
        operations: vec![B.put("tenant", value("removed")), A.delete_all(), B.delete("key-000")],
    };
    let revision = store.commit(commit).await.unwrap();
    assert_eq!(keys(store, of(A)).await, Vec::<String>::new());
    assert_eq!(keys(store, of(B)).await.len(), 150);
    assert_eq!(keys(store, of(C)).await.len(), 150);
    assert_eq!(keys(store, Range { at: Some(before), ..of(A) }).await.len(), 150);

    let batch = watch.recv().await.unwrap();
    assert_eq!((batch.revision, batch.events.len()), (revision, 152));
    let removed: Vec<&str> = batch.events[1..151].iter().map(|event| &*event.key).collect();
    let expected: Vec<String> = (0..150).map(|n| format!("key-{n:03}")).collect();
    assert_eq!(removed, expected);
    assert!(batch.events[1..].iter().all(|event| event.value.is_none()));

    // The space can be used again, and an earlier commit of the same group counts.
    let (first, second) = tokio::join!(put_late(store, "x"), put_late(store, "y"));
    assert_ne!(first, second);
    assert_eq!(write(store, vec![A.delete_all()]).await.0, first.max(second).0 + 1);
    assert_eq!(keys(store, of(A)).await, Vec::<String>::new());
}

async fn put_late(store: &dyn ObjectStore, key: &str) -> Revision {
    put(store, A, key, "").await
}

pub async fn compacted_history_is_refused(fixture: &dyn Fixture) {
    let store = &*fixture.open().await;
    let r1 = put(store, A, "a", "1").await;
    put(store, A, "b", "1").await;
    let r3 = put(store, A, "a", "2").await;
    let r4 = write(store, vec![A.delete("b")]).await;
    let r5 = put(store, A, "a", "3").await;
    let future = Revision(r5.0 + 1);
    assert!(matches!(store.compact(future).await, Err(StoreError::Future { .. })));
    store.compact(r4).await.unwrap();

    for before in [r1, r3] {
        let range = store.range(Range { at: Some(before), ..of(A) }).await;
        let Err(StoreError::Compacted { requested, oldest }) = range else { panic!("{range:?}") };
        assert_eq!((requested, oldest), (before, r4));
        let watch = store.watch(before).await;
        let Err(StoreError::Compacted { requested, oldest }) = watch else { panic!("{watch:?}") };
        assert_eq!((requested, oldest), (before, r4));
    }
    assert_eq!(texts(store, Range { at: Some(r4), ..of(A) }).await, pairs(&[("a", "2")]));
    assert_eq!(texts(store, of(A)).await, pairs(&[("a", "3")]));
    let mut watch = store.watch(r4).await.unwrap();
    assert_eq!(watch.recv().await.unwrap().revision, r5);
    // Compacting less or the same again is done already.
    store.compact(r3).await.unwrap();
    store.compact(r4).await.unwrap();
    store.compact(r5).await.unwrap();
    assert_eq!(texts(store, of(A)).await, pairs(&[("a", "3")]));
    assert_eq!(refused(store, vec![A.expect("a", r3)], vec![]).await, (0, r5));
    assert!(put(store, A, "b", "2").await > r5);
}

pub async fn revisions_never_go_back(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut last = Revision::ZERO;
    for n in 0..40 {
        last = put(&*store, A, &format!("key-{n}"), "x").await;
    }
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.revision().await.unwrap(), last);
    assert_eq!(keys(&*store, of(A)).await.len(), 40);
    // Also when nothing is left, and nothing of the past.
    let emptied = write(&*store, vec![A.delete_all()]).await;
    assert_eq!(emptied.0, last.0 + 1);
    store.compact(emptied).await.unwrap();
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.revision().await.unwrap(), emptied);
    assert_eq!(keys(&*store, Range::default()).await, Vec::<String>::new());
    let range = store.range(Range { at: Some(last), ..of(A) }).await;
    assert!(matches!(range, Err(StoreError::Compacted { .. })), "{range:?}");
    assert_eq!(put(&*store, A, "a", "1").await.0, emptied.0 + 1);
}

pub async fn compare_and_swap_loses_no_update(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    loop {
                        let found = items(&*store, of(A)).await;
                        let (at, count) = found.first().map_or((Revision::ZERO, 0), |item| {
                            let text = std::str::from_utf8(&item.value).unwrap();
                            (item.modified, text.parse::<u32>().unwrap())
                        });
                        let commit = Commit {
                            preconditions: vec![A.expect("counter", at)],
                            operations: vec![A.put("counter", value((count + 1).to_string()))],
                        };
                        match store.commit(commit).await {
                            Ok(_) => break,
                            Err(CommitError::Precondition { actual, .. }) => assert!(actual > at),
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(texts(&*store, of(A)).await, pairs(&[("counter", "80")]));
}
