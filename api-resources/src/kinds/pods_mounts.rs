//! The rules of a container's mounts and devices.

use super::place::{Causes, Place, not_found, one_of, require};
use super::pods_volumes::{Volumes, descending};
use api_types::Cause;
use serde_json::Value;

/// The rules of `volumeMounts` and `volumeDevices`.
pub(super) fn mounts(out: &mut Causes, container: &Place<'_>, volumes: &Volumes<'_>) {
    let list = container.of("volumeMounts");
    let device_names: Vec<&str> = container.list("volumeDevices").map(|d| d.text("name")).collect();
    let device_paths: Vec<&str> = container.list("volumeDevices").map(|d| d.text("devicePath")).collect();
    let mut seen: Vec<&str> = Vec::new();
    for mount in container.list("volumeMounts") {
        let (name, path) = (mount.text("name"), mount.text("mountPath"));
        require(out, &mount, "name");
        if volumes.get(name).is_none() {
            not_found(out, mount.of("name"), name);
        }
        require(out, &mount, "mountPath");
        let rules = [
            (seen.contains(&path), "mountPath", path, "must be unique"),
            (device_names.contains(&name), "name", name, "must not already exist in volumeDevices"),
            (
                device_paths.contains(&path),
                "mountPath",
                path,
                "must not already exist as a path in volumeDevices",
            ),
        ];
        for (broken, field, value, message) in rules {
            if broken {
                out.push(Cause::invalid(mount.of(field), &Value::from(value), message));
            }
        }
        seen.push(path);
        // The next four are reported without the mount's index, as Kubernetes does.
        if !mount.lacks("subPath") {
            descending(out, &format!("{list}.subPath"), mount.text("subPath"));
        }
        if !mount.lacks("subPathExpr") {
            if !mount.lacks("subPath") {
                out.push(Cause::invalid(
                    mount.of("subPathExpr"),
                    mount.field("subPathExpr").value,
                    "subPathExpr and subPath are mutually exclusive",
                ));
            }
            descending(out, &format!("{list}.subPathExpr"), mount.text("subPathExpr"));
        }
        let unindexed = Place::new(list.clone(), mount.value);
        propagation(out, &unindexed, container);
        recursive_read_only(out, &unindexed);
    }
    devices(out, container, volumes);
}

fn propagation(out: &mut Causes, mount: &Place<'_>, container: &Place<'_>) {
    one_of(out, mount, "mountPropagation", &["Bidirectional", "HostToContainer", "None"]);
    let privileged = container.field("securityContext").flag("privileged");
    if mount.text("mountPropagation") == "Bidirectional" && !privileged {
        out.push(Cause::forbidden(
            mount.of("mountPropagation"),
            "Bidirectional mount propagation is available only to privileged containers",
        ));
    }
}

fn recursive_read_only(out: &mut Causes, mount: &Place<'_>) {
    let field = "recursiveReadOnly";
    match mount.text(field) {
        "Enabled" | "IfPossible" => {
            if !mount.flag("readOnly") {
                out.push(Cause::forbidden(mount.of(field), "may only be specified when readOnly is true"));
            }
            if mount.has("mountPropagation") && mount.text("mountPropagation") != "None" {
                out.push(Cause::forbidden(
                    mount.of(field),
                    "may only be specified when mountPropagation is None or not specified",
                ));
            }
        }
        _ => one_of(out, mount, field, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(out: &mut Causes, container: &Place<'_>, volumes: &Volumes<'_>) {
    let mount_names: Vec<&str> = container.list("volumeMounts").map(|m| m.text("name")).collect();
    let mount_paths: Vec<&str> = container.list("volumeMounts").map(|m| m.text("mountPath")).collect();
    let (mut names, mut paths): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for device in container.list("volumeDevices") {
        let (name, path) = (device.text("name"), device.text("devicePath"));
        require(out, &device, "name");
        let volume = volumes.get(name);
        let of_claim = |v: &Value| !v["persistentVolumeClaim"].is_null() || !v["ephemeral"].is_null();
        let backsteps = path.split('/').any(|p| p == "..");
        let rules = [
            (!name.is_empty() && names.contains(&name), "name", name, "must be unique"),
            (
                volume.is_some_and(|v| !of_claim(v)),
                "name",
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ),
            (paths.contains(&path), "devicePath", path, "must be unique"),
            (backsteps, "devicePath", path, "can not contain backsteps ('..')"),
            (mount_names.contains(&name), "name", name, "must not already exist in volumeMounts"),
            (
                mount_paths.contains(&path),
                "devicePath",
                path,
                "must not already exist as a path in volumeMounts",
            ),
        ];
        if volume.is_none() {
            not_found(out, device.of("name"), name);
        }
        require(out, &device, "devicePath");
        for (broken, field, value, message) in rules {
            if broken {
                out.push(Cause::invalid(device.of(field), &Value::from(value), message));
            }
        }
        names.push(name);
        paths.push(path);
    }
}
