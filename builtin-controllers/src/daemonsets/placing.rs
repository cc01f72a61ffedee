//! On which nodes a daemon set has pods, and how a pod says on which one it is to be.

use crate::access::{elements, text};
use crate::node_rules::{selects, tolerates};
use serde_json::{Value, json};

/// The label with the hash of the revision that a pod was made of.
pub(super) const HASH: &str = "controller-revision-hash";
/// The older way to say it: a number that the server counts.
const GENERATION_LABEL: &str = "pod-template-generation";
const GENERATION: &str = "deprecated.daemonset.template.generation";

/// Key and effect of the taints that daemons bear: they stay when a node is in trouble or takes no new pods.
const BORNE: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// And those of the host's network too.
const BORNE_ON_HOST_NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

const TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// How a daemon set stands to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// It has to have a pod there.
    pub(super) runs: bool,
    /// A pod that is there may stay.
    pub(super) stays: bool,
}

fn add_tolerations(spec: &mut Value) {
    let mut all = elements(spec, "/tolerations").to_vec();
    let on_host = (spec["hostNetwork"] == true).then_some(&BORNE_ON_HOST_NETWORK);
    for (key, effect) in BORNE.iter().chain(on_host) {
        let toleration = json!({"key": key, "operator": "Exists", "effect": effect});
        let is_same = |other: &&mut Value| {
            ["key", "operator", "effect", "value"].iter().all(|field| {
                other[*field].as_str().unwrap_or("") == toleration[*field].as_str().unwrap_or("")
            })
        };
        match all.iter_mut().find(is_same) {
            Some(same) => *same = toleration,
            None => all.push(toleration),
        }
    }
    spec["tolerations"] = all.into();
}

/// The template of the pods that are made now.
pub(super) fn template(set: &Value, hash: &str) -> Value {
    let mut template = set["spec"]["template"].clone();
    add_tolerations(&mut template["spec"]);
    if !template["metadata"]["labels"].is_object() {
        template["metadata"]["labels"] = json!({});
    }
    if let Some(generation) = generation(set) {
        template["metadata"]["labels"][GENERATION_LABEL] = generation.into();
    }
    template["metadata"]["labels"][HASH] = hash.into();
    template
}

fn generation(set: &Value) -> Option<&str> {
    let said = set["metadata"]["annotations"][GENERATION].as_str()?;
    said.parse::<i64>().is_ok().then_some(said)
}

/// True when the pod was made of the template of now.
pub(super) fn is_updated(set: &Value, pod: &Value, hash: &str) -> bool {
    let labels = &pod["metadata"]["labels"];
    labels[HASH] == hash || generation(set).is_some_and(|generation| labels[GENERATION_LABEL] == generation)
}

/// Makes the scheduler put a pod on this node.
pub(super) fn pin(pod: &mut Value, node: &str) {
    let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
}

/// The node that a pod is on, or is to be put on.
pub(super) fn target(pod: &Value) -> Option<&str> {
    let node = text(pod, "/spec/nodeName");
    if !node.is_empty() {
        return Some(node);
    }
    let fields = elements(pod, TERMS).iter().flat_map(|term| elements(term, "/matchFields"));
    let mut names = fields.filter(|field| field["key"] == "metadata.name" && field["operator"] == "In");
    match elements(names.next()?, "/values") {
        [node] => node.as_str(),
        _ => None,
    }
}

