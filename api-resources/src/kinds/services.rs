//! Services: defaults, what an update keeps of the allocated addresses and ports, and what a change of type drops.
//!
//! Cluster IPs and node ports are allocated by the server, after these functions ran.

use super::generic::{self, plain};
use super::place::{each_mut, lookup, map_at, object_at, set_default, set_default_text};
use super::services_validation as validation;
use crate::names;
use crate::resource::Strategy;
use serde_json::{Value, json};

/// How services are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create,
        prepare_update,
        validate_create: validation::validate_create,
        validate_update: validation::validate_update,
        validate_status: validation::validate_status,
        validate_name: names::dns_label,
        warnings,
        create_on_update: true,
        ..plain()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default_text(spec, "type", "ClusterIP");
    set_default_text(spec, "sessionAffinity", "None");
    match spec["sessionAffinity"].as_str() {
        Some("ClientIP") if spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() => {
            spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
        }
        Some("None") => remove(spec, "sessionAffinityConfig"),
        _ => {}
    }
    for port in each_mut(spec, "ports") {
        set_default_text(port, "protocol", "TCP");
        let number = port["port"].clone();
        if matches!(&port["targetPort"], Value::Null) || port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = number;
        }
    }
    if externally_accessible(spec) {
        set_default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if needs_cluster_ip(spec) {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    // Without an address there is no traffic to it; what is no policy is left to be refused.
    if !needs_cluster_ip(spec) && matches!(text(spec, "internalTrafficPolicy"), "Cluster" | "Local") {
        remove(spec, "internalTrafficPolicy");
    }
    if is_load_balancer(spec) {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
        if let Some(balancer) = object.get_mut("status").and_then(|s| s.get_mut("loadBalancer")) {
            for ingress in each_mut(balancer, "ingress") {
                if ingress["ip"].as_str().is_some_and(|ip| !ip.is_empty()) {
                    set_default(ingress, "ipMode", "VIP");
                }
            }
        }
    }
}

fn prepare_create(object: &mut Value) {
    object["status"] = json!({"loadBalancer": {}});
    let Some(spec) = object_at(object, "spec") else { return };
    let cluster_ip = text(spec, "clusterIP").to_owned();
    if !cluster_ip.is_empty() && is_empty(spec, "clusterIPs") {
        spec["clusterIPs"] = json!([cluster_ip]);
    }
    families(spec);
}

fn prepare_update(new: &mut Value, old: &Value) {
    generic::keep_status(new, old);
    let old_spec = lookup(old, "spec");
    let Some(spec) = object_at(new, "spec") else { return };
    drop_of_old_type(spec, old_spec);
    keep_allocated(spec, old_spec);
    cluster_ips_follow_cluster_ip(spec, old_spec);
    if spec["ipFamilyPolicy"].is_null() && needs_cluster_ip(spec) && !old_spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = old_spec["ipFamilyPolicy"].clone();
    }
    if spec["ipFamilyPolicy"] == "SingleStack" {
        for field in ["clusterIPs", "ipFamilies"] {
            if spec[field] == old_spec[field]
                && let Some(list) = spec[field].as_array_mut()
            {
                list.truncate(1);
            }
        }
    }
    families(spec);
    if !is_load_balancer(spec)
        && let Some(status) = object_at(new, "status")
    {
        status["loadBalancer"] = json!({});
    }
}

/// Policy and families of addresses as far as they follow from the spec alone: a headless service without selector
/// has both families, every other as many as it has addresses, IPv4 when it has none yet.
fn families(spec: &mut Value) {
    if !needs_cluster_ip(spec) {
        return;
    }
    let headless = text(spec, "clusterIP") == "None";
    let selectorless = is_empty(spec, "selector");
    let policy = if headless && selectorless { "RequireDualStack" } else { "SingleStack" };
    set_default(spec, "ipFamilyPolicy", policy);
    let mut families: Vec<Value> = spec["ipFamilies"].as_array().cloned().unwrap_or_default();
    let addresses = spec["clusterIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
    for address in addresses.iter().skip(families.len()).filter_map(Value::as_str) {
        if address == "None" {
            break;
        }
        families.push(Value::from(if address.contains(':') { "IPv6" } else { "IPv4" }));
    }
    if families.is_empty() {
        families.push(Value::from("IPv4"));
    }
    if headless && selectorless && families.len() == 1 && spec["ipFamilyPolicy"] != "SingleStack" {
        families.push(Value::from(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }));
    }
    spec["ipFamilies"] = Value::Array(families);
}

