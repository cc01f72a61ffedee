//! Who owns which fields: `metadata.managedFields` on every write, and server-side apply.

use crate::conversion::Caller;
use crate::gateway::Place;
use api_resources::convert;
use api_schema::TypeRef;
use api_schema::managed_fields::{self, Versions, Writer};
use api_types::ApiError;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;

/// The versions of the kind of a place, for managers that own fields of other versions.
struct Served<'a>(&'a Place);

impl fmt::Debug for Served<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "versions of {}", self.0.row.plural)
    }
}

impl Versions for Served<'_> {
    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<(TypeRef<'_>, Value)> {
        let row = &self.0.row;
        let version = |api_version: &str| {
            let found =
                api_types::GroupVersion::parse(api_version).filter(|found| found.group == row.group)?;
            row.known_version(&found.version)
        };
        let (from, to) = (version(from)?, version(to)?);
        let of = to.graph.at(to.root);
        if from.name == to.name {
            return Some((of, object.clone()));
        }
        if row.conversion.is_some() {
            return Some((of, self.0.known.find(object, &to.name)?));
        }
        let mut object = object.clone();
        if row.is_custom() {
            convert::fit(row, to, &mut object);
        } else {
            convert::to_stored(row, from, &mut object);
            convert::from_stored(row, to, &mut object);
        }
        Some((of, object))
    }
}

/// The fields that a write of the object or of its status does not own, because it does not write them.
fn reset_fields(place: &Place) -> &'static [&'static [&'static str]] {
    match (place.subresource.as_str(), place.row.has_status()) {
        ("", true) => &[&["status"]],
        ("status", _) if place.row.is_custom() => &[&["spec"], &["metadata"]],
        ("status", _) => &[&["spec"], &["metadata", "ownerReferences"]],
        ("approval", _) => &[&["spec"], &["status", "certificate"]],
        _ => &[],
    }
}

fn writer<'a>(
    place: &'a Place,
    versions: &'a Served<'a>,
    manager: &'a str,
    api_version: &'a str,
    now: Timestamp,
) -> Writer<'a> {
    Writer {
        manager,
        api_version,
        kind: &place.row.kind,
        subresource: &place.subresource,
        reset: reset_fields(place),
        now,
        versions: Some(versions),
    }
}

/// Records what a create, update or patch changed. Runs before admission: what admission sets is nobody's.
/// Both objects are as they are written.
pub async fn record(
    caller: &Caller<'_>,
    place: &Place,
    live: Option<&Value>,
    new: &mut Value,
    by: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    if place.row.conversion.is_none() {
        record_now(place, live, new, by, now);
        return Ok(());
    }
    loop {
        let mut tried = new.clone();
        record_now(place, live, &mut tried, by, now);
        if !place.known.learn(caller, place).await? {
            *new = tried;
            return Ok(());
        }
    }
}

fn record_now(place: &Place, live: Option<&Value>, new: &mut Value, by: &str, now: Timestamp) {
    let version = place.api_version();
    let versions = Served(place);
    let writer = writer(place, &versions, by, &version, now);
    if !place.converts() {
        return managed_fields::update(place.root(), live, new, &writer);
    }
    // Who writes through a version owns fields of that version.
    let live = live.map(|live| place.from_written(live.clone()));
    let mut shown = place.from_written(new.clone());
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
    let versions = Served(place);
    let writer = writer(place, &versions, by, &version, now);
    managed_fields::apply(place.root(), live, config, &writer, force).map_err(|error| error.to_api_error())
}
