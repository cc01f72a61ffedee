//! Claims of volumes.

use super::generic::{add_finalizer, plain};
use super::place::{
    Causes, Place, invalid_all, lookup, map_at, not_changed, object_at, one_of, require, require_with,
    set_default,
};
use super::resources;
use super::sameness::same;
use crate::resource::Strategy;
use crate::{internal, metadata, names};
use api_types::Cause;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// How a volume can be used, sorted.
pub const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// What a volume looks like to a container.
pub const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// Keeps a claim while a pod uses it.
pub const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// How claims are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(spec) = map_at(object, "spec") {
                claim_spec(spec);
            }
            default_status(object);
        },
        prepare_create: |object| {
            object["status"] = json!({"phase": "Pending"});
            add_finalizer(object, PROTECTION);
            if let Some(spec) = object_at(object, "spec") {
                known_source(spec);
                same_source(spec);
            }
        },
        prepare_update: |new, old| {
            super::generic::keep_status(new, old);
            let old_spec = lookup(old, "spec");
            let had_source =
                !lookup(old_spec, "dataSource").is_null() || !lookup(old_spec, "dataSourceRef").is_null();
            if let Some(spec) = object_at(new, "spec").filter(|_| !had_source) {
                known_source(spec);
            }
            if let Some(spec) = object_at(new, "spec") {
                same_source(spec);
            }
        },
        validate_create: |object| {
            let mut out = Vec::new();
            validate_spec(&mut out, &Place::root(object).field("spec"), false);
            out
        },
        validate_update,
        validate_status,
        warnings: super::volumes_warnings::claim,
        ..plain()
    }
}

/// The first status; a claim in a template has it too.
pub(super) fn default_status(object: &mut Value) {
    if let Some(status) = map_at(object, "status") {
        super::place::set_default_text(status, "phase", "Pending");
    }
}

/// The defaults of a claim's spec, wherever it is.
pub(super) fn claim_spec(spec: &mut Value) {
    set_default(spec, "volumeMode", "Filesystem");
    set_default(spec, "resources", Value::Object(Map::new()));
}

/// Claims and snapshots are what the older `dataSource` can name; anything else there is dropped, unless the newer
/// `dataSourceRef` is used. One of another namespace (KEP-3294) is off by default, and dropped too.
fn known_source(spec: &mut Value) {
    let Some(fields) = spec.as_object_mut() else { return };
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("").to_owned();
    if fields.get("dataSourceRef").is_some_and(|source| !text(source, "namespace").is_empty()) {
        fields.remove("dataSourceRef");
    }
    let known = |source: &Value| {
        matches!(
            (text(source, "apiGroup").as_str(), text(source, "kind").as_str()),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        )
    };
    if !fields.contains_key("dataSourceRef") && fields.get("dataSource").is_some_and(|source| !known(source))
    {
        fields.remove("dataSource");
    }
}

