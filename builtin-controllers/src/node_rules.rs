//! On which nodes a pod may be, by what it says: selector, affinity, tolerations.

use crate::access::{elements, text};
use crate::selectors::{Selector, labels_of};
use compact_str::CompactString;
use serde_json::Value;

/// True when one of the pod's tolerations covers the taint.
pub(crate) fn tolerates(pod: &Value, taint: &Value) -> bool {
    elements(pod, "/spec/tolerations").iter().any(|toleration| covers(toleration, taint))
}

/// True when a toleration covers a taint.
pub(crate) fn covers(toleration: &Value, taint: &Value) -> bool {
    let effect = text(toleration, "/effect");
    let key = text(toleration, "/key");
    let says_so = match text(toleration, "/operator") {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(toleration, "/value") == text(taint, "/value"),
        _ => false,
    };
    says_so
        && (effect.is_empty() || effect == text(taint, "/effect"))
        && (key.is_empty() || key == text(taint, "/key"))
}

/// True when the pod's node selector and required node affinity match the node.
pub(crate) fn selects(pod: &Value, node: &Value) -> bool {
    let labels = labels_of(&node["metadata"]["labels"]);
    if !Selector::of_labels(&pod["spec"]["nodeSelector"]).matches(&labels) {
        return false;
    }
    requires(&pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"], node)
}

/// True when a volume can be used on the node.
pub(crate) fn reaches(volume: &Value, node: &Value) -> bool {
    requires(&volume["spec"]["nodeAffinity"]["required"], node)
}

/// True when the terms of a node selector match the node, or there are none.
fn requires(required: &Value, node: &Value) -> bool {
    if required.is_null() {
        return true;
    }
    let labels = labels_of(&node["metadata"]["labels"]);
    let name = [(CompactString::const_new("metadata.name"), text(node, "/metadata/name").into())];
    elements(required, "/nodeSelectorTerms").iter().any(|term| {
        let part = |field: &str, labels: &[(CompactString, CompactString)]| {
            Selector::of_expressions(&term[field]).is_some_and(|selector| selector.matches(labels))
        };
        let says_something = ["matchExpressions", "matchFields"]
            .iter()
            .any(|field| term[*field].as_array().is_some_and(|list| !list.is_empty()));
        says_something && part("matchExpressions", &labels) && part("matchFields", &name)
    })
}
