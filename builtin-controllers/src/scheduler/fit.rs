//! Which nodes can take a pod, and which of them is best: pure functions.

use super::unsupported;
use crate::access::{elements, number, text};
use crate::node_rules::{selects, tolerates};
use crate::pod_facts;
use crate::quantities::thousandths;
use compact_str::CompactString;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource name, in thousandths. Pods are counted as the resource `pods`.
pub(super) type Amounts = BTreeMap<CompactString, i128>;

/// What a container without requests counts for when nodes are compared: 0.1 CPU and 200 MB.
const ASSUMED: [(&str, i128); 2] = [("cpu", 100), ("memory", 200 * 1024 * 1024 * 1000)];

fn add(to: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        *to.entry(name.clone()).or_default() += amount;
    }
}

fn raise(to: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        let known = to.entry(name.clone()).or_default();
        *known = (*known).max(*amount);
    }
}

fn amounts(list: &Value) -> Amounts {
    let pairs = list.as_object().into_iter().flatten();
    pairs.filter_map(|(name, quantity)| Some((name.as_str().into(), thousandths(quantity)?))).collect()
}

/// The requests of a container; a limit without a request is one.
fn requests(resources: &Value) -> Amounts {
    let mut all = amounts(&resources["limits"]);
    all.extend(amounts(&resources["requests"]));
    all
}

/// What a pod takes from its node: the sum of its containers and sidecars, or what its init containers need at
/// their peak, plus overhead; requests of the pod as a whole go before (KEP-753, KEP-2837).
pub(super) fn needs(pod: &Value) -> Amounts {
    let mut sum = Amounts::new();
    for container in elements(pod, "/spec/containers") {
        add(&mut sum, &requests(&container["resources"]));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in elements(pod, "/spec/initContainers") {
        let own = requests(&container["resources"]);
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            let mut with_sidecars = own;
            add(&mut with_sidecars, &sidecars);
            raise(&mut peak, &with_sidecars);
        }
    }
    add(&mut sum, &sidecars);
    raise(&mut sum, &peak);
    for (name, amount) in requests(&pod["spec"]["resources"]) {
        sum.insert(name, amount);
    }
    add(&mut sum, &amounts(&pod["spec"]["overhead"]));
    sum.insert("pods".into(), 1000);
    sum
}

/// A node with what the pods bound to it take.
#[derive(Clone, Debug)]
pub(super) struct NodeState {
    pub(super) node: Value,
    pub(super) used: Amounts,
    /// Ports of the host that are taken: protocol and number.
    pub(super) ports: Vec<(String, i64)>,
}

impl NodeState {
    /// A node that nothing is bound to.
    pub(super) fn new(node: Value) -> Self {
        NodeState { node, used: Amounts::new(), ports: Vec::new() }
    }

    /// Counts a pod as bound.
    pub(super) fn bind(&mut self, needs: &Amounts, ports: &[(String, i64)]) {
        add(&mut self.used, needs);
        self.ports.extend_from_slice(ports);
    }

    pub(super) fn name(&self) -> &str {
        text(&self.node, "/metadata/name")
    }

    /// What is left of a resource; `None`: the node does not have it.
    fn free(&self, resource: &str) -> Option<i128> {
        let total = thousandths(&self.node["status"]["allocatable"][resource])?;
        Some(total - self.used.get(resource).copied().unwrap_or(0))
    }
}

/// The host ports that a pod takes.
pub(super) fn host_ports(pod: &Value) -> Vec<(String, i64)> {
    let ports = elements(pod, "/spec/containers").iter().flat_map(|c| elements(c, "/ports"));
    let taken = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
        number(port, "/hostPort").filter(|port| *port > 0).map(|port| (protocol, port))
    };
    ports.filter_map(taken).collect()
}

/// Why a node cannot take a pod, in the words of kube-scheduler; none: it can. The first of the checks that
/// fails tells, as there.
pub(super) fn filter(pod: &Value, needs: &Amounts, state: &NodeState) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    if let Some(what) = unsupported(pod) {
        return vec![format!("node(s) cannot be chosen by {what}, which this scheduler does not support")];
    }
    let node = &state.node;
    let unschedulable = node["spec"]["unschedulable"].as_bool().unwrap_or(false);
    let cordon = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    if pod_facts::is_deleting(node) || (unschedulable && !tolerates(pod, &cordon)) {
        return one("node(s) were unschedulable");
    }
    let blocking = |taint: &&Value| matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute");
    if elements(node, "/spec/taints").iter().filter(blocking).any(|taint| !tolerates(pod, taint)) {
        return one("node(s) had untolerated taint(s)");
    }
    if !selects(pod, node) {
        return one("node(s) didn't match Pod's node affinity/selector");
    }
    if host_ports(pod).iter().any(|port| state.ports.contains(port)) {
        return one("node(s) didn't have free ports for the requested pod ports");
    }
    let short =
        needs.iter().filter(|(name, amount)| **amount > 0 && state.free(name).unwrap_or(0) < **amount);
    short
        .map(
            |(name, _)| {
                if name == "pods" { "Too many pods".to_owned() } else { format!("Insufficient {name}") }
            },
        )
        .collect()
}

/// How good a node is for a pod, 0 to 100: the mean of what would be left of CPU and memory (least allocated).
pub(super) fn score(needs: &Amounts, state: &NodeState) -> i128 {
    let part = |(resource, assumed): (&str, i128)| {
        let total = thousandths(&state.node["status"]["allocatable"][resource]).unwrap_or(0);
        let wanted = needs.get(resource).copied().unwrap_or(assumed);
        let left = state.free(resource).unwrap_or(0) - wanted;
        if total <= 0 || left <= 0 { 0 } else { left * 100 / total }
    };
    ASSUMED.into_iter().map(part).sum::<i128>() / 2
}

/// The best of the nodes that can take the pod, or why none can.
pub(super) fn choose<'a>(pod: &Value, needs: &Amounts, nodes: &'a [NodeState]) -> Result<&'a str, String> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut best: Option<(i128, i128, &str)> = None;
    for state in nodes {
        let why_not = filter(pod, needs, state);
        if why_not.is_empty() {
            // Of equals the one with fewer pods, then the first by name.
            let pods = state.used.get("pods").copied().unwrap_or(0);
            let found = (score(needs, state), -pods, state.name());
            let is_better = best.is_none_or(|(score, pods, name)| {
                (found.0, found.1) > (score, pods) || ((found.0, found.1) == (score, pods) && found.2 < name)
            });
            if is_better {
                best = Some(found);
            }
        }
        for reason in why_not {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    best.map(|(_, _, name)| name).ok_or_else(|| {
        if nodes.is_empty() {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut list: Vec<String> =
            reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        list.sort();
        format!("0/{} nodes are available: {}.", nodes.len(), list.join(", "))
    })
}

#[cfg(test)]
mod tests;
