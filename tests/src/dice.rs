//! Numbers that follow from a seed, and the seeds of a run.
#![allow(clippy::print_stderr)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

/// Numbers that look random and follow from a seed.
#[derive(Clone, Debug)]
pub struct Dice(StdRng);

impl Dice {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Dice(StdRng::seed_from_u64(seed))
    }

    /// One below a limit, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.random_range(..limit)
    }

    /// One of some.
    ///
    /// # Panics
    /// When there is none.
    pub fn of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len() as u64) as usize]
    }
}

/// What a run of a test with random input is told by `cargo xtask torture`: `TORTURE_SEED`, by default 1, and for how long
/// it goes on, `TORTURE_SECONDS`.
#[derive(Clone, Copy, Debug)]
pub struct Torture {
    /// From which all random numbers follow.
    pub seed: u64,
    /// Until when; `None`: the short form.
    until: Option<Instant>,
}

impl Torture {
    /// What the environment says.
    pub fn begin(name: &str) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let seed = number("TORTURE_SEED").unwrap_or(1);
        eprintln!("{name}: seed {seed}");
        let until = number("TORTURE_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Torture { seed, until }
    }

    /// Whether there is another round after so many: in the short form there are `short` ones.
    pub fn goes_on(&self, rounds: u64, short: u64) -> bool {
        self.until.map_or(rounds < short, |until| rounds == 0 || Instant::now() < until)
    }

    /// Whether this is the long form.
    pub fn is_long(&self) -> bool {
        self.until.is_some()
    }
}