/// `dataSource` and `dataSourceRef` say the same when only one of them is given (KEP-1495).
fn same_source(spec: &mut Value) {
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    if !source.is_null() && reference.is_null() {
        spec["dataSourceRef"] = source;
    } else if source.is_null()
        && let Some(fields) = reference.as_object()
        && lookup(&reference, "namespace").as_str().unwrap_or("").is_empty()
    {
        let named = fields.iter().filter(|(field, _)| *field != "namespace");
        spec["dataSource"] = named.map(|(field, value)| (field.clone(), value.clone())).collect();
    }
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

/// The rules of a claim's spec, wherever it is. `any_group`: what it comes from may be of a group of any name.
pub(super) fn validate_spec(out: &mut Causes, at: &Place<'_>, any_group: bool) {
    require_with(out, at, "accessModes", "at least 1 access mode is required");
    metadata::label_selector(out, &at.field("selector"));
    access_modes(out, at);
    let size = at.field("resources").field("requests").field("storage");
    let path = at.field("resources").key("storage").path;
    match resources::quantity(size.value) {
        None => out.push(Cause::required(path, "")),
        Some(amount) if amount.is_negative() || amount.is_zero() => {
            out.push(Cause::invalid(path, &Value::from(amount.to_string()), "must be greater than zero"));
        }
        Some(_) => {}
    }
    class_name(out, at, "storageClassName");
    one_of(out, at, "volumeMode", VOLUME_MODES);
    for field in ["dataSource", "dataSourceRef"] {
        if let Some(source) = at.present(field) {
            require(out, &source, "name");
            require(out, &source, "kind");
            let group = source.text("apiGroup");
            if group.is_empty() && source.text("kind") != "PersistentVolumeClaim" {
                out.push(Cause::invalid(
                    &source.path,
                    &Value::from(source.text("kind")),
                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
                ));
            } else if !group.is_empty() && !any_group {
                invalid_all(out, &source.of("apiGroup"), group, names::dns_subdomain(group));
            }
        }
    }
    if at.has("dataSource") && at.has("dataSourceRef") {
        let (source, reference) = (at.field("dataSource"), at.field("dataSourceRef"));
        // What Kubernetes shows of a path is an empty object.
        let shown = json!({});
        if !reference.lacks("namespace") {
            let message = "may not be specified when dataSourceRef.namespace is specified";
            out.push(Cause { value: None, ..Cause::invalid(&at.path, &shown, message) });
        } else if ["apiGroup", "kind", "name"].iter().any(|f| source.text(f) != reference.text(f)) {
            out.push(Cause { value: None, ..Cause::invalid(&at.path, &shown, "must match dataSourceRef") });
        }
    }
    class_name(out, at, "volumeAttributesClassName");
}

fn class_name(out: &mut Causes, at: &Place<'_>, field: &str) {
    let class = at.text(field);
    if !class.is_empty() {
        invalid_all(out, &at.of(field), class, names::dns_subdomain(class));
    }
}

/// Known modes, and `ReadWriteOncePod` only alone.
pub(super) fn access_modes(out: &mut Causes, at: &Place<'_>) {
    let modes = at.texts("accessModes");
    for mode in modes.iter().filter(|m| !ACCESS_MODES.contains(m)) {
        out.push(Cause::not_supported(at.of("accessModes"), &Value::from(*mode), ACCESS_MODES));
    }
    let known = |m: &&&str| ACCESS_MODES.contains(m) && **m != "ReadWriteOncePod";
    if modes.contains(&"ReadWriteOncePod") && modes.iter().any(|m| known(&m)) {
        out.push(Cause::forbidden(
            at.of("accessModes"),
            "may not use ReadWriteOncePod with other access modes",
        ));
    }
}

fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let (spec, old_spec) = (lookup(new, "spec"), lookup(old, "spec"));
    // One that is there may have been made when there was no rule.
    let had_group =
        ["dataSource", "dataSourceRef"].iter().any(|from| !lookup(old_spec, from)["apiGroup"].is_null());
    validate_spec(&mut out, &Place::root(new).field("spec"), had_group);
    let mut allowed = if spec.is_object() { spec.clone() } else { json!({}) };
    let unset = |field: &str| lookup(old_spec, field).as_str().unwrap_or("").is_empty();
    let bound = lookup(old, "status.phase") == "Bound";
    if unset("volumeName") {
        allowed["volumeName"] = lookup(old_spec, "volumeName").clone();
    }
    if class_may_come(&mut out, new, old) {
        allowed["storageClassName"] = lookup(old_spec, "storageClassName").clone();
    }
    if bound {
        if let Some(requests) = allowed.pointer_mut("/resources/requests").and_then(Value::as_object_mut) {
            let size = lookup(old_spec, "resources.requests.storage").clone();
            requests.insert("storage".to_owned(), size);
        }
        allowed["volumeAttributesClassName"] = lookup(old_spec, "volumeAttributesClassName").clone();
    }
    if !same(&allowed, old_spec) {
        let message = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{}",
            internal::difference("core.v1.PersistentVolumeClaimSpec", old_spec, &allowed)
        );
        out.push(Cause::forbidden("spec", &message));
    }
    // What is not said is nothing.
    let (zero, size) = (Value::from("0"), "resources.requests.storage");
    let amount = |value: &'_ Value| if value.is_null() { zero.clone() } else { value.clone() };
    let (now, before) = (amount(lookup(spec, size)), amount(lookup(old_spec, size)));
    let capacity = amount(lookup(old, "status.capacity.storage"));
    if resources::compare(&now, &before) == Some(Ordering::Less)
        && resources::compare(&now, &capacity).is_some_and(Ordering::is_le)
    {
        out.push(Cause::forbidden(
            "spec.resources.requests.storage",
            "field can not be less than status.capacity",
        ));
    }
    let class = "volumeAttributesClassName";
    let (now, before) = (lookup(spec, class), lookup(old_spec, class));
    if now != before && !lookup(old, "status.currentVolumeAttributesClassName").is_null() {
        let to = match now.as_str() {
            None => "nil",
            Some("") => "empty string",
            Some(_) => "",
        };
        if !to.is_empty() {
            let message = format!(
                "update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil"
            );
            out.push(Cause::forbidden(format!("spec.{class}"), &message));
        }
    }
    let mode = lookup(spec, "volumeMode");
    not_changed(&mut out, "volumeMode", mode, lookup(old_spec, "volumeMode"));
    out
}

