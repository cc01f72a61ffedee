//! The addresses of Endpoints by ports and family: a pure function.

use crate::access::{elements, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most addresses of a subset that have endpoints.
pub(super) const MAX_ADDRESSES: usize = 1000;

/// What becomes one slice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// `IPv4` or `IPv6`.
    pub(super) family: &'static str,
    /// Sorted.
    pub(super) ports: Vec<Value>,
    pub(super) endpoints: Vec<Value>,
}

impl Group {
    /// True for a slice of the same family and ports.
    pub(super) fn fits(&self, slice: &Value) -> bool {
        slice["addressType"] == self.family && sorted(elements(slice, "/ports").to_vec()) == self.ports
    }
}

/// What is mirrored, and how many addresses are not: those that are none, and all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    pub(super) invalid: usize,
    pub(super) skipped: usize,
}

/// Which addresses a port has, by their place in the list of all, and whether they are ready.
type Addresses = BTreeMap<usize, bool>;

fn sorted(mut ports: Vec<Value>) -> Vec<Value> {
    ports
        .sort_by_cached_key(|port| (text(port, "/name").to_owned(), port["port"].as_i64(), port.to_string()));
    ports
}

fn port_of(port: &Value) -> Value {
    let mut new = json!({"name": text(port, "/name"), "port": port["port"],
        "protocol": port["protocol"].as_str().unwrap_or("TCP")});
    if port["appProtocol"].is_string() {
        new["appProtocol"] = port["appProtocol"].clone();
    }
    new
}

/// Subsets with the same addresses are one, and each set of ports stands once. An address that one subset has as not
/// ready is not.
fn repacked(subsets: &[Value]) -> (Vec<&Value>, Vec<(Addresses, Vec<Value>)>) {
    let mut all: Vec<&Value> = Vec::new();
    let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut by_port: Vec<(Option<Value>, Addresses)> = Vec::new();
    for subset in subsets {
        let mut ports: Vec<Option<Value>> =
            elements(subset, "/ports").iter().map(|port| Some(port_of(port))).collect();
        if ports.is_empty() {
            ports.push(None);
        }
        for (list, ready) in [("/addresses", true), ("/notReadyAddresses", false)] {
            for address in elements(subset, list) {
                let identity = (text(address, "/ip"), text(address, "/targetRef/uid"));
                let index = *known.entry(identity).or_insert_with(|| {
                    all.push(address);
                    all.len() - 1
                });
                for port in &ports {
                    let place = by_port.iter().position(|(known, _)| known == port).unwrap_or_else(|| {
                        by_port.push((port.clone(), Addresses::new()));
                        by_port.len() - 1
                    });
                    by_port[place].1.entry(index).and_modify(|was| *was &= ready).or_insert(ready);
                }
            }
        }
    }
    let mut packed: Vec<(Addresses, Vec<Value>)> = Vec::new();
    for (port, addresses) in by_port {
        match packed.iter_mut().find(|(known, _)| *known == addresses) {
            Some((_, ports)) => ports.extend(port),
            None => packed.push((addresses, port.into_iter().collect())),
        }
    }
    (all, packed)
}

/// Family and endpoint of an address; `None`: it is none.
fn endpoint(address: &Value, ready: bool) -> Option<(&'static str, Value)> {
    let ip = text(address, "/ip").parse::<IpAddr>().ok()?.to_canonical();
    let mut endpoint = json!({"addresses": [ip.to_string()], "conditions": {"ready": ready}});
    for field in ["targetRef", "nodeName", "hostname"] {
        if !address[field].is_null() && address[field] != "" {
            endpoint[field] = address[field].clone();
        }
    }
    Some((if ip.is_ipv4() { "IPv4" } else { "IPv6" }, endpoint))
}

