//! The rules of services.

use super::place::{Causes, Place, invalid_all, lookup, one_of, require, require_with};
use super::services::{
    externally_accessible, is_headless, is_load_balancer, needs_cluster_ip, needs_health_check_port,
};
use crate::metadata;
use crate::names;
use api_types::Cause;
use serde_json::{Value, json};

/// The protocols of ports.
pub const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const MAX_AFFINITY_SECONDS: i64 = 86400;
const ONLY_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";
const FAMILIES: &[&str] = &["IPv4", "IPv6"];

pub(super) fn validate_create(object: &Value) -> Causes {
    validate(object, None)
}

pub(super) fn validate_update(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let (spec, old_spec) = (lookup(new, "spec"), lookup(old, "spec"));
    if needs_cluster_ip(spec) {
        // As in Kubernetes, addresses are looked at before anything else, and alone when they are wrong.
        cluster_ips(&mut out, &Place::new("spec", spec), &Place::new("spec", old_spec));
        if !out.is_empty() {
            return out;
        }
    }
    if needs_cluster_ip(spec) && needs_cluster_ip(old_spec) {
        if !(is_headless(spec) && is_headless(old_spec)) {
            kept(&mut out, spec, old_spec, "clusterIPs", "primary clusterIP can not be unset");
        }
        if !is_headless(spec) && !is_headless(old_spec) {
            kept(&mut out, spec, old_spec, "ipFamilies", "primary ipFamily can not be unset");
        }
    }
    if is_load_balancer(spec)
        && is_load_balancer(old_spec)
        && lookup(spec, "loadBalancerClass") != lookup(old_spec, "loadBalancerClass")
    {
        out.push(Cause::invalid(
            "spec.loadBalancerClass",
            lookup(spec, "loadBalancerClass"),
            "may not change once set",
        ));
    }
    // Kubernetes reports it here and among the rules of every service.
    class(&mut out, &Place::new("spec", spec));
    let health = "healthCheckNodePort";
    if needs_health_check_port(spec)
        && needs_health_check_port(old_spec)
        && lookup(spec, health) != lookup(old_spec, health)
    {
        out.push(Cause::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    out.extend(validate(new, Some(old)));
    out
}

/// The first of a list of addresses or families stays; the second is released only by policy.
fn kept(out: &mut Causes, new: &Value, old: &Value, field: &str, unset: &str) {
    let path = format!("spec.{field}[0]");
    let (value, empty) = (lookup(new, field), Vec::new());
    let now = value.as_array().unwrap_or(&empty);
    let before = lookup(old, field).as_array().unwrap_or(&empty);
    if before.is_empty() {
        return;
    }
    if now.is_empty() {
        out.push(Cause::invalid(&path, value, unset));
        return;
    }
    for (i, (a, b)) in now.iter().zip(before).enumerate() {
        if a != b && (i == 0 || now.len() == before.len()) {
            out.push(Cause::invalid(format!("spec.{field}[{i}]"), value, "may not change once set"));
        }
    }
    if now.len() == 1 && before.len() > 1 && lookup(new, "ipFamilyPolicy") != "SingleStack" {
        let what = if field == "clusterIPs" { "clusterIP" } else { "ipFamily" };
        out.push(Cause::invalid(
            "spec.ipFamilyPolicy",
            lookup(new, "ipFamilyPolicy"),
            &format!("must be set to 'SingleStack' when releasing the secondary {what}"),
        ));
    }
}

/// Defects of a change of the status.
pub(super) fn validate_status(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let balancer = Place::new("status.loadBalancer", lookup(new, "status.loadBalancer"));
    let is_balancer = is_load_balancer(lookup(new, "spec"));
    load_balancer_status(&mut out, &balancer, lookup(old, "status.loadBalancer"), is_balancer);
    out
}

fn load_balancer_status(out: &mut Causes, at: &Place<'_>, old: &Value, is_balancer: bool) {
    if !is_balancer && !at.lacks("ingress") {
        out.push(Cause::forbidden(at.of("ingress"), "may only be used when `spec.type` is 'LoadBalancer'"));
        return;
    }
    let old = Place::new("", old);
    let known: Vec<&str> = old.list("ingress").map(|i| i.text("ip")).collect();
    for ingress in at.list("ingress") {
        let ip = ingress.text("ip");
        if !ip.is_empty() {
            known_or_ip(out, &ingress.field("ip"), &known);
        }
        // An absent mode is `VIP`; the strategy's default sets it.
        if ingress.has("ipMode") && ip.is_empty() {
            let message = "may not be specified when `ip` is not set";
            out.push(Cause::forbidden(ingress.of("ipMode"), message));
        } else {
            one_of(out, &ingress, "ipMode", &["Proxy", "VIP"]);
        }
        let host = ingress.text("hostname");
        if !host.is_empty() {
            invalid_all(out, &ingress.of("hostname"), host, names::dns_subdomain(host));
            if host.parse::<std::net::IpAddr>().is_ok() {
                out.push(Cause::invalid(
                    ingress.of("hostname"),
                    &Value::from(host),
                    "must be a DNS name, not an IP address",
                ));
            }
        }
    }
}

/// An address that was accepted before stays accepted, whatever the rules are now.
pub(super) fn known_or_ip(out: &mut Causes, at: &Place<'_>, known: &[&str]) -> bool {
    let text = at.as_text();
    let wrong = if known.contains(&text) { Vec::new() } else { names::ip(text) };
    let good = wrong.is_empty();
    invalid_all(out, &at.path, text, wrong);
    good
}

fn validate(object: &Value, old: Option<&Value>) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let old_spec = Place::new("spec", old.map_or(&Value::Null, |o| lookup(o, "spec")));
    let kind = spec.text("type");
    let headless = is_headless(spec.value);
    if spec.lacks("ports") && !headless && kind != "ExternalName" {
        out.push(Cause::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => out.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &Value::from("None"),
            &format!("may not be set to 'None' for {kind} services"),
        )),
        "ExternalName" => external_name(&mut out, &spec),
        _ => {}
    }
    ports(&mut out, &spec);
    metadata::labels(&mut out, &spec.field("selector"));
    affinity(&mut out, &spec);
    if kind != "ExternalName" {
        cluster_ips(&mut out, &spec, &old_spec);
    }
    let known = old_spec.texts("externalIPs");
    for ip in spec.list("externalIPs") {
        if known_or_ip(&mut out, &ip, &known) {
            invalid_all(&mut out, &ip.path, ip.as_text(), names::not_special_ip(ip.as_text()));
        }
    }
    one_of(&mut out, &spec, "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    port_numbers(&mut out, &spec);
    balancer(&mut out, &spec, &old_spec);
    traffic(&mut out, &spec);
    out
}

fn external_name(out: &mut Causes, spec: &Place<'_>) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !spec.lacks(field) || (field == "ipFamilyPolicy" && spec.has(field)) {
            out.push(Cause::forbidden(spec.of(field), "may not be set for ExternalName services"));
        }
    }
    let name = spec.text("externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        out.push(Cause::required(spec.of("externalName"), ""));
    } else {
        invalid_all(out, &spec.of("externalName"), name, names::dns_subdomain(name));
    }
}

