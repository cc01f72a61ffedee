//! `cargo xtask torture`: the proofs that nothing is lost and nothing is shown, for as long as you like.
//!
//! The tests are those of `cargo xtask test`, which runs the short form of each. Here each gets its share of the time in
//! `TORTURE_SECONDS`, and its first seed in `TORTURE_SEED`.

use crate::{checkout, steps, tools};
use anyhow::{Context, Result, bail, ensure};
use std::time::Instant;

pub const USAGE: &str = "\
usage: cargo xtask torture [--minutes 30] [--seed S] [--only NAME] [--release]

  disks      a disk that fails, loses power, or whose process ends, at every step of the store
  store      the store is killed under load, again and again
  model      the store against a model, by random operations
  server     the server is killed under load, on either engine: linearizability, and what watches promise
  members    a real etcd of three members whose members are killed and cut off
  secrecy    random requests of one tenant, in whose answers no byte of another one may be

The minutes are divided among them. Every round has a seed, which is printed: with --only and --seed a failure is repeated,
as far as it does not depend on when threads run.";

/// A proof: its name, and the arguments of `cargo test`.
type Proof = (&'static str, &'static [&'static str]);

const PROOFS: &[Proof] = &[
    ("disks", &["--package=object-store", "--lib", "embedded::faults"]),
    ("store", &["--package=object-store", "--test=crash"]),
    ("model", &["--package=object-store", "--test=model"]),
    ("server", &["--package=tests", "--test=torture", "killed"]),
    ("members", &["--package=tests", "--test=torture", "members"]),
    ("secrecy", &["--package=tests", "--test=torture", "secrecy"]),
];

struct Options {
    minutes: u64,
    seed: u64,
    only: Option<String>,
    release: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let mut options = Options { minutes: 30, seed: now, only: None, release: false };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            if *flag == "--release" {
                options.release = true;
                continue;
            }
            let value = arguments.next().with_context(|| format!("{flag} has no value\n{USAGE}"))?;
            match *flag {
                "--minutes" => options.minutes = value.parse().context("--minutes is no number")?,
                "--seed" => options.seed = value.parse().context("--seed is no number")?,
                "--only" => options.only = Some((*value).to_owned()),
                _ => bail!("unknown flag {flag}\n{USAGE}"),
            }
        }
        ensure!(options.minutes > 0, "--minutes has to be at least 1");
        if let Some(only) = &options.only {
            ensure!(PROOFS.iter().any(|(name, _)| name == only), "there is no {only}\n{USAGE}");
        }
        Ok(options)
    }

    fn proofs(&self) -> Vec<&'static Proof> {
        PROOFS.iter().filter(|(name, _)| self.only.as_ref().is_none_or(|only| only == name)).collect()
    }
}

/// `cargo xtask torture`.
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let profile: &[&str] = if options.release { &["--release"] } else { &[] };
    tools::install()?;
    checkout::run(
        checkout::cargo().args(["build", "--workspace", "--all-features", "--bin=insula"]).args(profile),
    )?;
    let proofs = options.proofs();
    let start = Instant::now();
    for (number, (name, test)) in (1..).zip(&proofs) {
        // What an earlier one did not need is for the later ones; threads of one test binary run at once.
        let left = (options.minutes * 60).saturating_sub(start.elapsed().as_secs());
        let seconds = (left / (proofs.len() as u64 + 1 - number)).max(1);
        steps::say(&format!(
            "[{number}/{}] {name}: {seconds} s, seed {}; to repeat it: cargo xtask torture --only {name} --seed {}",
            proofs.len(),
            options.seed,
            options.seed
        ));
        let mut cargo = checkout::cargo();
        cargo.arg("test").args(profile).arg("--all-features").args(*test).args(["--", "--nocapture"]);
        cargo.env("TORTURE_SECONDS", seconds.to_string()).env("TORTURE_SEED", options.seed.to_string());
        // About so many as a machine with two cores does in the time.
        cargo.env("PROPTEST_CASES", (seconds * 50).to_string());
        checkout::run(&mut cargo).with_context(|| {
            format!("{name} failed; to repeat it: cargo xtask torture --only {name} --seed {}", options.seed)
        })?;
    }
    steps::say(&format!("nothing was lost, in {} min", start.elapsed().as_secs() / 60));
    Ok(())
}
