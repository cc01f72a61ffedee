//! What Services and EndpointSlices say of addresses and ports. Pure.

use crate::question::dashes;
use serde_json::Value;
use std::net::IpAddr;

/// A port that has a name, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name; may be empty.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Its number.
    pub number: u16,
}

/// A ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its label below the Service: its host name, else its address with dashes.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// The ports of its slice.
    pub ports: Vec<Port>,
}

/// What a Service's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Another name.
    External(String),
    /// Addresses of its own, and its ports.
    Clustered(Vec<IpAddr>, Vec<Port>),
    /// The addresses of its endpoints.
    Headless,
}

/// Reads a Service.
pub fn service(object: &Value) -> Service {
    let spec = &object["spec"];
    if spec["type"] == "ExternalName" {
        return Service::External(spec["externalName"].as_str().unwrap_or("").to_owned());
    }
    if spec["clusterIP"] == "None" {
        return Service::Headless;
    }
    let mut addresses: Vec<IpAddr> = texts(&spec["clusterIPs"]).filter_map(|ip| ip.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(spec["clusterIP"].as_str().and_then(|ip| ip.parse::<IpAddr>().ok()));
    }
    Service::Clustered(addresses, ports(&spec["ports"]))
}

/// The ready endpoints of slices, each address of a host once.
pub fn endpoints(slices: &[Value]) -> Vec<Endpoint> {
    let mut found: Vec<Endpoint> = Vec::new();
    for slice in slices {
        let ports = ports(&slice["ports"]);
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            // Consumers take an unknown condition as ready.
            if endpoint["conditions"]["ready"] == false {
                continue;
            }
            // All addresses of an endpoint are one and the same; only the first is to be used.
            let Some(address) = texts(&endpoint["addresses"]).find_map(|ip| ip.parse().ok()) else {
                continue;
            };
            let host = match endpoint["hostname"].as_str() {
                Some(host) if !host.is_empty() => host.to_ascii_lowercase(),
                _ => dashes(address),
            };
            match found.iter_mut().find(|known| known.host == host && known.address == address) {
                Some(known) => {
                    let new: Vec<Port> =
                        ports.iter().filter(|port| !known.ports.contains(port)).cloned().collect();
                    known.ports.extend(new);
                }
                None => found.push(Endpoint { host, address, ports: ports.clone() }),
            }
        }
    }
    found
}

fn ports(list: &Value) -> Vec<Port> {
    let port = |port: &Value| {
        Some(Port {
            name: port["name"].as_str().unwrap_or("").to_owned(),
            protocol: port["protocol"].as_str().unwrap_or("TCP").to_ascii_lowercase(),
            number: port["port"].as_u64().and_then(|number| u16::try_from(number).ok())?,
        })
    };
    list.as_array().into_iter().flatten().filter_map(port).collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_are_read() {
        let http = Port { name: "http".into(), protocol: "tcp".into(), number: 80 };
        for (spec, expected) in [
            (
                json!({"type": "ExternalName", "externalName": "db.example.com"}),
                Service::External("db.example.com".into()),
            ),
            (json!({"clusterIP": "None"}), Service::Headless),
            (json!({}), Service::Clustered(vec![], vec![])),
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
                    "ports": [{"name": "http", "port": 80}]}),
                Service::Clustered(vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()], vec![http]),
            ),
            (json!({"clusterIP": "10.0.0.1"}), Service::Clustered(vec!["10.0.0.1".parse().unwrap()], vec![])),
        ] {
            assert_eq!(service(&json!({"spec": spec})), expected, "{spec}");
        }
    }

    #[test]
    fn ready_endpoints_are_read_once() {
        let slice = |endpoints: Value, port: u16| json!({"endpoints": endpoints, "ports": [{"port": port}]});
        let slices = [
            slice(
                json!([
                    {"addresses": ["10.1.0.1"], "hostname": "db-0", "conditions": {"ready": true}},
                    {"addresses": ["10.1.0.2"], "conditions": {"ready": false}},
                    {"addresses": ["10.1.0.3"]},
                    {"addresses": ["db.example.com"]},
                ]),
                80,
            ),
            slice(json!([{"addresses": ["10.1.0.1"], "hostname": "db-0"}]), 81),
        ];
        let found = endpoints(&slices);
        let told: Vec<_> =
            found.iter().map(|e| (e.host.as_str(), e.address.to_string(), e.ports.len())).collect();
        assert_eq!(told, [("db-0", "10.1.0.1".into(), 2), ("10-1-0-3", "10.1.0.3".into(), 1)]);
    }
}
