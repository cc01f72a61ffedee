//! `cargo xtask test`: the steps of CI, each with its duration.

use crate::checkout::{cargo, run};
use crate::{tidy, tools};
use anyhow::{Context, Result};
use std::io::Write;
use std::time::{Duration, Instant};

type Step<'a> = (&'static str, Box<dyn Fn() -> Result<()> + 'a>);

/// Runs all steps; the first that fails ends it.
pub fn test(arguments: &[&str]) -> Result<()> {
    let cargo_step = |arguments: &'static [&'static str]| move || run(cargo().args(arguments));
    let steps: [Step<'_>; 6] = [
        ("tools", Box::new(tools::install)),
        ("format", Box::new(cargo_step(&["fmt", "--all", "--check"]))),
        ("tidy", Box::new(tidy::run)),
        (
            "clippy",
            Box::new(cargo_step(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--all-features",
                "--",
                "-D",
                "warnings",
            ])),
        ),
        // The whole-system tests start the binary, which a test of another crate does not build.
        ("build", Box::new(cargo_step(&["build", "--workspace", "--all-features", "--bin", "insula"]))),
        (
            "test",
            Box::new(move || run(cargo().args(["test", "--workspace", "--all-features"]).args(arguments))),
        ),
    ];
    let count = steps.len();
    let start = Instant::now();
    let mut times = Vec::new();
    for (number, (name, step)) in (1..).zip(&steps) {
        say(&format!("[{number}/{count}] {name}"));
        let start = Instant::now();
        step().with_context(|| format!("step {name} failed after {}", duration(start.elapsed())))?;
        let took = duration(start.elapsed());
        say(&format!("[{number}/{count}] {name}: {took}"));
        times.push(format!("{name} {took}"));
    }
    say(&format!("all passed in {} ({})", duration(start.elapsed()), times.join(", ")));
    Ok(())
}

/// Writes a line for the one who waits.
pub fn say(line: &str) {
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=59 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_to_read() {
        for (milliseconds, shown) in
            [(0, "0.0 s"), (1250, "1.2 s"), (59_999, "59.9 s"), (61_000, "1 min 1 s")]
        {
            assert_eq!(duration(Duration::from_millis(milliseconds)), shown);
        }
    }
}
