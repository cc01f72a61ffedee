//! Super clusters.

use super::required::required;
use super::{Row, Rules, not_yet, unique, unless_same_spec};
use crate::kinds::place::{Place, invalid_all, one_of, required_one_of, set_default_text};
use crate::names;
use api_types::Cause;
use api_types::tenancy::{GROUP, SYSTEM_NAMESPACE};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The most DNS servers that Kubernetes lets a pod have.
const DNS_ADDRESSES: usize = 3;

pub(super) const STRATEGIES: &[Row] = &[(
    GROUP,
    "SuperCluster",
    Rules {
        default: default_super_cluster,
        validate_create: super_cluster,
        validate_update: |new, old| unless_same_spec(new, old, super_cluster),
        name: Some(names::dns_label),
    },
)];

fn default_super_cluster(object: &mut Value) {
    let Some(spec) = object.get_mut("spec") else { return };
    set_default_text(spec, "reach", "direct");
    if let Some(secret) = spec.get_mut("kubeconfigSecret") {
        set_default_text(secret, "namespace", SYSTEM_NAMESPACE);
        set_default_text(secret, "key", "value");
    }
}

fn super_cluster(object: &Value) -> Vec<Cause> {
    let mut out = required(GROUP, "SuperCluster", object);
    let spec = Place::root(object).field("spec");
    one_of(&mut out, &spec, "reach", &["direct", "apiServerProxy"]);
    if spec.text("reach") == "apiServerProxy" {
        let what = "reaching pods through the super cluster's API server is";
        not_yet(&mut out, &spec.field("reach"), what, "use direct");
    }
    let addresses: Vec<Place<'_>> = spec.list("dnsAddresses").collect();
    unique(&mut out, addresses.iter().map(|address| (address.path.clone(), address.as_text())));
    for (index, address) in addresses.iter().enumerate() {
        let text = address.as_text();
        invalid_all(&mut out, &address.path, text, names::ip(text));
        if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            out.push(Cause::invalid(
                &address.path,
                &json!(text),
                "stands for all addresses; say by which one pods reach it",
            ));
        }
        if index == DNS_ADDRESSES {
            let detail = format!("pods can have {DNS_ADDRESSES} DNS servers");
            out.push(Cause::invalid(&address.path, &json!(text), &detail));
        }
    }
    for taint in spec.list("taints") {
        let (key, value) = (taint.text("key"), taint.text("value"));
        invalid_all(&mut out, &taint.of("key"), key, names::qualified_name(key));
        invalid_all(&mut out, &taint.of("value"), value, names::label_value(value));
        required_one_of(&mut out, &taint, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        if taint.text("effect") == "NoExecute" {
            let what = "moving tenants away from a super cluster is";
            not_yet(&mut out, &taint.field("effect"), what, "use NoSchedule or PreferNoSchedule");
        }
        if taint.has("timeAdded") {
            out.push(Cause::forbidden(taint.of("timeAdded"), "says nothing about a super cluster"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;
    use super::*;

    #[test]
    fn super_clusters_get_defaults() {
        let mut object = json!({"spec": {"kubeconfigSecret": {"name": "hz-1"}}});
        default_super_cluster(&mut object);
        assert_eq!(
            object["spec"],
            json!({"reach": "direct",
            "kubeconfigSecret": {"name": "hz-1", "namespace": "insula-system", "key": "value"}})
        );
        assert_eq!(super_cluster(&object), []);
    }

    #[test]
    fn super_clusters_take_what_has_an_effect() {
        let given = |spec: Value| fields(GROUP, "SuperCluster", &json!({"spec": spec}));
        for effect in ["NoSchedule", "PreferNoSchedule"] {
            let taint = json!({"key": "gpu", "value": "a", "effect": effect});
            assert_eq!(
                given(
                    json!({"cordoned": true, "taints": [taint], "dnsAddresses": ["10.0.0.53", "fd00::53"]})
                ),
                Vec::<String>::new()
            );
        }
        for (spec, field) in [
            (json!({"reach": "tunnel"}), "spec.reach"),
            (json!({"reach": "apiServerProxy"}), "spec.reach"),
            (json!({"dnsAddresses": ["dns.example.com"]}), "spec.dnsAddresses[0]"),
            (json!({"dnsAddresses": ["10.0.0.1", "0.0.0.0"]}), "spec.dnsAddresses[1]"),
            (json!({"dnsAddresses": ["10.0.0.1", "10.0.0.1"]}), "spec.dnsAddresses[1]"),
            (
                json!({"dnsAddresses": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::4"]}),
                "spec.dnsAddresses[3]",
            ),
            (json!({"taints": [{"key": "gpu"}]}), "spec.taints[0].effect"),
            (json!({"taints": [{"key": "gpu", "effect": "NoExecute"}]}), "spec.taints[0].effect"),
            (json!({"taints": [{"effect": "NoSchedule"}]}), "spec.taints[0].key"),
            (json!({"taints": [{"key": "a", "value": "?", "effect": "NoSchedule"}]}), "spec.taints[0].value"),
        ] {
            assert_eq!(given(spec.clone()), [field], "{spec}");
        }
    }
}
