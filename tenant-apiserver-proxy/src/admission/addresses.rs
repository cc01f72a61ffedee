//! Cluster IPs and node ports: those of the super cluster where the tenant's pods run, or the plane's own.
//!
//! An address of the plane's own is a key in its space, put in the same commit as the Service, so that two Services
//! cannot have the same one.

use crate::cache::feed::store_key;
use crate::cache::record;
use crate::gateway::{Extra, Place};
use crate::planes::Plane;
use crate::server::Server;
use api_resources::kinds::services::needs_health_check_port;
use api_types::{ApiError, Cause, GroupResource, ObjectName, Reason, ResourceKey};
use object_store::Space;
use rand::Rng;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The range of cluster IPs that planes allocate from: 10.96.0.0/12.
const RANGE: (u32, u32) = (0x0A60_0000, 20);
/// The first node port, and their number.
const NODE_PORTS: (i64, i64) = (30_000, 2_768);
/// How long a super cluster may take to reserve.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a random address is tried.
const TRIES: usize = 64;

fn is_service(place: &Place) -> bool {
    place.row.group.is_empty() && place.row.plural == "services" && place.subresource.is_empty()
}

/// The resource under which allocated addresses and ports are stored. No request reaches it.
const ALLOCATED: (&str, &str) = ("insula.internal", "addresses");

fn resource() -> GroupResource {
    GroupResource::new(ALLOCATED.0, ALLOCATED.1)
}

fn key(name: &str) -> String {
    store_key(&ResourceKey::new(resource(), "", name))
}

fn address_name(address: &str) -> String {
    format!("ip-{address}")
}

fn port_name(port: i64) -> String {
    format!("port-{port}")
}

/// Gives a Service what it asks for and does not have.
pub async fn reserve(
    server: &Server,
    plane: &Plane,
    place: &Place,
    old: Option<&Value>,
    service: &mut Value,
) -> Result<Extra, ApiError> {
    if !is_service(place) || service["metadata"]["deletionTimestamp"].is_string() {
        return Ok(Extra::default());
    }
    let unchanged = old.is_some_and(|old| old["spec"] == service["spec"]);
    if unchanged {
        return Ok(Extra::default());
    }
    obtain(server, plane, old, service).await
}

/// Gives a Service of a plane that is made of a backup the addresses that it had; others where they cannot be had, which
/// is told.
pub async fn again(server: &Server, plane: &Plane, service: &mut Value) -> Result<(Extra, bool), ApiError> {
    let asked = service.clone();
    match obtain(server, plane, None, service).await {
        Err(error) if error.reason() == Reason::Invalid => {
            *service = asked;
            forget(&mut service["spec"]);
            obtain(server, plane, None, service).await.map(|extra| (extra, true))
        }
        done => Ok((done?, held(service) != held(&asked))),
    }
}

