//! What a write other than apply does to `metadata.managedFields`.

use super::Writer;
use super::check::fits;
use super::form::zero;
use super::managers::{Entry, Managers, Operation};
use super::set::FieldSet;
use super::versions::{Changes, reconcile};
use crate::graph::TypeRef;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The fields that nobody owns.
pub(super) static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::of_fields([
        &["apiVersion"][..],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// Adjusts `metadata.managedFields` of `new`, an object of type `root` that is to take the place of `live`
/// (`None`: it is created).
///
/// What differs from `live` goes to the writer's entry, and away from all others'. Entries that own nothing
/// vanish. The time of the writer's entry changes only when something goes to it. What `new` brings in
/// `metadata.managedFields` takes the place of the live entries when it can be read, is ignored when not, and
/// as `[]` or `[{}]` switches the tracking of a live object off until it is applied, as does an entry whose version is
/// none at all. Subresources ignore it.
pub fn update(root: TypeRef<'_>, live: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let sent = take_managed_fields(new);
    let of_live = || {
        let entries = live.map(|l| l["metadata"]["managedFields"].clone());
        Managers::read(entries.unwrap_or_default()).unwrap_or_default()
    };
    let managers = match sent {
        Some(sent) if writer.subresource.is_empty() => {
            if is_reset(&sent) {
                Managers::default()
            } else {
                Managers::read(sent).ok().filter(|m| !m.is_empty()).unwrap_or_else(of_live)
            }
        }
        _ => of_live(),
    };
    if managers.is_empty()
        && live.is_some_and(|l| l["metadata"]["uid"].as_str().is_some_and(|u| !u.is_empty()))
    {
        return;
    }
    if managers.0.iter().any(|entry| entry.api_version.matches('/').count() > 1) {
        return;
    }
    // Of what does not fit its type, as only custom resources may be, nobody owns anything.
    let is_custom = root.node().name.is_empty();
    if is_custom && (!fits(root, new) || live.is_some_and(|live| !fits(root, live))) {
        return;
    }
    let old = live.map_or_else(|| Cow::Owned(zero(root, 0)), Cow::Borrowed);
    let managers = record(root, &old, new, managers, writer, writer.manager);
    put_managed_fields(new, managers.write());
}

/// Gives what differs between `old` and `new` to `manager`.
pub(super) fn record(
    root: TypeRef<'_>,
    old: &Value,
    new: &Value,
    mut managers: Managers,
    writer: &Writer<'_>,
    manager: &str,
) -> Managers {
    reconcile(root, new, &mut managers, writer);
    let mut changes = Changes::new(root, old, new, writer);
    changes.take_from(&mut managers);
    let mut owned = changes.own.modified.union(changes.own.added);
    owned.subtract(&NEVER_OWNED);
    if !owned.is_empty() {
        let mut entry = Entry {
            manager: manager.into(),
            operation: Operation::Update,
            api_version: writer.api_version.into(),
            subresource: writer.subresource.into(),
            time: Some(writer.now),
            set: owned,
            encoded: None,
        };
        if let Some(previous) = managers.0.iter_mut().find(|e| e.is_same_manager(&entry)) {
            entry.set = entry.set.union(std::mem::take(&mut previous.set));
        }
        managers.put(entry);
    }
    managers.cap_updaters();
    managers
}

/// Gives `new` the entries of `live` when nothing but the times of entries differs between them, so that a write
/// that changes nothing is none. To be called last before the comparison of both.
pub fn keep_times(live: &Value, new: &mut Value) {
    fn without_times(object: &Value) -> Vec<Map<String, Value>> {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries
            .filter_map(Value::as_object)
            .map(|entry| {
                let rest = entry.iter().filter(|(name, _)| *name != "time");
                rest.map(|(name, value)| (name.clone(), value.clone())).collect()
            })
            .collect()
    }
    if live["metadata"]["managedFields"] == new["metadata"]["managedFields"]
        || without_times(live) != without_times(new)
    {
        return;
    }
    let kept = take_managed_fields(new);
    let equal = match (live, &*new) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, a)| {
                    let b = b.get(name);
                    if name == "metadata" { b.is_some_and(|b| same_metadata(a, b)) } else { b == Some(a) }
                })
        }
        _ => false,
    };
    let entries = if equal { live["metadata"].get("managedFields").cloned() } else { kept };
    put_managed_fields(new, entries);
}

/// Compares metadata, of which `new` has no managed fields any more.
fn same_metadata(live: &Value, new: &Value) -> bool {
    let (Value::Object(live), Value::Object(new)) = (live, new) else { return false };
    live.iter().filter(|(name, _)| *name != "managedFields").count() == new.len()
        && new.iter().all(|(name, value)| live.get(name) == Some(value))
}

pub(super) fn take_managed_fields(object: &mut Value) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    metadata.remove("managedFields").filter(|v| !v.is_null())
}

pub(super) fn put_managed_fields(object: &mut Value, entries: Option<Value>) {
    if let (Some(entries), Some(object)) = (entries, object.as_object_mut()) {
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("managedFields".into(), entries);
        }
    }
}

fn is_reset(sent: &Value) -> bool {
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([only]) => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}
