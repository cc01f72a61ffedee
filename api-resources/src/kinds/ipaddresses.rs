//! Addresses of services and the networks that they are taken from.

use super::generic::{METADATA, plain};
use super::place::{Causes, Place, immutable, invalid_all, lookup, require};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// How addresses are written; their name is the address.
pub fn strategy() -> Strategy {
    Strategy {
        validate_create: validate_address,
        validate_update: |new, old| {
            let mut out = validate_address(new);
            immutable(&mut out, new, old, "spec.parentRef");
            out
        },
        validate_name: names::canonical_ip,
        ..plain()
    }
}

/// How networks of services are written.
pub fn service_cidr() -> Strategy {
    Strategy {
        prepare_create: |object| object["status"] = json!({}),
        status_keeps: METADATA,
        validate_create: validate_networks,
        validate_update: |new, old| {
            let mut out = Vec::new();
            let networks = |object| Place::new("spec.cidrs", lookup(object, "spec.cidrs"));
            let (now, before) = (networks(new), networks(old));
            let changed = now.elements().zip(before.elements()).filter(|(now, old)| now.value != old.value);
            let mut changed =
                changed.map(|(now, _)| Cause::invalid(now.path, now.value, "field is immutable"));
            match (before.elements().count(), now.elements().count()) {
                (before, after) if before == after => out.extend(changed),
                // The other family may be added.
                (1, 2) => {
                    out.extend(changed.next());
                    out.extend(validate_networks(new));
                }
                _ => out.push(Cause::invalid(&now.path, now.value, "field is immutable")),
            }
            out
        },
        ..plain()
    }
}

fn validate_address(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let Some(parent) = spec.present("parentRef") else {
        return vec![Cause::required(spec.of("parentRef"), "")];
    };
    let group = parent.text("group");
    if !group.is_empty() {
        invalid_all(&mut out, &parent.of("group"), group, names::dns_subdomain(group));
    }
    for field in ["resource", "name", "namespace"] {
        let text = parent.text(field);
        if field == "namespace" || require(&mut out, &parent, field) {
            invalid_all(&mut out, &parent.of(field), text, names::path_segment(text));
        }
    }
    out
}

fn validate_networks(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let (list, all) = (spec.field("cidrs"), spec.texts("cidrs"));
    if all.is_empty() {
        return vec![Cause::required(&list.path, "at least one CIDR required")];
    }
    if all.len() > 2 {
        return vec![Cause::invalid(&list.path, spec.value, "may only hold up to 2 values")];
    }
    for network in list.elements() {
        invalid_all(&mut out, &network.path, network.as_text(), names::cidr(network.as_text()));
    }
    let is_six = |network: &&str| network.contains(':');
    let good = |network: &&str| names::cidr(network).is_empty();
    if let [first, second] = all.as_slice()
        && is_six(first) == is_six(second)
        && good(first)
        && good(second)
    {
        let message =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        out.push(Cause::invalid(&list.path, list.value, message));
    }
    out
}
