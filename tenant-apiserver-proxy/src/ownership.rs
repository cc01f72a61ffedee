//! Who owns which fields: `metadata.managedFields` on every write, and server-side apply.

use crate::gateway::Place;
use api_schema::managed_fields::{self, Writer};
use api_types::ApiError;
use jiff::Timestamp;
use serde_json::Value;

/// The fields that a write of the object or of its status does not own, because it does not write them.
fn reset_fields(place: &Place) -> &'static [&'static [&'static str]] {
    match (place.subresource.as_str(), place.row.has_status()) {
        ("", true) => &[&["status"]],
        ("status", _) if place.row.is_custom() => &[&["spec"], &["metadata"]],
        ("status", _) => &[&["spec"], &["metadata", "ownerReferences"]],
        _ => &[],
    }
}

fn writer<'a>(place: &'a Place, manager: &'a str, api_version: &'a str, now: Timestamp) -> Writer<'a> {
    Writer {
        manager,
        api_version,
        kind: &place.row.kind,
        subresource: &place.subresource,
        reset: reset_fields(place),
        now,
    }
}

/// Records what a create, update or patch changed. Runs before admission: what admission sets is nobody's.
/// Both objects are as they are stored.
pub fn record(place: &Place, live: Option<&Value>, new: &mut Value, by: &str, now: Timestamp) {
    let version = place.api_version();
    let writer = writer(place, by, &version, now);
    if !place.converts() {
        return managed_fields::update(place.root(), live, new, &writer);
    }
    // Who writes through a version owns fields of that version.
    let live = live.map(|live| place.from_stored(live.clone()));
    let mut shown = place.from_stored(new.clone());
    managed_fields::update(place.root(), live.as_ref(), &mut shown, &writer);
    match shown["metadata"].get_mut("managedFields").map(Value::take) {
        Some(entries) => new["metadata"]["managedFields"] = entries,
        None => {
            crate::gateway::metadata::of(new).remove("managedFields");
        }
    }
}

/// Server-side apply: the merged object, with its managed fields.
pub fn apply(
    place: &Place,
    live: Option<&Value>,
    config: &Value,
    by: &str,
    force: bool,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let version = place.api_version();
    managed_fields::apply(place.root(), live, config, &writer(place, by, &version, now), force)
        .map_err(|error| error.to_api_error())
}
