//! What pods ask for and nodes have: pure functions.

use crate::access::{elements, number};
use crate::quantities::thousandths;
use compact_str::CompactString;
use serde_json::Value;

/// Amounts of resources: CPU in thousandths, everything else in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) cpu: i64,
    pub(super) memory: i64,
    pub(super) storage: i64,
    /// Extended resources and huge pages, by name.
    pub(super) others: Vec<(CompactString, i64)>,
}

/// What a container without requests counts for when nodes are compared: 0.1 CPU and 200 MiB.
const ASSUMED_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 * 1024 * 1024;

impl Amounts {
    /// A list of quantities (`v1.ResourceList`). What is none counts as nothing.
    pub(super) fn of(list: &Value) -> Self {
        let mut amounts = Amounts::default();
        for (name, quantity) in list.as_object().into_iter().flatten() {
            let Some(exact) = thousandths(quantity) else { continue };
            let wanted = if name == "cpu" { exact } else { (exact + 999).div_euclid(1000) };
            *amounts.slot(name) = i64::try_from(wanted).unwrap_or(i64::MAX);
        }
        amounts
    }

    fn slot(&mut self, name: &str) -> &mut i64 {
        match name {
            "cpu" => &mut self.cpu,
            "memory" => &mut self.memory,
            "ephemeral-storage" => &mut self.storage,
            _ => {
                let index = match self.others.iter().position(|(known, _)| known == name) {
                    Some(index) => index,
                    None => {
                        self.others.push((name.into(), 0));
                        self.others.len() - 1
                    }
                };
                &mut self.others[index].1
            }
        }
    }

    /// How much of a resource other than CPU, memory and storage.
    pub(super) fn other(&self, name: &str) -> i64 {
        self.others.iter().find(|(known, _)| known == name).map_or(0, |(_, amount)| *amount)
    }

    fn combine(&mut self, other: &Amounts, how: impl Fn(i64, i64) -> i64) {
        self.cpu = how(self.cpu, other.cpu);
        self.memory = how(self.memory, other.memory);
        self.storage = how(self.storage, other.storage);
        for (name, amount) in &other.others {
            let slot = self.slot(name);
            *slot = how(*slot, *amount);
        }
    }

    pub(super) fn add(&mut self, other: &Amounts) {
        self.combine(other, i64::saturating_add);
    }

    pub(super) fn subtract(&mut self, other: &Amounts) {
        self.combine(other, i64::saturating_sub);
    }

    fn raise(&mut self, other: &Amounts) {
        self.combine(other, i64::max);
    }
}

/// What of a container counts: what it requests, and no less than what it was given already.
fn requests(pod: &Value, container: &Value, assumed: bool) -> Amounts {
    let list = &container["resources"]["requests"];
    let mut amounts = Amounts::of(list);
    if assumed {
        if list["cpu"].is_null() {
            amounts.cpu = ASSUMED_CPU;
        }
        if list["memory"].is_null() {
            amounts.memory = ASSUMED_MEMORY;
        }
    }
    let statuses = elements(pod, "/status/containerStatuses").iter();
    let mut statuses = statuses.chain(elements(pod, "/status/initContainerStatuses"));
    if let Some(status) = statuses.find(|status| status["name"] == container["name"]) {
        amounts.raise(&Amounts::of(&status["resources"]["requests"]));
        amounts.raise(&Amounts::of(&status["allocatedResources"]));
    }
    amounts
}

/// What a pod takes from its node: the sum of its containers and sidecars, or what its init containers need at their
/// peak, plus overhead; requests of the pod as a whole go before (KEP-753, KEP-2837). `assumed`: a container that
/// requests no CPU or memory counts for a little of it.
pub(super) fn needs(pod: &Value, assumed: bool) -> Amounts {
    let mut sum = Amounts::default();
    for container in elements(pod, "/spec/containers") {
        sum.add(&requests(pod, container, assumed));
    }
    let (mut sidecars, mut peak) = (Amounts::default(), Amounts::default());
    for container in elements(pod, "/spec/initContainers") {
        let mut own = requests(pod, container, assumed);
        if container["restartPolicy"] == "Always" {
            sidecars.add(&own);
            peak.raise(&sidecars);
        } else {
            own.add(&sidecars);
            peak.raise(&own);
        }
    }
    sum.add(&sidecars);
    sum.raise(&peak);
    for (name, quantity) in pod["spec"]["resources"]["requests"].as_object().into_iter().flatten() {
        let whole = Amounts::of(&serde_json::json!({name: quantity})).slot(name).to_owned();
        *sum.slot(name) = whole;
    }
    sum.add(&Amounts::of(&pod["spec"]["overhead"]));
    sum
}

