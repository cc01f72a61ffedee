//! The rules of security contexts, of pods and of containers.

use super::place::{Causes, Place, one_of, require, require_with};
use crate::{internal, names};
use api_types::Cause;
use serde_json::Value;

/// What a Linux container may set and a Windows one may not, by the container's security context.
const NOT_ON_WINDOWS_CONTAINER: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// The same by the pod's.
const NOT_ON_WINDOWS_POD: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];

/// The rules of a pod's security context.
pub(super) fn pod(out: &mut Causes, spec: &Place<'_>) {
    let Some(context) = spec.present("securityContext") else { return };
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(out, &context, field);
    }
    for group in context.list("supplementalGroups") {
        for message in names::user_id(group.value.as_i64().unwrap_or(-1)) {
            out.push(Cause::invalid(&group.path, group.value, &message));
        }
    }
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        out.push(Cause::invalid(
            context.of("shareProcessNamespace"),
            &Value::from(true),
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    sysctls(out, &context, spec);
    one_of(out, &context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    profiles(out, &context);
    super::pods_windows::options(out, &context);
    one_of(out, &context, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    // Mounting with the label (KEP-1710) is off by default.
    one_of(out, &context, "seLinuxChangePolicy", &["Recursive"]);
}

/// The rules of a container's security context.
pub(super) fn container(out: &mut Causes, container: &Place<'_>, host_users: bool) {
    let Some(context) = container.present("securityContext") else { return };
    id(out, &context, "runAsUser");
    id(out, &context, "runAsGroup");
    one_of(out, &context, "procMount", &["Default", "Unmasked"]);
    if host_users && context.text("procMount") == "Unmasked" {
        out.push(Cause::invalid(
            context.of("procMount"),
            context.field("procMount").value,
            "`hostUsers` must be false to use `Unmasked`",
        ));
    }
    if context.value["allowPrivilegeEscalation"] == false {
        let adds = context.field("capabilities").texts("add");
        let conflicts = [
            (context.flag("privileged"), "`privileged` to true"),
            (adds.contains(&"CAP_SYS_ADMIN"), "`capabilities.Add` CAP_SYS_ADMIN"),
        ];
        for (there, what) in conflicts {
            if there {
                let message = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
                out.push(Cause::invalid(&context.path, context.value, &message));
            }
        }
    }
    profiles(out, &context);
    super::pods_windows::options(out, &context);
}

fn id(out: &mut Causes, context: &Place<'_>, field: &str) {
    if let Some(id) = context.int(field) {
        for message in names::user_id(id) {
            out.push(Cause::invalid(context.of(field), &Value::from(id), &message));
        }
    }
}

/// Seccomp and AppArmor.
fn profiles(out: &mut Causes, context: &Place<'_>) {
    if let Some(profile) = context.present("seccompProfile") {
        let types = ["Localhost", "RuntimeDefault", "Unconfined"];
        if require_with(out, &profile, "type", "type is required when seccompProfile is set") {
            one_of(out, &profile, "type", &types);
        }
        let local = "localhostProfile";
        if profile.text("type") == "Localhost" {
            if !profile.has(local) {
                out.push(Cause::required(profile.of(local), "must be set when seccomp type is Localhost"));
            }
            if profile.text(local).starts_with('/') {
                out.push(Cause::invalid(
                    profile.of(local),
                    profile.field(local).value,
                    "must be a relative path",
                ));
            }
            super::pods_volumes::no_backsteps(out, &profile.of(local), profile.text(local));
        } else if profile.has(local) {
            out.push(internal::told_as(
                "core.v1.SeccompProfile",
                Cause::invalid(
                    profile.of(local),
                    profile.value,
                    "can only be set when seccomp type is Localhost",
                ),
            ));
        }
    }
    if let Some(profile) = context.present("appArmorProfile") {
        let local = "localhostProfile";
        let only = "must be set when AppArmor type is Localhost";
        match profile.text("type") {
            "Localhost" => {
                let name = profile.text(local);
                if name.trim().is_empty() {
                    out.push(Cause::required(profile.of(local), only));
                } else if name.trim() != name {
                    out.push(Cause::invalid(
                        profile.of(local),
                        &Value::from(name),
                        "must not be padded with whitespace",
                    ));
                }
                if name.len() > 4095 {
                    out.push(Cause::too_long(profile.of(local), 4095));
                }
            }
            "RuntimeDefault" | "Unconfined" if profile.has(local) => out.push(Cause::invalid(
                profile.of(local),
                profile.field(local).value,
                "can only be set when AppArmor type is Localhost",
            )),
            "RuntimeDefault" | "Unconfined" => {}
            "" => {
                out.push(Cause::required(profile.of("type"), "type is required when appArmorProfile is set"))
            }
            _ => one_of(out, &profile, "type", &["Localhost", "RuntimeDefault", "Unconfined"]),
        }
    }
}

fn sysctls(out: &mut Causes, context: &Place<'_>, spec: &Place<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for sysctl in context.list("sysctls") {
        let name = sysctl.text("name");
        if require(out, &sysctl, "name") {
            if !is_sysctl(name) {
                out.push(Cause::invalid(
                    sysctl.of("name"),
                    &Value::from(name),
                    "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                ));
            } else if seen.contains(&name) {
                out.push(Cause::duplicate(sysctl.of("name"), &Value::from(name)));
            }
        }
        let dotted = name.replace('/', ".");
        let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
        for (prefixes, flag) in [(&["net."][..], "hostNetwork"), (&ipc[..], "hostIPC")] {
            if spec.flag(flag) && prefixes.iter().any(|p| dotted.starts_with(p)) {
                let message = format!("may not be specified when '{flag}' is true");
                out.push(Cause::invalid(sysctl.of("name"), &Value::from(name), &message));
            }
        }
        seen.push(name);
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            bytes.first().is_some_and(|b| edge(*b))
                && bytes.last().is_some_and(|b| edge(*b))
                && bytes.iter().all(|b| edge(*b) || matches!(b, b'-' | b'_'))
        })
}

/// What the pod's operating system forbids.
pub(super) fn os(out: &mut Causes, spec: &Place<'_>) {
    let Some(os) = spec.present("os") else { return };
    let containers = ["containers", "initContainers", "ephemeralContainers"];
    let contexts = || containers.iter().flat_map(|c| spec.list(c)).map(|c| c.field("securityContext"));
    match os.text("name") {
        "" => out.push(Cause::required(os.of("name"), "")),
        "linux" => {
            for context in std::iter::once(spec.field("securityContext")).chain(contexts()) {
                if context.has("windowsOptions") {
                    out.push(Cause::forbidden(
                        context.of("windowsOptions"),
                        "windows options cannot be set for a linux pod",
                    ));
                }
            }
        }
        "windows" => {
            let message = "cannot be set for a windows pod";
            let context = spec.field("securityContext");
            for field in NOT_ON_WINDOWS_POD.iter().filter(|f| context.has(f)) {
                if *field == "sysctls" && context.lacks(field) {
                    continue;
                }
                out.push(Cause::forbidden(context.of(field), message));
            }
            for field in ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"] {
                if spec.has(field)
                    && (spec.flag(field) || matches!(field, "hostUsers" | "shareProcessNamespace"))
                {
                    out.push(Cause::forbidden(spec.of(field), message));
                }
            }
            for context in contexts() {
                for field in NOT_ON_WINDOWS_CONTAINER.iter().filter(|f| context.has(f)) {
                    out.push(Cause::forbidden(context.of(field), message));
                }
            }
        }
        name => out.push(Cause::not_supported(&os.path, &Value::from(name), &["linux", "windows"])),
    }
}