/// What an old type needed and the new does not is dropped, unless the client changed it.
fn drop_of_old_type(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        if new["clusterIP"] == old["clusterIP"] && new["clusterIPs"] == old["clusterIPs"] {
            remove(new, "clusterIP");
            remove(new, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            remove_if_same(new, old, field);
        }
    }
    if needs_node_port(old) && !needs_node_port(new) {
        let known = node_ports(old);
        if node_ports(new).iter().all(|port| known.contains(port)) {
            each_mut(new, "ports").for_each(|port| remove(port, "nodePort"));
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) {
        remove_if_same(new, old, "healthCheckNodePort");
    }
    if is_load_balancer(old) && !is_load_balancer(new) {
        remove_if_same(new, old, "allocateLoadBalancerNodePorts");
        remove_if_same(new, old, "loadBalancerClass");
    }
    if externally_accessible(old) && !externally_accessible(new) {
        remove_if_same(new, old, "externalTrafficPolicy");
    }
}

/// An update that leaves allocated values out keeps them.
fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        if is_empty(new, "clusterIP") && !is_empty(old, "clusterIP") {
            new["clusterIP"] = old["clusterIP"].clone();
        }
        if is_empty(new, "clusterIPs") && new["clusterIP"] == old["clusterIP"] && !is_empty(old, "clusterIPs")
        {
            new["clusterIPs"] = old["clusterIPs"].clone();
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        // Ports are known again by their names.
        let used = node_ports(new);
        for port in each_mut(new, "ports").filter(|p| p["nodePort"].as_i64().unwrap_or(0) == 0) {
            let before = lookup(old, "ports").as_array().map(Vec::as_slice).unwrap_or_default().iter();
            let known = before.rev().find(|o| text(o, "name") == text(port, "name"));
            if let Some(number) = known.and_then(|o| o["nodePort"].as_i64()).filter(|n| !used.contains(n)) {
                port["nodePort"] = Value::from(number);
            }
        }
    }
    if needs_health_check_port(old)
        && needs_health_check_port(new)
        && new["healthCheckNodePort"].as_i64().unwrap_or(0) == 0
        && !old["healthCheckNodePort"].is_null()
    {
        new["healthCheckNodePort"] = old["healthCheckNodePort"].clone();
    }
}

/// A client that knows only `clusterIP` changes both; one that clears it clears both.
fn cluster_ips_follow_cluster_ip(new: &mut Value, old: &Value) {
    let changed = new["clusterIP"] != old["clusterIP"];
    if !changed || new["clusterIPs"] != old["clusterIPs"] {
        if !is_empty(new, "clusterIP") && is_empty(new, "clusterIPs") {
            new["clusterIPs"] = json!([new["clusterIP"]]);
        }
        return;
    }
    if is_empty(new, "clusterIP") {
        remove(new, "clusterIPs");
    } else {
        new["clusterIPs"] = json!([new["clusterIP"]]);
    }
}

fn warnings(object: &Value) -> Vec<String> {
    let spec = lookup(object, "spec");
    let mut warnings = Vec::new();
    if lookup(object, "metadata")["annotations"].get("service.kubernetes.io/topology-aware-hints").is_some() {
        warnings.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    let headless = text(spec, "type") == "ClusterIP" && text(spec, "clusterIP") == "None";
    let external_name = text(spec, "type") == "ExternalName";
    if headless {
        for field in ["loadBalancerIP", "externalIPs"] {
            if !is_empty(spec, field) {
                warnings.push(format!("spec.{field} is ignored for headless services"));
            }
        }
        if text(spec, "sessionAffinity") != "None" {
            warnings.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    if !is_empty(spec, "externalIPs") && !headless && !external_name {
        warnings.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        );
    }
    if external_name && !is_empty(spec, "externalIPs") {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external_name && !is_empty(spec, "externalName") {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        warnings.push(
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned(),
        );
    }
    warnings
}

fn text<'a>(spec: &'a Value, field: &str) -> &'a str {
    lookup(spec, field).as_str().unwrap_or("")
}

fn is_empty(spec: &Value, field: &str) -> bool {
    match lookup(spec, field) {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn remove(spec: &mut Value, field: &str) {
    if let Some(map) = spec.as_object_mut() {
        map.remove(field);
    }
}

fn remove_if_same(new: &mut Value, old: &Value, field: &str) {
    if lookup(new, field) == lookup(old, field) {
        remove(new, field);
    }
}

fn node_ports(spec: &Value) -> Vec<i64> {
    let ports = lookup(spec, "ports").as_array().map(Vec::as_slice).unwrap_or_default();
    ports.iter().filter_map(|p| p["nodePort"].as_i64()).filter(|n| *n != 0).collect()
}

/// Every type but `ExternalName`.
pub fn needs_cluster_ip(spec: &Value) -> bool {
    text(spec, "type") != "ExternalName"
}

/// `NodePort` and `LoadBalancer`.
pub fn needs_node_port(spec: &Value) -> bool {
    matches!(text(spec, "type"), "NodePort" | "LoadBalancer")
}

/// A load balancer whose nodes answer only when they have an endpoint.
pub fn needs_health_check_port(spec: &Value) -> bool {
    is_load_balancer(spec) && text(spec, "externalTrafficPolicy") == "Local"
}

/// Can be reached from outside: by node port, balancer or external address.
pub fn externally_accessible(spec: &Value) -> bool {
    needs_node_port(spec) || (text(spec, "type") == "ClusterIP" && !is_empty(spec, "externalIPs"))
}

/// Of type `LoadBalancer`.
pub fn is_load_balancer(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer"
}

/// Has `None` as its only address.
pub fn is_headless(spec: &Value) -> bool {
    lookup(spec, "clusterIPs").as_array().is_some_and(|ips| ips.len() == 1 && ips[0] == "None")
}
