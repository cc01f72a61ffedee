//! The rules of containers: of pods, of init containers, of ephemeral ones.

use super::place::{
    Causes, Place, at_most, invalid_all, not_found, one_of, require, require_with, required_one_of,
};
use super::pods_mounts::mounts;
use super::pods_volumes::Volumes;
use super::{pods_env, pods_probes, pods_security, resources};
use crate::names;
use api_types::Cause;
use serde_json::Value;

const PROTOCOLS: &[&str] = super::services_validation::PROTOCOLS;

/// What an ephemeral container may set (KEP-277).
const EPHEMERAL_FIELDS: &[&str] = &[
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "env",
    "envFrom",
    "volumeMounts",
    "volumeDevices",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
];

/// What the rules of a container need to know of its pod.
pub(super) struct Pod<'a> {
    /// `spec`.
    pub(super) spec: &'a Place<'a>,
    /// The volumes without defects.
    pub(super) volumes: &'a Volumes<'a>,
}

impl Pod<'_> {
    fn grace(&self) -> Option<i64> {
        self.spec.int("terminationGracePeriodSeconds")
    }

    fn os(&self) -> &str {
        self.spec.field("os").text("name")
    }
}

/// The rules of all containers.
pub(super) fn containers(out: &mut Causes, pod: &Pod<'_>) {
    let spec = pod.spec;
    if spec.lacks("containers") {
        out.push(Cause::required(spec.of("containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for container in spec.list("containers") {
        common(out, &container, pod);
        let name = container.text("name");
        if names.contains(&name) {
            out.push(Cause::duplicate(container.of("name"), &Value::from(name)));
        }
        names.push(name);
        pods_probes::lifecycle(out, &container, pod.grace(), pod.os());
        pods_probes::probes(out, &container);
        restart_policy(out, &container, false);
    }
    host_port_conflicts(out, spec.list("containers"));
    for container in spec.list("initContainers") {
        init(out, &container, pod, &mut names);
    }
    for container in spec.list("ephemeralContainers") {
        ephemeral(out, &container, pod, &mut names);
    }
}

fn init<'a>(out: &mut Causes, container: &Place<'a>, pod: &Pod<'_>, names: &mut Vec<&'a str>) {
    common(out, container, pod);
    restart_policy(out, container, true);
    let name = container.text("name");
    if names.contains(&name) {
        out.push(Cause::duplicate(container.of("name"), &Value::from(name)));
    }
    if !name.is_empty() {
        names.push(name);
    }
    host_port_conflicts(out, std::iter::once(container.clone()));
    let sidecar = container.text("restartPolicy") == "Always";
    if sidecar {
        pods_probes::lifecycle(out, container, pod.grace(), pod.os());
        pods_probes::probes(out, container);
        return;
    }
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if container.has(field) {
            out.push(Cause::forbidden(
                container.of(field),
                "may not be set for init containers without restartPolicy=Always",
            ));
        }
    }
    for policy in container.list("resizePolicy").filter(|p| p.text("restartPolicy") == "RestartContainer") {
        out.push(Cause::invalid(
            policy.of("restartPolicy"),
            policy.field("restartPolicy").value,
            "must not be set to 'RestartContainer' for non-sidecar initContainers",
        ));
    }
}

fn ephemeral<'a>(out: &mut Causes, container: &Place<'a>, pod: &Pod<'_>, names: &mut Vec<&'a str>) {
    common(out, container, pod);
    let name = container.text("name");
    if names.contains(&name) {
        out.push(Cause::duplicate(container.of("name"), &Value::from(name)));
    }
    names.push(name);
    let target = container.text("targetContainerName");
    let others = ["containers", "initContainers"];
    if !target.is_empty() && !others.iter().flat_map(|o| pod.spec.list(o)).any(|c| c.text("name") == target) {
        not_found(out, container.of("targetContainerName"), target);
    }
    let what = "cannot be set for an Ephemeral Container";
    for (field, _) in container.value.as_object().into_iter().flatten() {
        let said = if field == "resources" { !container.lacks(field) } else { container.has(field) };
        if said && !EPHEMERAL_FIELDS.contains(&field.as_str()) {
            out.push(Cause::forbidden(container.of(field), what));
        }
    }
    for mount in container.list("volumeMounts") {
        for field in ["subPath", "subPathExpr"] {
            if !mount.lacks(field) {
                out.push(Cause::forbidden(mount.of(field), what));
            }
        }
    }
}

