//! Waiting for a state, never for a time.
#![allow(clippy::panic)]

use std::time::{Duration, Instant};

/// How long a state may take to come. It bounds a failing test; no passing test depends on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a state is looked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// Looks again and again until the state is there, and returns what `look` found; `Err` is what was seen instead.
///
/// # Panics
/// When the state does not come within [`PATIENCE`], with what was seen last.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > PATIENCE => {
                panic!("not within {} s: {what}; seen last:\n{seen}", PATIENCE.as_secs())
            }
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}
