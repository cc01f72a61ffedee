//! Attachments of volumes to nodes, and how much storage there is where.

use super::generic::{METADATA, plain};
use super::place::{Causes, Place, immutable, invalid_all, lookup};
use super::pods_volumes::driver_name;
use super::resources;
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};

/// The longest message of an error.
const ERROR_MAX: usize = 1024;
/// What Kubernetes says it is.
const METADATA_MAX: usize = 256 * 1024;

/// How attachments of volumes are written.
pub fn volume_attachment() -> Strategy {
    Strategy {
        prepare_create: |object| object["status"] = json!({"attached": false}),
        validate_create: validate_attachment,
        validate_status: |new, _| {
            let mut out = validate_attachment(new);
            let status = Place::root(new).field("status");
            ["attachError", "detachError"].iter().for_each(|field| error(&mut out, &status.field(field)));
            out
        },
        validate_update: |new, old| {
            let mut out = validate_attachment(new);
            let spec = lookup(new, "spec");
            if spec != lookup(old, "spec") {
                out.push(Cause::invalid("spec", spec, "field is immutable"));
            }
            out
        },
        status_keeps: METADATA,
        unconditional_update: false,
        ..plain()
    }
}

/// How capacities of storage are written.
pub fn csi_storage_capacity() -> Strategy {
    Strategy {
        validate_create: validate_capacity,
        validate_update: |new, old| {
            let mut out = validate_capacity(new);
            for field in ["nodeTopology", "storageClassName"] {
                immutable(&mut out, new, old, field);
            }
            out
        },
        unconditional_update: false,
        ..plain()
    }
}

fn error(out: &mut Causes, at: &Place<'_>) {
    if at.text("message").len() > ERROR_MAX {
        out.push(Cause::too_long(at.of("message"), METADATA_MAX));
    }
    if let Some(code) = at.int("errorCode").filter(|code| *code < 0) {
        let message = names::range_message(0, i64::from(i32::MAX));
        out.push(Cause::invalid(at.of("errorCode"), &code.into(), &message));
    }
}

fn validate_capacity(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    metadata::label_selector(&mut out, &root.field("nodeTopology"));
    let class = root.text("storageClassName");
    invalid_all(&mut out, "storageClassName", class, names::dns_subdomain(class));
    if let Some(size) = root.present("capacity").filter(|size| resources::is_negative(size.value)) {
        out.push(Cause::invalid(size.path, size.value, names::NOT_NEGATIVE));
    }
    out
}

fn validate_attachment(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    driver_name(&mut out, &spec, "attacher");
    let source = spec.field("source");
    let only = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (source.has("inlineVolumeSpec"), source.has("persistentVolumeName")) {
        (false, false) => out.push(Cause::required(source.path, only)),
        (true, true) => out.push(Cause::forbidden(source.path, only)),
        (false, true) => {
            if source.lacks("persistentVolumeName") {
                let message = "must specify non empty persistentVolumeName";
                out.push(Cause::required(source.of("persistentVolumeName"), message));
            }
            let name = source.text("persistentVolumeName");
            invalid_all(&mut out, "spec.source.persistentVolumeName", name, names::dns_subdomain(name));
        }
        (true, false) => {}
    }
    let node = spec.text("nodeName");
    invalid_all(&mut out, &spec.of("nodeName"), node, names::dns_subdomain(node));
    out
}
