//! Whole-system tests: the binary, real kubectl, a real PostgreSQL.

pub mod postgres;
pub mod tools;

pub use postgres::Postgres;
