//! What clients are promised, under load and faults, through the API of a tenant over TLS: every history of an object is
//! linearizable, and watches are ordered, unique, gapless and resumable.
//!
//! And that no tenant is told anything of another one: `filling`, `requests`, `secrecy`.
//!
//! Each test has a short form, and a long one with `cargo xtask torture`. Read in this order: `client`, `history` (what
//! is written down), `load` (who writes), `watcher`, and then the faults: `killed`, `members`.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod client;
mod filling;
mod history;
mod killed;
mod load;
mod members;
mod requests;
mod secrecy;
mod watcher;
