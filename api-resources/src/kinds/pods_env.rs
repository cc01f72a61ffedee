//! The rules of a container's environment and of references to fields.

use super::place::{Causes, Place, invalid_all, require};
use super::pods_volumes::no_backsteps;
use crate::names;
use api_types::Cause;
use serde_json::Value;

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What else the downward API can name; it is refused by the place, not as unknown.
const OTHER_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];

const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const SOURCES: &[&str] = &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// The rules of `env` and `envFrom`.
pub(super) fn env(out: &mut Causes, container: &Place<'_>) {
    for variable in container.list("env") {
        if require(out, &variable, "name") {
            invalid_all(
                out,
                &variable.of("name"),
                variable.text("name"),
                names::env_name(variable.text("name")),
            );
        }
        if let Some(from) = variable.present("valueFrom") {
            value_from(out, &from, variable.text("value"));
        }
    }
    let list = container.of("envFrom");
    for from in container.list("envFrom") {
        let prefix = from.text("prefix");
        if !prefix.is_empty() {
            invalid_all(out, &from.of("prefix"), prefix, names::env_name(prefix));
        }
        let mut count = 0;
        for source in ["configMapRef", "secretRef"] {
            let Some(source) = from.present(source) else { continue };
            count += 1;
            if require(out, &source, "name") {
                let name = source.text("name");
                let wrong = names::of_prefix(names::dns_subdomain, name);
                invalid_all(out, &source.of("name"), name, wrong);
            }
        }
        if count == 0 {
            let message = "must specify one of: `configMapRef` or `secretRef`";
            out.push(Cause::invalid(&list, &Value::from(""), message));
        } else if count > 1 {
            let message = "may not have more than one field specified at a time";
            out.push(Cause::invalid(&list, &Value::from(""), message));
        }
    }
}

fn value_from(out: &mut Causes, from: &Place<'_>, value: &str) {
    let count = SOURCES.iter().filter(|s| from.has(s)).count();
    if let Some(field) = from.present("fieldRef") {
        field_ref(out, &field, ENV_FIELDS);
    }
    if let Some(resource) = from.present("resourceFieldRef") {
        resource_field_ref(out, &resource, false);
    }
    for source in ["configMapKeyRef", "secretKeyRef"] {
        let Some(source) = from.present(source) else { continue };
        let name = source.text("name");
        invalid_all(out, &source.of("name"), name, names::dns_subdomain(name));
        if require(out, &source, "key") {
            invalid_all(out, &source.of("key"), source.text("key"), names::config_key(source.text("key")));
        }
    }
    if let Some(file) = from.present("fileKeyRef") {
        if require(out, &file, "key") {
            invalid_all(out, &file.of("key"), file.text("key"), names::env_name(file.text("key")));
        }
        if require(out, &file, "volumeName") {
            let name = file.text("volumeName");
            invalid_all(out, &file.of("volumeName"), name, names::dns_label(name));
        }
        if require(out, &file, "path") {
            no_backsteps(out, &file.of("path"), file.text("path"));
        }
    }
    let message = match count {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    out.push(Cause::invalid(&from.path, &Value::from(""), message));
}

/// A field of the pod, by the downward API's name of it; `metadata.labels['key']` names one label.
pub(super) fn field_ref(out: &mut Causes, at: &Place<'_>, allowed: &[&str]) {
    if !require(out, at, "apiVersion") || !require(out, at, "fieldPath") {
        return;
    }
    let path = at.text("fieldPath");
    let subscript = path.strip_suffix("']").and_then(|p| p.split_once("['"));
    let base = subscript.map_or(path, |(base, _)| base);
    let known = at.text("apiVersion") == "v1"
        && (ENV_FIELDS.contains(&base) || OTHER_FIELDS.contains(&base) || base == "spec.nodeName");
    if !known {
        let message = if at.text("apiVersion") == "v1" {
            format!("error converting fieldPath: field label not supported: {base}")
        } else {
            format!("error converting fieldPath: unsupported pod version: {}", at.text("apiVersion"))
        };
        out.push(Cause::invalid(at.of("fieldPath"), &Value::from(path), &message));
        return;
    }
    match (base, subscript) {
        ("metadata.annotations", Some((_, key))) => {
            invalid_all(out, &at.path, &key.to_lowercase(), names::qualified_name(&key.to_lowercase()));
        }
        ("metadata.labels", Some((_, key))) => {
            invalid_all(out, &at.path, key, names::qualified_name(key));
        }
        (_, Some(_)) => {
            out.push(Cause::invalid(&at.path, &Value::from(base), "does not support subscript"));
        }
        (_, None) if !allowed.contains(&path) => {
            out.push(Cause::not_supported(at.of("fieldPath"), &Value::from(path), allowed));
        }
        _ => {}
    }
}

/// A container's request or limit; a volume must name the container.
pub(super) fn resource_field_ref(out: &mut Causes, at: &Place<'_>, of_volume: bool) {
    let resource = at.text("resource");
    let huge = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    if of_volume && at.lacks("containerName") {
        out.push(Cause::required(at.of("containerName"), ""));
    } else if require(out, at, "resource") && !RESOURCES.contains(&resource) && !huge {
        out.push(Cause::not_supported(at.of("resource"), &Value::from(resource), RESOURCES));
    }
    let divisor = match at.field("divisor").value {
        Value::String(text) => text.clone(),
        Value::Null => return,
        other => other.to_string(),
    };
    if divisor == "0" {
        return;
    }
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (allowed, what): (&[&str], &str) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (&["1m", "1"], "cpu"),
        "memory" => (&sizes, "memory"),
        "ephemeral-storage" => (&sizes, "local ephemeral storage"),
        name if name.starts_with("hugepages-") => (&sizes, "hugepages"),
        _ => return,
    };
    if !allowed.contains(&divisor.as_str()) {
        let values = if what == "cpu" { allowed.join(" and ") } else { allowed.join(", ") };
        let message = format!("only divisor's values {values} are supported with the {what} resource");
        out.push(Cause::invalid(at.of("divisor"), &Value::from(resource), &message));
    }
}
