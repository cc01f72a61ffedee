//! Fuzzing that runs on every build: random values of all built-in types, documents with damage, and what the
//! functions of this crate make of them. None may panic, hang, or change what it has just written.
//!
//! Every test runs few cases; `PROPTEST_CASES=100000 cargo test -p api-schema fuzz` runs more.

mod apply;
mod damage;
mod decoders;
mod expressions;
mod patches;
mod round_trips;
mod sample;
mod schemas;

use proptest::test_runner::Config;

/// A configuration with this many cases, or as many as `PROPTEST_CASES` asks for.
fn cases(usual: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: asked.unwrap_or(usual), ..Config::default() }
}
