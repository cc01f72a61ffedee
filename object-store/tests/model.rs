//! The embedded store against a model that keeps every revision whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use api_types::{Revision, TenantId};
use bytes::Bytes;
use object_store::{
    Commit, CommitError, EmbeddedOptions, EmbeddedStore, Event, ObjectStore, Range, Space, StoreError,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const SPACES: u128 = 3;
const KEYS: u8 = 5;

fn space(number: u128) -> Space {
    Space::new(TenantId::new(Uuid::from_u128(number % SPACES)))
}

fn key(number: u8) -> String {
    format!("/pods/{}", number % KEYS)
}

#[derive(Clone, Debug)]
enum Change {
    Put(u128, u8, Vec<u8>),
    Delete(u128, u8),
    DeleteAll(u128),
}

#[derive(Clone, Debug)]
enum Step {
    /// Changes, and keys that are expected to be where they are or, when false, somewhere else.
    Commit(Vec<Change>, Vec<(u128, u8, bool)>),
    /// Up to a share of the history that is kept.
    Compact(f64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        6 => (0..SPACES, 0..KEYS, prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(s, k, v)| Change::Put(s, k, v)),
        3 => (0..SPACES, 0..KEYS).prop_map(|(s, k)| Change::Delete(s, k)),
        1 => (0..SPACES).prop_map(Change::DeleteAll),
    ];
    let expected = (0..SPACES, 0..KEYS, prop::bool::weighted(0.9));
    prop_oneof![
        20 => (prop::collection::vec(change, 1..4), prop::collection::vec(expected, 0..3))
            .prop_map(|(changes, expected)| Step::Commit(changes, expected)),
        3 => (0.0..=1.0).prop_map(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

type Contents = BTreeMap<(TenantId, String), (Revision, Bytes)>;

/// Every revision whole, and the events that made it.
struct Model {
    contents: Vec<Contents>,
    events: Vec<Vec<Event>>,
    compacted: usize,
}

impl Model {
    fn newest(&self) -> usize {
        self.contents.len() - 1
    }

    fn at(&self, space: Space, key: &str) -> Revision {
        let last = &self.contents[self.newest()];
        last.get(&(space.tenant(), key.to_owned())).map_or(Revision::ZERO, |(at, _)| *at)
    }

    /// Does the changes; returns the commit that should do the same, or `None` when it is malformed.
    fn apply(&mut self, changes: &[Change], expected: &[(u128, u8, bool)]) -> (Commit, Result<(), usize>) {
        let mut commit = Commit::default();
        let mut fails = None;
        for (index, (number, name, right)) in expected.iter().enumerate() {
            let at = self.at(space(*number), &key(*name));
            let said = if *right { at } else { Revision(at.0 + 1) };
            commit.preconditions.push(space(*number).expect(key(*name), said));
            if !right && fails.is_none() {
                fails = Some(index);
            }
        }
        let mut next = self.contents[self.newest()].clone();
        let revision = Revision(self.contents.len() as u64);
        let mut events = Vec::new();
        for change in changes {
            match change {
                Change::Put(number, name, value) => {
                    let (space, key, value) = (space(*number), key(*name), Bytes::from(value.clone()));
                    commit.operations.push(space.put(&key, value.clone()));
                    next.insert((space.tenant(), key.clone()), (revision, value.clone()));
                    events.push(Event { tenant: space.tenant(), key, value: Some(value) });
                }
                Change::Delete(number, name) => {
                    let (space, key) = (space(*number), key(*name));
                    commit.operations.push(space.delete(&key));
                    if next.remove(&(space.tenant(), key.clone())).is_some() {
                        events.push(Event { tenant: space.tenant(), key, value: None });
                    }
                }
                Change::DeleteAll(number) => {
                    let tenant = space(*number).tenant();
                    commit.operations.push(space(*number).delete_all());
                    let gone: Vec<_> = next.keys().filter(|(of, _)| *of == tenant).cloned().collect();
                    for (tenant, key) in gone {
                        next.remove(&(tenant, key.clone()));
                        events.push(Event { tenant, key, value: None });
                    }
                }
            }
        }
        let result = fails.map_or(Ok(()), Err);
        if result.is_ok() && !events.is_empty() {
            self.contents.push(next);
            self.events.push(events);
        }
        (commit, result)
    }
}

/// Drops the changes that would make a commit malformed: a key twice, a key of a space removed whole.
fn well_formed(changes: Vec<Change>) -> Vec<Change> {
    let mut seen: Vec<(u128, Option<u8>)> = Vec::new();
    let mut kept = Vec::new();
    for change in changes {
        let (number, name) = match &change {
            Change::Put(number, name, _) | Change::Delete(number, name) => (*number, Some(*name)),
            Change::DeleteAll(number) => (*number, None),
        };
        let clash = seen
            .iter()
            .any(|(other, of)| *other == number && (of.is_none() || name.is_none() || *of == name));
        if !clash {
            seen.push((number, name));
            kept.push(change);
        }
    }
    kept
}

async fn agree(store: &EmbeddedStore, model: &Model, revision: usize) {
    let at = Revision(revision as u64);
    let range = Range { at: Some(at), ..Range::default() };
    let result = store.range(range).await;
    if revision < model.compacted {
        assert!(matches!(result, Err(StoreError::Compacted { .. })), "at {at}");
        return;
    }
    let page = result.unwrap();
    let found: Contents =
        page.items.into_iter().map(|item| ((item.tenant, item.key), (item.modified, item.value))).collect();
    assert_eq!(found, model.contents[revision], "at {at}");
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    // Tables of three revisions: compaction has something to do all the time.
    let options = EmbeddedOptions { table_revisions: 3, watch_buffer: 4, ..Default::default() };
    let open = || EmbeddedStore::open(dir.path(), options).unwrap();
    let mut store = open();
    let mut model = Model { contents: vec![Contents::new()], events: vec![Vec::new()], compacted: 0 };
    for step in steps {
        match step {
            Step::Commit(changes, expected) => {
                let (commit, expected) = model.apply(&well_formed(changes), &expected);
                match (store.commit(commit).await, expected) {
                    (Ok(revision), Ok(())) => assert_eq!(revision.0 as usize, model.newest()),
                    (Err(CommitError::Precondition { index, .. }), Err(first)) => assert_eq!(index, first),
                    (result, expected) => panic!("{result:?}, expected {expected:?}"),
                }
            }
            Step::Compact(share) => {
                let kept = model.newest() - model.compacted;
                model.compacted += (kept as f64 * share) as usize;
                store.compact(Revision(model.compacted as u64)).await.unwrap();
            }
            Step::Reopen => {
                store.close();
                store = open();
            }
        }
        agree(&store, &model, model.newest()).await;
    }
    store.close();
    let store = open();
    for revision in 0..=model.newest() {
        agree(&store, &model, revision).await;
    }
    let mut watch = store.watch(Revision(model.compacted as u64)).await.unwrap();
    for revision in model.compacted + 1..=model.newest() {
        let batch = watch.recv().await.unwrap();
        assert_eq!((batch.revision.0 as usize, &batch.events), (revision, &model.events[revision]));
    }
}

/// Few on every run; `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
