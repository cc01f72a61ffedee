//! One resource of one plane as it was at one revision. Who walks through it holds nobody up.

use super::collection::Change;
use super::objects::{Objects, Slice};
use super::record::Record;
use api_types::ObjectName;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Objects that all planes have unless a stored one hides them.
pub type Shared = Arc<BTreeMap<ObjectName, Arc<Record>>>;

/// What was there.
pub struct Snapshot {
    pub(super) stored: Objects,
    pub(super) shared: Option<Shared>,
    /// Changes that are in `stored` and came later, oldest first.
    pub(super) newer: Vec<Arc<Change>>,
}

/// Records in order of name.
pub enum Records {
    /// A part of what is stored, as it is.
    Stored(Slice),
    /// Put together from what is stored, what is shared and what was before.
    Merged(Vec<Arc<Record>>),
}

impl Snapshot {
    /// The objects of a namespace (empty: of all) in order of name, those after `after`. Costs little, and the walk
    /// as much as is walked, when nothing is shared and nothing came later.
    pub fn records(&self, namespace: &str, after: Option<&ObjectName>) -> Records {
        let stored = self.stored.slice(namespace, after);
        let in_range = |name: &ObjectName| {
            (namespace.is_empty() || name.namespace == namespace) && after.is_none_or(|after| name > after)
        };
        let mut before: BTreeMap<&ObjectName, Option<&Arc<Record>>> = BTreeMap::new();
        for change in self.newer.iter().filter(|change| in_range(&change.object.name)) {
            before.entry(&change.object.name).or_insert(change.previous.as_ref());
        }
        if self.shared.is_none() && before.is_empty() {
            return Records::Stored(stored);
        }
        let mut all: BTreeMap<&ObjectName, &Arc<Record>> = BTreeMap::new();
        if let Some(shared) = &self.shared {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            all.extend(shared.range((from, Bound::Unbounded)).filter(|(name, _)| in_range(name)));
        }
        all.extend(stored.iter().map(|record| (&record.name, record)));
        for (name, record) in before {
            match record {
                Some(record) => all.insert(name, record),
                None => all.remove(name),
            };
        }
        Records::Merged(all.into_values().cloned().collect())
    }
}

impl Snapshot {
    /// One object, when it was there and comes after `after`. Costs no walk.
    pub fn one(&self, name: &ObjectName, after: Option<&ObjectName>) -> Records {
        let newer = self.newer.iter().find(|change| change.object.name == *name);
        let found = match newer {
            Some(change) => change.previous.as_ref(),
            None => self.stored.get(name).or_else(|| self.shared.as_ref()?.get(name)),
        };
        let wanted = |record: &&Arc<Record>| after.is_none_or(|after| record.name > *after);
        Records::Merged(found.filter(wanted).cloned().into_iter().collect())
    }
}

impl Records {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Records::Stored(slice) => slice.count(),
            Records::Merged(records) => records.len(),
        }
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        let (stored, merged) = match self {
            Records::Stored(slice) => (Some(slice.iter()), None),
            Records::Merged(records) => (None, Some(records.iter())),
        };
        stored.into_iter().flatten().chain(merged.into_iter().flatten())
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<Arc<Record>> {
        self.iter().cloned().collect()
    }
}
