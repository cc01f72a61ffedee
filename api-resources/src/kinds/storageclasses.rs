//! Storage classes, and what else `storage.k8s.io` has.

use super::generic::plain;
use super::place::{
    Causes, Place, immutable, invalid_all, lookup, map_at, one_of, require, required_one_of, set_default,
};
use super::pods_volumes::driver_name;
use super::resources;
use super::sameness::same;
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};

const PARAMETERS_MAX: usize = 256 * 1024;
const PARAMETERS_MAX_COUNT: usize = 512;
const BINDING_MODES: &[&str] = &["Immediate", "WaitForFirstConsumer"];

/// How storage classes are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            set_default(object, "reclaimPolicy", "Delete");
            set_default(object, "volumeBindingMode", "Immediate");
        },
        validate_create: validate,
        validate_update: |new, old| {
            let mut out = Vec::new();
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                if !same(lookup(new, field), lookup(old, field)) {
                    immutable(&mut out, new, old, field);
                }
            }
            out
        },
        ..plain()
    }
}

/// How CSI drivers are written.
pub fn csi_driver() -> Strategy {
    Strategy {
        default: |object| {
            let Some(spec) = map_at(object, "spec") else { return };
            set_default(spec, "attachRequired", true);
            for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
                set_default(spec, field, false);
            }
            set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
            if lookup(spec, "volumeLifecycleModes").as_array().is_none_or(Vec::is_empty) {
                spec["volumeLifecycleModes"] = json!(["Persistent"]);
            }
        },
        validate_create: validate_driver,
        validate_update: |new, old| {
            let mut out = validate_driver(new);
            immutable(&mut out, new, old, "spec.attachRequired");
            immutable(&mut out, new, old, "spec.volumeLifecycleModes");
            out
        },
        generation: true,
        unconditional_update: false,
        ..plain()
    }
}

/// How CSI nodes are written.
pub fn csi_node() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(spec) = map_at(object, "spec") {
                set_default(spec, "drivers", Value::Null);
            }
        },
        validate_create: validate_node,
        validate_update: |new, _| validate_node(new),
        unconditional_update: false,
        ..plain()
    }
}

/// How attachments of volumes are written.
pub fn volume_attachment() -> Strategy {
    Strategy {
        prepare_create: |object| object["status"] = json!({"attached": false}),
        validate_create: validate_attachment,
        validate_update: |new, old| {
            let mut out = validate_attachment(new);
            let spec = lookup(new, "spec");
            if !same(spec, lookup(old, "spec")) {
                out.push(Cause::invalid("spec", spec, "field is immutable"));
            }
            out
        },
        unconditional_update: false,
        ..plain()
    }
}

/// How classes of volume attributes are written.
pub fn volume_attributes_class() -> Strategy {
    Strategy {
        validate_create: |object| {
            let mut out = Vec::new();
            let root = Place::root(object);
            provisioner(&mut out, &root, "driverName");
            if require(&mut out, &root, "parameters") {
                parameters(&mut out, &root);
            }
            out
        },
        validate_update: |new, old| {
            let mut out = Vec::new();
            for field in ["driverName", "parameters"] {
                immutable(&mut out, new, old, field);
            }
            out
        },
        ..plain()
    }
}

/// How capacities of storage are written.
pub fn csi_storage_capacity() -> Strategy {
    Strategy {
        validate_create: |object| {
            let mut out = Vec::new();
            let root = Place::root(object);
            metadata::label_selector(&mut out, &root.field("nodeTopology"));
            if require(&mut out, &root, "storageClassName") {
                let class = root.text("storageClassName");
                invalid_all(&mut out, "storageClassName", class, names::dns_subdomain(class));
            }
            for field in ["capacity", "maximumVolumeSize"] {
                if let Some(size) = root.present(field).filter(|s| resources::is_negative(s.value)) {
                    out.push(Cause::invalid(size.path, size.value, names::NOT_NEGATIVE));
                }
            }
            out
        },
        validate_update: |new, old| {
            let mut out = Vec::new();
            for field in ["nodeTopology", "storageClassName"] {
                immutable(&mut out, new, old, field);
            }
            out
        },
        unconditional_update: false,
        ..plain()
    }
}

