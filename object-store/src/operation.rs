//! What a commit says: preconditions and operations on keys of spaces.

use api_types::{Revision, TenantId};
use bytes::Bytes;
use std::collections::BTreeSet;

/// The most operations (and, counted apart, preconditions) of one commit.
pub const MAX_OPERATIONS: usize = 100;

/// The longest key, in bytes: group, resource, namespace and name at their longest, with room.
pub const MAX_KEY_BYTES: usize = 1024;

/// The largest value, in bytes: what Kubernetes takes as a request body. etcd takes less: 1.5 MiB for a commit
/// unless configured otherwise.
pub const MAX_VALUE_BYTES: usize = 3 << 20;

/// The most bytes of keys and values of one commit.
pub const MAX_COMMIT_BYTES: usize = 16 << 20;

/// The key space of one plane. The only maker of operations and preconditions.
///
/// Keys are `<group>/<resource>/<namespace>/<name>` (empty parts stay: `/namespaces//default`); the engine puts
/// its prefix and the tenant's UID before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Space(TenantId);

impl Space {
    /// The space of a plane.
    pub const fn new(tenant: TenantId) -> Self {
        Space(tenant)
    }

    /// Whose space it is.
    pub const fn tenant(self) -> TenantId {
        self.0
    }

    /// The commit happens only if the key was last modified at `revision`; [`Revision::ZERO`]: is absent.
    pub fn expect(self, key: impl Into<String>, revision: Revision) -> Precondition {
        Precondition { tenant: self.0, key: key.into(), revision }
    }

    /// Writes a value.
    pub fn put(self, key: impl Into<String>, value: Bytes) -> Operation {
        Operation { tenant: self.0, key: key.into(), action: Action::Put(value) }
    }

    /// Removes a key; removing an absent key is no error and no event.
    pub fn delete(self, key: impl Into<String>) -> Operation {
        Operation { tenant: self.0, key: key.into(), action: Action::Delete }
    }

    /// Removes every key of the space, with an event for each.
    pub fn delete_all(self) -> Operation {
        Operation { tenant: self.0, key: String::new(), action: Action::DeleteAll }
    }
}

/// A condition on one key. Made by [`Space::expect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    pub(crate) tenant: TenantId,
    pub(crate) key: String,
    pub(crate) revision: Revision,
}

/// One change. Made by [`Space::put`], [`Space::delete`] and [`Space::delete_all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub(crate) tenant: TenantId,
    pub(crate) key: String,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Put(Bytes),
    Delete,
    DeleteAll,
}

/// All or nothing: every precondition holds and every operation is done, at one revision; or nothing is.
/// At most [`MAX_OPERATIONS`] operations; a key appears in at most one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// What must hold.
    pub preconditions: Vec<Precondition>,
    /// What is then done.
    pub operations: Vec<Operation>,
}

impl Commit {
    /// Says what is malformed: too many operations or preconditions, an empty or long key, a large value, a key
    /// in two operations. Removing a whole space names every key of it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.operations.len() > MAX_OPERATIONS {
            return Err("more operations than a commit takes");
        }
        if self.preconditions.len() > MAX_OPERATIONS {
            return Err("more preconditions than a commit takes");
        }
        let mut whole = BTreeSet::new();
        let mut single = BTreeSet::new();
        let mut bytes = 0;
        for operation in &self.operations {
            bytes += operation.key.len();
            if matches!(operation.action, Action::DeleteAll) {
                if !whole.insert(operation.tenant) {
                    return Err("a key is in two operations");
                }
                continue;
            }
            check_key(&operation.key)?;
            if let Action::Put(value) = &operation.action {
                bytes += value.len();
                if value.len() > MAX_VALUE_BYTES {
                    return Err("a value is too large");
                }
            }
            if !single.insert((operation.tenant, operation.key.as_str())) {
                return Err("a key is in two operations");
            }
        }
        if single.iter().any(|(tenant, _)| whole.contains(tenant)) {
            return Err("a key is in two operations");
        }
        if bytes > MAX_COMMIT_BYTES {
            return Err("a commit is too large");
        }
        self.preconditions.iter().try_for_each(|precondition| check_key(&precondition.key))
    }
}

fn check_key(key: &str) -> Result<(), &'static str> {
    match key.len() {
        0 => Err("a key is empty"),
        1..=MAX_KEY_BYTES => Ok(()),
        _ => Err("a key is too long"),
    }
}
