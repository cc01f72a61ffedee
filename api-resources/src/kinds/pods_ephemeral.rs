//! Changes of a pod through `ephemeralcontainers` (KEP-277): containers are added, nothing else.

use super::place::{Causes, Place, lookup};
use super::pods::metadata_and_spec;
use super::sameness::same;
use crate::internal;
use api_types::Cause;
use serde_json::Value;

/// Keeps all of the old pod but `spec.ephemeralContainers`. Defaults of the new
/// containers are set by the strategy's `default`, which comes after.
pub fn prepare(new: &mut Value, old: &Value) {
    let added = lookup(new, "spec.ephemeralContainers").clone();
    let mut spec = lookup(old, "spec").clone();
    let Some(fields) = spec.as_object_mut() else { return };
    if added.is_null() {
        fields.remove("ephemeralContainers");
    } else {
        fields.insert("ephemeralContainers".to_owned(), added);
    }
    super::generic::keep_status(new, old);
    super::generic::keep_metadata(new, old);
    if let Some(pod) = new.as_object_mut() {
        pod.insert("spec".to_owned(), spec);
    }
}

/// Defects of a change through `ephemeralcontainers`: `(new, old)`, beside those of metadata.
pub fn validate(new: &Value, old: &Value) -> Causes {
    if super::pods_admission::is_mirror(old) {
        return vec![Cause::forbidden("[]", "static pods do not support ephemeral containers")];
    }
    let mut out = Vec::new();
    metadata_and_spec(&mut out, new);
    let (spec, before) = (Place::root(new).field("spec"), Place::root(old).field("spec"));
    let list = "ephemeralContainers";
    for container in before.list(list) {
        let name = container.text("name");
        let now = spec.list(list).find(|c| c.text("name") == name);
        let what = match now {
            None => "removed\n".to_owned(),
            Some(now) if !same(now.value, container.value) => {
                format!(
                    "changed\n{}",
                    internal::difference("core.v1.EphemeralContainer", container.value, now.value)
                )
            }
            Some(_) => continue,
        };
        let message = format!("existing ephemeral containers {name:?} may not be {what}");
        out.push(Cause::forbidden(spec.of(list), &message));
    }
    out
}
