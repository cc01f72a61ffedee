//! Nodes of the embedded super cluster that run nothing.
//!
//! **They are simulated**, and say so: the label `insula.dev/simulated: "true"` on nodes and their pods, container
//! IDs `simulated://…`, kubelet and runtime versions that name the simulation. A node is simulated that has the label,
//! whoever made it. It has 32 CPUs, 128Gi of memory, 512Gi of ephemeral storage and room for 110 pods, unless its
//! capacity or its annotation `sim.insula.dev/capacity` says otherwise, and a network and an address of its own
//! ([`networks`]).
//!
//! Guarantees: nodes `sim-0` to `sim-<count - 1>` are there at the start; each simulated node is `Ready` while this
//! runs, with a Lease in `kube-node-lease` renewed every 10 s ([`nodes`]), unless it is marked as failed, and then it is
//! silent; what a pod bound to them says of itself is what a kubelet would say ([`pods`]). Assumes one writer: one
//! process runs the nodes of a plane. Caveat: a node beyond the count is deleted at start, and pod garbage collection
//! takes its pods.

pub(crate) mod networks;
pub(crate) mod nodes;
pub(crate) mod pods;

mod addresses;
mod board;
mod durations;
pub(crate) mod pressure;
mod references;
mod status;
mod template;
mod usage;
mod wishes;

pub use template::Template;
pub use usage::SimulatedUsage;

use crate::access::elements;
use api_types::labels::{SIM_FAILED, SIMULATED};
use serde_json::Value;

/// The version that nodes say they run.
const VERSION: &str = "v1.36.0-insula.simulated";
/// Where the Leases of nodes are.
pub(crate) const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The name of a node that is registered here.
fn node_name(number: u32) -> String {
    format!("sim-{number}")
}

/// The number of such a node by its name.
fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_prefix("sim-")?.parse().ok()?;
    (node_name(number) == name).then_some(number)
}

/// True for a simulated node.
pub(crate) fn is_simulated(node: &Value) -> bool {
    node["metadata"]["labels"][SIMULATED] == "true"
}

/// True for a node that is to be taken as failed: by its annotation, or by a taint.
pub(crate) fn is_failed(node: &Value) -> bool {
    let said = node["metadata"]["annotations"][SIM_FAILED].as_str();
    said.is_some_and(|said| said != "false")
        || elements(node, "/spec/taints").iter().any(|taint| taint["key"] == SIM_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_nodes() {
        assert_eq!(number_of("sim-12"), Some(12));
        for other in ["sim-", "sim-01", "sim-x", "node-1"] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn who_has_failed() {
        for (node, expected) in [
            (json!({}), false),
            (json!({"metadata": {"annotations": {SIM_FAILED: "true"}}}), true),
            (json!({"metadata": {"annotations": {SIM_FAILED: ""}}}), true),
            (json!({"metadata": {"annotations": {SIM_FAILED: "false"}}}), false),
            (json!({"spec": {"taints": [{"key": SIM_FAILED, "effect": "NoSchedule"}]}}), true),
            (json!({"spec": {"taints": [{"key": "other", "effect": "NoSchedule"}]}}), false),
        ] {
            assert_eq!(is_failed(&node), expected, "{node}");
        }
    }
}
