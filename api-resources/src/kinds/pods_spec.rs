//! The rules of a pod's spec, alone and in templates.

use super::place::{Causes, Place, invalid_all, not_found, one_of, require, require_with, required_one_of};
use super::pods_containers::{self, Pod};
use super::{pods_affinity, pods_resources, pods_security, pods_volumes, pods_windows, resources};
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

/// Restart policies in the order in which Kubernetes lists them.
pub(super) const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The rules of a spec; `pod_name` is the pod's, empty for a template.
pub(super) fn spec(out: &mut Causes, at: &Place<'_>, pod_name: &str, is_pod: bool) {
    require(out, at, "terminationGracePeriodSeconds");
    let volumes = pods_volumes::volumes(out, at, &pods_volumes::Owner { pod_name, is_pod });
    resource_claims(out, at);
    pods_containers::containers(out, &Pod { spec: at, volumes: &volumes });
    let claims: Vec<&str> = at.list("resourceClaims").map(|claim| claim.text("name")).collect();
    pods_resources::rules(out, at, &claims);
    host_ports(out, at, is_pod);
    required_one_of(out, at, "restartPolicy", RESTART_POLICIES);
    required_one_of(out, at, "dnsPolicy", &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    metadata::labels(out, &at.field("nodeSelector"));
    pods_security::pod(out, at);
    pods_affinity::affinity(out, at);
    dns_config(out, at);
    for gate in at.list("readinessGates") {
        let condition = gate.text("conditionType");
        invalid_all(out, &gate.of("conditionType"), condition, names::qualified_name(condition));
    }
    let mut seen: Vec<&str> = Vec::new();
    for gate in at.list("schedulingGates") {
        let name = gate.text("name");
        invalid_all(out, &gate.path, name, names::qualified_name(name));
        if seen.contains(&name) {
            out.push(Cause::duplicate(&gate.path, &Value::from(name)));
        }
        seen.push(name);
    }
    pods_affinity::spread(out, at);
    pods_windows::host_process(out, at);
    host_users(out, at);
    host_name(out, at);
    name(out, at, "serviceAccountName", names::dns_subdomain);
    name(out, at, "nodeName", names::dns_subdomain);
    if let Some(seconds) = at.int("activeDeadlineSeconds") {
        for message in names::in_range(seconds, 1, i64::from(i32::MAX)) {
            out.push(Cause::invalid(at.of("activeDeadlineSeconds"), &Value::from(seconds), &message));
        }
    }
    name(out, at, "hostname", names::dns_label);
    name(out, at, "subdomain", names::dns_label);
    tolerations(out, at);
    for alias in at.list("hostAliases") {
        invalid_all(out, &alias.of("ip"), alias.text("ip"), names::ip(alias.text("ip")));
        for host in alias.list("hostnames") {
            invalid_all(out, &host.path, host.as_text(), names::dns_subdomain(host.as_text()));
        }
    }
    name(out, at, "priorityClassName", names::dns_subdomain);
    if at.has("runtimeClassName") {
        let class = at.text("runtimeClassName");
        invalid_all(out, &at.of("runtimeClassName"), class, names::dns_subdomain(class));
    }
    if at.has("preemptionPolicy") {
        required_one_of(out, at, "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
    }
    resources::overhead(out, &at.field("overhead"));
    pods_security::os(out, at);
    file_keys(out, at);
}

/// The rules of a template: its labels, annotations and spec. `restarts` are the allowed restart policies.
pub(super) fn template(out: &mut Causes, at: &Place<'_>) {
    // Kubernetes reports labels and annotations without the `metadata` that they are in.
    let meta = Place::new(at.path.clone(), at.field("metadata").value);
    metadata::labels(out, &meta.field("labels"));
    metadata::annotations(out, &meta.field("annotations"));
    super::pods::annotations(out, &meta, &at.field("spec"));
    spec(out, &at.field("spec"), "", false);
    if !at.field("spec").lacks("ephemeralContainers") {
        out.push(Cause::forbidden(
            at.field("spec").of("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
}

fn name(out: &mut Causes, at: &Place<'_>, field: &str, rule: fn(&str) -> Vec<String>) {
    let text = at.text(field);
    if !text.is_empty() {
        invalid_all(out, &at.of(field), text, rule(text));
    }
}

fn resource_claims(out: &mut Causes, at: &Place<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for claim in at.list("resourceClaims") {
        let name = claim.text("name");
        if name.is_empty() {
            out.push(Cause::required(claim.of("name"), ""));
        } else if seen.contains(&name) {
            out.push(Cause::duplicate(claim.of("name"), &Value::from(name)));
        } else {
            invalid_all(out, &claim.of("name"), name, names::dns_label(name));
            seen.push(name);
        }
        match (claim.has("resourceClaimName"), claim.has("resourceClaimTemplateName")) {
            (true, true) => out.push(Cause::invalid(
                &claim.path,
                claim.value,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            )),
            (false, false) => out.push(Cause::invalid(
                &claim.path,
                claim.value,
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            )),
            _ => {}
        }
        for field in ["resourceClaimName", "resourceClaimTemplateName"] {
            if claim.has(field) {
                let text = claim.text(field);
                invalid_all(out, &claim.of(field), text, names::dns_subdomain(text));
            }
        }
    }
}

fn host_ports(out: &mut Causes, at: &Place<'_>, is_pod: bool) {
    if !at.flag("hostNetwork") {
        return;
    }
    for port in at.list("containers").flat_map(|c| c.list("ports")) {
        let (host, container) = (port.int("hostPort").unwrap_or(0), port.int("containerPort").unwrap_or(0));
        if (is_pod || host != 0) && host != container {
            out.push(Cause::invalid(
                port.of("hostPort"),
                &Value::from(host),
                "must match `containerPort` when `hostNetwork` is true",
            ));
        }
    }
}

fn dns_config(out: &mut Causes, at: &Place<'_>) {
    let config = at.field("dnsConfig");
    if at.text("dnsPolicy") == "None" {
        if !at.has("dnsConfig") {
            out.push(Cause::required(config.path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        let message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        if !require_with(out, &config, "nameservers", message) {
            return;
        }
    }
    let servers = config.field("nameservers");
    if config.list("nameservers").count() > 3 {
        out.push(Cause::invalid(&servers.path, servers.value, "must not have more than 3 nameservers"));
    }
    for server in servers.elements() {
        invalid_all(out, &server.path, server.as_text(), names::ip(server.as_text()));
    }
    let searches = config.field("searches");
    let all = config.texts("searches");
    if all.len() > 32 {
        out.push(Cause::invalid(&searches.path, searches.value, "must not have more than 32 search paths"));
    }
    if all.join(" ").len() > 2048 {
        out.push(Cause::invalid(
            &searches.path,
            searches.value,
            "must not have more than 2048 characters (including spaces) in the search list",
        ));
    }
    for search in searches.elements().filter(|s| s.as_text() != ".") {
        let text = search.as_text().strip_suffix('.').unwrap_or(search.as_text());
        invalid_all(out, &search.path, text, names::dns_subdomain_with_underscore(text));
    }
    for option in config.list("options").filter(|o| o.lacks("name")) {
        out.push(Cause::required(option.path, "must not be empty"));
    }
}

fn host_users(out: &mut Causes, at: &Place<'_>) {
    if at.value["hostUsers"] != false {
        return;
    }
    for (field, spelled) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if at.flag(field) {
            out.push(Cause::forbidden(at.of(spelled), "when `hostUsers` is false"));
        }
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in at.list(list).filter(|c| !c.lacks("volumeDevices")) {
            out.push(Cause::forbidden(container.of("volumeDevices"), "when `hostUsers` is false"));
        }
    }
}

fn host_name(out: &mut Causes, at: &Place<'_>) {
    let Some(name) = at.present("hostnameOverride") else { return };
    for (field, what) in [("setHostnameAsFQDN", "setHostnameAsFQDN"), ("hostNetwork", "hostNetwork")] {
        if at.flag(field) {
            out.push(Cause::forbidden(&name.path, &format!("may not be specified when {what} is true")));
        }
    }
    if name.as_text().len() > 64 {
        out.push(Cause::too_long(&name.path, 64));
    }
    invalid_all(out, &name.path, name.as_text(), names::dns_subdomain(name.as_text()));
}

/// The rules of `tolerations`.
pub(super) fn tolerations(out: &mut Causes, at: &Place<'_>) {
    for toleration in at.list("tolerations") {
        let (key, operator, value) =
            (toleration.text("key"), toleration.text("operator"), toleration.text("value"));
        if !key.is_empty() {
            invalid_all(out, &toleration.of("key"), key, names::qualified_name(key));
        } else if operator != "Exists" {
            out.push(Cause::invalid(
                toleration.of("operator"),
                &Value::from(operator),
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ));
        }
        let effect = toleration.text("effect");
        if toleration.has("tolerationSeconds") && effect != "NoExecute" {
            out.push(Cause::invalid(
                toleration.of("effect"),
                &Value::from(effect),
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            ));
        }
        match operator {
            "" | "Equal" => {
                let wrong = names::label_value(value);
                if !wrong.is_empty() {
                    let path = toleration.of("operator");
                    out.push(Cause::invalid(path, &Value::from(value), &wrong.join(";")));
                }
            }
            "Exists" if !value.is_empty() => out.push(Cause::invalid(
                toleration.of("operator"),
                &Value::from(value),
                "value must be empty when `operator` is 'Exists'",
            )),
            "Exists" => {}
            _ => {
                // Comparisons (KEP-5471) are known, and off by default.
                let supported: &[&str] = if matches!(operator, "Lt" | "Gt") {
                    &["Equal", "Exists", "Lt", "Gt"]
                } else {
                    &["Equal", "Exists"]
                };
                out.push(Cause::not_supported(toleration.of("operator"), &Value::from(operator), supported));
            }
        }
        if !effect.is_empty() {
            one_of(out, &toleration, "effect", EFFECTS);
        }
    }
}

/// Keys read from files must be on a scratch volume (KEP-3721).
fn file_keys(out: &mut Causes, at: &Place<'_>) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for variable in at.list(list).flat_map(|c| c.list("env")) {
            let Some(key) = variable.field("valueFrom").present("fileKeyRef") else { continue };
            let name = key.text("volumeName");
            match at.list("volumes").find(|v| v.text("name") == name) {
                None => not_found(out, key.of("volumeName"), name),
                Some(volume) if !volume.has("emptyDir") => out.push(Cause::invalid(
                    key.of("volumeName"),
                    &Value::from(name),
                    "referenced volume must be of type emptyDir",
                )),
                Some(_) => {}
            }
        }
    }
}
