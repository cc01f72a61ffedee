//! The application model, `core.oam.dev/v1alpha2`.

use super::required::required;
use super::{Row, Rules, not_yet, unique, unless_same_spec, within};
use crate::kinds::place::{Place, invalid_all, not_negative, one_of, require, set_default_text};
use crate::names;
use api_types::Cause;
use api_types::oam::GROUP;
use serde_json::Value;

macro_rules! rules {
    ($validate:ident) => {
        Rules {
            default: |_| {},
            validate_create: $validate,
            validate_update: |new, old| unless_same_spec(new, old, $validate),
            name: None,
        }
    };
}

pub(super) const STRATEGIES: &[Row] = &[
    (GROUP, "Component", rules!(component)),
    (GROUP, "ApplicationConfiguration", rules!(application)),
    (GROUP, "WorkloadDefinition", rules!(workload_definition)),
    (GROUP, "TraitDefinition", rules!(trait_definition)),
    (GROUP, "ContainerizedWorkload", Rules { default: default_workload, ..rules!(containerized_workload) }),
    (GROUP, "ManualScalerTrait", rules!(manual_scaler)),
    (GROUP, "ServiceBinding", rules!(service_binding)),
];

/// An object inside another one says what it is, and nothing of what the runtime gives it.
fn embedded(out: &mut Vec<Cause>, at: &Place<'_>) {
    if at.value.is_object() {
        require(out, at, "apiVersion");
        require(out, at, "kind");
    }
    let metadata = at.field("metadata");
    for (field, why) in [
        ("generateName", "set metadata.name, or leave both out: the runtime names the object"),
        ("ownerReferences", "leave it out: the application becomes the owner"),
    ] {
        if !metadata.lacks(field) {
            out.push(Cause::forbidden(metadata.of(field), why));
        }
    }
}

/// A reference to a workload names it; the object behind the name may be made again.
fn workload_ref(out: &mut Vec<Cause>, spec: &Place<'_>) {
    let reference = spec.field("workloadRef");
    if !reference.lacks("uid") {
        let why = "leave it out: the workload is the object of apiVersion, kind and name";
        out.push(Cause::forbidden(reference.of("uid"), why));
    }
}

fn component(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "Component", object);
    let spec = Place::root(object).field("spec");
    embedded(&mut out, &spec.field("workload"));
    let parameters: Vec<Place<'_>> = spec.list("parameters").collect();
    unique(&mut out, parameters.iter().map(|p| (p.of("name"), p.text("name"))));
    for parameter in &parameters {
        if parameter.has("fieldPaths") && parameter.lacks("fieldPaths") {
            out.push(Cause::required(parameter.of("fieldPaths"), "the fields of the workload that it sets"));
        }
    }
    out
}

fn application(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "ApplicationConfiguration", object);
    for component in Place::root(object).field("spec").list("components") {
        match (component.lacks("componentName"), component.lacks("revisionName")) {
            (true, true) => out.push(Cause::required(component.of("componentName"), "or revisionName")),
            (false, false) => {
                out.push(Cause::forbidden(component.of("revisionName"), "when componentName is set"));
            }
            _ => {}
        }
        for value in component.list("parameterValues") {
            let given = value.field("value").value;
            if !(given.is_null() || given.is_string() || given.is_i64() || given.is_u64()) {
                out.push(Cause::invalid(value.of("value"), given, "must be a string or an integer"));
            }
        }
        let values: Vec<Place<'_>> = component.list("parameterValues").collect();
        unique(&mut out, values.iter().map(|v| (v.of("name"), v.text("name"))));
        for entry in component.list("traits") {
            embedded(&mut out, &entry.field("trait"));
            data_flow(&mut out, &entry);
        }
        data_flow(&mut out, &component);
        if !component.lacks("scopes") {
            not_yet(&mut out, &component.field("scopes"), "application scopes are", "leave it out");
        }
    }
    out
}

fn data_flow(out: &mut Vec<Cause>, at: &Place<'_>) {
    for field in ["dataInputs", "dataOutputs"] {
        if !at.lacks(field) {
            let instead = "leave it out; a ServiceBinding brings a Secret's keys to a component";
            not_yet(out, &at.field(field), "data flow between components is", instead);
        }
    }
}

fn workload_definition(object: &Value) -> Vec<Cause> {
    required(GROUP, "WorkloadDefinition", object)
}

fn trait_definition(object: &Value) -> Vec<Cause> {
    required(GROUP, "TraitDefinition", object)
}

fn default_workload(object: &mut Value) {
    let containers = object.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    let ports = containers.into_iter().flatten().filter_map(|c| c.get_mut("ports")?.as_array_mut()).flatten();
    ports.for_each(|port| set_default_text(port, "protocol", "TCP"));
}

