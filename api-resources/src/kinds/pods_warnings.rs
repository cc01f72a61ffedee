//! What is legal in a pod but likely a mistake.

use super::place::{Place, lookup};
use super::volumes_warnings::{claim_spec, node_label, node_term, overlapping_files, whole_bytes};
use crate::names;
use serde_json::Value;

/// Sources of volumes whose plugin is gone: field, name in the warning, since when deprecated and without function.
const GONE: &[(&str, &str)] = &[
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Annotations without function, and what to use instead.
const OLD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// What is counted in bytes.
const BYTES: [&str; 2] = ["memory", "ephemeral-storage"];

/// The warnings of a new pod.
pub(super) fn pod(pod: &Value) -> Vec<String> {
    let mut out = name(pod, "this is used in the Pod's hostname");
    out.extend(warnings(&Place::root(pod)));
    out
}

/// A name that becomes that of a host is better a DNS label. `what` says where it is used.
pub(super) fn name(object: &Value, what: &str) -> Vec<String> {
    let wrong = names::dns_label(lookup(object, "metadata.name").as_str().unwrap_or(""));
    let message = "which can result in surprising behavior; a DNS label is recommended";
    let wrong = (!wrong.is_empty()).then(|| wrong.join(" "));
    wrong.map(|wrong| format!("metadata.name: {what}, {message}: [{wrong}]")).into_iter().collect()
}

/// The warnings of a template at `spec.template`.
pub(super) fn template(object: &Value) -> Vec<String> {
    warnings(&Place::new("spec.template", lookup(object, "spec.template")))
}

/// The warnings of a pod or template at any path.
pub(super) fn warnings(at: &Place<'_>) -> Vec<String> {
    let spec = at.field("spec");
    let mut out = Vec::new();
    node_labels(&mut out, &spec);
    if let Some(annotations) = at.field("metadata").present("annotations") {
        for (annotation, message) in OLD_ANNOTATIONS.iter().filter(|(old, _)| annotations.has(old)) {
            out.push(format!("{}: {message}", annotations.key(annotation).path));
        }
    }
    for volume in spec.list("volumes") {
        for (source, since) in GONE.iter().filter(|(source, _)| volume.has(source)) {
            let shown = if *source == "storageos" { "storageOS" } else { source };
            out.push(format!("{}: {since}", volume.of(shown)));
        }
        if let Some(ephemeral) = volume.present("ephemeral") {
            claim_spec(&mut out, &ephemeral.field("volumeClaimTemplate").field("spec"));
        }
    }
    spec.list("volumes").for_each(|volume| overlapping_files(&mut out, &volume));
    duplicates(&mut out, &spec, "hostAliases", "ip");
    duplicates(&mut out, &spec, "imagePullSecrets", "name");
    for secret in spec.list("imagePullSecrets").filter(|s| s.lacks("name")) {
        out.push(format!("{}: invalid empty name \"\"", secret.of("name")));
    }
    let containers: Vec<Place<'_>> = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| spec.list(list))
        .collect();
    let overhead = spec.present("overhead");
    overhead.iter().for_each(|overhead| BYTES.iter().for_each(|name| whole_bytes(&mut out, overhead, name)));
    for container in &containers {
        let resources = container.field("resources");
        let amounts = [resources.present("limits"), resources.present("requests")];
        for name in BYTES {
            amounts.iter().flatten().for_each(|amounts| whole_bytes(&mut out, amounts, name));
        }
        hidden_variables(&mut out, container);
    }
    overlapping_ports(&mut out, &containers);
    if spec.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        out.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            spec.of("terminationGracePeriodSeconds")
        ));
    }
    let affinity = spec.field("affinity");
    for affinity in ["podAffinity", "podAntiAffinity"].iter().filter_map(|kind| affinity.present(kind)) {
        for term in affinity.list("requiredDuringSchedulingIgnoredDuringExecution") {
            null_selector(&mut out, &term);
        }
        for term in affinity.list("preferredDuringSchedulingIgnoredDuringExecution") {
            null_selector(&mut out, &term.field("podAffinityTerm"));
        }
    }
    out
}

