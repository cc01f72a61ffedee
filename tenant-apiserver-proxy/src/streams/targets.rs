//! Which port of which pod a proxied request is for: `[SCHEME:]NAME[:PORT]` of a pod or a service.

use crate::dialer::services::{self, ServicePort};
use crate::gateway::Place;
use crate::planes::Plane;
use api_types::{ApiError, ObjectName};
use rand::seq::SliceRandom;
use serde_json::Value;
use std::net::IpAddr;

/// What a name in a path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// `https` was said.
    pub tls: bool,
    /// The name.
    pub name: &'a str,
    /// The port; empty when there is none.
    pub port: &'a str,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The pod.
    pub pod: ObjectName,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Over TLS.
    pub tls: bool,
}

/// Reads a name. `kind`: of what, for the refusal.
pub fn read<'a>(kind: &str, given: &'a str) -> Result<Named<'a>, ApiError> {
    let parts: Vec<&str> = given.split(':').collect();
    let named = match parts.as_slice() {
        [name] => Some(Named { tls: false, name, port: "" }),
        [name, port] => Some(Named { tls: false, name, port }),
        ["" | "http", name, port] => Some(Named { tls: false, name, port }),
        ["https", name, port] => Some(Named { tls: true, name, port }),
        _ => None,
    };
    let named = named.filter(|named| !named.name.is_empty());
    named.ok_or_else(|| ApiError::bad_request(format!("invalid {kind} request {given:?}")))
}

/// The port of a pod: the one that is named, else the first that it has, else that of the scheme.
pub fn of_pod(named: Named<'_>, name: &ObjectName, pod: &Value) -> Result<Target, ApiError> {
    let address = address(pod).filter(is_of_one_machine);
    let address = address.ok_or_else(|| ApiError::bad_request("address not allowed"))?;
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.filter_map(|container| container["ports"][0]["containerPort"].as_u64());
    let port = match named.port {
        "" => {
            ports.next().and_then(|port| u16::try_from(port).ok()).unwrap_or(if named.tls { 443 } else { 80 })
        }
        port => {
            port.parse().map_err(|_| unreachable(&format!("dial tcp: lookup tcp/{port}: unknown port")))?
        }
    };
    Ok(Target { pod: name.clone(), address, port, tls: named.tls })
}

fn address(pod: &Value) -> Option<IpAddr> {
    let of = [&pod["status"]["podIPs"][0]["ip"], &pod["status"]["podIP"]];
    of.into_iter().find_map(|ip| ip.as_str().filter(|ip| !ip.is_empty()))?.parse().ok()
}

/// True for an address of one machine on a network.
fn is_of_one_machine(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// A pod behind a service, any of those that are ready.
pub fn of_service(plane: &Plane, place: &Place, named: Named<'_>) -> Result<Target, ApiError> {
    let at = ServicePort { namespace: place.namespace.to_string(), name: named.name.to_owned(), port: 0 };
    let gone = || ApiError::not_found(&place.resource(), named.name);
    let service = services::service(&plane.dialer, &at).ok_or_else(gone)?;
    let port = match named.port.parse::<i64>() {
        Ok(number) => {
            let found = u16::try_from(number).ok().and_then(|port| services::port_name(&service, port));
            found.ok_or_else(|| {
                no_endpoint(format!("no service port {number} found for service {:?}", named.name))
            })?
        }
        Err(_) => named.port,
    };
    let slices = services::slices(&plane.dialer, &at);
    let mut ready: Vec<(IpAddr, u16, &Value)> = services::ready(&slices, port).collect();
    ready.shuffle(&mut rand::rng());
    // Only pods are proxied to, and none of another namespace.
    let mut found = ready.into_iter().filter_map(|(address, port, reference)| {
        let pod = services::pod(&plane.dialer, &place.namespace, address, reference)?;
        (pod.namespace == place.namespace).then_some(Target { pod, address, port, tls: named.tls })
    });
    let of = if slices.is_empty() { named.name } else { &place.name };
    found.next().ok_or_else(|| no_endpoint(format!("no endpoints available for service {of:?}")))
}

fn no_endpoint(why: String) -> ApiError {
    ApiError::given(503, Some("ServiceUnavailable"), why, &Value::Null)
}

/// 503: nobody answers there.
pub fn unreachable(why: &str) -> ApiError {
    no_endpoint(format!("error trying to reach service: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_may_have_a_scheme_and_a_port() {
        for (given, expected) in [
            ("p", Some((false, "p", ""))),
            ("p:80", Some((false, "p", "80"))),
            ("p:", Some((false, "p", ""))),
            ("https:p:", Some((true, "p", ""))),
            (":p:web", Some((false, "p", "web"))),
            ("http:p:80", Some((false, "p", "80"))),
            ("ftp:p:80", None),
            ("a:b:c:d", None),
            (":80", None),
        ] {
            let read = read("pod", given);
            let found = read.as_ref().ok().map(|named| (named.tls, named.name, named.port));
            assert_eq!(found, expected, "{given}");
            if let Err(error) = read {
                assert_eq!(error.message(), format!("invalid pod request {given:?}"));
            }
        }
    }

    #[test]
    fn a_pod_has_a_port_and_an_address() {
        let name = ObjectName::new("default", "p");
        let pod = |ip: &str, ports: Value| {
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "ports": ports}]},
                "status": {"podIP": ip, "podIPs": [{"ip": ip}]}})
        };
        let ports = json!([{"containerPort": 8080}, {"containerPort": 9090}]);
        for (given, ip, ports, expected) in [
            ("p", "10.1.1.1", &ports, Ok(8080)),
            ("p:9", "10.1.1.1", &ports, Ok(9)),
            ("p", "fd00::1", &Value::Null, Ok(80)),
            ("https:p:", "10.1.1.1", &Value::Null, Ok(443)),
            ("p", "", &ports, Err("address not allowed")),
            ("p", "127.0.0.1", &ports, Err("address not allowed")),
            ("p", "169.254.169.254", &ports, Err("address not allowed")),
            ("p", "fe80::1", &ports, Err("address not allowed")),
            (
                "p:web",
                "10.1.1.1",
                &ports,
                Err("error trying to reach service: dial tcp: lookup tcp/web: unknown port"),
            ),
        ] {
            let found = of_pod(read("pod", given).unwrap(), &name, &pod(ip, ports.clone()));
            let found = found.map(|target| target.port).map_err(|error| error.message().to_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{given} {ip}");
        }
    }
}