fn validate(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    provisioner(&mut out, &root, "provisioner");
    parameters(&mut out, &root);
    one_of(&mut out, &root, "reclaimPolicy", &["Delete", "Retain"]);
    required_one_of(&mut out, &root, "volumeBindingMode", BINDING_MODES);
    for expression in root.list("allowedTopologies").flat_map(|t| t.list("matchLabelExpressions")) {
        require(&mut out, &expression, "values");
        let key = expression.text("key");
        invalid_all(&mut out, &expression.of("key"), key, names::qualified_name(key));
    }
    out
}

fn provisioner(out: &mut Causes, root: &Place<'_>, field: &str) {
    if require(out, root, field) {
        let name = root.text(field).to_lowercase();
        invalid_all(out, &root.of(field), &name, names::qualified_name(&name));
    }
}

fn parameters(out: &mut Causes, root: &Place<'_>) {
    let all = || root.map("parameters");
    if all().count() > PARAMETERS_MAX_COUNT {
        out.push(Cause::too_long("parameters", PARAMETERS_MAX_COUNT));
        return;
    }
    if all().any(|(key, _)| key.is_empty()) {
        out.push(Cause::invalid("parameters", &Value::from(""), "field can not be empty."));
    }
    let size: usize = all().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > PARAMETERS_MAX {
        out.push(Cause::too_long("parameters", PARAMETERS_MAX));
    }
}

fn validate_driver(object: &Value) -> Causes {
    let mut out = Vec::new();
    let root = Place::root(object);
    driver_name(&mut out, &root.field("metadata"), "name");
    let spec = root.field("spec");
    one_of(&mut out, &spec, "fsGroupPolicy", &["File", "None", "ReadWriteOnceWithFSType"]);
    let mut audiences: Vec<&str> = Vec::new();
    for request in spec.list("tokenRequests") {
        let audience = request.text("audience");
        if audiences.contains(&audience) {
            out.push(Cause::duplicate(request.of("audience"), &Value::from(audience)));
        }
        audiences.push(audience);
        if let Some(seconds) = request.int("expirationSeconds").filter(|s| !(600..=1 << 32).contains(s)) {
            let message = if seconds < 600 {
                "may not specify a duration less than 10 minutes"
            } else {
                "may not specify a duration larger than 2^32 seconds"
            };
            out.push(Cause::invalid(request.of("expirationSeconds"), &Value::from(seconds), message));
        }
    }
    for mode in spec.list("volumeLifecycleModes") {
        if !matches!(mode.as_text(), "Ephemeral" | "Persistent") {
            let supported = ["Ephemeral", "Persistent"];
            out.push(Cause::not_supported(spec.of("volumeLifecycleModes"), mode.value, &supported));
        }
    }
    out
}

fn validate_node(object: &Value) -> Causes {
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for driver in Place::root(object).field("spec").list("drivers") {
        driver_name(&mut out, &driver, "name");
        require(&mut out, &driver, "nodeID");
        if seen.contains(&driver.text("name")) {
            out.push(Cause::duplicate(driver.of("name"), &Value::from(driver.text("name"))));
        }
        seen.push(driver.text("name"));
        for key in driver.list("topologyKeys") {
            invalid_all(&mut out, &driver.path, key.as_text(), names::qualified_name(key.as_text()));
        }
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
            let name = source.text("persistentVolumeName");
            invalid_all(&mut out, "spec.source.persistentVolumeName", name, names::dns_subdomain(name));
        }
        (true, false) => {}
    }
    let node = spec.text("nodeName");
    invalid_all(&mut out, &spec.of("nodeName"), node, names::dns_subdomain(node));
    out
}