/// Labels of nodes by their old names, and what no pod matches.
fn node_labels(out: &mut Vec<String>, spec: &Place<'_>) {
    for (label, _) in spec.map("nodeSelector") {
        if let Some(message) = node_label(label) {
            out.push(format!("{}: {message}", spec.field("nodeSelector").key(label).path));
        }
    }
    if let Some(affinity) = spec.field("affinity").present("nodeAffinity") {
        let required = affinity.field("requiredDuringSchedulingIgnoredDuringExecution");
        required.list("nodeSelectorTerms").for_each(|term| node_term(out, &term, false));
        for term in affinity.list("preferredDuringSchedulingIgnoredDuringExecution") {
            node_term(out, &term.field("preference"), true);
        }
    }
    for constraint in spec.list("topologySpreadConstraints") {
        let key = constraint.text("topologyKey");
        if let Some(message) = node_label(key) {
            out.push(format!("{}: {key} is {message}", constraint.of("topologyKey")));
        }
        null_selector(out, &constraint);
    }
}

fn null_selector(out: &mut Vec<String>, at: &Place<'_>) {
    if !at.has("labelSelector") {
        out.push(format!("{}: a null labelSelector results in matching no pod", at.of("labelSelector")));
    }
}

fn duplicates(out: &mut Vec<String>, spec: &Place<'_>, list: &str, field: &str) {
    let mut seen: Vec<&str> = Vec::new();
    for element in spec.list(list) {
        let value = element.text(field);
        if seen.contains(&value) {
            out.push(format!("{}: duplicate {field} {value:?}", element.of(field)));
        }
        seen.push(value);
    }
}

fn hidden_variables(out: &mut Vec<String>, container: &Place<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for variable in container.list("env") {
        let name = variable.text("name");
        let reference = format!("$({name})");
        let value = variable.text("value");
        let extends = !variable.has("valueFrom") && value != reference && value.contains(&reference);
        if seen.contains(&name) && !extends {
            out.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                variable.path
            ));
        }
        seen.push(name);
    }
}

fn overlapping_ports(out: &mut Vec<String>, containers: &[Place<'_>]) {
    let ports: Vec<Place<'_>> = containers.iter().flat_map(|c| c.list("ports")).collect();
    let host = |p: &Place<'_>| (p.text("hostIP").to_owned(), p.int("hostPort").unwrap_or(0));
    for (i, port) in ports.iter().enumerate() {
        let same = |o: &&Place<'_>| {
            o.int("containerPort") == port.int("containerPort") && o.text("protocol") == port.text("protocol")
        };
        if !port.lacks("hostIP") && port.int("hostPort").unwrap_or(0) == 0 {
            out.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                port.path,
                port.text("name"),
                port.int("containerPort").unwrap_or(0),
                port.text("protocol"),
                port.text("hostIP")
            ));
        }
        for other in ports[..i].iter().filter(same) {
            let ((ip, number), (other_ip, other_number)) = (host(port), host(other));
            let what = if ip == other_ip && number == other_number {
                "duplicate"
            } else if number == 0 || other_number == 0 {
                "overlapping"
            } else if number == other_number && ip.is_empty() != other_ip.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            out.push(format!("{}: {what} port definition with {}", port.path, other.path));
        }
    }
    for (i, port) in ports.iter().enumerate().filter(|(_, p)| !p.lacks("name")) {
        let name = port.text("name");
        if let Some(other) = ports[..i].iter().find(|o| o.text("name") == name) {
            let other = &other.path;
            out.push(format!(
                "{}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}",
                port.path
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn likely_mistakes_are_told() {
        let pod = json!({"metadata": {"name": "a.b"}, "spec": {"containers": [
            {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "X", "value": "2"},
                {"name": "X", "value": "$(X):3"}], "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        assert_eq!(
            super::pod(&pod),
            [
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
                "spec.containers[0].env[1]: hides previous definition of \"X\", which may be dropped when using apply",
                "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
            ]
        );
    }
}
