//! What a disk loses that loses power: anything that was not synced.

use super::simulated::{Image, Simulated, Step, apply, apply_some, unsynced};
use super::workload::{History, open, written};
use super::{Dice, seeds};

/// Images of what may be left, at each step.
const IMAGES: u64 = 2;

/// What is lost at a step.
#[derive(Clone, Copy, Debug)]
enum Lost {
    All,
    Nothing,
    Some,
}

fn losses(pending: usize) -> impl Iterator<Item = Lost> {
    let more = (0..if pending > 0 { IMAGES } else { 0 }).map(|_| Lost::Some);
    std::iter::once(Lost::All).chain((pending > 0).then_some(Lost::Nothing)).chain(more)
}

#[tokio::test]
async fn power_loss_at_every_step_loses_nothing_that_was_synced() {
    for seed in seeds("power loss") {
        let (history, disk) = written(seed, 14).await;
        let steps = disk.steps();
        let mut dice = Dice::of(seed);
        let (mut acknowledged, mut compacted) = (0, 0);
        let mut images = 0;
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Acknowledged(revision) => acknowledged = *revision,
                Step::Compacted(at) => compacted = compacted.max(*at),
                Step::Sync(_) | Step::Write(..) | Step::Length(..) => {}
            }
            // Before there is a store there is nothing to lose: the file has another name until then.
            if acknowledged == 0 {
                continue;
            }
            let pending = unsynced(&steps[..=number]);
            let durable = without(&steps[..=number], &pending);
            for lost in losses(pending.len()) {
                let mut image = durable.clone();
                match lost {
                    Lost::All => {}
                    Lost::Nothing => pending.iter().for_each(|step| apply(&mut image, step)),
                    Lost::Some => apply_some(&mut image, pending.iter().copied(), &mut dice),
                }
                let left = history.up_to(acknowledged, compacted);
                comes_back(image, left, &mut dice, &format!("seed {seed}, step {number}, {lost:?} lost"))
                    .await;
                images += 1;
            }
        }
        assert!(images > 100, "only {images} images");
        eprintln!("power loss: seed {seed}: {} steps, {images} images", steps.len());
    }
}

/// What is on a disk after some steps of which these are lost.
fn without(steps: &[Step], lost: &[&Step]) -> Image {
    let mut image = Image::default();
    let kept = steps.iter().filter(|step| !lost.iter().any(|lost| std::ptr::eq(*lost, *step)));
    kept.for_each(|step| apply(&mut image, step));
    image
}

/// The store of an image has what it must have, and goes on; and power is lost once more, while it was opened or after.
async fn comes_back(image: Image, mut left: History, dice: &mut Dice, what: &str) {
    let disk = Simulated::with(image.clone());
    let store = open(disk.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
    left.check(&store).await;
    if dice.below(8) > 0 {
        return;
    }
    let before = left.clone();
    left.write(&store, dice, 1, |step| disk.note(step)).await.unwrap();
    drop(store);
    let steps = disk.steps();
    let end = dice.below(steps.len() as u64 + 1) as usize;
    let pending = unsynced(&steps[..end]);
    let mut image = image;
    let kept = steps[..end].iter().filter(|step| !pending.iter().any(|lost| std::ptr::eq(*lost, *step)));
    kept.for_each(|step| apply(&mut image, step));
    apply_some(&mut image, pending, dice);
    let acknowledged = steps[..end].iter().filter_map(|step| match step {
        Step::Acknowledged(revision) => Some(*revision),
        _ => None,
    });
    let acknowledged = acknowledged.max().unwrap_or_else(|| before.newest());
    let mut left = left.up_to(acknowledged, before.compacted);
    let store = open(Simulated::with(image)).unwrap_or_else(|error| panic!("{what}, and again: {error}"));
    left.check(&store).await;
}
