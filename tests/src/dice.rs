//! Numbers that follow from a seed, and the seeds of a run.
#![allow(clippy::print_stderr)]

use std::time::{Duration, Instant};

/// Numbers that look random and follow from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below a limit, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
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
