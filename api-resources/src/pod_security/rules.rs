//! What each check forbids.

use super::checks::Finding;
use super::pod::{Faults, Pod, containers, elements, one_or_many, quoted, text};
use serde_json::Value;
use std::collections::BTreeSet;

fn found(reason: &'static str, detail: String) -> Option<Finding> {
    Some(Finding { reason, detail })
}

fn is_true(value: &Value) -> bool {
    value == true
}

pub fn app_armor(pod: Pod<'_>) -> Option<Finding> {
    const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
    let faults = pod.ask_all(|context, faults| {
        let profile = &context["appArmorProfile"];
        let bad = profile.is_object() && !matches!(text(&profile["type"]), "RuntimeDefault" | "Localhost");
        if bad {
            faults.note(text(&profile["type"]));
        }
        bad
    });
    let allowed =
        |profile: &str| matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/");
    let mut annotations: Vec<String> = pod
        .annotations()
        .filter(|(key, profile)| key.starts_with(ANNOTATION) && !allowed(profile))
        .map(|(key, profile)| format!("{key}={profile:?}"))
        .collect();
    annotations.sort();
    let who = [
        faults.who(),
        if annotations.is_empty() { "" } else { one_or_many(annotations.len(), "annotation", "annotations") }
            .into(),
    ];
    let who: Vec<String> = who.into_iter().filter(|part| !part.is_empty()).collect();
    if who.is_empty() {
        return None;
    }
    let values = [faults.values(), annotations].concat();
    let reason = one_or_many(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    found(reason, format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&values)))
}

/// What containers have unless they drop it.
const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The containers that add a capability which is not allowed, in the words of both levels.
fn adding(pod: Pod<'_>, allowed: &[&str]) -> Option<String> {
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, faults| {
        let added = elements(&container["securityContext"]["capabilities"]["add"]).iter().map(text);
        let bad: Vec<&str> = added.filter(|name| !allowed.contains(name)).collect();
        bad.iter().for_each(|name| faults.note(name));
        !bad.is_empty()
    });
    faults.are_there().then(|| {
        let (who, what) = (containers(&faults.containers), quoted(&faults.values()));
        format!("{who} must not include {what} in securityContext.capabilities.add")
    })
}

pub fn added_capabilities(pod: Pod<'_>) -> Option<Finding> {
    found("non-default capabilities", adding(pod, DEFAULT_CAPABILITIES)?)
}

pub fn capabilities(pod: Pod<'_>) -> Option<Finding> {
    let mut keeping = Faults::default();
    pod.ask_containers(&mut keeping, |container, _| {
        !elements(&container["securityContext"]["capabilities"]["drop"]).iter().any(|name| name == "ALL")
    });
    let dropped = keeping.are_there().then(|| {
        format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping.containers))
    });
    let details: Vec<String> = dropped.into_iter().chain(adding(pod, &["NET_BIND_SERVICE"])).collect();
    if details.is_empty() { None } else { found("unrestricted capabilities", details.join("; ")) }
}

pub fn capabilities_but_on_windows(pod: Pod<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { capabilities(pod) }
}

pub fn host_namespaces(pod: Pod<'_>) -> Option<Finding> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| is_true(&pod.spec()[**field]))
        .map(|field| format!("{field}=true"))
        .collect();
    if shared.is_empty() { None } else { found("host namespaces", shared.join(", ")) }
}

pub fn host_path_volumes(pod: Pod<'_>) -> Option<Finding> {
    let volumes = elements(&pod.spec()["volumes"]).iter().filter(|volume| volume["hostPath"].is_object());
    let names: Vec<String> = volumes.map(|volume| text(&volume["name"]).to_owned()).collect();
    if names.is_empty() {
        return None;
    }
    found("hostPath volumes", format!("{} {}", one_or_many(names.len(), "volume", "volumes"), quoted(&names)))
}

pub fn host_ports(pod: Pod<'_>) -> Option<Finding> {
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, faults| {
        let ports = elements(&container["ports"]).iter().filter_map(|port| port["hostPort"].as_i64());
        let bad: Vec<i64> = ports.filter(|port| *port != 0).collect();
        bad.iter().for_each(|port| faults.note(&port.to_string()));
        !bad.is_empty()
    });
    if !faults.are_there() {
        return None;
    }
    let uses = one_or_many(faults.containers.len(), "uses", "use");
    let ports = one_or_many(faults.values().len(), "hostPort", "hostPorts");
    found(
        "hostPort",
        format!("{} {uses} {ports} {}", containers(&faults.containers), faults.values().join(", ")),
    )
}