/// What these subsets come to.
pub(super) fn groups(subsets: &[Value]) -> Groups {
    let (all, packed) = repacked(subsets);
    let mut found = Groups::default();
    for (addresses, ports) in packed {
        let ports = sorted(ports);
        let (mut four, mut six, mut added) = (Vec::new(), Vec::new(), 0);
        // Ready ones first, if not all have room.
        for wanted in [true, false] {
            for (index, _) in addresses.iter().filter(|(_, ready)| **ready == wanted) {
                if added == MAX_ADDRESSES {
                    break;
                }
                match endpoint(all[*index], wanted) {
                    Some(("IPv4", endpoint)) => four.push(endpoint),
                    Some((_, endpoint)) => six.push(endpoint),
                    None => {
                        found.invalid += 1;
                        continue;
                    }
                }
                added += 1;
            }
        }
        found.skipped += addresses.len() - added;
        for (family, endpoints) in [("IPv4", four), ("IPv6", six)] {
            if !endpoints.is_empty() {
                found.groups.push(Group { family, ports: ports.clone(), endpoints });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Family, ports, and addresses with `!` where they are not ready.
    fn short(found: &Groups) -> Vec<String> {
        let one = |endpoint: &Value| {
            let mark = if endpoint["conditions"]["ready"] == true { "" } else { "!" };
            format!("{}{mark}", text(endpoint, "/addresses/0"))
        };
        let line = |group: &Group| {
            let ports: Vec<String> = group.ports.iter().map(|port| port["port"].to_string()).collect();
            let endpoints: Vec<String> = group.endpoints.iter().map(one).collect();
            format!("{} {} {}", group.family, ports.join("+"), endpoints.join(" "))
        };
        found.groups.iter().map(line).collect()
    }

    fn subset(ready: &[&str], not_ready: &[&str], ports: &[u16]) -> Value {
        let list = |ips: &[&str]| -> Value { ips.iter().map(|ip| json!({"ip": ip})).collect() };
        let ports: Value =
            ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        json!({"addresses": list(ready), "notReadyAddresses": list(not_ready), "ports": ports})
    }

    #[test]
    fn slices_of_subsets() {
        for (subsets, expected) in [
            (vec![], vec![]),
            (
                vec![subset(&["10.0.0.1", "fd00::1"], &["10.0.0.2"], &[80])],
                vec!["IPv4 80 10.0.0.1 10.0.0.2!", "IPv6 80 fd00::1"],
            ),
            (vec![subset(&["10.0.0.1"], &[], &[])], vec!["IPv4  10.0.0.1"]),
            // The same addresses with other ports are one slice, other addresses another.
            (
                vec![subset(&["10.0.0.1"], &[], &[443]), subset(&["10.0.0.1"], &[], &[80])],
                vec!["IPv4 443+80 10.0.0.1"],
            ),
            (
                vec![subset(&["10.0.0.1"], &[], &[80, 443]), subset(&["10.0.0.2"], &[], &[80])],
                vec!["IPv4 80 10.0.0.1 10.0.0.2", "IPv4 443 10.0.0.1"],
            ),
            (
                vec![subset(&["10.0.0.1"], &[], &[80]), subset(&[], &["10.0.0.1"], &[80])],
                vec!["IPv4 80 10.0.0.1!"],
            ),
            (vec![subset(&["::ffff:10.0.0.1"], &[], &[80])], vec!["IPv4 80 10.0.0.1"]),
        ] {
            assert_eq!(short(&groups(&subsets)), expected, "{subsets:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let ips: Vec<String> = (0..1002).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        let mut ready: Vec<&str> = ips.iter().map(String::as_str).collect();
        let odd = ready.pop().unwrap_or_default();
        ready.insert(0, "none");
        let found = groups(&[subset(&ready, &[odd], &[80])]);
        assert_eq!((found.invalid, found.skipped, found.groups[0].endpoints.len()), (1, 3, MAX_ADDRESSES));
    }

    #[test]
    fn what_an_endpoint_keeps() {
        let address =
            json!({"ip": "10.0.0.1", "hostname": "", "nodeName": "n", "targetRef": {"kind": "Pod"}});
        let expected = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "nodeName": "n",
            "targetRef": {"kind": "Pod"}});
        assert_eq!(endpoint(&address, true), Some(("IPv4", expected)));
        let port = json!({"port": 80, "appProtocol": "http"});
        assert_eq!(port_of(&port), json!({"name": "", "port": 80, "protocol": "TCP", "appProtocol": "http"}));
    }
}
