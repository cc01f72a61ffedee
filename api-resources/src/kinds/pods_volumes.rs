//! The rules of a pod's volumes.

use super::persistentvolumeclaims;
use super::place::{Causes, Place, invalid_all, one_of, require, require_with};
use super::pods_env::{field_ref, resource_field_ref};
use super::resources;
use super::volume_sources::{self as sources, Source};
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// What containers may mount.
#[derive(Default)]
pub(super) struct Volumes<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Volumes<'a> {
    /// The volume of a name.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, volume)| *volume)
    }
}

/// The sources in the order in which Kubernetes looks at them.
const SOURCES: &[Source] = &[
    ("emptyDir", empty_dir),
    ("hostPath", sources::host_path),
    ("gitRepo", |out, at| {
        require(out, at, "repository");
        descending(out, &at.of("directory"), at.text("directory"));
    }),
    ("gcePersistentDisk", sources::gce),
    ("awsElasticBlockStore", sources::aws),
    ("secret", |out, at| {
        require(out, at, "secretName");
        mode(out, at, "defaultMode");
        at.list("items").for_each(|item| key_to_path(out, &item));
    }),
    ("nfs", sources::nfs),
    ("iscsi", sources::iscsi),
    ("glusterfs", sources::plain),
    ("flocker", sources::flocker),
    ("persistentVolumeClaim", |out, at| {
        require(out, at, "claimName");
    }),
    ("rbd", sources::plain),
    ("cinder", sources::cinder),
    ("cephfs", sources::plain),
    ("quobyte", sources::quobyte),
    ("downwardAPI", |out, at| {
        mode(out, at, "defaultMode");
        at.list("items").for_each(|item| downward_file(out, &at.path, item.value));
    }),
    ("fc", sources::fc),
    ("flexVolume", sources::flex),
    ("configMap", |out, at| {
        require(out, at, "name");
        mode(out, at, "defaultMode");
        at.list("items").for_each(|item| key_to_path(out, &item));
    }),
    ("azureFile", sources::azure_file),
    ("vsphereVolume", sources::plain),
    ("photonPersistentDisk", sources::plain),
    ("portworxVolume", sources::plain),
    ("azureDisk", sources::azure_disk),
    ("storageos", sources::storage_os),
    ("projected", projected),
    ("scaleIO", sources::plain),
    ("csi", csi),
    ("ephemeral", ephemeral),
    ("image", |out, at| one_of(out, at, "pullPolicy", &["Always", "IfNotPresent", "Never"])),
];

/// Whose spec it is.
pub(super) struct Owner<'a> {
    /// The pod's name; empty for a template, and for a pod that has none yet.
    pub(super) pod_name: &'a str,
    /// A pod, not a template.
    pub(super) is_pod: bool,
}

/// The rules of `spec.volumes`; gives the good volumes.
pub(super) fn volumes<'a>(out: &mut Causes, spec: &Place<'a>, of: &Owner<'_>) -> Volumes<'a> {
    let pod_name = of.pod_name;
    let mut good = Volumes::default();
    let made: Vec<String> = spec
        .list("volumes")
        .filter(|v| v.has("ephemeral") && !pod_name.is_empty())
        .map(|v| format!("{pod_name}-{}", v.text("name")))
        .collect();
    for volume in spec.list("volumes") {
        let name = volume.text("name");
        let mut wrong = Vec::new();
        source(&mut wrong, &volume, of);
        if name.is_empty() {
            wrong.push(Cause::required(volume.of("name"), ""));
        } else {
            invalid_all(&mut wrong, &volume.of("name"), name, names::dns_label(name));
        }
        if good.get(name).is_some() {
            wrong.push(Cause::duplicate(volume.of("name"), &Value::from(name)));
        }
        if wrong.is_empty() {
            good.0.push((name, volume.value));
        }
        out.extend(wrong);
        let claim = volume.field("persistentVolumeClaim");
        if made.iter().any(|m| m == claim.text("claimName")) {
            out.push(Cause::invalid(
                claim.of("claimName"),
                claim.field("claimName").value,
                "must not reference a PVC that gets created for an ephemeral volume",
            ));
        }
    }
    good
}

fn source(out: &mut Causes, volume: &Place<'_>, of: &Owner<'_>) {
    let name = volume.text("name");
    match sources::only_one(out, volume, SOURCES, "") {
        Some("iscsi") => {
            if let Some(message) = sources::iscsi_name_too_long(&volume.field("iscsi"), name) {
                out.push(Cause::invalid(volume.of("name"), &Value::from(name), message));
            }
        }
        Some("ephemeral") if !of.pod_name.is_empty() && !name.is_empty() => {
            let claim = format!("{}-{name}", of.pod_name);
            for message in names::dns_subdomain(&claim) {
                let message = format!("PVC name {claim:?}: {message}");
                out.push(Cause::invalid(volume.of("name"), volume.field("name").value, &message));
            }
        }
        Some("image") if of.is_pod => {
            require(out, &volume.field("image"), "reference");
        }
        _ => {}
    }
}

fn empty_dir(out: &mut Causes, at: &Place<'_>) {
    if let Some(limit) = at.present("sizeLimit")
        && resources::is_negative(limit.value)
    {
        out.push(Cause::forbidden(limit.path, "SizeLimit field must be a valid resource quantity"));
    }
}

/// The name of a CSI driver: a subdomain of at most 63 characters, of any case.
pub(super) fn driver_name(out: &mut Causes, at: &Place<'_>, field: &str) {
    if require(out, at, field) {
        let name = at.text(field);
        if name.len() > names::LABEL_MAX {
            out.push(Cause::too_long(at.of(field), names::LABEL_MAX));
        }
        invalid_all(out, &at.of(field), name, names::dns_subdomain(&name.to_lowercase()));
    }
}