/// A port of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    /// Empty: all addresses.
    ip: CompactString,
    protocol: CompactString,
    port: i64,
}

impl HostPort {
    /// True when both cannot be taken on one node.
    pub(super) fn conflicts(&self, other: &HostPort) -> bool {
        let overlap = self.ip.is_empty() || other.ip.is_empty() || self.ip == other.ip;
        overlap && self.port == other.port && self.protocol == other.protocol
    }
}

/// The ports of its node that a pod takes.
pub(super) fn host_ports(pod: &Value) -> Vec<HostPort> {
    let sidecars = elements(pod, "/spec/initContainers").iter().filter(|c| c["restartPolicy"] == "Always");
    let containers = elements(pod, "/spec/containers").iter().chain(sidecars);
    let taken = |port: &Value| {
        let number = number(port, "/hostPort").filter(|port| *port > 0)?;
        let ip = port["hostIP"].as_str().filter(|ip| *ip != "0.0.0.0").unwrap_or("");
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        Some(HostPort { ip: ip.into(), protocol: protocol.into(), port: number })
    };
    containers.flat_map(|container| elements(container, "/ports")).filter_map(taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn a_pod_needs_its_sum_or_its_peak() {
        let mut sidecar = container("1");
        sidecar["restartPolicy"] = "Always".into();
        for (case, spec, expected) in [
            ("a sum", json!({"containers": [container("1"), container("500m")]}), 1500),
            ("a peak", json!({"containers": [container("1")], "initContainers": [container("3")]}), 3000),
            ("a sidecar", json!({"containers": [container("1")], "initContainers": [sidecar]}), 2000),
            (
                "a peak beside a sidecar",
                json!({"containers": [container("1")], "initContainers": [sidecar, container("3")]}),
                4000,
            ),
            ("overhead", json!({"containers": [container("1")], "overhead": {"cpu": "250m"}}), 1250),
            (
                "the pod as a whole",
                json!({"containers": [container("1")], "resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "1"}}),
                4000,
            ),
        ] {
            assert_eq!(needs(&json!({"spec": spec}), false).cpu, expected, "{case}");
        }
        let grown = json!({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"containerStatuses": [{"name": "a", "resources": {"requests": {"cpu": "2"}}}]}});
        assert_eq!(needs(&grown, false).cpu, 2000);
    }

    #[test]
    fn what_requests_nothing_counts_for_a_little_where_nodes_are_compared() {
        let pod = json!({"spec": {"containers": [{}, {"resources": {"requests": {"cpu": "1", "x.dev/gpu": "2"}}}]}});
        let assumed = needs(&pod, true);
        assert_eq!((assumed.cpu, assumed.memory, assumed.other("x.dev/gpu")), (1100, 2 * ASSUMED_MEMORY, 2));
        assert_eq!(needs(&pod, false).memory, 0);
    }

    #[test]
    fn ports_conflict_by_address_protocol_and_number() {
        let port = |ip: &str, protocol: &str, number: i64| {
            let pod = json!({"spec": {"containers": [{"ports": [
                {"hostPort": number, "hostIP": ip, "protocol": protocol}, {"containerPort": 1}]}]}});
            host_ports(&pod).remove(0)
        };
        let all = port("0.0.0.0", "TCP", 80);
        for (case, other, expected) in [
            ("the same", port("", "TCP", 80), true),
            ("one address", port("10.0.0.1", "TCP", 80), true),
            ("another protocol", port("", "UDP", 80), false),
            ("another number", port("", "TCP", 81), false),
        ] {
            assert_eq!(all.conflicts(&other), expected, "{case}");
        }
        assert!(!port("10.0.0.1", "TCP", 80).conflicts(&port("10.0.0.2", "TCP", 80)));
    }
}
