//! The strategy that kinds start from, and the steps that many share.

use crate::names;
use crate::resource::Strategy;
use serde_json::Value;

/// No defaults, no rules but those of the name; the status is cleared at creation and kept by updates.
pub fn plain() -> Strategy {
    Strategy {
        default: |_| {},
        prepare_create: clear_status,
        prepare_update: keep_status,
        validate_create: |_| Vec::new(),
        validate_update: |_, _| Vec::new(),
        validate_status: |_, _| Vec::new(),
        validate_name: names::dns_subdomain,
        warnings: |_| Vec::new(),
        generation: false,
        grace: |_| None,
        create_on_update: false,
        unconditional_update: true,
    }
}

/// Removes what a client sent as status.
pub fn clear_status(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
}

/// Puts the old status back: the main resource cannot change it.
pub fn keep_status(new: &mut Value, old: &Value) {
    let Some(map) = new.as_object_mut() else { return };
    match old.get("status") {
        Some(status) => {
            map.insert("status".to_owned(), status.clone());
        }
        None => {
            map.remove("status");
        }
    }
}