/// Probes and hooks that ask another host than their pod.
pub fn probed_hosts(pod: Pod<'_>) -> Option<Finding> {
    const PLACES: &[&str] =
        &["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"];
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, faults| {
        let handlers = PLACES.iter().filter_map(|at| container.pointer(at));
        let hosts = handlers.flat_map(|handler| [&handler["httpGet"]["host"], &handler["tcpSocket"]["host"]]);
        let bad: Vec<&str> = hosts.map(text).filter(|host| !host.is_empty()).collect();
        bad.iter().for_each(|host| faults.note(host));
        !bad.is_empty()
    });
    if !faults.are_there() {
        return None;
    }
    let mut names = faults.containers.clone();
    names.sort();
    let uses = one_or_many(names.len(), "uses", "use");
    let hosts = one_or_many(faults.values().len(), "probe or lifecycle host", "probe or lifecycle hosts");
    found(
        "probe or lifecycle host",
        format!("{} {uses} {hosts} {}", containers(&names), quoted(&faults.values())),
    )
}

pub fn privileged(pod: Pod<'_>) -> Option<Finding> {
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, _| is_true(&container["securityContext"]["privileged"]));
    if !faults.are_there() {
        return None;
    }
    found(
        "privileged",
        format!("{} must not set securityContext.privileged=true", containers(&faults.containers)),
    )
}

pub fn proc_mount(pod: Pod<'_>) -> Option<Finding> {
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, faults| {
        let mount = container["securityContext"]["procMount"].as_str().filter(|mount| *mount != "Default");
        mount.is_some_and(|mount| {
            faults.note(mount);
            true
        })
    });
    if !faults.are_there() {
        return None;
    }
    let (who, what) = (containers(&faults.containers), quoted(&faults.values()));
    found("procMount", format!("{who} must not set securityContext.procMount to {what}"))
}

pub fn proc_mount_of_own_users(pod: Pod<'_>) -> Option<Finding> {
    if pod.has_own_users() { None } else { proc_mount(pod) }
}

pub fn se_linux(pod: Pod<'_>) -> Option<Finding> {
    se_linux_types(pod, &["", "container_t", "container_init_t", "container_kvm_t"])
}

