//! Events: stored as `core/v1`, served as `events.k8s.io/v1` too, which calls some fields otherwise.

use super::rename;
use crate::resource::Converter;

pub(super) const V1: Converter = Converter {
    to_stored: |event| {
        let back: Vec<(&str, &str)> = NAMES.iter().map(|(stored, new)| (*new, *stored)).collect();
        rename(event, &back);
    },
    from_stored: |event| rename(event, NAMES),
};

/// The name in `core/v1`, the name in `events.k8s.io/v1`.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];
