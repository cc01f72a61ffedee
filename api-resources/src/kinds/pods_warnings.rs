//! What is legal in a pod but likely a mistake.

use super::place::{Place, lookup};
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

/// The warnings of a pod.
pub(super) fn pod(pod: &Value) -> Vec<String> {
    warnings(&Place::root(pod))
}

/// The warnings of a template at `spec.template`.
pub(super) fn template(object: &Value) -> Vec<String> {
    warnings(&Place::new("spec.template", lookup(object, "spec.template")))
}

/// The warnings of a pod or template at any path.
pub(super) fn warnings(at: &Place<'_>) -> Vec<String> {
    let spec = at.field("spec");
    let mut out = Vec::new();
    for constraint in spec.list("topologySpreadConstraints") {
        null_selector(&mut out, &constraint);
    }
    for volume in spec.list("volumes") {
        for (source, since) in GONE.iter().filter(|(source, _)| volume.has(source)) {
            let shown = if *source == "storageos" { "storageOS" } else { source };
            out.push(format!("{}: {since}", volume.of(shown)));
        }
    }
    duplicates(&mut out, &spec, "hostAliases", "ip");
    duplicates(&mut out, &spec, "imagePullSecrets", "name");
    for secret in spec.list("imagePullSecrets").filter(|s| s.lacks("name")) {
        out.push(format!("{}: invalid empty name \"\"", secret.of("name")));
    }
    let containers: Vec<Place<'_>> = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| spec.list(list))
        .collect();
    for container in &containers {
        hidden_variables(&mut out, container);
    }
    overlapping_ports(&mut out, &containers);
    if spec.int("terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        out.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            spec.of("terminationGracePeriodSeconds")
        ));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.field("affinity").field(kind);
        for term in affinity.list("requiredDuringSchedulingIgnoredDuringExecution") {
            null_selector(&mut out, &term);
        }
        for term in affinity.list("preferredDuringSchedulingIgnoredDuringExecution") {
            null_selector(&mut out, &term.field("podAffinityTerm"));
        }
    }
    out
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
        let pod = json!({"spec": {"containers": [
            {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "X", "value": "2"},
                {"name": "X", "value": "$(X):3"}], "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        assert_eq!(
            super::pod(&pod),
            [
                "spec.containers[0].env[1]: hides previous definition of \"X\", which may be dropped when using apply",
                "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
            ]
        );
    }
}
