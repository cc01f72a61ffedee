//! Endpoints, the old form of endpoint slices.

use super::generic::plain;
use super::place::{Causes, Place, each_mut, invalid_all, required_one_of, set_default_text};
use super::sameness::same;
use super::services_validation::{PROTOCOLS, port_number};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

/// How endpoints are written.
pub fn strategy() -> Strategy {
    Strategy {
        default: |object| {
            each_mut(object, "subsets")
                .flat_map(|subset| each_mut(subset, "ports"))
                .for_each(|port| set_default_text(port, "protocol", "TCP"));
        },
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create,
        validate_update: |new, old| {
            let mut out = validate_create(new);
            if same(&new["subsets"], &old["subsets"]) {
                out.clear();
            }
            out
        },
        create_on_update: true,
        ..plain()
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    for subset in Place::root(object).list("subsets") {
        if subset.lacks("addresses") && subset.lacks("notReadyAddresses") {
            out.push(Cause::required(&subset.path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for address in ["addresses", "notReadyAddresses"].iter().flat_map(|list| subset.list(list)) {
            let ip = address.text("ip");
            invalid_all(&mut out, &address.of("ip"), ip, names::ip(ip));
            let host = address.text("hostname");
            if !host.is_empty() {
                invalid_all(&mut out, &address.of("hostname"), host, names::dns_label(host));
            }
            if address.has("nodeName") {
                let node = address.text("nodeName");
                invalid_all(&mut out, &address.of("nodeName"), node, names::dns_subdomain(node));
            }
            let wrong = match names::ip(ip).is_empty() {
                true => names::not_special_ip(ip),
                false => vec!["must be a valid IP address".to_owned()],
            };
            invalid_all(&mut out, &address.of("ip"), ip, wrong);
        }
        let many = subset.list("ports").count() > 1;
        for port in subset.list("ports") {
            let name = port.text("name");
            if !name.is_empty() {
                invalid_all(&mut out, &port.of("name"), name, names::dns_label(name));
            } else if many {
                out.push(Cause::required(port.of("name"), ""));
            }
            port_number(&mut out, &port, "port");
            required_one_of(&mut out, &port, "protocol", PROTOCOLS);
            app_protocol(&mut out, &port);
        }
    }
    out
}

/// The protocol above TCP or UDP: a qualified name.
pub(super) fn app_protocol(out: &mut Causes, port: &Place<'_>) {
    if let Some(protocol) = port.present("appProtocol") {
        invalid_all(out, &protocol.path, protocol.as_text(), names::qualified_name(protocol.as_text()));
    }
}
