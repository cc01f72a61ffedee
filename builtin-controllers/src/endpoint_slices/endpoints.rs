//! The legacy Endpoints object of a Service: a pure function.

use super::slices::{addresses, families, family, hostname, ports, reference};
use crate::access::{elements, text};
use crate::pod_facts;
use serde_json::{Value, json};

/// The most addresses of an Endpoints object.
const CAPACITY: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// The addresses that have a port.
#[derive(Clone, Default, PartialEq)]
struct Addresses {
    ready: Vec<Value>,
    not_ready: Vec<Value>,
}

/// The ports that the same addresses have.
struct Subset {
    ports: Vec<Value>,
    addresses: Addresses,
}

/// The subsets of a Service from the pods that it selects: one for each set of addresses that have the same ports, in
/// the Service's first family. True: there were more addresses than the object can have; ready ones are kept first.
pub(super) fn subsets(service: &Value, pods: &[Value]) -> (Vec<Value>, bool) {
    let publish = service["spec"]["publishNotReadyAddresses"].as_bool().unwrap_or(false);
    let first = families(service).into_iter().next().unwrap_or("IPv4");
    let mut by_port: Vec<(Option<Value>, Addresses)> = Vec::new();
    for pod in pods {
        if pod_facts::has_ended(pod) || (pod_facts::is_deleting(pod) && !publish) {
            continue;
        }
        let Some(ip) = addresses(pod).into_iter().find(|address| family(address) == Some(first)) else {
            continue;
        };
        let mut address = json!({"ip": ip, "targetRef": reference(pod)});
        for (field, value) in
            [("nodeName", text(pod, "/spec/nodeName")), ("hostname", hostname(service, pod))]
        {
            if !value.is_empty() {
                address[field] = value.into();
            }
        }
        let mut ports = ports(service, pod);
        if ports.is_empty() && !elements(service, "/spec/ports").is_empty() {
            continue;
        }
        for port in &mut ports {
            if port["name"] == ""
                && let Some(fields) = port.as_object_mut()
            {
                fields.remove("name");
            }
        }
        let is_ready = publish || pod_facts::is_ready(pod);
        let ports = if ports.is_empty() { vec![None] } else { ports.into_iter().map(Some).collect() };
        for port in ports {
            let index = match by_port.iter().position(|(known, _)| *known == port) {
                Some(index) => index,
                None => {
                    by_port.push((port, Addresses::default()));
                    by_port.len() - 1
                }
            };
            let addresses = &mut by_port[index].1;
            if is_ready { &mut addresses.ready } else { &mut addresses.not_ready }.push(address.clone());
        }
    }
    let mut subsets: Vec<Subset> = Vec::new();
    for (port, addresses) in by_port {
        match subsets.iter_mut().find(|subset| subset.addresses == addresses) {
            Some(subset) => subset.ports.extend(port),
            None => subsets.push(Subset { ports: port.into_iter().collect(), addresses }),
        }
    }
    let total: usize =
        subsets.iter().map(|subset| subset.addresses.ready.len() + subset.addresses.not_ready.len()).sum();
    let mut room = CAPACITY;
    for ready in [true, false] {
        for subset in &mut subsets {
            let list = if ready { &mut subset.addresses.ready } else { &mut subset.addresses.not_ready };
            list.sort_by(|a, b| a["ip"].as_str().cmp(&b["ip"].as_str()));
            list.truncate(room);
            room -= list.len();
        }
    }
    let render = |subset: Subset| {
        let mut value = json!({});
        for (field, list) in [
            ("addresses", subset.addresses.ready),
            ("notReadyAddresses", subset.addresses.not_ready),
            ("ports", subset.ports),
        ] {
            if !list.is_empty() {
                value[field] = list.into();
            }
        }
        value
    };
    let is_used =
        |subset: &Subset| !subset.addresses.ready.is_empty() || !subset.addresses.not_ready.is_empty();
    (subsets.into_iter().filter(is_used).map(render).collect(), total > CAPACITY)
}

/// Says, or no longer says, that addresses were left out.
pub(super) fn mark_cut(endpoints: &mut Value, cut: bool) {
    if cut {
        endpoints["metadata"]["annotations"][OVER_CAPACITY] = "truncated".into();
    } else if let Some(annotations) = endpoints["metadata"]["annotations"].as_object_mut() {
        annotations.remove(OVER_CAPACITY);
    }
}
