//! Networks of simulated nodes: a `/24` for each, from `10.244.0.0/16` for the first 256 and `10.128.0.0/10` for more.

use compact_str::CompactString;
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

/// As many nodes as Kubernetes is made for.
pub(crate) const MAX_NODES: u32 = 5_000;
/// How many have a network of `10.244.0.0/16`.
const FIRST: u32 = 256;

/// The network of a number.
pub(super) fn network(number: u32) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    if number < FIRST { Ipv4Addr::new(10, 244, low, 0) } else { Ipv4Addr::new(10, 128 | high, low, 0) }
}

/// The number of a network, as `spec.podCIDR` says it.
pub(super) fn number_of(cidr: &str) -> Option<u32> {
    let address: Ipv4Addr = cidr.strip_suffix("/24")?.parse().ok()?;
    let [_, second, third, _] = address.octets();
    let number = match second {
        244 => u32::from(third),
        _ => u32::from_be_bytes([0, 0, second & !128, third]),
    };
    (number < MAX_NODES && network(number) == address).then_some(number)
}

/// The address of a node itself: from `198.18.0.0/15`, a range for benchmarks that no network routes.
pub(super) fn host_ip(number: u32) -> String {
    let [_, high, middle, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(198, 18 | high, middle, low).to_string()
}

/// Which node has which network.
#[derive(Debug, Default)]
pub(super) struct Networks {
    by_node: HashMap<CompactString, u32>,
    taken: HashSet<u32>,
}

impl Networks {
    /// Notes the network that a node has.
    pub(super) fn note(&mut self, node: &str, number: u32) {
        self.release(node);
        self.by_node.insert(node.into(), number);
        self.taken.insert(number);
    }

    /// The network of a node: the one that it has, the one that it would like, or the lowest that is free. `None`: all
    /// are taken.
    pub(super) fn choose(&mut self, node: &str, liked: Option<u32>) -> Option<u32> {
        if let Some(known) = self.by_node.get(node) {
            return Some(*known);
        }
        let is_free = |number: &u32| *number < MAX_NODES && !self.taken.contains(number);
        let number = liked.filter(is_free).or_else(|| (0..MAX_NODES).find(is_free))?;
        self.note(node, number);
        Some(number)
    }

    /// The node is gone.
    pub(super) fn release(&mut self, node: &str) {
        if let Some(number) = self.by_node.remove(node) {
            self.taken.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_networks() {
        for (number, expected, host) in [
            (0, "10.244.0.0/24", "198.18.0.1"),
            (255, "10.244.255.0/24", "198.18.1.0"),
            (256, "10.129.0.0/24", "198.18.1.1"),
            (4_999, "10.147.135.0/24", "198.18.19.136"),
        ] {
            assert_eq!(
                (format!("{}/24", network(number)).as_str(), host_ip(number).as_str()),
                (expected, host)
            );
        }
        for number in 0..MAX_NODES {
            assert_eq!(number_of(&format!("{}/24", network(number))), Some(number));
        }
        for other in
            ["", "10.244.1.0/16", "10.244.1.1/24", "10.128.3.0/24", "10.200.0.0/24", "192.168.0.0/24"]
        {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn no_two_nodes_have_one_network() {
        let mut networks = Networks::default();
        networks.note("known", 1);
        assert_eq!(networks.choose("sim-1", Some(1)), Some(0), "what it likes is taken");
        assert_eq!(networks.choose("mine", None), Some(2));
        assert_eq!(networks.choose("sim-7", Some(7)), Some(7));
        assert_eq!(networks.choose("known", None), Some(1));
        networks.release("known");
        assert_eq!(networks.choose("next", None), Some(1));
        assert_eq!(networks.choose("far", Some(MAX_NODES)), Some(3));
        for number in 0..MAX_NODES {
            networks.choose(&format!("n{number}"), None);
        }
        assert_eq!(networks.choose("too-many", None), None);
    }
}
