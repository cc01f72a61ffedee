//! Config maps.

use super::generic::{kept_when_immutable, plain};
use super::place::{Causes, Place, invalid_all};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// The most bytes that the values of a config map or secret may have together.
pub const DATA_MAX: usize = 1024 * 1024;

/// How config maps are written.
pub fn strategy() -> Strategy {
    Strategy {
        validate_create,
        validate_update: |new, old| {
            let mut out = kept_when_immutable(new, old, &["data", "binaryData"]);
            out.extend(validate_create(new));
            out
        },
        ..plain()
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    let (data, binary) = (root.field("data"), root.field("binaryData"));
    let mut size = 0;
    for (key, value) in root.map("data") {
        let path = data.key(key).path;
        invalid_all(&mut out, &path, key, names::config_key(key));
        if binary.value.get(key).is_some() {
            let message = "duplicate of key present in binaryData";
            out.push(Cause::invalid(&path, &Value::from(key.as_str()), message));
        }
        size += value.as_str().map_or(0, str::len);
    }
    for (key, value) in root.map("binaryData") {
        invalid_all(&mut out, &binary.key(key).path, key, names::config_key(key));
        size += value.as_str().map_or(0, decoded_length);
    }
    if size > DATA_MAX {
        out.push(Cause::too_long("[]", DATA_MAX));
    }
    out
}

/// The bytes that a base64 text stands for.
pub(super) fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|b| *b == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}
