//! A ContainerizedWorkload translated into a Deployment, a Service for its ports, and a ConfigMap for its files. Pure.
//!
//! The number of replicas is left to a scaler, and to Kubernetes' default of one. What a container requires is both its
//! request and its limit. A volume is a directory that goes with the pod; a disk that outlives the pod is refused.

mod container;
mod volumes;

use crate::binding::BOUND;
use crate::names::{LABEL_MAX, digest, label_value};
use api_types::oam::{self, ContainerizedWorkloadSpec};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use volumes::PodVolumes;

/// Label of the pods, by which the Deployment and the Service select them: the workload's name.
pub const LABEL_WORKLOAD: &str = "core.oam.dev/containerized-workload";
/// Annotation on the pods' template: changes with the content of config files.
pub const CONFIG: &str = "insula.dev/config";

/// The workload, as far as a translation reads it.
#[derive(Clone, Debug)]
pub struct Workload {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`; those of the application are passed on.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The value of [`BOUND`]; empty for none.
    pub bound: String,
    /// `spec`.
    pub spec: ContainerizedWorkloadSpec,
}

/// What a workload comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    /// The Deployment, without replicas.
    pub deployment: Value,
    /// The Service; absent without ports.
    pub service: Option<Value>,
    /// The ConfigMap; absent without config files that have a value.
    pub config: Option<Value>,
}

/// Translates a workload; the errors say what cannot be translated, each with its field.
pub fn translate(workload: &Workload) -> Result<Translation, Vec<String>> {
    let spec = &workload.spec;
    let mut faults = Vec::new();
    if workload.name.len() > LABEL_MAX {
        faults.push(format!(
            "metadata.name: {} bytes; a Service's name has {LABEL_MAX} at most",
            workload.name.len()
        ));
    }
    if spec.containers.is_empty() {
        faults.push("spec.containers: at least one container is required".to_owned());
    }
    let mut volumes = PodVolumes::new(&workload.name);
    let mut containers = Vec::new();
    let mut names = BTreeSet::new();
    for (position, container) in spec.containers.iter().enumerate() {
        let field = format!("spec.containers[{position}]");
        if !names.insert(container.name.as_str()) {
            faults.push(format!("{field}.name: {:?} is there twice", container.name));
        }
        containers.push(container::translate(&field, container, &mut volumes, &mut faults));
    }
    let ports = service_ports(spec, &mut faults);
    let node_selector = node_selector(spec, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }

    let selector = json!({LABEL_WORKLOAD: label_value(&workload.name)});
    let mut pod = Map::new();
    pod.insert("containers".into(), containers.into());
    let (pod_volumes, files) = volumes.finish();
    if !pod_volumes.is_empty() {
        pod.insert("volumes".into(), pod_volumes.into());
    }
    if !node_selector.is_empty() {
        pod.insert("nodeSelector".into(), node_selector.into());
    }
    let pull: BTreeSet<&String> =
        spec.containers.iter().filter_map(|c| c.image_pull_secret.as_ref()).collect();
    if !pull.is_empty() {
        pod.insert("imagePullSecrets".into(), pull.iter().map(|name| json!({"name": name})).collect());
    }
    let mut annotations = Map::new();
    if !workload.bound.is_empty() {
        annotations.insert(BOUND.into(), workload.bound.as_str().into());
    }
    if !files.is_empty() {
        let content: Vec<&str> =
            files.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]).collect();
        annotations.insert(CONFIG.into(), digest(&content, 16).into());
    }
    let mut template_meta = json!({"labels": pod_labels(workload)});
    if !annotations.is_empty() {
        template_meta["annotations"] = annotations.into();
    }
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(workload, &workload.name),
        "spec": {"selector": {"matchLabels": selector}, "template": {"metadata": template_meta, "spec": pod}},
    });
    let service = (!ports.is_empty()).then(|| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(workload, &workload.name),
            "spec": {"selector": selector, "ports": ports}})
    });
    let config = (!files.is_empty()).then(|| {
        let data: Map<String, Value> = files.into_iter().map(|(key, value)| (key, value.into())).collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(workload, &volumes::config_name(&workload.name)),
            "data": data})
    });
    Ok(Translation { deployment, service, config })
}

fn metadata(workload: &Workload, name: &str) -> Value {
    let mut labels =
        application_labels(workload, &[oam::LABEL_APPLICATION, oam::LABEL_COMPONENT, oam::LABEL_REVISION]);
    labels.insert(LABEL_WORKLOAD.into(), label_value(&workload.name).into());
    json!({"name": name, "namespace": workload.namespace, "labels": labels,
        "ownerReferences": [{"apiVersion": oam::API_VERSION, "kind": "ContainerizedWorkload", "name": workload.name,
            "uid": workload.uid, "controller": true, "blockOwnerDeletion": true}]})
}

/// The revision is not among the pods' labels: a revision that leaves the workload as it is must not restart it.
fn pod_labels(workload: &Workload) -> Map<String, Value> {
    let mut labels = application_labels(workload, &[oam::LABEL_APPLICATION, oam::LABEL_COMPONENT]);
    labels.insert(LABEL_WORKLOAD.into(), label_value(&workload.name).into());
    labels
}

fn application_labels(workload: &Workload, keys: &[&str]) -> Map<String, Value> {
    keys.iter()
        .filter_map(|key| Some(((*key).to_owned(), workload.labels.get(*key)?.as_str().into())))
        .collect()
}

fn node_selector(spec: &ContainerizedWorkloadSpec, faults: &mut Vec<String>) -> Map<String, Value> {
    /// OAM's word and Kubernetes' word.
    const OS: &[(&str, &str)] = &[("linux", "linux"), ("windows", "windows")];
    const ARCH: &[(&str, &str)] = &[("i386", "386"), ("amd64", "amd64"), ("arm", "arm"), ("arm64", "arm64")];
    let mut selector = Map::new();
    for (field, said, words, label) in [
        ("spec.osType", &spec.os_type, OS, "kubernetes.io/os"),
        ("spec.arch", &spec.arch, ARCH, "kubernetes.io/arch"),
    ] {
        let Some(said) = said else { continue };
        match words.iter().find(|(word, _)| word == said) {
            Some((_, value)) => {
                selector.insert(label.to_owned(), (*value).into());
            }
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                faults.push(format!("{field}: {said:?} is not one of {known:?}"));
            }
        }
    }
    selector
}

fn service_ports(spec: &ContainerizedWorkloadSpec, faults: &mut Vec<String>) -> Vec<Value> {
    let mut ports = Vec::new();
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, container) in spec.containers.iter().enumerate() {
        for (position, port) in container.ports.iter().enumerate() {
            let field = format!("spec.containers[{at}].ports[{position}]");
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            if !matches!(protocol, "TCP" | "UDP") {
                faults.push(format!("{field}.protocol: {protocol:?} is not \"TCP\" or \"UDP\""));
            }
            if !(1..=65535).contains(&port.container_port) {
                faults.push(format!(
                    "{field}.containerPort: {} is not between 1 and 65535",
                    port.container_port
                ));
            }
            if port.name.is_empty() {
                faults.push(format!("{field}.name: required"));
            } else if !names.insert(port.name.as_str()) {
                faults.push(format!("{field}.name: {:?} is there twice in the workload", port.name));
            }
            if !numbers.insert((protocol, port.container_port)) {
                faults.push(format!(
                    "{field}.containerPort: {} is there twice in the workload",
                    port.container_port
                ));
            }
            ports.push(
                json!({"name": port.name, "port": port.container_port, "targetPort": port.container_port,
                "protocol": protocol}),
            );
        }
    }
    ports
}

#[cfg(test)]
mod tests;
