//! Network policies.

use super::generic::plain;
use super::place::{Causes, Place, each_mut, invalid_all, lookup, map_at, one_of, require, set_default};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::{Value, json};
use std::net::IpAddr;

/// How network policies are written.
pub fn strategy() -> Strategy {
    Strategy {
        default,
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        validate_create: |object| validate(object, &Value::Null),
        validate_update: validate,
        generation: true,
        ..plain()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    set_default(spec, "podSelector", json!({}));
    if lookup(spec, "policyTypes").as_array().is_none_or(Vec::is_empty) {
        let has_egress = lookup(spec, "egress").as_array().is_some_and(|rules| !rules.is_empty());
        spec["policyTypes"] = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
    for rules in ["ingress", "egress"] {
        for port in each_mut(spec, rules).flat_map(|rule| each_mut(rule, "ports")) {
            set_default(port, "protocol", "TCP");
        }
    }
}

fn validate(object: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let known = networks(old);
    metadata::label_selector(&mut out, &spec.field("podSelector"));
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.list(rules) {
            rule.list("ports").for_each(|at| port(&mut out, &at));
            rule.list(peers).for_each(|at| peer(&mut out, &at, &known));
        }
    }
    let types = spec.field("policyTypes");
    if types.elements().count() > 2 {
        let message = "may not specify more than two policyTypes";
        out.push(Cause::invalid(&types.path, types.value, message));
        return out;
    }
    for kind in types.elements().filter(|kind| !matches!(kind.as_text(), "Ingress" | "Egress")) {
        out.push(Cause::not_supported(kind.path, kind.value, &["Ingress", "Egress"]));
    }
    out
}

/// The networks of a policy: what was accepted before stays accepted.
fn networks(policy: &Value) -> Vec<&str> {
    let spec = Place::new("spec", lookup(policy, "spec"));
    let peers = [("ingress", "from"), ("egress", "to")]
        .into_iter()
        .flat_map(|(rules, peers)| spec.list(rules).flat_map(move |rule| rule.list(peers)));
    peers
        .filter_map(|peer| peer.present("ipBlock"))
        .flat_map(|block| {
            let mut all = block.texts("except");
            all.push(block.text("cidr"));
            all
        })
        .collect()
}

fn port(out: &mut Causes, at: &Place<'_>) {
    one_of(out, at, "protocol", &["TCP", "UDP", "SCTP"]);
    let (port, end) = (at.field("port"), at.field("endPort"));
    let refuse_end = |out: &mut Causes, when: &str| {
        if !end.value.is_null() {
            let message = format!("may not be specified when `port` is {when}");
            out.push(Cause::invalid(&end.path, end.value, &message));
        }
    };
    match port.value {
        Value::Null => refuse_end(out, "not specified"),
        Value::String(name) => {
            refuse_end(out, "non-numeric");
            invalid_all(out, &port.path, name, names::port_name(name));
        }
        number => {
            let first = number.as_i64().unwrap_or(0);
            super::services_validation::port_number(out, at, "port");
            if let Some(last) = end.value.as_i64() {
                if last < first {
                    let message = "must be greater than or equal to `port`";
                    out.push(Cause::invalid(&end.path, number, message));
                }
                super::services_validation::port_number(out, at, "endPort");
            }
        }
    }
}

fn peer(out: &mut Causes, at: &Place<'_>, known: &[&str]) {
    let selectors = ["podSelector", "namespaceSelector"];
    for selector in selectors {
        metadata::label_selector(out, &at.field(selector));
    }
    let has_selector = selectors.iter().any(|s| at.has(s));
    if let Some(block) = at.present("ipBlock") {
        ip_block(out, &block, known);
        if has_selector {
            out.push(Cause::forbidden(&at.path, "may not specify both ipBlock and another peer"));
        }
    } else if !has_selector {
        out.push(Cause::required(&at.path, "must specify a peer"));
    }
}

fn ip_block(out: &mut Causes, at: &Place<'_>, known: &[&str]) {
    if !require(out, at, "cidr") {
        return;
    }
    let rule = |network: &str| if known.contains(&network) { Vec::new() } else { names::cidr(network) };
    let cidr = at.text("cidr");
    invalid_all(out, &at.of("cidr"), cidr, rule(cidr));
    for except in at.list("except") {
        let text = except.as_text();
        invalid_all(out, &except.path, text, rule(text));
        if let (Some(outer), Some(inner)) = (network(cidr), network(text))
            && !contains(outer, inner)
        {
            out.push(Cause::invalid(&except.path, except.value, "must be a strict subset of `cidr`"));
        }
    }
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/')?;
    Some((address.parse().ok()?, bits.parse().ok()?))
}

/// True when the inner network is a smaller part of the outer.
fn contains((outer, outer_bits): (IpAddr, u32), (inner, inner_bits): (IpAddr, u32)) -> bool {
    let differing = match (outer, inner) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        _ => return false,
    };
    differing >= outer_bits && outer_bits < inner_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_smaller_ones() {
        for (outer, inner, does) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "11.0.0.0/16", true),
            ("2001:db8::/32", "2001:db8:1::/48", true),
            ("2001:db8::/32", "10.0.0.0/16", false),
        ] {
            assert_eq!(contains(network(outer).unwrap(), network(inner).unwrap()), does, "{outer} {inner}");
        }
    }
}