/// Takes a Service's addresses and node ports away.
fn forget(spec: &mut Value) {
    if let Some(fields) = spec.as_object_mut() {
        if fields.get("clusterIP").is_none_or(|ip| ip != "None") {
            fields.remove("clusterIP");
            fields.remove("clusterIPs");
            fields.remove("ipFamilies");
        }
        fields.remove("healthCheckNodePort");
    }
    for port in spec["ports"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
}

async fn obtain(
    server: &Server,
    plane: &Plane,
    old: Option<&Value>,
    service: &mut Value,
) -> Result<Extra, ApiError> {
    let external = service["spec"]["type"] == "ExternalName";
    if let (Some(reserver), false) = (server.reserver(), external || !plane.id.is_tenant()) {
        let reserved = tokio::time::timeout(PATIENCE, reserver.reserve(plane.id, service)).await;
        let reserved = reserved.unwrap_or_else(|_| {
            Err(ApiError::unavailable("the super cluster did not reserve the service's addresses in time", 2))
        })?;
        if let Some(reservation) = reserved {
            apply(service, &reservation);
            return Ok(Extra::default());
        }
    }
    allocate(server, plane, old, service)
}

fn apply(service: &mut Value, reservation: &plane_client::Reservation) {
    let spec = &mut service["spec"];
    if let Some(first) = reservation.cluster_ips.first() {
        spec["clusterIP"] = first.clone().into();
        spec["clusterIPs"] = json!(reservation.cluster_ips);
    }
    if !reservation.ip_families.is_empty() {
        spec["ipFamilies"] = json!(reservation.ip_families);
    }
    if !reservation.ip_family_policy.is_empty() {
        spec["ipFamilyPolicy"] = reservation.ip_family_policy.clone().into();
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for (port, node_port) in ports.zip(&reservation.node_ports) {
        if *node_port != 0 {
            port["nodePort"] = (*node_port).into();
        }
    }
    if reservation.health_check_node_port != 0 {
        spec["healthCheckNodePort"] = reservation.health_check_node_port.into();
    }
}

/// Fills in addresses and ports that nobody reserves: what a dry run shows.
pub fn preview(
    server: &Server,
    plane: &Plane,
    place: &Place,
    old: Option<&Value>,
    service: &mut Value,
) -> Result<(), ApiError> {
    let unchanged = old.is_some_and(|old| old["spec"] == service["spec"]);
    if !is_service(place) || unchanged || service["metadata"]["deletionTimestamp"].is_string() {
        return Ok(());
    }
    let reserved = plane.id.is_tenant()
        && service["spec"]["type"] != "ExternalName"
        && server.reserver().is_some_and(|reserver| reserver.may_reserve(plane.id));
    if reserved {
        return complete(server, plane, &mut service["spec"]);
    }
    new_names(server, plane, old, service).map(drop)
}

/// Fills in what a Service needs and does not say.
fn complete(server: &Server, plane: &Plane, spec: &mut Value) -> Result<(), ApiError> {
    let kind = spec["type"].as_str().unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(fields) = spec.as_object_mut() {
                fields.remove(field);
            }
        }
        return Ok(());
    }
    let given = spec["clusterIP"].as_str().unwrap_or("").to_owned();
    let address = if given.is_empty() { free_address(server, plane)? } else { given };
    spec["clusterIP"] = address.clone().into();
    spec["clusterIPs"] = json!([address]);
    if !spec["ipFamilies"].is_array() {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    if !spec["ipFamilyPolicy"].is_string() {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
    let balancer = kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != Value::Bool(false);
    let mut taken: Vec<i64> = Vec::new();
    if kind == "NodePort" || balancer {
        complete_ports(server, plane, &mut spec["ports"], &mut taken)?;
    }
    if needs_health_check_port(spec) && spec["healthCheckNodePort"].as_i64().unwrap_or(0) == 0 {
        spec["healthCheckNodePort"] = free_port(server, plane, &taken)?.into();
    }
    Ok(())
}

/// Ports of one number share a node port, whatever their protocols.
fn complete_ports(
    server: &Server,
    plane: &Plane,
    ports: &mut Value,
    taken: &mut Vec<i64>,
) -> Result<(), ApiError> {
    let Some(ports) = ports.as_array_mut() else { return Ok(()) };
    for index in 0..ports.len() {
        if ports[index]["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let shared = ports.iter().find(|other| {
            other["port"] == ports[index]["port"] && other["nodePort"].as_i64().unwrap_or(0) != 0
        });
        let port = match shared {
            Some(other) => other["nodePort"].clone(),
            None => {
                let free = free_port(server, plane, taken)?;
                taken.push(free);
                free.into()
            }
        };
        ports[index]["nodePort"] = port;
    }
    Ok(())
}

/// The plane's own allocation.
fn allocate(
    server: &Server,
    plane: &Plane,
    old: Option<&Value>,
    service: &mut Value,
) -> Result<Extra, ApiError> {
    let space = Space::new(plane.id);
    let mut extra = Extra::default();
    for name in new_names(server, plane, old, service)? {
        let allocated =
            json!({"kind": "Address", "apiVersion": "insula.internal/v1", "metadata": {"name": name}});
        extra.preconditions.push(space.expect(key(&name), api_types::Revision::ZERO));
        extra.operations.push(space.put(key(&name), record::encode(&allocated, Vec::new(), 0)));
    }
    let after = held(service);
    for name in old.map(held).unwrap_or_default().into_iter().filter(|name| !after.contains(name)) {
        extra.operations.push(space.delete(key(&name)));
    }
    Ok(extra)
}

/// Completes a Service, and gives the names of what it gets by that; refused for what it cannot have.
fn new_names(
    server: &Server,
    plane: &Plane,
    old: Option<&Value>,
    service: &mut Value,
) -> Result<Vec<String>, ApiError> {
    let name = service["metadata"]["name"].as_str().unwrap_or("").to_owned();
    let wrong = families(&service["spec"]);
    if !wrong.is_empty() {
        return Err(ApiError::invalid("", "Service", &name, wrong));
    }
    complete(server, plane, &mut service["spec"])?;
    let before = old.map(held).unwrap_or_default();
    let own = service["metadata"]["namespace"] == "default" && name == "kubernetes";
    let kubernetes = address_name(crate::bootstrap::KUBERNETES_IP);
    let mut names = held(service);
    names.retain(|name| !(before.contains(name) || own && *name == kubernetes));
    for wanted in &names {
        if let Some(cause) = out_of_range(service, wanted) {
            return Err(ApiError::invalid("", "Service", &name, vec![cause]));
        }
        if !is_free(server, plane, wanted) {
            return Err(taken(service, wanted));
        }
    }
    Ok(names)
}

/// Frees what a removed Service had.
pub fn release(plane: &Plane, place: &Place, service: &Value) -> Extra {
    if !is_service(place) {
        return Extra::default();
    }
    let space = Space::new(plane.id);
    Extra {
        operations: held(service).iter().map(|name| space.delete(key(name))).collect(),
        ..Extra::default()
    }
}

/// The names of what a Service has.
fn held(service: &Value) -> Vec<String> {
    let spec = &service["spec"];
    let address = spec["clusterIP"].as_str().filter(|ip| !ip.is_empty() && *ip != "None");
    let ports = spec["ports"].as_array().into_iter().flatten().filter_map(|port| port["nodePort"].as_i64());
    let ports = ports.chain(spec["healthCheckNodePort"].as_i64());
    let mut names: Vec<String> = address.map(address_name).into_iter().collect();
    // In the order of the Service, which is that of the complaints.
    for name in ports.filter(|port| *port != 0).map(port_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn is_free(server: &Server, plane: &Plane, name: &str) -> bool {
    // The Service `kubernetes` has it from the birth of the plane, without a key.
    name.strip_prefix("ip-") != Some(crate::bootstrap::KUBERNETES_IP)
        && server.cache.get(plane.id, &resource(), &ObjectName::cluster(name)).is_none()
}

/// The plane's own addresses are of one family. A headless service without selector has what its endpoints have.
fn families(spec: &Value) -> Vec<Cause> {
    let list = |field: &str| spec[field].as_array().into_iter().flatten().enumerate();
    let other = list("clusterIPs").filter(|(_, ip)| ip.as_str().is_some_and(|ip| ip.contains(':')));
    let why = "IPv6 is not configured on this cluster";
    let addresses: Vec<Cause> = other
        .map(|(at, _)| Cause::invalid(format!("spec.clusterIPs[{at}]"), &spec["clusterIPs"], why))
        .collect();
    let anything =
        spec["clusterIP"] == "None" && spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    if !addresses.is_empty() || anything || spec["type"] == "ExternalName" {
        return addresses;
    }
    let policy = &spec["ipFamilyPolicy"];
    let why = "this cluster is not configured for dual-stack services";
    let both = (policy == "RequireDualStack").then(|| Cause::invalid("spec.ipFamilyPolicy", policy, why));
    let other = list("ipFamilies").filter(|(_, family)| *family == "IPv6");
    let why = "not configured on this cluster";
    let other = other.map(|(at, family)| Cause::invalid(format!("spec.ipFamilies[{at}]"), family, why));
    both.into_iter().chain(other).collect()
}

/// Where a Service names a node port.
fn port_path(service: &Value, port: i64) -> String {
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    match ports.iter().position(|of| of["nodePort"] == port) {
        Some(index) => format!("spec.ports[{index}].nodePort"),
        None => "spec.healthCheckNodePort".to_owned(),
    }
}

/// What is wrong with an address or a port that a client chose.
fn out_of_range(service: &Value, name: &str) -> Option<Cause> {
    if let Some(address) = name.strip_prefix("ip-") {
        let inside =
            address.parse::<Ipv4Addr>().is_ok_and(|ip| u32::from(ip) >> RANGE.1 == RANGE.0 >> RANGE.1);
        let why =
            format!("failed to allocate IP {address}: the provided network does not match the current range");
        return (!inside).then(|| Cause::invalid("spec.clusterIPs", &json!([address]), &why));
    }
    let port = name.strip_prefix("port-").unwrap_or("").parse::<i64>().unwrap_or(0);
    let last = NODE_PORTS.0 + NODE_PORTS.1 - 1;
    let why = format!(
        "provided port is not in the valid range. The range of valid ports is {}-{last}",
        NODE_PORTS.0
    );
    let inside = (NODE_PORTS.0..=last).contains(&port);
    (!inside).then(|| Cause::invalid(port_path(service, port), &json!(port), &why))
}

/// 422 for an address or a port that another Service has.
fn taken(service: &Value, name: &str) -> ApiError {
    let cause = match name.strip_prefix("ip-") {
        Some(address) => Cause::invalid(
            "spec.clusterIPs",
            &json!([address]),
            &format!("failed to allocate IP {address}: provided IP is already allocated"),
        ),
        None => {
            let port = name.strip_prefix("port-").unwrap_or("").parse::<i64>().unwrap_or(0);
            Cause::invalid(port_path(service, port), &json!(port), "provided port is already allocated")
        }
    };
    let name = service["metadata"]["name"].as_str().unwrap_or("");
    ApiError::invalid("", "Service", name, vec![cause])
}

fn free_address(server: &Server, plane: &Plane) -> Result<String, ApiError> {
    let mut rng = rand::rng();
    for _ in 0..TRIES {
        // The first addresses of the range are left for `kubernetes` and DNS.
        let offset = rng.random_range(256..(1u32 << RANGE.1) - 1);
        let address = Ipv4Addr::from(RANGE.0 + offset).to_string();
        if is_free(server, plane, &address_name(&address)) {
            return Ok(address);
        }
    }
    Err(ApiError::internal("failed to allocate a service IP: the range is full"))
}

fn free_port(server: &Server, plane: &Plane, taken: &[i64]) -> Result<i64, ApiError> {
    let mut rng = rand::rng();
    for _ in 0..TRIES {
        let port = NODE_PORTS.0 + rng.random_range(0..NODE_PORTS.1);
        if !taken.contains(&port) && is_free(server, plane, &port_name(port)) {
            return Ok(port);
        }
    }
    Err(ApiError::internal("failed to allocate a node port: the range is full"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planes_own_addresses_are_of_one_family() {
        for (spec, expected) in [
            (json!({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "PreferDualStack"}), vec![]),
            (json!({"ipFamilyPolicy": "RequireDualStack", "clusterIP": "None"}), vec![]),
            (json!({"ipFamilyPolicy": "RequireDualStack", "type": "ExternalName"}), vec![]),
            (
                json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}),
                vec![
                    "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
                    "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster",
                ],
            ),
            (
                json!({"clusterIP": "::1", "clusterIPs": ["::1"], "ipFamilies": ["IPv6"]}),
                vec!["spec.clusterIPs[0]: Invalid value: [\"::1\"]: IPv6 is not configured on this cluster"],
            ),
        ] {
            let told: Vec<String> = families(&spec).iter().map(Cause::to_string).collect();
            assert_eq!(told, expected, "{spec}");
        }
    }
}
