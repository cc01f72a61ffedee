//! The adapters against a real PostgreSQL, with planes in memory.

mod postgres;
mod steps;
mod story;
