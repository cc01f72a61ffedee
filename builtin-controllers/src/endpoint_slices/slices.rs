//! Which endpoints a Service has, and in which slice each is: pure functions.

use super::hints;
use crate::access::{elements, number, text};
use crate::pod_facts;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most endpoints of a slice.
const MAX_ENDPOINTS: usize = 100;

/// Endpoints that can share slices: of one address family and with the same ports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// `IPv4` or `IPv6`.
    pub(super) family: &'static str,
    pub(super) ports: Vec<Value>,
    pub(super) endpoints: Vec<Value>,
}

/// What to do with one slice. Bodies have no metadata when they are new.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Placement {
    Create(Value),
    Keep { old: Value, new: Value },
    Delete(Value),
}

/// The family of an address; `None`: it is none.
pub(super) fn family(address: &str) -> Option<&'static str> {
    match address.parse().ok()? {
        IpAddr::V4(_) => Some("IPv4"),
        IpAddr::V6(_) => Some("IPv6"),
    }
}

/// The families of a Service.
pub(super) fn families(service: &Value) -> Vec<&'static str> {
    let known: Vec<&'static str> = elements(service, "/spec/ipFamilies")
        .iter()
        .filter_map(|name| ["IPv4", "IPv6"].into_iter().find(|known| name == known))
        .collect();
    if !known.is_empty() {
        return known;
    }
    match family(text(service, "/spec/clusterIP")) {
        Some(family) => vec![family],
        None => vec!["IPv4", "IPv6"],
    }
}

/// The addresses of a pod.
pub(super) fn addresses(pod: &Value) -> Vec<&str> {
    let list: Vec<&str> = elements(pod, "/status/podIPs")
        .iter()
        .map(|ip| text(ip, "/ip"))
        .filter(|ip| !ip.is_empty())
        .collect();
    match (list.is_empty(), text(pod, "/status/podIP")) {
        (true, ip) if !ip.is_empty() => vec![ip],
        _ => list,
    }
}

/// The port of a pod that a port of a Service leads to; `None`: the pod has no port of that name.
fn target_port(pod: &Value, port: &Value) -> Option<i64> {
    let target = &port["targetPort"];
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    let Some(name) = target.as_str() else {
        return target.as_i64().filter(|port| *port > 0).or_else(|| number(port, "/port"));
    };
    let sidecars = elements(pod, "/spec/initContainers").iter().filter(|c| c["restartPolicy"] == "Always");
    let containers = elements(pod, "/spec/containers").iter().chain(sidecars);
    let mut ports = containers.flat_map(|container| elements(container, "/ports"));
    let found = ports.find(|candidate| {
        candidate["name"] == name && candidate["protocol"].as_str().unwrap_or("TCP") == protocol
    })?;
    number(found, "/containerPort")
}

/// The ports of a Service on a pod, without those that the pod does not have; sorted by name.
pub(super) fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let resolve = |port: &Value| {
        let mut resolved = json!({
            "name": port["name"].as_str().unwrap_or(""),
            "port": target_port(pod, port)?,
            "protocol": port["protocol"].as_str().unwrap_or("TCP"),
        });
        if port["appProtocol"].is_string() {
            resolved["appProtocol"] = port["appProtocol"].clone();
        }
        Some(resolved)
    };
    elements(service, "/spec/ports").iter().filter_map(resolve).collect()
}

/// What refers to a pod.
pub(super) fn reference(pod: &Value) -> Value {
    let meta = &pod["metadata"];
    json!({"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]})
}

/// The host name of a pod in the Service's domain; empty: none.
pub(super) fn hostname<'a>(service: &Value, pod: &'a Value) -> &'a str {
    let in_domain = pod["spec"]["subdomain"] == service["metadata"]["name"];
    if in_domain { text(pod, "/spec/hostname") } else { "" }
}

