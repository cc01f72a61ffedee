//! Versioned objects: commit, range, watch from a revision, on an embedded store or etcd.
//!
//! The store knows no kinds. A value is opaque bytes under a key of one plane's space; every commit is one new
//! [`Revision`] of the installation, and revisions never go back. Read in this order: [`operation`] (what a
//! commit says), [`engine`] (what an engine promises), then the engines: [`embedded`], and [`etcd`] with the cargo
//! feature of that name. [`sealing`] is a store before another one, in which secrets are sealed. [`retention`] decides when history is compacted, with either.
//! [`backup`] makes copies.
//!
//! A [`Space`] names keys of its own tenant only, and operations are made by spaces only: code that holds one
//! tenant's space cannot name another tenant's keys.

pub mod backup;
pub mod embedded;
pub mod engine;
#[cfg(feature = "etcd")]
pub mod etcd;
mod feed;
pub mod operation;
mod paging;
pub mod retention;
pub mod sealing;

pub use embedded::{EmbeddedOptions, EmbeddedStore};
pub use engine::{Batch, CommitError, Event, Item, ObjectStore, Page, Range, Size, StoreError, Watch};
#[cfg(feature = "etcd")]
pub use etcd::{CLAIM_SECONDS, EtcdOptions, EtcdStore, EtcdTls};
pub use operation::{
    Commit, MAX_COMMIT_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, MAX_VALUE_BYTES, Operation, Precondition, Space,
};
pub use paging::Paging;
pub use retention::Retention;
pub use sealing::{SealedStore, SealingKeys};
