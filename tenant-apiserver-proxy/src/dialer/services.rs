//! Where a reference to a Service of a plane leads.
//!
//! As Kubernetes' API server does when it routes to endpoints by itself, since cluster IPs mean nothing outside a
//! cluster: to ready endpoints of the port, those of the Service's first family first, in a random order. An
//! `ExternalName` leads to its host. Endpoints may be written by hand, as EndpointSlices or as Endpoints.

use super::{DialError, Dialer};
use api_types::{GroupResource, ObjectName};
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::LazyLock;

static SERVICES: LazyLock<GroupResource> = LazyLock::new(|| GroupResource::new("", "services"));
static ENDPOINTS: LazyLock<GroupResource> = LazyLock::new(|| GroupResource::new("", "endpoints"));
static PODS: LazyLock<GroupResource> = LazyLock::new(|| GroupResource::new("", "pods"));
static SLICES: LazyLock<GroupResource> =
    LazyLock::new(|| GroupResource::new("discovery.k8s.io", "endpointslices"));

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A port of a Service, as `clientConfig.service` and `spec.service` name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// The namespace of the Service.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl ServicePort {
    /// Reads a reference; the port is 443 unless said.
    pub fn read(reference: &Value) -> Self {
        let text = |field: &str| reference[field].as_str().unwrap_or("").to_owned();
        let port = reference["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        ServicePort { namespace: text("namespace"), name: text("name"), port }
    }

    /// The name in the certificate of who answers: `NAME.NAMESPACE.svc`.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

/// What a port of a Service leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A host by its name, and a port.
    Host(String, u16),
    /// Endpoints, those first that are to be tried first; at least one.
    Endpoints(Vec<Endpoint>),
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// The pod of the same plane that has this address.
    pub pod: Option<ObjectName>,
}

/// The Service of a reference.
pub fn service(dialer: &Dialer, at: &ServicePort) -> Option<Value> {
    let name = ObjectName::new(&at.namespace, &at.name);
    dialer.network.cache.get(dialer.plane, &SERVICES, &name)?.value().ok()
}

/// The name of a port of a Service; `None`: it has no such port.
pub fn port_name(service: &Value, port: u16) -> Option<&str> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.into_iter().find(|of| of["port"] == port).map(|of| text(&of["name"]))
}

/// The EndpointSlices of a Service; what its Endpoints say, in the same form, when there are none.
pub fn slices(dialer: &Dialer, at: &ServicePort) -> Vec<Value> {
    let records = dialer.network.cache.collection(dialer.plane, &SLICES).list(&at.namespace);
    let ours = records.iter().filter(|record| record.meta.label(SERVICE_NAME) == Some(at.name.as_str()));
    let found: Vec<Value> = ours.filter_map(|record| record.value().ok()).collect();
    if !found.is_empty() {
        return found;
    }
    let name = ObjectName::new(&at.namespace, &at.name);
    let endpoints =
        dialer.network.cache.get(dialer.plane, &ENDPOINTS, &name).and_then(|record| record.value().ok());
    let subsets = endpoints.as_ref().map(|endpoints| list(&endpoints["subsets"])).unwrap_or_default();
    subsets.iter().map(sliced).collect()
}

/// A subset of Endpoints as a slice.
fn sliced(subset: &Value) -> Value {
    let endpoints: Vec<Value> = list(&subset["addresses"])
        .iter()
        .map(|address| json!({"addresses": [address["ip"]], "targetRef": address["targetRef"]}))
        .collect();
    json!({"ports": subset["ports"], "endpoints": endpoints})
}

/// The ready endpoints of slices for the port of a name: each an address, its port and the pod that it says it is.
pub fn ready<'a>(slices: &'a [Value], port_name: &'a str) -> impl Iterator<Item = (IpAddr, u16, &'a Value)> {
    slices.iter().flat_map(move |slice| {
        let named = list(&slice["ports"]).iter().filter(move |port| text(&port["name"]) == port_name);
        let port = named.filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()).next();
        let ready = list(&slice["endpoints"]).iter().filter(|of| of["conditions"]["ready"] != false);
        ready.filter_map(move |of| {
            let address = text(&list(&of["addresses"]).first()?.clone()).parse().ok()?;
            Some((address, port?, &of["targetRef"]))
        })
    })
}