fn ports(out: &mut Causes, spec: &Place<'_>) {
    let many = spec.list("ports").count() > 1;
    let mut seen: Vec<&str> = Vec::new();
    for port in spec.list("ports") {
        let name = port.text("name");
        if !name.is_empty() {
            invalid_all(out, &port.of("name"), name, names::dns_label(name));
            if seen.contains(&name) {
                out.push(Cause::duplicate(port.of("name"), &Value::from(name)));
            }
            seen.push(name);
        } else if many {
            out.push(Cause::required(port.of("name"), ""));
        }
        port_number(out, &port, "port");
        super::place::required_one_of(out, &port, "protocol", PROTOCOLS);
        port_or_name(out, &port.field("targetPort"));
        if let Some(protocol) = port.present("appProtocol") {
            invalid_all(out, &protocol.path, protocol.as_text(), names::qualified_name(protocol.as_text()));
        }
    }
}

/// A port's number, 0 when it is absent.
pub(super) fn port_number(out: &mut Causes, at: &Place<'_>, field: &str) {
    let number = at.int(field).unwrap_or(0);
    for message in names::port_number(number) {
        out.push(Cause::invalid(at.of(field), &Value::from(number), &message));
    }
}

/// A port by number or by name.
pub(super) fn port_or_name(out: &mut Causes, at: &Place<'_>) {
    let messages = match at.value {
        Value::String(name) => names::port_name(name),
        other => names::port_number(other.as_i64().unwrap_or(0)),
    };
    let value = if at.value.is_null() { Value::from(0) } else { at.value.clone() };
    out.extend(messages.iter().map(|m| Cause::invalid(&at.path, &value, m)));
}

