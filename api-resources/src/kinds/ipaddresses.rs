//! Addresses of services and the networks that they are taken from.

use super::generic::plain;
use super::place::{Causes, Place, immutable, invalid_all, lookup, require};
use super::sameness::same;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// How addresses are written; their name is the address.
pub fn strategy() -> Strategy {
    Strategy {
        validate_create: |object| {
            let mut out = Vec::new();
            let spec = Place::root(object).field("spec");
            if require(&mut out, &spec, "parentRef") {
                let parent = spec.field("parentRef");
                for field in ["resource", "name"] {
                    if require(&mut out, &parent, field) {
                        let text = parent.text(field);
                        invalid_all(&mut out, &parent.of(field), text, names::path_segment(text));
                    }
                }
            }
            out
        },
        validate_update: |new, old| {
            let mut out = Vec::new();
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
        validate_create: validate_networks,
        validate_update: |new, old| {
            let mut out = Vec::new();
            let now = lookup(new, "spec.cidrs");
            let kept = lookup(old, "spec.cidrs")
                .as_array()
                .is_some_and(|before| before.iter().enumerate().all(|(i, cidr)| now.get(i) == Some(cidr)));
            if !kept && !same(now, lookup(old, "spec.cidrs")) {
                out.push(Cause::invalid("spec.cidrs", now, "field is immutable"));
            }
            out.extend(validate_networks(new));
            out
        },
        ..plain()
    }
}

fn validate_networks(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let (list, all) = (spec.field("cidrs"), spec.texts("cidrs"));
    if all.is_empty() {
        out.push(Cause::required(&list.path, "at least one CIDR required"));
    }
    for network in list.elements() {
        invalid_all(&mut out, &network.path, network.as_text(), names::cidr(network.as_text()));
    }
    let six = all.iter().filter(|network| network.contains(':')).count();
    if all.len() > 2 || six > 1 || all.len() - six > 1 {
        let message =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        out.push(Cause::invalid(&list.path, list.value, message));
    }
    out
}