fn containerized_workload(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "ContainerizedWorkload", object);
    let spec = Place::root(object).field("spec");
    one_of(&mut out, &spec, "osType", &["linux", "windows"]);
    one_of(&mut out, &spec, "arch", &["i386", "amd64", "arm", "arm64"]);
    if spec.has("containers") && spec.lacks("containers") {
        out.push(Cause::required(spec.of("containers"), "at least one"));
    }
    let containers: Vec<Place<'_>> = spec.list("containers").collect();
    unique(&mut out, containers.iter().map(|c| (c.of("name"), c.text("name"))));
    for container in &containers {
        let name = container.text("name");
        if !name.is_empty() {
            invalid_all(&mut out, &container.of("name"), name, names::dns_label(name));
        }
        if !container.lacks("command") && !container.lacks("cmd") {
            out.push(Cause::forbidden(
                container.of("cmd"),
                "when command is set, of which it is another name",
            ));
        }
        for port in container.list("ports") {
            within(&mut out, &port, "containerPort", 1, 65535);
            one_of(&mut out, &port, "protocol", &["TCP", "UDP"]);
        }
        for variable in container.list("env") {
            value_or_secret(&mut out, &variable);
        }
        for file in container.list("config") {
            value_or_secret(&mut out, &file);
        }
        for volume in container.field("resources").list("volumes") {
            one_of(&mut out, &volume, "accessMode", &["RO", "RW"]);
            one_of(&mut out, &volume, "sharingPolicy", &["Exclusive", "Shared"]);
            if let Some(disk) = volume.present("disk")
                && !disk.flag("ephemeral")
            {
                let instead = "set it to true, or use a StatefulSet with volumeClaimTemplates";
                not_yet(&mut out, &disk.field("ephemeral"), "disks that outlive the pod are", instead);
            }
        }
    }
    out
}

fn value_or_secret(out: &mut Vec<Cause>, at: &Place<'_>) {
    match (at.has("value"), at.has("fromSecret")) {
        (true, true) => out.push(Cause::forbidden(at.of("fromSecret"), "when value is set")),
        (false, false) => out.push(Cause::required(at.of("value"), "or fromSecret")),
        _ => {}
    }
}

fn manual_scaler(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "ManualScalerTrait", object);
    let spec = Place::root(object).field("spec");
    not_negative(&mut out, &spec, "replicaCount");
    workload_ref(&mut out, &spec);
    out
}

