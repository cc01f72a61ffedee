//! Kinds that go down as they are: Ingresses, PodDisruptionBudgets, and EndpointSlices of Services without a selector.
//!
//! What they name (Services, Secrets, pods by labels) has the same name in the super namespace. Addresses in
//! EndpointSlices are looked at: whatever forwards to them in the super cluster, an Ingress controller above all, is no
//! pod of the tenant's and is not held to its NetworkPolicy (CVE-2021-25740).

use crate::configs::Change;
use crate::difference::merge_patch;
use crate::isolation;
use crate::kinds::{Kind, SLICE_MANAGER, SLICES_MANAGED_BY};
use crate::ownership;
use crate::tenants::TenantView;
use crate::translation::{Place, Refusal, list, list_mut, meta_text, remove};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Label of an EndpointSlice: its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Annotation of an Ingress: its class, from before `spec.ingressClassName`.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
/// What else an object of these kinds says, in the order of the API.
const FIELDS: [&str; 4] = ["spec", "addressType", "endpoints", "ports"];
/// What of an endpoint is about the tenant's own objects and nodes.
const OF_THE_TENANT: &[&str] = &["targetRef", "nodeName", "zone", "hints", "deprecatedTopology"];

/// An object as the super cluster gets it.
pub fn downward(place: Place<'_>, kind: Kind, object: &Value) -> Result<Value, Refusal> {
    let name = place.super_name(kind, meta_text(object, "name"))?;
    let mut out = json!({
        "apiVersion": object["apiVersion"],
        "kind": kind.name(),
        "metadata": ownership::downward(place.tenant, place.super_namespace, &name, object),
    });
    for field in FIELDS {
        if let Some(value) = object.get(field).filter(|value| !value.is_null()) {
            out[field] = value.clone();
        }
    }
    if kind == Kind::Ingress {
        ingress_class(place.tenant, &mut out)?;
    }
    if kind == Kind::EndpointSlice {
        out["metadata"]["labels"][SLICES_MANAGED_BY] = json!(SLICE_MANAGER);
        for endpoint in list_mut(&mut out, "endpoints").into_iter().flatten() {
            remove(endpoint, OF_THE_TENANT);
        }
    }
    Ok(out)
}

/// Translates the class of an Ingress, where the tenant has classes. Without one it is the super cluster's default.
fn ingress_class(tenant: &TenantView, ingress: &mut Value) -> Result<(), Refusal> {
    let classes = &tenant.spec.network.ingress_classes;
    if classes.is_empty() {
        return Ok(());
    }
    let Value::Object(fields) = ingress else { return Ok(()) };
    for (of, field) in [("spec", "ingressClassName"), ("metadata", OLD_CLASS)] {
        let holder =
            fields.get_mut(of).map(|of| if field == OLD_CLASS { &mut of["annotations"] } else { of });
        let Some(name) = holder.and_then(|holder| holder.get_mut(field)) else { continue };
        let asked = name.as_str().unwrap_or("");
        let Some(class) = classes.iter().find(|class| class.tenant == asked) else {
            let known: Vec<&str> = classes.iter().map(|class| class.tenant.as_str()).collect();
            let message =
                format!("the class {asked:?} is not known: the platform offers {}", known.join(", "));
            return Err(Refusal::new("IngressClassUnknown", message));
        };
        *name = json!(class.super_class);
    }
    Ok(())
}

/// What must be done to `observed`.
pub fn change(observed: &Value, wanted: &Value) -> Change {
    if observed["addressType"] != wanted["addressType"] {
        return Change::Recreate;
    }
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    let mut wanted = wanted.clone();
    // The super cluster's default class.
    if wanted["spec"]["ingressClassName"].is_null()
        && let (Some(class), Some(spec)) =
            (observed["spec"].get("ingressClassName"), wanted["spec"].as_object_mut())
    {
        spec.insert("ingressClassName".into(), class.clone());
    }
    for field in FIELDS {
        if let Some(change) = merge_patch(&observed[field], &wanted[field]) {
            patch.insert(field.into(), change);
        }
    }
    if patch.is_empty() { Change::None } else { Change::Patch(patch.into()) }
}

/// The addresses of an EndpointSlice that a tenant may not name: those that are neither public, nor in
/// `spec.egress.allowedCIDRs`, nor a pod's of its own. An error for what is no address.
pub fn forbidden<'a>(
    tenant: &TenantView,
    slice: &'a Value,
    is_own: impl Fn(IpAddr) -> bool,
) -> Option<&'a str> {
    let addresses = list(slice, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
    addresses.filter_map(Value::as_str).find(|address| {
        let ip = address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        !ip.is_some_and(|ip| isolation::may_reach(tenant, ip) || is_own(ip))
    })
}

