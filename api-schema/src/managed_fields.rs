//! Server-side apply and `metadata.managedFields`: who owns which field of an object.
//!
//! As Kubernetes 1.36 does it (KEP-555 and its successors, library structured-merge-diff): a manager that
//! *applies* a configuration owns the fields of it, a manager that *updates* owns what it changed. Applying
//! merges, removes what the same manager applied before and no longer does, and conflicts with what other
//! managers own and have at another value.
//!
//! Everything here is pure: types and values in, values out; the time is an argument. The caller defaults what
//! [`apply`] gives, and calls [`update`] before admission, as Kubernetes does, so that what admission sets is
//! nobody's.
//! Managers of several versions are compared each in its own version.

mod apply;
mod check;
mod compare;
mod extract;
mod form;
mod managers;
mod merge;
mod path;
mod remove;
mod scale;
mod set;
#[cfg(test)]
mod tests;
mod unowned;
mod update;
mod versions;

pub use apply::{ApplyError, Conflict, Conflicts, apply, kind_of, name_of};
pub use compare::{Comparison, compare};
pub use extract::fields_of;
pub use managers::Operation;
pub use path::PathElement;
pub(crate) use path::same as same_value;
pub use scale::{ReplicasPaths, from_scale, to_scale};
pub use set::FieldSet;
pub use unowned::apply_unowned;
pub use update::{keep_times, update};
pub use versions::Versions;

use jiff::Timestamp;

/// Who writes, and through which door.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager: `fieldManager` of the request, else the first part of its user agent.
    pub manager: &'a str,
    /// The `apiVersion` of the request's path.
    pub api_version: &'a str,
    /// The kind, checked against an applied configuration's; empty: not checked.
    pub kind: &'a str,
    /// The subresource (`status`, `scale`); empty for the main resource.
    pub subresource: &'a str,
    /// The fields that this door does not change (`&[&["status"]]` for a main resource with a status
    /// subresource): they are never recorded, with all below them.
    pub reset: &'a [&'a [&'a str]],
    /// When it happens; recorded in seconds.
    pub now: Timestamp,
    /// The other versions of the kind; `None`: all have the type of this one.
    pub versions: Option<&'a dyn Versions>,
}