/// True when a claim may get its class with this change: it had none, and none that an annotation names differs. The
/// annotation, by which classes were once named, goes only when the class comes.
fn class_may_come(out: &mut Causes, new: &Value, old: &Value) -> bool {
    let annotated = |object| lookup(object, "metadata.annotations")[CLASS_ANNOTATION].as_str();
    let (now, before) = (annotated(new), annotated(old));
    let class = lookup(new, "spec.storageClassName").as_str();
    let had_none = lookup(old, "spec.storageClassName").is_null();
    if had_none && class.is_some() && before == class && now.is_none_or(|now| Some(now) == before) {
        return true;
    }
    if now.unwrap_or("") != before.unwrap_or("") {
        let path = format!("metadata.annotations.{CLASS_ANNOTATION}");
        out.push(Cause::invalid(path, &Value::from(now.unwrap_or("")), "field is immutable"));
    }
    had_none && class.is_some() && before.is_none_or(|before| Some(before) == class)
}

/// How far a claim's volume has grown.
const RESIZE_STATUSES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// Only storage is allocated, and what others call their own. Kubernetes reports a name at the list.
fn allocated_name(out: &mut Causes, path: &str, name: &str) -> bool {
    let wrong = names::qualified_name(name);
    if wrong.is_empty() && resources::is_native(name) && name != "storage" {
        out.push(Cause::not_supported(path, &Value::from(name), &["storage"]));
        return false;
    }
    let good = wrong.is_empty();
    invalid_all(out, path, name, wrong);
    good
}

fn validate_status(new: &Value, _old: &Value) -> Causes {
    let mut out = Vec::new();
    let status = Place::root(new).field("status");
    let statuses = status.of("allocatedResourceStatuses");
    for (name, value) in status.map("allocatedResourceStatuses") {
        allocated_name(&mut out, &statuses, name);
        if !RESIZE_STATUSES.contains(&value.as_str().unwrap_or("")) {
            out.push(Cause::not_supported(&statuses, &Value::from(name.as_str()), RESIZE_STATUSES));
        }
    }
    for list in ["capacity", "allocatedResources"] {
        for (name, value) in status.map(list) {
            if list == "allocatedResources" && !allocated_name(&mut out, &status.of(list), name) {
                continue;
            }
            if let Some(amount) = resources::quantity(value).filter(|q| q.is_negative()) {
                out.push(Cause::invalid(
                    status.field(list).key(name).path,
                    &Value::from(amount.value()),
                    "must be a valid resource quantity",
                ));
            }
        }
    }
    out
}
