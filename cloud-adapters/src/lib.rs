//! Cloud kinds against public and private clouds, and their connection secrets.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod connection;
pub mod fault;
pub mod names;
pub mod postgresql;