pub fn se_linux_with_engines(pod: Pod<'_>) -> Option<Finding> {
    se_linux_types(pod, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn se_linux_types(pod: Pod<'_>, allowed: &[&str]) -> Option<Finding> {
    let (mut sets_user, mut sets_role) = (false, false);
    let faults = pod.ask_all(|context, faults| {
        let options = &context["seLinuxOptions"];
        let type_is_bad = !allowed.contains(&text(&options["type"]));
        if type_is_bad {
            faults.note(text(&options["type"]));
        }
        let (user, role) = (!text(&options["user"]).is_empty(), !text(&options["role"]).is_empty());
        sets_user |= user;
        sets_role |= role;
        type_is_bad || user || role
    });
    if !faults.are_there() {
        return None;
    }
    let types = faults.values();
    let types = (!types.is_empty())
        .then(|| format!("{} {}", one_or_many(types.len(), "type", "types"), quoted(&types)));
    let user = sets_user.then(|| "user may not be set".to_owned());
    let role = sets_role.then(|| "role may not be set".to_owned());
    let what: Vec<String> = types.into_iter().chain(user).chain(role).collect();
    let detail =
        format!("{} set forbidden securityContext.seLinuxOptions: {}", faults.who(), what.join("; "));
    found("seLinuxOptions", detail)
}

/// Profiles came by annotations once.
pub fn seccomp_annotations(pod: Pod<'_>) -> Option<Finding> {
    const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let allowed = |profile: &str| {
        matches!(profile, "runtime/default" | "docker/default") || profile.starts_with("localhost/")
    };
    let names: BTreeSet<&str> = pod.containers().map(|container| text(&container["name"])).collect();
    let concerns =
        |key: &str| key == OF_POD || key.strip_prefix(OF_CONTAINER).is_some_and(|name| names.contains(name));
    let mut bad: Vec<String> = pod
        .annotations()
        .filter(|(key, profile)| concerns(key) && !allowed(profile))
        .map(|(key, profile)| format!("{key}={profile:?}"))
        .collect();
    bad.sort();
    if bad.is_empty() {
        return None;
    }
    let what = one_or_many(bad.len(), "annotation", "annotations");
    found("seccompProfile", format!("forbidden {what} {}", bad.join(", ")))
}

fn is_profile(profile: &Value) -> bool {
    matches!(text(&profile["type"]), "RuntimeDefault" | "Localhost")
}

pub fn seccomp(pod: Pod<'_>) -> Option<Finding> {
    let faults = pod.ask_all(|context, faults| {
        let profile = &context["seccompProfile"];
        let bad = profile.is_object() && !is_profile(profile);
        if bad {
            faults.note(text(&profile["type"]));
        }
        bad
    });
    if !faults.are_there() {
        return None;
    }
    let (who, what) = (faults.who(), quoted(&faults.values()));
    found("seccompProfile", format!("{who} must not set securityContext.seccompProfile.type to {what}"))
}

pub fn required_seccomp(pod: Pod<'_>) -> Option<Finding> {
    if let Some(finding) = seccomp(pod) {
        return Some(finding);
    }
    if pod.spec()["securityContext"]["seccompProfile"].is_object() {
        return None;
    }
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, _| {
        !container["securityContext"]["seccompProfile"].is_object()
    });
    if !faults.are_there() {
        return None;
    }
    let who = containers(&faults.containers);
    let what = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
    found("seccompProfile", format!("pod or {who} {what}"))
}

pub fn required_seccomp_but_on_windows(pod: Pod<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { required_seccomp(pod) }
}

/// Settings of the kernel that are a pod's own, each with the first list that has them.
const SYSCTLS: &[(usize, &str)] = &[
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (1, "net.ipv4.ip_local_reserved_ports"),
    (2, "net.ipv4.tcp_keepalive_time"),
    (2, "net.ipv4.tcp_fin_timeout"),
    (2, "net.ipv4.tcp_keepalive_intvl"),
    (2, "net.ipv4.tcp_keepalive_probes"),
    (3, "net.ipv4.tcp_rmem"),
    (3, "net.ipv4.tcp_wmem"),
];

pub fn sysctls<const LIST: usize>(pod: Pod<'_>) -> Option<Finding> {
    let set = elements(&pod.spec()["securityContext"]["sysctls"]).iter().map(|sysctl| text(&sysctl["name"]));
    let allowed = |name: &str| SYSCTLS.iter().any(|(list, known)| *list <= LIST && *known == name);
    let bad: Vec<&str> = set.filter(|name| !allowed(name)).collect();
    if bad.is_empty() { None } else { found("forbidden sysctls", bad.join(", ")) }
}

pub fn windows_host_process(pod: Pod<'_>) -> Option<Finding> {
    let faults = pod.ask_all(|context, _| is_true(&context["windowsOptions"]["hostProcess"]));
    let what = "must not set securityContext.windowsOptions.hostProcess=true";
    if faults.are_there() { found("hostProcess", format!("{} {what}", faults.who())) } else { None }
}

pub fn privilege_escalation(pod: Pod<'_>) -> Option<Finding> {
    let mut faults = Faults::default();
    pod.ask_containers(&mut faults, |container, _| {
        container["securityContext"]["allowPrivilegeEscalation"] != false
    });
    let what = "must set securityContext.allowPrivilegeEscalation=false";
    if !faults.are_there() {
        return None;
    }
    found("allowPrivilegeEscalation != false", format!("{} {what}", containers(&faults.containers)))
}

pub fn privilege_escalation_but_on_windows(pod: Pod<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { privilege_escalation(pod) }
}

/// The sources that are allowed.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub fn volume_types(pod: Pod<'_>) -> Option<Finding> {
    let (mut names, mut kinds) = (Vec::new(), Faults::default());
    for volume in elements(&pod.spec()["volumes"]) {
        let fields: Vec<&str> =
            volume.as_object().into_iter().flatten().map(|(field, _)| field.as_str()).collect();
        if !fields.iter().any(|field| VOLUMES.contains(field)) {
            names.push(text(&volume["name"]).to_owned());
            kinds.note(fields.into_iter().find(|field| *field != "name").unwrap_or("unknown"));
        }
    }
    if names.is_empty() {
        return None;
    }
    let (volumes, use_) =
        (one_or_many(names.len(), "volume", "volumes"), one_or_many(names.len(), "uses", "use"));
    let what = one_or_many(kinds.values().len(), "restricted volume type", "restricted volume types");
    let detail = format!("{volumes} {} {use_} {what} {}", quoted(&names), quoted(&kinds.values()));
    found("restricted volume types", detail)
}

pub fn non_root(pod: Pod<'_>) -> Option<Finding> {
    const REASON: &str = "runAsNonRoot != true";
    let faults = pod.ask_all(|context, _| context["runAsNonRoot"] == false);
    if faults.are_there() {
        return found(REASON, format!("{} must not set securityContext.runAsNonRoot=false", faults.who()));
    }
    if is_true(&pod.spec()["securityContext"]["runAsNonRoot"]) {
        return None;
    }
    let mut silent = Faults::default();
    pod.ask_containers(&mut silent, |container, _| container["securityContext"]["runAsNonRoot"].is_null());
    if !silent.are_there() {
        return None;
    }
    let who = containers(&silent.containers);
    found(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

pub fn non_root_of_own_users(pod: Pod<'_>) -> Option<Finding> {
    if pod.has_own_users() { None } else { non_root(pod) }
}

pub fn root_user(pod: Pod<'_>) -> Option<Finding> {
    let faults = pod.ask_all(|context, _| context["runAsUser"] == 0);
    if faults.are_there() {
        found("runAsUser=0", format!("{} must not set runAsUser=0", faults.who()))
    } else {
        None
    }
}

pub fn root_user_of_own_users(pod: Pod<'_>) -> Option<Finding> {
    if pod.has_own_users() { None } else { root_user(pod) }
}