fn service_binding(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "ServiceBinding", object);
    let spec = Place::root(object).field("spec");
    let source = spec.field("source");
    let by_object =
        ["apiVersion", "kind", "name", "fieldPath"].into_iter().find(|field| !source.lacks(field));
    if let Some(field) = by_object {
        not_yet(&mut out, &source.field(field), "bindings to a field of an object are", "use secretName");
    } else if source.value.is_object() {
        require(&mut out, &source, "secretName");
    }
    workload_ref(&mut out, &spec);
    if spec.value.is_object() && spec.lacks("env") && !spec.has("files") {
        out.push(Cause::required(spec.of("env"), "or files"));
    }
    let env: Vec<Place<'_>> = spec.list("env").collect();
    unique(&mut out, env.iter().map(|e| (e.of("name"), e.text("name"))));
    for entry in &env {
        let (name, key) = (entry.text("name"), entry.text("key"));
        if !name.is_empty() {
            invalid_all(&mut out, &entry.of("name"), name, names::env_name(name));
        }
        if !key.is_empty() {
            invalid_all(&mut out, &entry.of("key"), key, names::config_key(key));
        }
    }
    let files = spec.field("files");
    let path = files.text("mountPath");
    if !path.is_empty() && !path.starts_with('/') {
        out.push(Cause::invalid(files.of("mountPath"), &Value::from(path), "must be an absolute path"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;
    use super::*;
    use serde_json::json;

    #[test]
    fn good_objects_pass() {
        for (kind, spec) in [
            (
                "Component",
                json!({"workload": {"apiVersion": "core.oam.dev/v1alpha2", "kind": "ContainerizedWorkload",
                "spec": {"containers": []}}, "parameters": [{"name": "image", "fieldPaths": ["spec.containers[0].image"]}]}),
            ),
            (
                "ApplicationConfiguration",
                json!({"components": [{"componentName": "web",
                "parameterValues": [{"name": "image", "value": "nginx"}, {"name": "n", "value": 3}],
                "traits": [{"trait": {"apiVersion": "core.oam.dev/v1alpha2", "kind": "ManualScalerTrait"}}]}]}),
            ),
            (
                "ContainerizedWorkload",
                json!({"containers": [{"name": "web", "image": "nginx",
                "ports": [{"name": "http", "containerPort": 80}]}]}),
            ),
            ("ManualScalerTrait", json!({"replicaCount": 0})),
            (
                "ServiceBinding",
                json!({"source": {"secretName": "orders-conn"},
                "env": [{"name": "DATABASE_URL", "key": "uri"}]}),
            ),
            ("WorkloadDefinition", json!({"definitionRef": {"name": "deployments.apps"}})),
        ] {
            assert_eq!(fields(GROUP, kind, &json!({"spec": spec})), Vec::<String>::new(), "{kind}");
        }
    }

    #[test]
    fn defects_are_named() {
        for (kind, spec, expected) in [
            ("Component", Value::Null, "spec.workload"),
            ("Component", json!({"workload": {"kind": "X"}}), "spec.workload.apiVersion"),
            ("ApplicationConfiguration", json!({"components": [{}]}), "spec.components[0].componentName"),
            (
                "ApplicationConfiguration",
                json!({"components": [{"componentName": "a", "scopes": [
                {"scopeRef": {"apiVersion": "a", "kind": "b", "name": "c"}}]}]}),
                "spec.components[0].scopes",
            ),
            (
                "ApplicationConfiguration",
                json!({"components": [{"componentName": "a", "traits": [
                {"trait": {"apiVersion": "a", "kind": "b"}, "dataInputs": [{}]}]}]}),
                "spec.components[0].traits[0].dataInputs",
            ),
            (
                "ApplicationConfiguration",
                json!({"components": [{"componentName": "a",
                "parameterValues": [{"name": "a", "value": 1.5}]}]}),
                "spec.components[0].parameterValues[0].value",
            ),
            ("ContainerizedWorkload", json!({"containers": []}), "spec.containers"),
            ("ContainerizedWorkload", json!({"containers": [{"name": "a"}]}), "spec.containers[0].image"),
            (
                "ContainerizedWorkload",
                json!({"containers": [{"name": "a", "image": "b",
                "ports": [{"name": "p", "containerPort": 0}]}]}),
                "spec.containers[0].ports[0].containerPort",
            ),
            (
                "ContainerizedWorkload",
                json!({"arch": "mips", "containers": [{"name": "a", "image": "b"}]}),
                "spec.arch",
            ),
            (
                "ContainerizedWorkload",
                json!({"containers": [{"name": "a", "image": "b", "command": ["x"], "cmd": ["x"]}]}),
                "spec.containers[0].cmd",
            ),
            (
                "ContainerizedWorkload",
                json!({"containers": [{"name": "a", "image": "b", "env": [{"name": "A"}]}]}),
                "spec.containers[0].env[0].value",
            ),
            (
                "ContainerizedWorkload",
                json!({"containers": [{"name": "a", "image": "b", "resources": {"volumes": [
                    {"name": "v", "mountPath": "/v", "disk": {"required": "1Gi"}}]}}]}),
                "spec.containers[0].resources.volumes[0].disk.ephemeral",
            ),
            ("ManualScalerTrait", json!({}), "spec.replicaCount"),
            ("ManualScalerTrait", json!({"replicaCount": -1}), "spec.replicaCount"),
            (
                "ServiceBinding",
                json!({"source": {}, "env": [{"name": "A", "key": "b"}]}),
                "spec.source.secretName",
            ),
            (
                "ServiceBinding",
                json!({"source": {"kind": "X", "apiVersion": "v1", "name": "x"},
                "env": [{"name": "A", "key": "b"}]}),
                "spec.source.apiVersion",
            ),
            ("ServiceBinding", json!({"source": {"secretName": "x"}}), "spec.env"),
            (
                "ServiceBinding",
                json!({"source": {"secretName": "x"}, "env": [{"name": "A", "key": "b"}], "workloadRef": {"uid": "u"}}),
                "spec.workloadRef.uid",
            ),
            (
                "ManualScalerTrait",
                json!({"replicaCount": 1, "workloadRef": {"uid": "u"}}),
                "spec.workloadRef.uid",
            ),
            (
                "Component",
                json!({"workload": {"apiVersion": "v1", "kind": "X", "metadata": {"generateName": "x-"}}}),
                "spec.workload.metadata.generateName",
            ),
            (
                "ApplicationConfiguration",
                json!({"components": [{"componentName": "a", "traits": [{"trait": {"apiVersion": "a", "kind": "b",
                    "metadata": {"ownerReferences": [{}]}}}]}]}),
                "spec.components[0].traits[0].trait.metadata.ownerReferences",
            ),
            (
                "ServiceBinding",
                json!({"source": {"secretName": "x"}, "files": {"mountPath": "var"}}),
                "spec.files.mountPath",
            ),
            ("TraitDefinition", json!({"definitionRef": {}}), "spec.definitionRef.name"),
        ] {
            assert_eq!(fields(GROUP, kind, &json!({"spec": spec})), [expected], "{kind} {spec}");
        }
    }

    #[test]
    fn ports_are_tcp_by_default() {
        let mut object = json!({"spec": {"containers": [{"name": "a", "image": "b", "ports": [{"name": "p", "containerPort": 1}]}]}});
        default_workload(&mut object);
        assert_eq!(object["spec"]["containers"][0]["ports"][0]["protocol"], "TCP");
    }
}
