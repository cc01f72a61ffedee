//! Controller revisions: their data never changes.

use super::generic::plain;
use super::place::{Causes, Place, lookup, not_negative};
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// How controller revisions are written.
pub fn strategy() -> Strategy {
    Strategy {
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create: |object| {
            let mut out = revision(object);
            match lookup(object, "data") {
                Value::Object(_) => {}
                Value::Null => out.push(Cause::required("data", "data is mandatory")),
                _ => out.push(Cause::required("data", "data must be a valid JSON object")),
            }
            out
        },
        validate_update: |new, old| {
            let mut out = revision(new);
            let data = lookup(new, "data");
            if data != lookup(old, "data") {
                out.push(Cause::invalid("data", data, "field is immutable"));
            }
            out
        },
        ..plain()
    }
}

fn revision(object: &Value) -> Causes {
    let mut out = Vec::new();
    not_negative(&mut out, &Place::root(object), "revision");
    out
}