/// The addresses of an EndpointSlice that a tenant may name only if they are its pods'.
pub fn private_addresses(tenant: &TenantView, slice: &Value) -> Vec<IpAddr> {
    let addresses = list(slice, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
    let read = addresses.filter_map(|address| address.as_str()?.parse::<IpAddr>().ok());
    let private: BTreeSet<IpAddr> =
        read.map(|ip| ip.to_canonical()).filter(|ip| !isolation::may_reach(tenant, *ip)).collect();
    private.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translation::tests::shop;

    fn slice(addresses: &[&str]) -> Value {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "db-1", "namespace": "shop", "uid": "u", "labels": {SERVICE_NAME: "db"}},
            "endpoints": [{"addresses": addresses, "targetRef": {"kind": "Pod", "name": "x"}, "nodeName": "n",
                "conditions": {"ready": true}}],
            "ports": [{"port": 5432, "protocol": "TCP"}]})
    }

    #[test]
    fn slices_keep_addresses_and_ports_and_forget_the_tenants_nodes() {
        let tenant = TenantView::for_tests("acme", 7);
        let down = downward(shop(&tenant), Kind::EndpointSlice, &slice(&["192.0.2.7"])).unwrap();
        assert_eq!(down["endpoints"], json!([{"addresses": ["192.0.2.7"], "conditions": {"ready": true}}]));
        assert_eq!(down["ports"][0]["port"], 5432);
        assert_eq!(down["metadata"]["labels"][SERVICE_NAME], "db");
        assert_eq!(down["metadata"]["labels"][SLICES_MANAGED_BY], SLICE_MANAGER);
    }

    #[test]
    fn classes_of_ingresses_are_those_of_the_tenants_spec() {
        let classes =
            json!([{"tenant": "web", "super": "nginx", "default": true}, {"tenant": "inner", "super": "x"}]);
        for (classes, asked, old, expected) in [
            (json!([]), json!("nginx"), json!("any"), Ok((json!("nginx"), json!("any")))),
            (classes.clone(), json!("inner"), json!(null), Ok((json!("x"), json!(null)))),
            (classes.clone(), json!(null), json!("web"), Ok((json!(null), json!("nginx")))),
            (classes.clone(), json!(null), json!(null), Ok((json!(null), json!(null)))),
            (classes.clone(), json!("nginx"), json!(null), Err("IngressClassUnknown")),
            (classes, json!(null), json!("nginx"), Err("IngressClassUnknown")),
        ] {
            let mut tenant = TenantView::for_tests("acme", 7);
            tenant.spec.network.ingress_classes = serde_json::from_value(classes).unwrap();
            let mut ingress = json!({"metadata": {"name": "web", "annotations": {}}, "spec": {}});
            if !asked.is_null() {
                ingress["spec"]["ingressClassName"] = asked;
            }
            if !old.is_null() {
                ingress["metadata"]["annotations"][OLD_CLASS] = old;
            }
            let got = downward(shop(&tenant), Kind::Ingress, &ingress).map_err(|refusal| refusal.reason);
            let read = |i: Value| {
                (i["spec"]["ingressClassName"].clone(), i["metadata"]["annotations"][OLD_CLASS].clone())
            };
            assert_eq!(got.map(read), expected, "{ingress}");
        }
    }

    #[test]
    fn a_slice_names_what_the_tenant_may_reach_and_nothing_else() {
        let mut tenant = TenantView::for_tests("acme", 7);
        tenant.spec.egress.allowed_cidrs = vec!["10.9.0.0/16".to_owned(), "fd00:9::/32".to_owned()];
        let own: IpAddr = "10.244.0.9".parse().unwrap();
        for (address, is_allowed) in [
            ("8.8.8.8", true),
            ("10.9.3.4", true),
            ("10.244.0.9", true),
            ("10.244.0.10", false),
            ("10.96.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("2001:db8::1", true),
            ("fd00:9::1", true),
            ("fd00:8::1", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("::ffff:10.244.0.10", false),
            ("::ffff:10.9.0.1", true),
            ("64:ff9b::a9fe:a9fe", false),
            ("2002:7f00:1::", false),
            ("metadata.google.internal", false),
        ] {
            let slice = slice(&["8.8.4.4", address]);
            let refused = forbidden(&tenant, &slice, |ip| ip == own);
            assert_eq!(refused, (!is_allowed).then_some(address), "{address}");
        }
    }

    #[test]
    fn only_what_differs_is_patched_and_the_default_class_stays() {
        let object = |spec: Value| json!({"metadata": {"labels": {}, "annotations": {}}, "spec": spec});
        let rules = json!([{"host": "a.example"}]);
        let observed = object(json!({"ingressClassName": "nginx", "rules": rules}));
        assert_eq!(change(&observed, &object(json!({"rules": rules}))), Change::None);
        assert_eq!(
            change(&observed, &object(json!({"rules": rules, "ingressClassName": "other"}))),
            Change::Patch(json!({"spec": {"ingressClassName": "other"}}))
        );
        let budget = object(json!({"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}));
        let wanted = object(json!({"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}));
        assert_eq!(
            change(&budget, &wanted),
            Change::Patch(json!({"spec": {"minAvailable": null, "maxUnavailable": 1}}))
        );
        let of = |kind: &str| json!({"metadata": {"labels": {}, "annotations": {}}, "addressType": kind});
        assert_eq!(change(&of("IPv4"), &of("IPv6")), Change::Recreate);
    }
}