/// How a daemon set stands to a node.
pub(super) fn fit(set: &Value, node: &Value) -> Fit {
    let mut pod = json!({"spec": set["spec"]["template"]["spec"]});
    add_tolerations(&mut pod["spec"]);
    let wanted = text(&pod, "/spec/nodeName");
    if !(wanted.is_empty() || wanted == text(node, "/metadata/name")) || !selects(&pod, node) {
        return Fit { runs: false, stays: false };
    }
    let is_borne = |effects: &[&str]| {
        let taints = elements(node, "/spec/taints").iter();
        let mut bad = taints.filter(|taint| effects.contains(&text(taint, "/effect")));
        bad.all(|taint| tolerates(&pod, taint))
    };
    Fit { runs: is_borne(&["NoExecute", "NoSchedule"]), stays: is_borne(&["NoExecute"]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(spec: Value) -> Value {
        json!({"metadata": {"name": "agent"}, "spec": {"template": {"metadata": {"labels": {"app": "agent"}}, "spec": spec}}})
    }

    fn node(spec: Value) -> Value {
        json!({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}, "spec": spec})
    }

    #[test]
    fn nodes_are_chosen_by_selector_affinity_and_taints() {
        let taint =
            |key: &str, effect: &str| json!({"taints": [{"key": key, "effect": effect, "value": "v"}]});
        let affinity = |field: &str, key: &str, value: &str| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{field: [{"key": key, "operator": "In", "values": [value]}]}]}}}})
        };
        let (yes, no, stays) = (
            Fit { runs: true, stays: true },
            Fit { runs: false, stays: false },
            Fit { runs: false, stays: true },
        );
        for (case, spec, on, expected) in [
            ("any", json!({}), json!({}), yes),
            ("by label", json!({"nodeSelector": {"disk": "ssd"}}), json!({}), yes),
            ("by another label", json!({"nodeSelector": {"disk": "hdd"}}), json!({}), no),
            ("by affinity", affinity("matchExpressions", "disk", "ssd"), json!({}), yes),
            ("by name", affinity("matchFields", "metadata.name", "n2"), json!({}), no),
            ("by nodeName", json!({"nodeName": "n1"}), json!({}), yes),
            ("by another nodeName", json!({"nodeName": "n2"}), json!({}), no),
            ("tainted", json!({}), taint("x", "NoSchedule"), stays),
            ("tainted for good", json!({}), taint("x", "NoExecute"), no),
            ("preferred elsewhere", json!({}), taint("x", "PreferNoSchedule"), yes),
            (
                "tolerated",
                json!({"tolerations": [{"key": "x", "operator": "Exists"}]}),
                taint("x", "NoExecute"),
                yes,
            ),
            ("not ready", json!({}), taint("node.kubernetes.io/not-ready", "NoExecute"), yes),
            ("cordoned", json!({}), taint("node.kubernetes.io/unschedulable", "NoSchedule"), yes),
            ("no network", json!({}), taint("node.kubernetes.io/network-unavailable", "NoSchedule"), stays),
            (
                "no network, the host's",
                json!({"hostNetwork": true}),
                taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
                yes,
            ),
        ] {
            assert_eq!(fit(&set(spec), &node(on)), expected, "{case}");
        }
    }

    #[test]
    fn a_pod_is_pinned_and_its_target_read_again() {
        let preferred = json!([{"weight": 1}]);
        for affinity in [
            json!(null),
            json!({"podAffinity": {}}),
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred,
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}}}),
        ] {
            let mut pod = json!({"spec": {"affinity": affinity}});
            assert_eq!(target(&pod), None);
            pin(&mut pod, "n1");
            assert_eq!(target(&pod), Some("n1"), "{affinity}");
            let node = &pod["spec"]["affinity"]["nodeAffinity"];
            let before = &affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
            assert_eq!(&node["preferredDuringSchedulingIgnoredDuringExecution"], before);
            pod["spec"]["nodeName"] = "n2".into();
            assert_eq!(target(&pod), Some("n2"));
        }
    }

    #[test]
    fn templates_get_hash_generation_and_tolerations_once() {
        let mut set = set(json!({"tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}]}));
        set["metadata"]["annotations"][GENERATION] = "7".into();
        let template = template(&set, "h");
        assert_eq!(template["metadata"]["labels"], json!({"app": "agent", HASH: "h", GENERATION_LABEL: "7"}));
        let tolerations = elements(&template, "/spec/tolerations");
        assert_eq!(tolerations.len(), BORNE.len());
        assert_eq!(tolerations[0]["tolerationSeconds"], Value::Null);
        assert!(is_updated(&set, &template, "h"));
        assert!(is_updated(&set, &template, "other"), "by the generation");
        set["metadata"]["annotations"][GENERATION] = "8".into();
        assert!(!is_updated(&set, &template, "other"));
    }
}
