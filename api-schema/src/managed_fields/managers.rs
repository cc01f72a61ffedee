//! The entries of `metadata.managedFields`: which manager owns which fields.

use super::set::FieldSet;
use compact_str::CompactString;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// How many managers that only update may have entries; the oldest are put together beyond it.
const MAX_UPDATERS: usize = 10;
/// The manager that the oldest updaters are put together under.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

impl Operation {
    /// As the entry writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub manager: CompactString,
    pub operation: Operation,
    pub api_version: CompactString,
    pub subresource: CompactString,
    pub time: Option<Timestamp>,
    pub set: FieldSet,
    /// The set as it was read, while it has not changed.
    pub encoded: Option<Value>,
}

impl Entry {
    /// True when both are entries of one manager. An applier is one whatever version it applies.
    pub fn is_same_manager(&self, other: &Entry) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// Changes the set.
    pub fn set_fields(&mut self, set: FieldSet) {
        self.set = set;
        self.encoded = None;
    }

    /// Removes paths, not what is below them.
    pub fn subtract(&mut self, set: &FieldSet) {
        if self.set.subtract(set) {
            self.encoded = None;
        }
    }

    /// What Kubernetes sorts managers by.
    pub fn identifier(&self) -> String {
        let mut text = format!(
            "{{\"manager\":{},\"operation\":{:?}",
            Value::from(self.manager.as_str()),
            self.operation.as_str()
        );
        if self.operation == Operation::Update {
            text.push_str(&format!(",\"apiVersion\":{}", Value::from(self.api_version.as_str())));
        }
        if !self.subresource.is_empty() {
            text.push_str(&format!(",\"subresource\":{}", Value::from(self.subresource.as_str())));
        }
        text.push('}');
        text
    }

    fn seconds(&self) -> i64 {
        self.time.map_or(0, Timestamp::as_second)
    }

    fn order(&self, other: &Entry) -> Ordering {
        self.operation
            .cmp(&other.operation)
            .then_with(|| self.seconds().cmp(&other.seconds()))
            .then_with(|| self.manager.cmp(&other.manager))
            .then_with(|| self.api_version.cmp(&other.api_version))
            .then_with(|| self.subresource.cmp(&other.subresource))
    }

    fn read(at: usize, mut value: Value) -> Result<Entry, String> {
        let fields = value.get_mut("fieldsV1").map(Value::take);
        let text = |name: &str| value[name].as_str().unwrap_or("");
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".into()),
        };
        if text("apiVersion").is_empty() {
            return Err("apiVersion must not be empty".into());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
            other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {at}")),
        }
        // Without content the entry owns nothing.
        let set = match &fields {
            None | Some(Value::Null) => FieldSet::default(),
            Some(fields) => FieldSet::from_value(fields)?,
        };
        Ok(Entry {
            manager: text("manager").into(),
            operation,
            api_version: text("apiVersion").into(),
            subresource: text("subresource").into(),
            time: text("time").parse().ok(),
            set,
            encoded: fields.filter(Value::is_object),
        })
    }

    fn write(self) -> Value {
        let mut map = Map::new();
        if !self.manager.is_empty() {
            map.insert("manager".into(), self.manager.as_str().into());
        }
        map.insert("operation".into(), self.operation.as_str().into());
        map.insert("apiVersion".into(), self.api_version.as_str().into());
        if let Some(time) = self.time {
            map.insert("time".into(), time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
        }
        map.insert("fieldsType".into(), "FieldsV1".into());
        map.insert("fieldsV1".into(), self.encoded.unwrap_or_else(|| self.set.to_value()));
        if !self.subresource.is_empty() {
            map.insert("subresource".into(), self.subresource.as_str().into());
        }
        Value::Object(map)
    }
}

/// All entries of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Managers(pub Vec<Entry>);

impl Managers {
    /// Reads `metadata.managedFields`; what is no list has no entries.
    pub fn read(managed_fields: Value) -> Result<Managers, String> {
        let mut managers = Managers::default();
        let Value::Array(entries) = managed_fields else { return Ok(managers) };
        for (at, value) in entries.into_iter().enumerate() {
            managers.put(Entry::read(at, value)?);
        }
        Ok(managers)
    }

    /// Puts an entry in the place of the same manager's.
    pub fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|e| e.is_same_manager(&entry)) {
            Some(there) => *there = entry,
            None => self.0.push(entry),
        }
    }

    /// True when nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `metadata.managedFields`, in Kubernetes' order; `None` without entries.
    pub fn write(mut self) -> Option<Value> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by(Entry::order);
        Some(Value::Array(self.0.into_iter().map(Entry::write).collect()))
    }

    /// Puts the oldest updaters of each version together until there are at most ten.
    pub fn cap_updaters(&mut self) {
        let mut count = self.0.iter().filter(|e| e.operation == Operation::Update).count();
        if count <= MAX_UPDATERS {
            return;
        }
        self.0.sort_by_cached_key(|e| (e.seconds(), e.identifier()));
        let (updaters, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|e| e.operation == Operation::Update);
        // For each version the entry that others are put into.
        let mut into: Vec<Entry> = Vec::new();
        for entry in updaters {
            if count <= MAX_UPDATERS {
                kept.push(entry);
                continue;
            }
            match into.iter_mut().find(|e| e.api_version == entry.api_version) {
                None => into.push(entry),
                Some(bucket) => {
                    bucket.manager = ANCIENT.into();
                    bucket.subresource = CompactString::default();
                    bucket.time = entry.time;
                    let set = std::mem::take(&mut bucket.set).union(entry.set);
                    bucket.set_fields(set);
                    count -= 1;
                }
            }
        }
        kept.extend(into);
        self.0 = kept;
    }
}
