//! Disks that fail, lose what was not synced, or are full, and processes that end, at every step of the store.
//!
//! Read in this order: `simulated` (the disk), `workload` (what is written, and what has to be there afterwards), then
//! the proofs: `failing`, `power_loss`, `killed`, and `left`: what of the two files is needed.
//!
//! A run has one seed. `TORTURE_SEED` is the first one, and with `TORTURE_SECONDS` others follow for so long.

#![allow(clippy::print_stderr, clippy::print_stdout)]

mod failing;
mod killed;
mod left;
mod power_loss;
mod simulated;
mod workload;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// The seeds of a test's rounds.
fn seeds(name: &'static str) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("TORTURE_SEED").unwrap_or(1);
    let duration = number("TORTURE_SECONDS").map(Duration::from_secs);
    let start = Instant::now();
    let goes_on = move |seed: &u64| *seed == first || duration.is_some_and(|all| start.elapsed() < all);
    (first..).take_while(goes_on).inspect(move |seed| eprintln!("{name}: seed {seed}"))
}

/// Whether this is the long form.
fn is_long() -> bool {
    std::env::var_os("TORTURE_SECONDS").is_some()
}

/// Numbers that follow from a seed.
pub(super) struct Dice(StdRng);

impl Dice {
    pub fn of(seed: u64) -> Self {
        Dice(StdRng::seed_from_u64(seed))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.random_range(..limit)
    }
}