fn affinity(out: &mut Causes, spec: &Place<'_>) {
    if !require(out, spec, "sessionAffinity") {
        return;
    }
    one_of(out, spec, "sessionAffinity", &["ClientIP", "None"]);
    let config = spec.field("sessionAffinityConfig");
    match spec.text("sessionAffinity") {
        "ClientIP" => {
            let when = "when session affinity type is ClientIP";
            if !spec.has("sessionAffinityConfig") {
                require_with(out, spec, "sessionAffinityConfig", when);
                return;
            }
            let client = config.field("clientIP");
            match client.int("timeoutSeconds") {
                None => out.push(Cause::required(client.of("timeoutSeconds"), when)),
                Some(seconds) if seconds <= 0 || seconds > MAX_AFFINITY_SECONDS => out.push(Cause::invalid(
                    client.of("timeoutSeconds"),
                    &Value::from(seconds),
                    &format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"),
                )),
                Some(_) => {}
            }
        }
        "None" if spec.has("sessionAffinityConfig") => {
            out.push(Cause::forbidden(config.path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

fn cluster_ips(out: &mut Causes, spec: &Place<'_>, old: &Place<'_>) {
    let all = spec.field("clusterIPs");
    let ips = spec.texts("clusterIPs");
    let first = spec.text("clusterIP");
    match (first.is_empty(), ips.first()) {
        (false, None) => out.push(Cause::required(&all.path, "")),
        (false, Some(ip)) if *ip != first => {
            out.push(Cause::invalid(&all.path, all.value, "first value must match `clusterIP`"));
        }
        (true, Some(_)) => {
            out.push(Cause::invalid(&all.path, all.value, "must be empty when `clusterIP` is not specified"))
        }
        _ => {}
    }
    let mut seen: Vec<&str> = Vec::new();
    for family in spec.list("ipFamilies") {
        if !FAMILIES.contains(&family.as_text()) {
            out.push(Cause::not_supported(&family.path, family.value, FAMILIES));
        }
        if seen.contains(&family.as_text()) {
            out.push(Cause::duplicate(&family.path, family.value));
        }
        seen.push(family.as_text());
    }
    one_of(out, spec, "ipFamilyPolicy", &["PreferDualStack", "RequireDualStack", "SingleStack"]);
    let known = old.texts("clusterIPs");
    let mut good = true;
    for (i, ip) in all.elements().enumerate() {
        if i == 0 && ip.as_text() == "None" {
            if ips.len() > 1 {
                good = false;
                out.push(Cause::invalid(&all.path, all.value, "'None' must be the first and only value"));
            }
            continue;
        }
        good &= known_or_ip(out, &ip, &known);
    }
    if ips.len() > 2 {
        out.push(Cause::invalid(&all.path, all.value, "may only hold up to 2 values"));
    }
    if !good {
        return;
    }
    if ips.len() > 1 && ips.iter().all(|ip| ip.contains(':') == ips[0].contains(':')) {
        out.push(Cause::invalid(&all.path, all.value, "may specify no more than one IP for each IP family"));
    }
    if !is_headless(spec.value) {
        for (i, (ip, family)) in all.elements().zip(spec.texts("ipFamilies")).enumerate() {
            let is = if ip.as_text().contains(':') { "IPv6" } else { "IPv4" };
            if FAMILIES.contains(&family) && family != is {
                let message = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
                out.push(Cause::invalid(&ip.path, ip.value, &message));
            }
        }
    }
}

fn port_numbers(out: &mut Causes, spec: &Place<'_>) {
    let mut node_ports: Vec<(&str, i64)> = Vec::new();
    for port in spec.list("ports") {
        let number = port.int("nodePort").unwrap_or(0);
        if number == 0 {
            continue;
        }
        if spec.text("type") == "ClusterIP" {
            out.push(Cause::forbidden(port.of("nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
        let key = (port.text("protocol"), number);
        if node_ports.contains(&key) {
            out.push(Cause::duplicate(port.of("nodePort"), &Value::from(number)));
        }
        node_ports.push(key);
    }
    let mut seen: Vec<(&str, i64)> = Vec::new();
    for port in spec.list("ports") {
        let key = (port.text("protocol"), port.int("port").unwrap_or(0));
        if seen.contains(&key) {
            let value = json!({"port": key.1, "protocol": key.0});
            out.push(Cause::duplicate(&port.path, &value));
        }
        seen.push(key);
    }
}

fn balancer(out: &mut Causes, spec: &Place<'_>, old: &Place<'_>) {
    let only = ONLY_BALANCERS;
    let is_balancer = is_load_balancer(spec.value);
    if !spec.lacks("loadBalancerSourceRanges") {
        // Kubernetes spells the path with a capital letter.
        let path = spec.of("LoadBalancerSourceRanges");
        if !is_balancer {
            out.push(Cause::forbidden(&path, only));
        }
        let known: Vec<&str> = old.texts("loadBalancerSourceRanges").into_iter().map(str::trim).collect();
        for (i, range) in spec.texts("loadBalancerSourceRanges").into_iter().map(str::trim).enumerate() {
            if !known.contains(&range) {
                invalid_all(out, &format!("{path}[{i}]"), range, names::cidr(range));
            }
        }
    }
    if spec.has("allocateLoadBalancerNodePorts") && !is_balancer {
        out.push(Cause::forbidden(spec.of("allocateLoadBalancerNodePorts"), only));
    }
    class(out, spec);
}

fn class(out: &mut Causes, spec: &Place<'_>) {
    let Some(class) = spec.present("loadBalancerClass") else { return };
    if is_load_balancer(spec.value) {
        invalid_all(out, &class.path, class.as_text(), names::qualified_name(class.as_text()));
    } else {
        out.push(Cause::forbidden(class.path, ONLY_BALANCERS));
    }
}

fn traffic(out: &mut Causes, spec: &Place<'_>) {
    let policy = "externalTrafficPolicy";
    if externally_accessible(spec.value) {
        if require(out, spec, policy) {
            one_of(out, spec, policy, &["Cluster", "Local"]);
        }
    } else if !spec.lacks(policy) {
        out.push(Cause::invalid(
            spec.of(policy),
            spec.field(policy).value,
            "may only be set for externally-accessible services",
        ));
    }
    // The server allocates an absent health check port after these rules ran.
    let port = spec.int("healthCheckNodePort").unwrap_or(0);
    if port != 0 {
        if needs_health_check_port(spec.value) {
            port_number(out, spec, "healthCheckNodePort");
        } else {
            out.push(Cause::invalid(
                spec.of("healthCheckNodePort"),
                &Value::from(port),
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
            ));
        }
    }
    one_of(out, spec, "internalTrafficPolicy", &["Cluster", "Local"]);
    one_of(out, spec, "trafficDistribution", &["PreferClose", "PreferSameZone", "PreferSameNode"]);
}
