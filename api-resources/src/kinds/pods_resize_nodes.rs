//! Whether the node of a pod can carry what the pod is resized to (KEP-1287, KEP-5328).

use super::place::lookup;
use super::pods_resources::is_supported;
use super::sameness::same;
use crate::amounts::{self, Amounts, is_sidecar};
use serde_json::Value;

/// Why a node cannot.
#[derive(Debug, PartialEq, Eq)]
pub enum Unable {
    /// It has not said that it knows these features.
    Features(Vec<&'static str>),
    /// It runs something else than Linux.
    Platform(String),
    /// It is too small: each resource with what is requested and what there is.
    Capacity(Vec<(&'static str, i64, i64)>),
}

/// Whether a change of a spec, `(new, old)`, needs something.
type Needs = fn(&Value, &Value) -> bool;

/// What a resize asks of a node that has to be new enough.
const FEATURES: [(&str, Needs); 2] = [
    ("InPlacePodLevelResourcesVerticalScaling", resizes_the_whole),
    ("InPlacePodVerticalScalingInitContainers", resizes_init_containers),
];

/// Judges a resize, `(new, old)`, of a pod on a node.
///
/// # Errors
/// The first thing that the node lacks.
pub fn check(new: &Value, old: &Value, node: &Value) -> Result<(), Unable> {
    let (spec, before) = (lookup(new, "spec"), lookup(old, "spec"));
    let declared = lookup(node, "status.declaredFeatures").as_array().map(Vec::as_slice).unwrap_or_default();
    let lacking =
        FEATURES.iter().filter(|(name, needs)| needs(spec, before) && !declared.contains(&(*name).into()));
    let lacking: Vec<&str> = lacking.map(|(name, _)| *name).collect();
    if !lacking.is_empty() {
        return Err(Unable::Features(lacking));
    }
    match node["metadata"]["labels"]["kubernetes.io/os"].as_str() {
        None | Some("linux") => {}
        Some(other) => return Err(Unable::Platform(other.to_owned())),
    }
    let (needed, there) = (requests(spec), amounts::read(lookup(node, "status.allocatable")));
    let of = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or_default();
    let (cpu, cpus) = (of(&needed, "cpu"), of(&there, "cpu"));
    let (memory, memories) = (of(&needed, "memory"), of(&there, "memory"));
    let mut short = Vec::new();
    if cpu > cpus {
        short.push(("cpu", cpu.milli_value(), cpus.milli_value()));
    }
    if memory > memories {
        short.push(("memory", memory.value(), memories.value()));
    }
    if short.is_empty() { Ok(()) } else { Err(Unable::Capacity(short)) }
}

/// What a pod takes of a node: what it says as a whole, else what its containers say; and its overhead.
fn requests(spec: &Value) -> Amounts {
    let mut total =
        amounts::of_containers(spec, |container| amounts::read(&container["resources"]["requests"]));
    let own = amounts::read(lookup(spec, "resources.requests"));
    total.extend(own.into_iter().filter(|(name, _)| is_supported(name)));
    amounts::add(&mut total, &amounts::read(&spec["overhead"]));
    total
}

fn resizes_the_whole(spec: &Value, before: &Value) -> bool {
    !same(lookup(spec, "resources"), lookup(before, "resources"))
}

fn resizes_init_containers(spec: &Value, before: &Value) -> bool {
    let of = |spec: &Value| -> Vec<Value> { spec["initContainers"].as_array().cloned().unwrap_or_default() };
    let (new, old) = (of(spec), of(before));
    new.iter()
        .zip(&old)
        .any(|(new, old)| !is_sidecar(old) && !same(lookup(new, "resources"), lookup(old, "resources")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(cpu: &str, init: &str, whole: Value) -> Value {
        let container =
            |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        json!({"spec": {"containers": [container("main", cpu)], "initContainers": [container("init", init)],
            "resources": whole, "overhead": {"memory": "1Mi"}}})
    }

    #[test]
    fn a_node_has_to_be_new_and_large_enough() {
        let old = pod("1", "1", Value::Null);
        let whole = json!({"requests": {"cpu": "3"}});
        let both: Vec<&str> = FEATURES.iter().map(|(name, _)| *name).collect();
        let node = |os: &str, cpu: &str, features: &[&str]| {
            json!({"metadata": {"labels": {"kubernetes.io/os": os}},
                "status": {"allocatable": {"cpu": cpu, "memory": "1Gi"}, "declaredFeatures": features}})
        };
        let table = [
            (pod("2", "1", Value::Null), node("linux", "2", &[]), Ok(())),
            (pod("2", "1", Value::Null), node("plan9", "2", &[]), Err(Unable::Platform("plan9".to_owned()))),
            (
                pod("2", "1", Value::Null),
                node("linux", "1500m", &[]),
                Err(Unable::Capacity(vec![("cpu", 2000, 1500)])),
            ),
            (
                pod("2", "1", Value::Null),
                json!({}),
                Err(Unable::Capacity(vec![("cpu", 2000, 0), ("memory", 1 << 20, 0)])),
            ),
            (pod("1", "2", whole.clone()), node("linux", "9", &[]), Err(Unable::Features(both.clone()))),
            (
                pod("1", "2", Value::Null),
                node("linux", "9", &both[..1]),
                Err(Unable::Features(both[1..].to_vec())),
            ),
            (pod("1", "2", whole.clone()), node("linux", "9", &both), Ok(())),
            (
                pod("1", "2", whole),
                node("linux", "2", &both),
                Err(Unable::Capacity(vec![("cpu", 3000, 2000)])),
            ),
        ];
        for (new, node, expected) in table {
            assert_eq!(check(&new, &old, &node), expected, "{new} on {node}");
        }
    }

    #[test]
    fn sidecars_need_no_new_node() {
        let mut old = pod("1", "1", Value::Null);
        old["spec"]["initContainers"][0]["restartPolicy"] = "Always".into();
        let mut new = pod("1", "2", Value::Null);
        new["spec"]["initContainers"][0]["restartPolicy"] = "Always".into();
        let node = json!({"status": {"allocatable": {"cpu": "8", "memory": "1Gi"}}});
        assert_eq!(check(&new, &old, &node), Ok(()));
    }
}
