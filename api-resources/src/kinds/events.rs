//! Events.

use super::generic::plain;
use super::place::{Causes, Place, lookup, map_at, set_default};
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// How events are written. Their names are free, so that old clients can put what they like there.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            map_at(object, "source");
            ["firstTimestamp", "lastTimestamp", "eventTime"]
                .iter()
                .for_each(|field| set_default(object, field, Value::Null));
            ["reportingComponent", "reportingInstance"]
                .iter()
                .for_each(|field| set_default(object, field, ""));
        },
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create,
        validate_update: |new, _| validate_create(new),
        validate_name: crate::names::path_segment,
        create_on_update: true,
        ..plain()
    }
}

/// An event lives in the namespace of its object, or in `default` for one without a namespace.
fn validate_create(object: &Value) -> Causes {
    let root = Place::root(object);
    let about = root.field("involvedObject").text("namespace");
    let own = lookup(object, "metadata.namespace").as_str().unwrap_or("");
    let good = if about.is_empty() { matches!(own, "" | "default" | "kube-system") } else { about == own };
    if good {
        return Vec::new();
    }
    vec![Cause::invalid("involvedObject.namespace", &Value::from(about), "does not match event.namespace")]
}
