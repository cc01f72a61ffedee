//! Pod Security Standards: what the levels `baseline` and `restricted` forbid, as Kubernetes' PodSecurity admission has
//! them ([KEP-2579](https://kep.k8s.io/2579)).
//!
//! Read in this order: [`policy`] (the labels of a namespace), [`checks`] (the table of checks, by level and version),
//! [`rules`] (what each forbids), [`pod`] (what rules see of a pod).

mod checks;
mod pod;
mod policy;
mod rules;

pub use checks::{Finding, evaluate, told, told_briefly};
pub use policy::{Level, LevelVersion, PREFIX, Policy, PolicyVersion, is_labelled, policy_of};

use serde_json::Value;
use std::collections::HashMap;

/// Resources with pods or templates of pods: group, plural, where the pod is in the object.
const PODS: &[(&str, &str, &str)] = &[
    ("", "pods", ""),
    ("", "podtemplates", "/template"),
    ("", "replicationcontrollers", "/spec/template"),
    ("apps", "daemonsets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
    ("batch", "jobs", "/spec/template"),
];

/// Where objects of a resource have their pod; `None` when they have none.
pub fn place_of_pod(group: &str, plural: &str) -> Option<&'static str> {
    PODS.iter().find(|(g, p, _)| *g == group && *p == plural).map(|(_, _, at)| *at)
}

/// True when a change of a pod can change what is found: other containers or other images.
pub fn is_significant(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value, list: &str| -> Vec<Value> {
        let containers = pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
        containers.iter().map(|container| container["image"].clone()).collect()
    };
    if ["containers", "initContainers"].iter().any(|list| images(new, list) != images(old, list)) {
        return true;
    }
    let known: HashMap<&str, &Value> = debuggers(old).collect();
    debuggers(new).any(|(name, image)| known.get(name) != Some(&image))
}

/// The names and images of a pod's ephemeral containers.
fn debuggers(pod: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let containers = pod["spec"]["ephemeralContainers"].as_array().map(Vec::as_slice).unwrap_or_default();
    containers.iter().map(|one| (one["name"].as_str().unwrap_or(""), &one["image"]))
}

#[cfg(test)]
mod tests;
