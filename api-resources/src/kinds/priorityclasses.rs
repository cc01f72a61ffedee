//! Priority classes and runtime classes: what a pod names by class.

use super::generic::plain;
use super::place::{Causes, Place, immutable, invalid_all, lookup, one_of, require, set_default};
use super::pods_admission::{MAX_USER_PRIORITY, SYSTEM_PRIORITY_CLASSES};
use super::{pods_spec, resources};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

/// How priority classes are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| set_default(object, "preemptionPolicy", "PreemptLowerPriority"),
        validate_create,
        validate_update: |new, old| {
            let mut out = Vec::new();
            if lookup(new, "value") != lookup(old, "value") {
                out.push(Cause::forbidden("value", "may not be changed in an update."));
            }
            immutable(&mut out, new, old, "preemptionPolicy");
            out
        },
        generation: true,
        ..plain()
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    let (name, value) = (root.field("metadata").text("name"), root.int("value").unwrap_or(0));
    if name.starts_with("system-") {
        let known = SYSTEM_PRIORITY_CLASSES.iter().find(|(of, _)| *of == name);
        let why = match known {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, of)) if *of != value => Some(format!("value of {name} PriorityClass must be {of}")),
            Some(_) if root.flag("globalDefault") => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(why) = why {
            let message = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            );
            out.push(Cause::forbidden("metadata.name", &message));
        }
    } else if value > MAX_USER_PRIORITY {
        let message = format!("maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}");
        out.push(Cause::forbidden("value", &message));
    }
    one_of(&mut out, &root, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
    out
}

/// How runtime classes are written.
pub fn runtime_class() -> Strategy {
    Strategy {
        validate_create: |object| {
            let mut out = Vec::new();
            let root = Place::root(object);
            if require(&mut out, &root, "handler") {
                let handler = root.text("handler");
                invalid_all(&mut out, "handler", handler, names::dns_label(handler));
            }
            resources::overhead(&mut out, &root.field("overhead").field("podFixed"));
            let scheduling = root.field("scheduling");
            metadata::labels(&mut out, &scheduling.field("nodeSelector"));
            pods_spec::tolerations(&mut out, &scheduling);
            out
        },
        validate_update: |new, old| {
            let mut out = Vec::new();
            immutable(&mut out, new, old, "handler");
            out
        },
        unconditional_update: false,
        ..plain()
    }
}