/// Where a port of a Service leads now.
pub fn route(dialer: &Dialer, at: &ServicePort) -> Result<Route, DialError> {
    let Some(service) = service(dialer, at) else {
        return Err(DialError::Service(format!("service {:?} not found", at.name)));
    };
    if service["spec"]["type"] == "ExternalName" {
        return Ok(Route::Host(text(&service["spec"]["externalName"]).to_owned(), at.port));
    }
    let Some(port_name) = port_name(&service, at.port) else {
        let why = format!("no service port {} found for service {:?}", at.port, at.name);
        return Err(DialError::Service(why));
    };
    let slices = slices(dialer, at);
    let mut endpoints: Vec<Endpoint> = ready(&slices, port_name)
        .map(|(ip, port, of)| Endpoint { ip, port, pod: pod(dialer, &at.namespace, ip, of) })
        .collect();
    if endpoints.is_empty() {
        return Err(DialError::Service(format!("no endpoints available for service {:?}", at.name)));
    }
    endpoints.shuffle(&mut rand::rng());
    let first_is_v6 = service["spec"]["ipFamilies"][0] == "IPv6";
    endpoints.sort_by_key(|endpoint| endpoint.ip.is_ipv6() != first_is_v6);
    Ok(Route::Endpoints(endpoints))
}

/// The pod that an endpoint says it is, when that pod has the address.
pub fn pod(dialer: &Dialer, namespace: &str, ip: IpAddr, reference: &Value) -> Option<ObjectName> {
    if reference["kind"] != "Pod" {
        return None;
    }
    let namespace = Some(text(&reference["namespace"])).filter(|said| !said.is_empty()).unwrap_or(namespace);
    let name = ObjectName::new(namespace, text(&reference["name"]));
    let pod = dialer.network.cache.get(dialer.plane, &PODS, &name)?.value().ok()?;
    let ips = list(&pod["status"]["podIPs"]).iter().map(|of| &of["ip"]);
    let mut addresses = ips.chain([&pod["status"]["podIP"]]).filter_map(|of| of.as_str()?.parse().ok());
    addresses.any(|address: IpAddr| address == ip).then_some(name)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_endpoints_of_the_named_port_are_taken() {
        let endpoint = |ip: &str, ready: Value| json!({"addresses": [ip], "conditions": {"ready": ready}});
        let slices = [
            json!({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}], "endpoints": [
                endpoint("10.0.0.1", json!(true)), endpoint("10.0.0.2", json!(false)),
                endpoint("10.0.0.3", Value::Null), endpoint("host.example.com", json!(true))]}),
            json!({"ports": [{"name": "b"}], "endpoints": [endpoint("10.0.0.4", json!(true))]}),
            sliced(&json!({"ports": [{"port": 5}], "addresses": [{"ip": "fd00::1"}],
                "notReadyAddresses": [{"ip": "fd00::2"}]})),
        ];
        let found = |name: &str| -> Vec<String> {
            ready(&slices, name).map(|(ip, port, _)| format!("{ip} {port}")).collect()
        };
        assert_eq!(found("b"), ["10.0.0.1 2", "10.0.0.3 2"]);
        assert_eq!(found(""), ["fd00::1 5"]);
        assert_eq!(found("c"), Vec::<String>::new());
    }

    #[test]
    fn ports_are_found_by_number() {
        let service = json!({"spec": {"ports": [{"port": 80}, {"name": "https", "port": 443}]}});
        assert_eq!(port_name(&service, 80), Some(""));
        assert_eq!(port_name(&service, 443), Some("https"));
        assert_eq!(port_name(&service, 8443), None);
        let read = ServicePort::read(&json!({"namespace": "n", "name": "s"}));
        assert_eq!((read.host().as_str(), read.port), ("s.n.svc", 443));
    }
}