fn csi(out: &mut Causes, at: &Place<'_>) {
    driver_name(out, at, "driver");
    if let Some(secret) = at.present("nodePublishSecretRef")
        && require(out, &secret, "name")
    {
        let name = secret.text("name");
        invalid_all(out, &at.of("name"), name, names::dns_subdomain(name));
    }
}

fn ephemeral(out: &mut Causes, at: &Place<'_>) {
    if !require_with(out, at, "volumeClaimTemplate", "") {
        return;
    }
    let template = at.field("volumeClaimTemplate");
    let meta = template.field("metadata");
    metadata::annotations(out, &meta.field("annotations"));
    metadata::labels(out, &meta.field("labels"));
    for (field, value) in template.map("metadata") {
        if !matches!(field.as_str(), "annotations" | "labels") && !value.is_null() {
            out.push(Cause::forbidden(meta.of(field), "cannot be set"));
        }
    }
    persistentvolumeclaims::validate_spec(out, &template.field("spec"), false);
}

fn mode(out: &mut Causes, at: &Place<'_>, field: &str) {
    if let Some(mode) = at.int(field).filter(|m| !(0..=0o777).contains(m)) {
        out.push(Cause::invalid(at.of(field), &Value::from(mode), MODE));
    }
}

fn key_to_path(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "key");
    require(out, at, "path");
    local_path(out, &at.of("path"), at.text("path"));
    mode(out, at, "mode");
}

/// Kubernetes reports the defects of an item at the source, without the item's index.
fn downward_file(out: &mut Causes, path: &str, item: &Value) {
    let at = Place::new(path, item);
    require(out, &at, "path");
    local_path(out, &at.of("path"), at.text("path"));
    match (at.present("fieldRef"), at.present("resourceFieldRef")) {
        (Some(field), resource) => {
            let allowed = [
                "metadata.annotations",
                "metadata.labels",
                "metadata.name",
                "metadata.namespace",
                "metadata.uid",
            ];
            field_ref(out, &field, &allowed);
            if resource.is_some() {
                out.push(Cause::invalid(
                    path,
                    &Value::from("resource"),
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                ));
            }
        }
        (None, Some(resource)) => resource_field_ref(out, &resource, true),
        (None, None) => {
            out.push(Cause::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    mode(out, &at, "mode");
}

fn projected(out: &mut Causes, at: &Place<'_>) {
    mode(out, at, "defaultMode");
    let claim = |out: &mut Causes, path: &str, value: &str, paths: &mut Vec<String>| {
        if path.is_empty() {
            return;
        }
        if paths.iter().any(|p| p == path) {
            out.push(Cause::invalid(&at.path, &Value::from(value), "conflicting duplicate paths"));
        } else {
            paths.push(path.to_owned());
        }
    };
    let mut taken: Vec<String> = Vec::new();
    for source in at.list("sources") {
        let kinds = ["secret", "configMap", "downwardAPI", "serviceAccountToken"];
        let count = kinds.iter().filter(|k| source.has(k)).count();
        for kind in ["secret", "configMap"] {
            let Some(from) = source.present(kind) else { continue };
            require(out, &from, "name");
            for item in from.list("items") {
                key_to_path(out, &item);
                claim(out, item.text("path"), from.text("name"), &mut taken);
            }
        }
        if let Some(downward) = source.present("downwardAPI") {
            for item in downward.list("items") {
                downward_file(out, &downward.path, item.value);
                claim(out, item.text("path"), item.text("path"), &mut taken);
            }
        }
        if let Some(token) = source.present("serviceAccountToken") {
            service_account_token(out, at, &token);
        }
        if count > 1 {
            out.push(Cause::forbidden(&source.path, "may not specify more than 1 volume type per source"));
        }
    }
}

fn service_account_token(out: &mut Causes, projected: &Place<'_>, token: &Place<'_>) {
    if let Some(seconds) = token.int("expirationSeconds") {
        let wrong = match seconds {
            ..600 => "may not specify a duration less than 10 minutes",
            600..=0x1_0000_0000 => "",
            _ => "may not specify a duration larger than 2^32 seconds",
        };
        if !wrong.is_empty() {
            out.push(Cause::invalid(token.of("expirationSeconds"), &Value::from(seconds), wrong));
        }
    }
    // Kubernetes reports the path at the projection, not at the source.
    let path = token.text("path");
    if path.is_empty() {
        out.push(Cause::required(projected.of("path"), ""));
    } else {
        local_path(out, &projected.of("path"), path);
    }
}

/// A relative path without `..`.
pub(super) fn descending(out: &mut Causes, path: &str, target: &str) {
    if target.starts_with('/') {
        out.push(Cause::invalid(path, &Value::from(target), "must be a relative path"));
    }
    no_backsteps(out, path, target);
}

/// A path without `..`; true when it is one.
pub(super) fn no_backsteps(out: &mut Causes, path: &str, target: &str) -> bool {
    let good = !target.split('/').any(|part| part == "..");
    if !good {
        out.push(Cause::invalid(path, &Value::from(target), "must not contain '..'"));
    }
    good
}

/// A relative path that does not start with `..`.
fn local_path(out: &mut Causes, path: &str, target: &str) {
    descending(out, path, target);
    if target.starts_with("..") && !target.starts_with("../") {
        out.push(Cause::invalid(path, &Value::from(target), "must not start with '..'"));
    }
}
