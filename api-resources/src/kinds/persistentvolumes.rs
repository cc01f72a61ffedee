//! Persistent volumes.

use super::generic::{add_finalizer, plain};
use super::persistentvolumeclaims::{VOLUME_MODES, access_modes};
use super::place::{
    Causes, Place, invalid_all, lookup, map_at, one_of, require, set_default, set_default_text,
};
use super::sameness::same;
use super::volume_sources::{self as sources, Source};
use super::{pods_affinity, pods_defaults, pods_volumes, resources};
use crate::resource::Strategy;
use crate::{internal, names};
use api_types::Cause;
use serde_json::{Value, json};

/// Keeps a volume while a claim is bound to it.
pub const PROTECTION: &str = "kubernetes.io/pv-protection";

/// The sources in the order in which Kubernetes looks at them.
const SOURCES: &[Source] = &[
    ("hostPath", sources::host_path),
    ("gcePersistentDisk", sources::gce),
    ("awsElasticBlockStore", sources::aws),
    ("glusterfs", |out, at| {
        if let Some(namespace) = at.present("endpointsNamespace") {
            let mut wrong = names::dns_label(namespace.as_text());
            if namespace.as_text().is_empty() {
                wrong = vec!["if the endpointnamespace is set, it must be a valid namespace name".to_owned()];
            }
            invalid_all(out, &namespace.path, namespace.as_text(), wrong);
        }
    }),
    ("flocker", sources::flocker),
    ("nfs", sources::nfs),
    ("rbd", sources::plain),
    ("quobyte", sources::quobyte),
    ("cephfs", sources::plain),
    ("iscsi", sources::iscsi_persistent),
    ("cinder", sources::cinder_persistent),
    ("fc", sources::fc),
    ("flexVolume", sources::flex),
    ("azureFile", sources::azure_file),
    ("vsphereVolume", sources::plain),
    ("photonPersistentDisk", sources::plain),
    ("portworxVolume", sources::plain),
    ("azureDisk", sources::azure_disk),
    ("scaleIO", sources::plain),
    ("local", sources::local),
    ("storageos", sources::storage_os_persistent),
    ("csi", csi),
];

/// How persistent volumes are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |object| {
            // The time of the first phase is that of the creation: there is no clock here.
            let created = lookup(object, "metadata.creationTimestamp").clone();
            object["status"] = json!({"phase": "Pending"});
            if created.is_string() {
                object["status"]["lastPhaseTransitionTime"] = created;
            }
            add_finalizer(object, PROTECTION);
        },
        validate_create,
        validate_update,
        warnings: super::volumes_warnings::volume,
        ..plain()
    }
}

fn default(object: &mut Value) {
    if let Some(spec) = map_at(object, "spec") {
        set_default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
        pods_defaults::volume_source(spec);
    }
    if let Some(status) = map_at(object, "status") {
        set_default_text(status, "phase", "Pending");
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    require(&mut out, &spec, "accessModes");
    access_modes(&mut out, &spec);
    capacity(&mut out, &spec);
    one_of(&mut out, &spec, "persistentVolumeReclaimPolicy", &["Delete", "Recycle", "Retain"]);
    node_affinity(&mut out, &spec);
    let found = sources::only_one(&mut out, &spec, SOURCES, "flexVolume");
    if found == Some("local") && !spec.has("nodeAffinity") {
        out.push(Cause::required(spec.of("nodeAffinity"), "Local volume requires node affinity"));
    }
    if found == Some("iscsi") {
        let (iscsi, name) = (spec.field("iscsi"), lookup(object, "metadata.name").as_str().unwrap_or(""));
        if let Some(message) = sources::iscsi_name_too_long(&iscsi, name) {
            let portal = iscsi.field("targetPortal");
            out.push(Cause::invalid(iscsi.of("targetportal"), portal.value, message));
        }
    }
    let path = spec.field("hostPath");
    let is_root = path.text("path").split('/').all(|part| part.is_empty() || part == ".");
    if !path.lacks("path") && is_root && spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        let message = "may not be 'recycle' for a hostPath mount of '/'";
        out.push(Cause::forbidden(spec.of("persistentVolumeReclaimPolicy"), message));
    }
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        invalid_all(&mut out, &spec.of("storageClassName"), class, names::dns_subdomain(class));
    }
    one_of(&mut out, &spec, "volumeMode", VOLUME_MODES);
    if let Some(class) = spec.present("volumeAttributesClassName") {
        if class.as_text().is_empty() {
            out.push(Cause::required(&class.path, "an empty string is disallowed"));
        } else {
            let wrong = names::dns_subdomain(class.as_text());
            invalid_all(&mut out, &class.path, class.as_text(), wrong);
        }
        if !spec.has("csi") {
            let message = "has to be specified when using volumeAttributesClassName";
            out.push(Cause::required(spec.of("csi"), message));
        }
    }
    out
}

