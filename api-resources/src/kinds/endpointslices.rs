//! Endpoint slices.

use super::endpoints::app_protocol;
use super::generic::{counted, plain};
use super::place::{
    self, Causes, Place, at_most, each_mut, immutable, invalid_all, map_at, required_one_of, set_default,
};
use super::sameness::same;
use super::services_validation::PROTOCOLS;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20000;
const MAX_HINTS: usize = 8;

/// How endpoint slices are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: drop_topology,
        prepare_update: |new, old| {
            if new["endpoints"] != old["endpoints"] {
                drop_topology(new);
            }
        },
        validate_create: |object| {
            let mut out = Vec::new();
            validate(&mut out, object, &Value::Null);
            out
        },
        validate_update: |new, old| {
            let mut out = Vec::new();
            validate(&mut out, new, old);
            immutable(&mut out, new, old, "addressType");
            out
        },
        warnings: |object| match object["addressType"].as_str() {
            Some("FQDN") => vec!["spec.addressType: FQDN endpoints are deprecated".to_owned()],
            _ => Vec::new(),
        },
        generation: true,
        counted: |new, old| counted(new, old) || !place::same(new, old, "metadata.labels"),
        ..plain()
    }
}

/// A field of the version before this one.
fn drop_topology(object: &mut Value) {
    for endpoint in each_mut(object, "endpoints") {
        if let Some(fields) = endpoint.as_object_mut() {
            fields.remove("deprecatedTopology");
        }
    }
}

fn default(object: &mut Value) {
    set_default(object, "endpoints", Value::Null);
    set_default(object, "ports", Value::Null);
    for endpoint in each_mut(object, "endpoints") {
        map_at(endpoint, "conditions");
    }
    for port in each_mut(object, "ports") {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    }
}

fn validate(out: &mut Causes, object: &Value, old: &Value) {
    let root = Place::root(object);
    required_one_of(out, &root, "addressType", &["FQDN", "IPv4", "IPv6"]);
    ports(out, &root);
    if !same(&object["endpoints"], &old["endpoints"]) {
        endpoints(out, &root);
    }
}

fn ports(out: &mut Causes, root: &Place<'_>) {
    at_most(out, root, "ports", MAX_PORTS);
    let mut seen: Vec<&str> = Vec::new();
    for port in root.list("ports") {
        let name = port.text("name");
        if !name.is_empty() {
            invalid_all(out, &port.of("name"), name, names::dns_label(name));
        }
        if seen.contains(&name) {
            out.push(Cause::duplicate(port.of("name"), &Value::from(name)));
        }
        seen.push(name);
        let protocol = port.text("protocol");
        if !PROTOCOLS.contains(&protocol) {
            out.push(Cause::not_supported(port.of("protocol"), &Value::from(protocol), PROTOCOLS));
        }
        app_protocol(out, &port);
    }
}

fn endpoints(out: &mut Causes, root: &Place<'_>) {
    at_most(out, root, "endpoints", MAX_ENDPOINTS);
    let kind = root.text("addressType");
    for endpoint in root.list("endpoints").take(MAX_ENDPOINTS) {
        if endpoint.lacks("addresses") {
            out.push(Cause::required(endpoint.of("addresses"), "must contain at least 1 address"));
        }
        at_most(out, &endpoint, "addresses", MAX_ADDRESSES);
        for address in endpoint.list("addresses") {
            self::address(out, &endpoint.of("addresses"), &address, kind);
        }
        if endpoint.has("nodeName") {
            let node = endpoint.text("nodeName");
            invalid_all(out, &endpoint.of("nodeName"), node, names::dns_subdomain(node));
        }
        if endpoint.has("hostname") {
            let host = endpoint.text("hostname");
            invalid_all(out, &endpoint.of("hostname"), host, names::dns_label(host));
        }
        hints(out, &endpoint.field("hints"));
    }
}

fn address(out: &mut Causes, list: &str, address: &Place<'_>, kind: &str) {
    let text = address.as_text();
    match kind {
        "IPv4" | "IPv6" => {
            let wrong = if kind == "IPv4" { names::ip(text) } else { names::canonical_ip(text) };
            if wrong.is_empty() {
                if text.contains(':') != (kind == "IPv6") {
                    let message = format!("must be an {kind} address");
                    out.push(Cause::invalid(list, address.value, &message));
                }
                invalid_all(out, &address.path, text, names::not_special_ip(text));
            }
            invalid_all(out, &address.path, text, wrong);
        }
        "FQDN" => {
            let name = text.strip_suffix('.').unwrap_or(text);
            if name.is_empty() {
                out.push(Cause::required(&address.path, ""));
                return;
            }
            let mut wrong = names::dns_subdomain(name);
            if wrong.is_empty() && !name.contains('.') {
                wrong.push("should be a domain with at least two segments separated by dots".to_owned());
            }
            invalid_all(out, &address.path, name, wrong);
        }
        _ => {}
    }
}

fn hints(out: &mut Causes, hints: &Place<'_>) {
    type Rule = fn(&str) -> Vec<String>;
    let lists: [(&str, Rule); 2] = [("forZones", names::label_value), ("forNodes", names::dns_subdomain)];
    for (list, rule) in lists {
        at_most(out, hints, list, MAX_HINTS);
        let mut seen: Vec<&str> = Vec::new();
        for hint in hints.list(list) {
            let name = hint.text("name");
            if seen.contains(&name) {
                out.push(Cause::duplicate(hint.of("name"), &Value::from(name)));
            }
            seen.push(name);
            invalid_all(out, &hint.of("name"), name, rule(name));
        }
    }
}
