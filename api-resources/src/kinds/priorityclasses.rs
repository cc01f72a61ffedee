//! Priority classes and runtime classes: what a pod names by class.

use super::generic::plain;
use super::place::{Causes, Place, immutable, invalid_all, lookup, require, required_one_of, set_default};
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
        // Always the first: nothing that is desired can change.
        generation: true,
        counted: |_, _| false,
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
    if root.has("preemptionPolicy") {
        required_one_of(&mut out, &root, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
    }
    out
}

fn validate_runtime(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    if require(&mut out, &root, "handler") {
        let handler = root.text("handler");
        invalid_all(&mut out, "handler", handler, names::dns_label(handler));
    }
    // Kubernetes tells of limits, though they are called otherwise here.
    resources::overhead(&mut out, &Place::new("overhead", lookup(object, "overhead.podFixed")));
    let scheduling = root.field("scheduling");
    metadata::labels(&mut out, &scheduling.field("nodeSelector"));
    tolerations(&mut out, &scheduling);
    out
}

/// The rules of a pod's tolerations; here none may be there twice.
fn tolerations(out: &mut Causes, scheduling: &Place<'_>) {
    pods_spec::tolerations(out, scheduling);
    let mut seen: Vec<&Value> = Vec::new();
    for toleration in scheduling.list("tolerations") {
        if seen.contains(&toleration.value) {
            out.push(Cause::duplicate(&toleration.path, toleration.value));
        }
        seen.push(toleration.value);
    }
}

/// How runtime classes are written.
pub fn runtime_class() -> Strategy {
    Strategy {
        validate_create: validate_runtime,
        validate_update: |new, old| {
            let mut out = validate_runtime(new);
            immutable(&mut out, new, old, "handler");
            out
        },
        unconditional_update: false,
        ..plain()
    }
}
