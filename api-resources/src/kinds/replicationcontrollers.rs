//! Replication controllers.

use super::generic::plain;
use super::place::{Causes, Place, lookup, map_at, not_negative, set_default};
use super::workloads::runs_for_good;
use super::{pods_defaults, pods_spec, replicasets};
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// How replication controllers are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| object["status"] = json!({"replicas": 0}),
        validate_create,
        validate_update: |new, _| validate_create(new),
        validate_status: replicasets::validate_status,
        create_warnings: |object| {
            super::pods_warnings::name(object, "this is used in Pod names and hostnames")
        },
        warnings: super::pods_warnings::template,
        generation: true,
        ..plain()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    if spec["template"].is_null() {
        return;
    }
    pods_defaults::template(spec);
    let labels = lookup(spec, "template.metadata.labels").clone();
    if !labels.is_object() {
        return;
    }
    let empty = |value: &Value| value.as_object().is_none_or(|map| map.is_empty());
    if empty(lookup(spec, "selector")) {
        spec["selector"] = labels.clone();
    }
    if empty(lookup(object, "metadata.labels"))
        && let Some(meta) = map_at(object, "metadata")
    {
        meta["labels"] = labels;
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    not_negative(&mut out, &spec, "minReadySeconds");
    if spec.lacks("selector") {
        out.push(Cause::required(spec.of("selector"), ""));
    }
    not_negative(&mut out, &spec, "replicas");
    let Some(template) = spec.present("template") else {
        out.push(Cause::required(spec.of("template"), ""));
        return out;
    };
    let labels = template.field("metadata").field("labels");
    if spec.map("selector").any(|(key, value)| labels.value.get(key) != Some(value)) {
        let message = "`selector` does not match template `labels`";
        out.push(Cause::invalid(labels.path, labels.value, message));
    }
    pods_spec::template(&mut out, &template);
    runs_for_good(&mut out, &template, "ReplicationController");
    out
}
