//! Events: free for old clients that write them through `core/v1`, strict for those that use `events.k8s.io/v1`. Both
//! are stored as `core/v1`, which is what is looked at here.

use super::generic::plain;
use super::place::{Causes, Place, invalid_all, lookup, map_at, not_changed, require, set_default};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// The most letters of an instance, an action and a reason.
const MAX_WORD: usize = 128;
/// The most letters of a message.
const MAX_MESSAGE: usize = 1024;

/// How events are written through `core/v1`. Their names are free, so that old clients can put what they like there.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create: |object| validate(object, "reportingComponent"),
        validate_update: |new, _| validate(new, "reportingComponent"),
        validate_name: names::path_segment,
        create_on_update: true,
        ..plain()
    }
}

/// How events are written through `events.k8s.io/v1`.
pub fn strict_strategy() -> Strategy {
    Strategy {
        validate_create: validate_strictly,
        validate_update: validate_strict_update,
        validate_name: names::dns_subdomain,
        ..strategy()
    }
}

fn default(object: &mut Value) {
    map_at(object, "source");
    ["firstTimestamp", "lastTimestamp", "eventTime"]
        .iter()
        .for_each(|field| set_default(object, field, Value::Null));
    ["reportingComponent", "reportingInstance"].iter().for_each(|field| set_default(object, field, ""));
}

/// The rules of all events: an event lives in the namespace of its object, or in `default` for one without a namespace;
/// one with a time says who reports what. `reporter` is what the version calls the reporting controller.
fn validate(object: &Value, reporter: &str) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    let about = root.field("involvedObject").text("namespace");
    let own = lookup(object, "metadata.namespace").as_str().unwrap_or("");
    let timed = root.has("eventTime");
    let matches = match (about.is_empty(), timed) {
        (true, false) => matches!(own, "" | "default"),
        (true, true) => matches!(own, "default" | "kube-system"),
        (false, false) => about == own,
        (false, true) => true,
    };
    if !matches {
        let message = "does not match event.namespace";
        out.push(Cause::invalid("involvedObject.namespace", &Value::from(about), message));
    }
    if !timed {
        return out;
    }
    let controller = root.text("reportingComponent");
    if controller.is_empty() {
        out.push(Cause::required(reporter, ""));
    }
    invalid_all(&mut out, reporter, controller, names::qualified_name(controller));
    for (field, max, required) in [
        ("reportingInstance", MAX_WORD, true),
        ("action", MAX_WORD, true),
        ("reason", MAX_WORD, true),
        ("message", MAX_MESSAGE, false),
    ] {
        if required {
            require(&mut out, &root, field);
        }
        if root.text(field).len() > max {
            let message = format!("can have at most {max} characters");
            out.push(Cause::invalid(field, &Value::from(""), &message));
        }
    }
    out
}

fn validate_strictly(object: &Value) -> Causes {
    let mut out = validate(object, "reportingController");
    let root = Place::root(object);
    series(&mut out, &root);
    require(&mut out, &root, "eventTime");
    let of = root.text("type");
    if !matches!(of, "Normal" | "Warning") {
        let message = format!("has invalid value: {of}");
        out.push(Cause::invalid("type", &Value::from(""), &message));
    }
    let unset = |out: &mut Causes, field: &str, set: bool| {
        if set {
            out.push(Cause::invalid(field, &Value::from(""), "needs to be unset"));
        }
    };
    unset(&mut out, "firstTimestamp", root.has("firstTimestamp"));
    unset(&mut out, "lastTimestamp", root.has("lastTimestamp"));
    unset(&mut out, "count", root.int("count").unwrap_or(0) != 0);
    let source = root.field("source");
    unset(&mut out, "source", !source.lacks("component") || !source.lacks("host"));
    out
}

fn series(out: &mut Causes, root: &Place<'_>) {
    let Some(series) = root.present("series") else { return };
    if series.int("count").unwrap_or(0) < 2 {
        out.push(Cause::invalid("series.count", &Value::from(""), "should be at least 2"));
    }
    require(out, &series, "lastObservedTime");
}

/// Only the series of an event goes on.
fn validate_strict_update(new: &Value, old: &Value) -> Causes {
    let mut out = validate(new, "reportingController");
    let empty = Value::from("");
    if lookup(new, "series") != lookup(old, "series") {
        series(&mut out, &Place::root(new));
    }
    for (field, shown) in [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        let now = match (lookup(new, field), field) {
            // A text that is not there is shown as an empty one.
            (
                Value::Null,
                "reason" | "message" | "type" | "action" | "reportingComponent" | "reportingInstance",
            ) if !lookup(old, field).is_null() => &empty,
            (now, _) => now,
        };
        not_changed(&mut out, shown, now, lookup(old, field));
    }
    out
}