fn common(out: &mut Causes, container: &Place<'_>, pod: &Pod<'_>) {
    if require(out, container, "name") {
        let name = container.text("name");
        invalid_all(out, &container.of("name"), name, names::dns_label(name));
    }
    require(out, container, "image");
    required_one_of(out, container, "terminationMessagePolicy", &["File", "FallbackToLogsOnError"]);
    ports(out, container);
    pods_env::env(out, container);
    mounts(out, container, pod.volumes);
    required_one_of(out, container, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]);
    let claims: Vec<&str> = pod.spec.list("resourceClaims").map(|c| c.text("name")).collect();
    resources::container(out, &container.field("resources"), &claims);
    resize_policy(out, container, pod.spec.text("restartPolicy"));
    let host_users = pod.spec.value["hostUsers"] != false;
    pods_security::container(out, container, host_users);
}

fn ports(out: &mut Causes, container: &Place<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for port in container.list("ports") {
        let name = port.text("name");
        if !name.is_empty() {
            let wrong = names::port_name(name);
            if wrong.is_empty() {
                if seen.contains(&name) {
                    out.push(Cause::duplicate(port.of("name"), &Value::from(name)));
                }
                seen.push(name);
            }
            invalid_all(out, &port.of("name"), name, wrong);
        }
        match port.int("containerPort").unwrap_or(0) {
            0 => out.push(Cause::required(port.of("containerPort"), "")),
            number => in_range(out, &port, "containerPort", number),
        }
        match port.int("hostPort").unwrap_or(0) {
            0 => {}
            number => in_range(out, &port, "hostPort", number),
        }
        required_one_of(out, &port, "protocol", PROTOCOLS);
    }
}

fn in_range(out: &mut Causes, port: &Place<'_>, field: &str, number: i64) {
    for message in names::port_number(number) {
        out.push(Cause::invalid(port.of(field), &Value::from(number), &message));
    }
}

fn host_port_conflicts<'a>(out: &mut Causes, containers: impl Iterator<Item = Place<'a>>) {
    let mut taken: Vec<String> = Vec::new();
    for port in containers.flat_map(|c| c.list("ports")) {
        let Some(number) = port.int("hostPort").filter(|n| *n != 0) else { continue };
        let key = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
        if taken.contains(&key) {
            out.push(Cause::duplicate(port.of("hostPort"), &Value::from(key)));
        } else {
            taken.push(key);
        }
    }
}

/// A container's own restart policy and rules (KEP-5307).
fn restart_policy(out: &mut Causes, container: &Place<'_>, is_init: bool) {
    if container.has("restartPolicy") {
        one_of(out, container, "restartPolicy", &["Always", "Never", "OnFailure"]);
    } else if !container.lacks("restartPolicyRules") {
        let message = "must specify restartPolicy when restart rules are used";
        require_with(out, container, "restartPolicy", message);
        if is_init {
            return;
        }
    }
    at_most(out, container, "restartPolicyRules", 20);
    for rule in container.list("restartPolicyRules") {
        supported(out, &rule, "action", &["Restart", "RestartAllContainers"]);
        if !rule.has("exitCodes") {
            out.push(Cause::required(rule.of("exitCodes"), "must be specified"));
        } else {
            let codes = rule.field("exitCodes");
            supported(out, &codes, "operator", &["In", "NotIn"]);
            at_most(out, &codes, "values", 255);
        }
    }
}

/// Adds `Unsupported value` for a text that is none of the supported, also for an empty one.
fn supported(out: &mut Causes, at: &Place<'_>, field: &str, supported: &[&str]) {
    if !supported.contains(&at.text(field)) {
        out.push(Cause::not_supported(at.of(field), &Value::from(at.text(field)), supported));
    }
}

/// Which resources can be changed without a restart (KEP-1287); reported at the list, as Kubernetes does.
fn resize_policy(out: &mut Causes, container: &Place<'_>, pod_restart: &str) {
    let list = container.of("resizePolicy");
    let mut seen: Vec<&str> = Vec::new();
    for policy in container.list("resizePolicy") {
        let name = policy.text("resourceName");
        if seen.contains(&name) {
            out.push(Cause::duplicate(&policy.path, &Value::from(name)));
        }
        seen.push(name);
        let fields: [(&str, &[&str]); 2] =
            [("resourceName", &["cpu", "memory"]), ("restartPolicy", &["NotRequired", "RestartContainer"])];
        for (field, supported) in fields {
            match policy.text(field) {
                "" => out.push(Cause::required(&list, "")),
                text if !supported.contains(&text) => {
                    out.push(Cause::not_supported(&list, &Value::from(text), supported));
                }
                _ => {}
            }
        }
        let restart = policy.text("restartPolicy");
        if pod_restart == "Never" && restart != "NotRequired" {
            out.push(Cause::invalid(
                &list,
                &Value::from(restart),
                "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            ));
        }
    }
}
