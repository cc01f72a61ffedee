//! Columns of `metrics.k8s.io`, as metrics-server has them.

use super::about::{self, About, words};
use super::{Col, Kind, list, string, text};
use api_schema::quantity::Quantity;
use serde_json::Value;

pub(super) const KINDS: &[Kind] =
    &[("metrics.k8s.io", "nodes", COLUMNS), ("metrics.k8s.io", "pods", COLUMNS)];

/// metrics-server says nothing of them.
const NOTHING: About = words("");

const COLUMNS: &[Col] = &[
    text("Name", about::NAME, |o, _| string(&o["metadata"]["name"])),
    text("cpu", NOTHING, |o, _| usage(o, "cpu")),
    text("memory", NOTHING, |o, _| usage(o, "memory")),
    text("Window", NOTHING, |o, _| string(&o["window"])),
];

/// What a node uses, or all containers of a pod together.
fn usage(object: &Value, name: &str) -> Value {
    let own = std::slice::from_ref(&object["usage"]).iter();
    let containers = list(&object["containers"]).iter().map(|container| &container["usage"]);
    let all = own.chain(containers).filter_map(|usage| usage[name].as_str());
    let sum = all.filter_map(|text| Quantity::parse(text).ok()).reduce(|sum, more| sum + more);
    sum.unwrap_or_default().to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_are_added_up() {
        let pod = json!({"containers": [
            {"name": "a", "usage": {"cpu": "1500u", "memory": "512Ki"}},
            {"name": "b", "usage": {"cpu": "2m", "memory": "1536Ki"}}]});
        assert_eq!((usage(&pod, "cpu"), usage(&pod, "memory")), (json!("3500u"), json!("2Mi")));
        let node = json!({"usage": {"cpu": "250m", "memory": "1Gi"}});
        assert_eq!((usage(&node, "cpu"), usage(&node, "memory")), (json!("250m"), json!("1Gi")));
    }
}
