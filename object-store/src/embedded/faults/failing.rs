//! Disks that fail at a step, every step once, in every way.

use super::simulated::{Fault, Simulated};
use super::workload::{Change, History, open, ready};
use super::{Dice, is_long, seeds};
use crate::embedded::EmbeddedStore;
use crate::engine::{CommitError, ObjectStore, StoreError};
use api_types::Revision;

const GROUPS: u64 = 9;

#[tokio::test]
async fn a_disk_that_fails_at_any_step_loses_nothing_and_reading_goes_on() {
    for seed in seeds("failing disk") {
        for fault in [Fault::Broken, Fault::Full, Fault::Torn, Fault::Once, Fault::Unread] {
            // In the short form not every step of the faults that are much like the first.
            let stride = match fault {
                Fault::Torn | Fault::Once if !is_long() => 5,
                _ => 1,
            };
            let mut step = seed as usize % stride;
            while fails(seed, fault, step).await {
                step += stride;
            }
            // Most is read from memory: how much is read from the disk depends on the seed.
            let least = if fault == Fault::Unread { 1 } else { 5 };
            assert!(step > least, "{fault:?} came only at {step} steps");
            eprintln!("failing disk: seed {seed}: {fault:?} at {} steps", step / stride);
        }
    }
}

/// One run with the fault at a step; false when it ends before.
async fn fails(seed: u64, fault: Fault, step: usize) -> bool {
    let what = format!("seed {seed}, {fault:?} at {step}");
    let disk = Simulated::default();
    let store = open(disk.clone()).unwrap();
    let mut live = store.watch(Revision(0)).await.unwrap();
    let mut history = History::default();
    let mut dice = Dice::of(seed);
    history.write(&store, &mut dice, 2, |_| {}).await.unwrap();
    disk.fail_after(step, fault);
    let failure = history.write(&store, &mut dice, GROUPS, |_| {}).await.err();
    if !disk.has_failed() {
        return false;
    }
    // It may have failed in the background, after the last answer.
    if let Some(failure) = &failure {
        assert!(
            matches!(failure, CommitError::Unknown(_) | CommitError::Store(StoreError::Unavailable(_))),
            "{what}: {failure}"
        );
        assert!(failure.to_string().contains("failed: ") || fault == Fault::Unread, "{what}: {failure}");
    }
    stands_still(&store, &disk, &mut history, &mut dice, &what).await;
    for revision in 1..=history.newest() {
        assert_eq!(*ready(&mut live).await.expect(&what), history.batch(revision), "{what}");
    }
    assert!(ready(&mut live).await.is_none(), "{what}: a watch shows what was not acknowledged");
    if fault != Fault::Unread {
        // What may be committed is not shown before it is opened again.
        let unknown = std::mem::take(&mut history.unknown);
        history.check(&store).await;
        history.unknown = unknown;
    }
    drop(store);
    // The other thread may have been in the middle of a group.
    let late = if fault == Fault::Unread { 0 } else { disk.late() };
    assert!(late <= 4, "{what}: {late} steps after the failure");

    // Opened again on a disk that is sound again.
    let store = open(Simulated::with(disk.bytes())).unwrap_or_else(|error| panic!("{what}: {error}"));
    history.check(&store).await;
    history.write(&store, &mut dice, 2, |_| {}).await.unwrap();
    true
}

/// Nothing is committed any more, each refusal says why, and so does the store when it is asked.
async fn stands_still(
    store: &EmbeddedStore,
    disk: &Simulated,
    history: &mut History,
    dice: &mut Dice,
    what: &str,
) {
    for number in 1_000_000..1_000_003 {
        let change = Change::of(dice, number);
        match store.commit(change.commit()).await {
            Err(CommitError::Store(StoreError::Unavailable(why))) => {
                assert!(why.contains("failed: "), "{what}: {why}")
            }
            // The failure was in the background, and nobody has been told.
            Err(CommitError::Unknown(_)) if number == 1_000_000 => history.unknown.push(change),
            // It has been a moment ago, in the other thread.
            Ok(_) if number == 1_000_000 => history.committed(change),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert!(disk.has_failed());
    let why = store.writable().await.expect_err(what).to_string();
    assert!(why.contains("failed: "), "{what}: {why}");
    store.compact(Revision(history.newest())).await.expect_err(what);
    store.shrink().await.expect_err(what);
}
