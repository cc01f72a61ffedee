//! What quotas count of Services.

use super::evaluator::ONE;
use crate::amounts::Amounts;
use api_schema::quantity::{Format, Quantity};
use serde_json::Value;

const NAMES: [&str; 4] = ["count/services", "services", "services.nodeports", "services.loadbalancers"];

pub(super) fn counts(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Node ports count as they are asked for: they are allocated later.
pub(super) fn usage(service: &Value) -> Amounts {
    let spec = &service["spec"];
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let given = || ports.iter().filter(|port| port["nodePort"].as_i64().unwrap_or(0) != 0).count();
    let (node_ports, balancers) = match spec["type"].as_str() {
        Some("NodePort") => (ports.len(), Quantity::ZERO),
        Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] == false => (given(), ONE),
        Some("LoadBalancer") => (ports.len(), ONE),
        _ => (0, Quantity::ZERO),
    };
    let node_ports = Quantity::from_whole(i64::try_from(node_ports).unwrap_or(i64::MAX), Format::DecimalSi);
    NAMES.map(str::to_owned).into_iter().zip([ONE, ONE, node_ports, balancers]).collect()
}