/// The endpoints of a Service from the pods that it selects, grouped. `zones` are those of nodes.
pub(super) fn wanted(service: &Value, pods: &[&Value], zones: &BTreeMap<String, String>) -> Vec<Group> {
    let publish = service["spec"]["publishNotReadyAddresses"].as_bool().unwrap_or(false);
    let mut groups: Vec<Group> = Vec::new();
    for family_name in families(service) {
        let mut of_family: Vec<Group> = Vec::new();
        for pod in pods.iter().filter(|pod| !pod_facts::has_ended(pod)) {
            let mine: Vec<&str> =
                addresses(pod).into_iter().filter(|address| family(address) == Some(family_name)).collect();
            if mine.is_empty() {
                continue;
            }
            let (serving, terminating) = (pod_facts::is_ready(pod), pod_facts::is_deleting(pod));
            let mut endpoint = json!({
                "addresses": mine,
                "conditions": {
                    "ready": publish || (serving && !terminating), "serving": serving, "terminating": terminating,
                },
                "targetRef": reference(pod),
            });
            let node = text(pod, "/spec/nodeName");
            let optional = [
                ("nodeName", node),
                ("zone", zones.get(node).map_or("", String::as_str)),
                ("hostname", hostname(service, pod)),
            ];
            for (field, value) in optional {
                if !value.is_empty() {
                    endpoint[field] = value.into();
                }
            }
            if let Some(hints) = hints::by_distribution(service, &endpoint) {
                endpoint["hints"] = hints;
            }
            let ports = ports(service, pod);
            match of_family.iter_mut().find(|group| group.ports == ports) {
                Some(group) => group.endpoints.push(endpoint),
                None => of_family.push(Group { family: family_name, ports, endpoints: vec![endpoint] }),
            }
        }
        if of_family.is_empty() && (groups.is_empty() || !elements(service, "/spec/ipFamilies").is_empty()) {
            // An empty slice says that there is nothing, rather than that nobody looked.
            of_family.push(Group { family: family_name, ports: vec![], endpoints: vec![] });
        }
        groups.append(&mut of_family);
    }
    groups
}

/// Which pod an endpoint is.
fn identity(endpoint: &Value) -> &str {
    text(endpoint, "/targetRef/uid")
}

/// Puts endpoints into slices: what is in a slice stays there, the rest fills slices with room, then new ones;
/// slices that nothing is left in go, but for one that says that there is nothing.
pub(super) fn place(groups: &[Group], existing: &[Value]) -> Vec<Placement> {
    let mut placements = Vec::new();
    let mut unused: Vec<&Value> = existing.iter().collect();
    for group in groups {
        let fits = |slice: &&Value| {
            text(slice, "/addressType") == group.family
                && (slice["ports"].as_array().map(Vec::as_slice).unwrap_or_default()
                    == group.ports.as_slice())
        };
        let (slices, rest): (Vec<&Value>, Vec<&Value>) = unused.into_iter().partition(fits);
        unused = rest;
        let mut waiting: Vec<&Value> = group.endpoints.iter().collect();
        let mut filled: Vec<(&Value, Vec<Value>)> = Vec::new();
        for slice in slices {
            let mut kept: Vec<Value> = Vec::new();
            for old in elements(slice, "/endpoints") {
                if let Some(index) = waiting.iter().position(|new| identity(new) == identity(old)) {
                    kept.push(waiting.remove(index).clone());
                }
            }
            filled.push((slice, kept));
        }
        // The fullest first: few slices change, and none stays nearly empty for long.
        filled.sort_by_key(|(_, endpoints)| std::cmp::Reverse(endpoints.len()));
        for (_, endpoints) in &mut filled {
            let room = MAX_ENDPOINTS.saturating_sub(endpoints.len()).min(waiting.len());
            endpoints.extend(waiting.drain(..room).cloned());
        }
        let mut has_slice = false;
        for (old, endpoints) in filled {
            if endpoints.is_empty() && (has_slice || !group.endpoints.is_empty()) {
                placements.push(Placement::Delete(old.clone()));
                continue;
            }
            has_slice = true;
            let mut new = old.clone();
            // The server leaves out an empty list, or writes null: neither is a change.
            if !(endpoints.is_empty() && elements(old, "/endpoints").is_empty()) {
                new["endpoints"] = endpoints.into();
            }
            placements.push(Placement::Keep { old: old.clone(), new });
        }
        let create = |endpoints: &[&Value]| {
            Placement::Create(
                json!({"addressType": group.family, "ports": group.ports, "endpoints": endpoints}),
            )
        };
        placements.extend(waiting.chunks(MAX_ENDPOINTS).map(create));
        if waiting.is_empty() && !has_slice {
            placements.push(create(&[]));
        }
    }
    placements.extend(unused.into_iter().cloned().map(Placement::Delete));
    placements
}