fn capacity(out: &mut Causes, spec: &Place<'_>) {
    require(out, spec, "capacity");
    let capacity = spec.field("capacity");
    if !capacity.has("storage") || spec.map("capacity").count() > 1 {
        out.push(Cause::not_supported(&capacity.path, capacity.value, &["storage"]));
    }
    for (name, value) in spec.map("capacity") {
        let path = capacity.key(name).path;
        if resources::is_negative(value) {
            let shown = resources::quantity(value).map(|q| q.value());
            out.push(Cause::invalid(&path, &Value::from(shown), "must be a valid resource quantity"));
        }
        if resources::is_negative(value) || resources::is_zero(value) {
            let shown = resources::quantity(value).map(|q| q.to_string());
            out.push(Cause::invalid(&path, &Value::from(shown), "must be greater than zero"));
        }
    }
}

fn node_affinity(out: &mut Causes, spec: &Place<'_>) {
    if let Some(affinity) = spec.present("nodeAffinity") {
        match affinity.present("required") {
            Some(required) => pods_affinity::node_selector(out, &required),
            None => {
                let message = "must specify required node constraints";
                out.push(Cause::required(affinity.of("required"), message));
            }
        }
    }
}

fn csi(out: &mut Causes, at: &Place<'_>) {
    pods_volumes::driver_name(out, at, "driver");
    require(out, at, "volumeHandle");
    for secret in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let Some(secret) = at.present(secret) else { continue };
        for (field, rule) in
            [("name", names::dns_subdomain as fn(&str) -> Vec<String>), ("namespace", names::dns_label)]
        {
            if require(out, &secret, field) {
                invalid_all(out, &secret.of(field), secret.text(field), rule(secret.text(field)));
            }
        }
    }
}

/// Kubernetes applies the rules of a new volume twice.
fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = validate_create(new);
    out.extend(validate_create(new));
    let is_source = |field: &str| SOURCES.iter().any(|(name, _)| *name == field);
    let sources = |object: &Value| -> Value {
        let fields = lookup(object, "spec").as_object().into_iter().flatten();
        fields
            .filter(|(name, _)| is_source(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let (mut now, before) = (sources(new), sources(old));
    let (csi, secret) = (lookup(&before, "csi"), "controllerExpandSecretRef");
    if csi.is_object()
        && lookup(csi, secret).is_null()
        && let Some(csi) = now.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove(secret);
    }
    if !same(&now, &before) {
        let changes = internal::difference_in("core.v1.PersistentVolumeSpec", &is_source, &before, &now);
        let message = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
        out.push(Cause::forbidden("spec.persistentvolumesource", &message));
    }
    let mode = lookup(new, "spec.volumeMode");
    if mode != lookup(old, "spec.volumeMode") {
        out.push(Cause::invalid("volumeMode", mode, "field is immutable"));
    }
    let affinity = lookup(old, "spec.nodeAffinity");
    if !affinity.is_null() && !same(affinity, lookup(new, "spec.nodeAffinity")) {
        let now = lookup(new, "spec.nodeAffinity");
        let message = "field is immutable, except for updating from beta label to GA";
        out.push(internal::told_as(
            "core.v1.VolumeNodeAffinity",
            Cause::invalid("nodeAffinity", now, message),
        ));
    }
    let class = "spec.volumeAttributesClassName";
    if !lookup(old, class).is_null() && lookup(new, class).is_null() {
        out.push(Cause::forbidden(class, "update from non-nil value to nil is forbidden"));
    }
    out
}
