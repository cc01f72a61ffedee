//! Objects between the version of a request and the one that is stored. One file for each kind that has more than
//! one form; pure functions.

mod events;
mod horizontalpodautoscalers;
mod metrics;

use crate::resource::{Converter, ResourceRow, Version};
use serde_json::Value;

/// Group, version and kind of a form that is not stored, and what turns it into the stored one and back.
const CONVERTERS: &[(&str, &str, &str, Converter)] = &[
    ("autoscaling", "v1", "HorizontalPodAutoscaler", horizontalpodautoscalers::V1),
    ("events.k8s.io", "v1", "Event", events::V1),
];

/// The converter of a built-in kind's version; `None` when the version differs from the stored one in its name only.
pub(crate) fn of(group: &str, version: &str, kind: &str) -> Option<Converter> {
    CONVERTERS.iter().find(|(g, v, k, _)| (*g, *v, *k) == (group, version, kind)).map(|row| row.3)
}

/// Turns an object of a built-in kind into its stored form.
pub fn to_stored(row: &ResourceRow, version: &Version, object: &mut Value) {
    if let Some(converter) = &version.converter {
        (converter.to_stored)(object);
    }
    object["apiVersion"] = row.stored_api_version().into();
}

/// Turns a stored object of a built-in kind into the form of a version.
pub fn from_stored(row: &ResourceRow, version: &Version, object: &mut Value) {
    if let Some(converter) = &version.converter {
        (converter.from_stored)(object);
        api_schema::zero::normalize(version.graph.at(version.root), object);
    }
    set_version(row, version, object);
}

/// Makes an object of a custom kind one of a version: it keeps what that version's schema knows. Where no webhook
/// converts, this is all.
pub fn fit(row: &ResourceRow, version: &Version, object: &mut Value) {
    if let Some(schema) = &version.schema {
        schema.prune(object);
    }
    set_version(row, version, object);
}

fn set_version(row: &ResourceRow, version: &Version, object: &mut Value) {
    object["apiVersion"] = api_types::GroupVersion::new(&row.group, &version.name).to_string().into();
}

/// Brings an object of a custom kind that was stored under another schema into the form that its version has now:
/// unknown fields go, and defaults come.
pub fn renew(version: &Version, object: &mut Value) {
    if let Some(schema) = &version.schema {
        schema.prune(object);
        schema.default(object);
        schema.drop_nulls(object);
    }
}

/// Moves fields of an object to other names.
fn rename(object: &mut Value, names: &[(&str, &str)]) {
    let Some(fields) = object.as_object_mut() else { return };
    let moved: Vec<_> = names.iter().filter_map(|(from, to)| Some((*to, fields.remove(*from)?))).collect();
    fields.extend(moved.into_iter().map(|(name, value)| (name.to_owned(), value)));
}
