//! Versioned objects: commit, range, watch from a revision, on an embedded store or etcd.
//!
//! The store knows no kinds. A value is opaque bytes under a key of one plane's space; every commit is one new
//! [`Revision`] of the installation, and revisions never go back. Read in this order: [`operation`] (what a
//! commit says), [`engine`] (what an engine promises), then the engines.
//!
//! A [`Space`] names keys of its own tenant only, and operations are made by spaces only: code that holds one
//! tenant's space cannot name another tenant's keys.

pub mod engine;
pub mod operation;

pub use engine::{Batch, CommitError, Event, Item, ObjectStore, Page, Range, StoreError, Watch};
pub use operation::{Commit, MAX_OPERATIONS, Operation, Precondition, Space};
