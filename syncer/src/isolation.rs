//! What may reach a tenant's pods and what they may reach: the platform's NetworkPolicies (`networking.k8s.io/v1`), which
//! exist in super clusters only.
//!
//! Guarantees: the pods of a super namespace exchange packets with pods of their own tenant alone; both sides of every
//! connection are held to it, so that one policy that is late or gone opens no way between tenants. Assumes that the
//! super cluster's network enforces NetworkPolicies. Caveat: pods in the network of their node are beyond them.

pub mod ranges;

use crate::difference::merge_patch;
use crate::kinds::Kind;
use crate::names;
use crate::ownership::{self, Identity};
use crate::pods::environment::ApiAddress;
use crate::policies::open::OPEN;
use crate::tenants::TenantView;
use crate::translation::{Place, list, meta_text, text};
use api_types::labels;
use ranges::{Block, Range};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Ports of DNS servers: the one of the standard, and the one that OpenShift's have behind their Service. A policy looks
/// at addresses and ports after those of Services were replaced.
const DNS_PORTS: [u16; 2] = [53, 5353];

/// Where networks of machines and pods are, theirs and ours: what IANA's special-purpose registries (RFC 6890) do not
/// call global, with the address at which clouds tell a machine its credentials.
const PRIVATE: [(&str, &[&str]); 2] = [
    (
        "0.0.0.0/0",
        &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "240.0.0.0/4",
        ],
    ),
    ("::/0", &["::1/128", "fc00::/7", "fe80::/10"]),
];

/// Ranges that are neither written in a policy nor public: unspecified, multicast, and IPv6 forms of IPv4 addresses.
const NEVER: [&str; 8] = [
    "224.0.0.0/4",
    "::/128",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
    "ff00::/8",
];

/// Whether a tenant may name an address that is not one of its pods': a public one, or one in
/// `spec.egress.allowedCIDRs`.
pub fn may_reach(tenant: &TenantView, ip: IpAddr) -> bool {
    let closed = PRIVATE.iter().flat_map(|(_, ranges)| ranges.iter()).chain(&NEVER);
    let is_public = !closed.copied().any(|range| is_in(ip, range));
    is_public || tenant.spec.egress.allowed_cidrs.iter().any(|range| is_in(ip, range))
}

/// Whether an address is in a range; not in one that cannot be read.
fn is_in(ip: IpAddr, range: &str) -> bool {
    Range::parse(range).is_some_and(|range| range.has(ip))
}

/// Where a tenant's pods may send to on every port: public addresses, and those in `spec.egress.allowedCIDRs`.
pub fn reachable(tenant: &TenantView) -> Vec<Block> {
    let read = |ranges: &[&str]| ranges.iter().copied().filter_map(Range::parse).collect();
    let public = PRIVATE
        .iter()
        .filter_map(|(all, except)| Some(Block { cidr: Range::parse(all)?, except: read(except) }));
    let allowed = tenant.spec.egress.allowed_cidrs.iter().filter_map(|cidr| Range::parse(cidr));
    public.chain(allowed.map(Block::whole)).collect()
}

/// The ports of DNS servers, which are open wherever they are.
pub fn dns_ports() -> Vec<Value> {
    DNS_PORTS.iter().flat_map(|p| ["UDP", "TCP"].map(|protocol| port(protocol, &json!(p)))).collect()
}

/// The policies of a super namespace, for the tenant's namespace, the one last without which no pod may be: it holds for
/// all pods and lets nothing through. The others let through what the platform allows, for the pods that no policy of the
/// tenant closes.
pub fn policies(tenant: &TenantView, api: &ApiAddress, namespace: &Value) -> [Value; 3] {
    let super_namespace = tenant.super_namespace(meta_text(namespace, "name"));
    [
        (names::OPEN_INGRESS, ingress_spec(tenant)),
        (names::OPEN_EGRESS, egress_spec(tenant, api)),
        (names::ISOLATION, isolation_spec()),
    ]
    .map(|(name, spec)| policy(tenant, &super_namespace, name, namespace, spec))
}

/// Nothing comes in and nothing goes out, but by another policy.
pub fn isolation_spec() -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
}

fn own(tenant: &TenantView) -> Value {
    json!([{"namespaceSelector": {"matchLabels": {labels::TENANT_UID: tenant.id.to_string()}}}])
}

fn ingress_spec(tenant: &TenantView) -> Value {
    json!({
        "podSelector": {"matchLabels": {labels::INGRESS: OPEN}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": own(tenant)}],
    })
}

fn egress_spec(tenant: &TenantView, api: &ApiAddress) -> Value {
    let outside: Vec<Value> = reachable(tenant).iter().map(Block::peer).collect();
    json!({
        "podSelector": {"matchLabels": {labels::EGRESS: OPEN}},
        "policyTypes": ["Egress"],
        "egress": [{"to": own(tenant)}, {"ports": dns_ports()}, {"to": outside}, to_api(api)],
    })
}

/// The way to the tenant's API. A policy knows no names: behind one, every address has the port open.
fn to_api(api: &ApiAddress) -> Value {
    let ports = json!([port("TCP", &json!(api.port))]);
    match api.host.parse::<IpAddr>() {
        Ok(ip) => {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            json!({"to": [{"ipBlock": {"cidr": format!("{ip}/{bits}")}}], "ports": ports})
        }
        Err(_) => json!({"ports": ports}),
    }
}

/// Which pods a tenant's Service publishes, by their labels, and which of their ports; `None` for one that is not
/// reached from outside.
pub fn published_ports(service: &Value) -> Option<(&Map<String, Value>, Vec<Value>)> {
    let spec = &service["spec"];
    let is_published = matches!(text(spec, "type"), "NodePort" | "LoadBalancer");
    // Without a selector there are no pods to open.
    let selector = spec["selector"].as_object().filter(|selector| !selector.is_empty())?;
    let ports: Vec<Value> = list(spec, "ports").iter().map(target).collect();
    (is_published && !ports.is_empty()).then_some((selector, ports))
}

/// The policy that opens the pods of a tenant's Service to everyone, but for those that a policy of the tenant closes;
/// `None` for one that is not reached from outside.
pub fn published(place: Place<'_>, service: &Value) -> Option<Value> {
    let (selector, ports) = published_ports(service)?;
    let mut selector = selector.clone();
    selector.insert(labels::INGRESS.into(), json!(OPEN));
    let opened = json!({
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress"],
        // From anywhere: behind load balancers, packets often come from a node of the cluster.
        "ingress": [{"ports": ports}],
    });
    let name = names::published(meta_text(service, "name"));
    Some(policy(place.tenant, place.super_namespace, &name, service, opened))
}

/// The port of the pods behind a port of a Service.
fn target(service_port: &Value) -> Value {
    let target = &service_port["targetPort"];
    let is_said = target.as_str().is_some_and(|t| !t.is_empty()) || target.as_i64().is_some_and(|n| n != 0);
    let number = if is_said { target } else { &service_port["port"] };
    port(service_port["protocol"].as_str().unwrap_or("TCP"), number)
}

fn port(protocol: &str, port: &Value) -> Value {
    json!({"port": port, "protocol": protocol})
}

fn policy(tenant: &TenantView, super_namespace: &str, name: &str, stands_for: &Value, spec: Value) -> Value {
    let mut identity = Map::new();
    for field in ["namespace", "name", "uid"] {
        identity.insert(field.into(), stands_for["metadata"][field].clone());
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": ownership::downward(tenant, super_namespace, name, &json!({"metadata": identity})),
        "spec": spec,
    })
}

/// The kind of the tenant's object for which the policy of this name was made.
pub fn stands_for(policy: &str, identity: &Identity) -> Kind {
    match policy {
        _ if identity.namespace.is_empty() => Kind::Namespace,
        _ if names::is_published(policy) => Kind::Service,
        _ => Kind::NetworkPolicy,
    }
}

/// The merge patch that makes a policy as it is wanted, to the letter: a peer more or a label less is another policy.
/// `None` when it is so.
pub fn patch(observed: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    if let Some(spec) = merge_patch(&observed["spec"], &wanted["spec"]) {
        patch.insert("spec".into(), spec);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
pub(crate) mod packets;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translation::tests::shop;

    fn api(host: &str) -> ApiAddress {
        ApiAddress { host: host.into(), port: 7443 }
    }

    /// The addresses and ports that a pod of the tenant may send to, as `CIDR-EXCEPTIONS:PORTS`.
    fn egress(tenant: &TenantView, api: &ApiAddress) -> Vec<String> {
        let spec = egress_spec(tenant, api);
        let texts = |rule: &Value| -> Vec<String> {
            let ports: Vec<String> = list(rule, "ports").iter().map(|p| p["port"].to_string()).collect();
            let ports = if ports.is_empty() { "all".to_owned() } else { ports.join(",") };
            if rule["to"].is_null() {
                return vec![format!("anywhere:{ports}")];
            }
            let peer = |peer: &Value| match peer["ipBlock"]["cidr"].as_str() {
                Some(cidr) => format!("{cidr}-{}:{ports}", list(&peer["ipBlock"], "except").len()),
                None => format!("{}:{ports}", peer["namespaceSelector"]["matchLabels"]),
            };
            list(rule, "to").iter().map(peer).collect()
        };
        list(&spec, "egress").iter().flat_map(texts).collect()
    }

    #[test]
    fn pods_reach_their_own_dns_the_public_and_their_api() {
        let tenant = TenantView::for_tests("acme", 7);
        let own = format!("{{\"insula.dev/tenant-uid\":\"{}\"}}:all", tenant.id);
        let dns = "anywhere:53,53,5353,5353";
        let (v4, v6) = ("0.0.0.0/0-9:all", "::/0-3:all");
        for (host, cidrs, expected) in [
            ("10.0.0.1", vec![], vec![&own, dns, v4, v6, "10.0.0.1/32-0:7443"]),
            ("fd00::1", vec![], vec![&own, dns, v4, v6, "fd00::1/128-0:7443"]),
            ("api.example.com", vec![], vec![&own, dns, v4, v6, "anywhere:7443"]),
            (
                "10.0.0.1",
                vec!["10.9.0.0/16", "fd00:9::/32"],
                vec![&own, dns, v4, v6, "10.9.0.0/16-0:all", "fd00:9::/32-0:all", "10.0.0.1/32-0:7443"],
            ),
        ] {
            let mut tenant = tenant.clone();
            tenant.spec.egress.allowed_cidrs = cidrs.into_iter().map(str::to_owned).collect();
            assert_eq!(egress(&tenant, &api(host)), expected, "{host}");
        }
    }

    #[test]
    fn all_pods_are_closed_and_those_without_policies_are_reached_by_their_own_tenant_alone() {
        let tenant = TenantView::for_tests("acme", 7);
        let namespace = json!({"metadata": {"name": "shop", "uid": "u", "labels": {"team": "a"}}});
        let [ingress, egress, all] = policies(&tenant, &api("10.0.0.1"), &namespace);
        assert_eq!(all["spec"], json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        let uid = tenant.id.to_string();
        assert_eq!(
            ingress["spec"],
            json!({"podSelector": {"matchLabels": {"insula.dev/ingress": "open"}}, "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"insula.dev/tenant-uid": uid}}}]}]})
        );
        assert_eq!(egress["spec"]["podSelector"], json!({"matchLabels": {"insula.dev/egress": "open"}}));
        assert_eq!(egress["spec"]["policyTypes"], json!(["Egress"]));
        let space = names::super_namespace("acme", tenant.id, "shop");
        for (policy, name) in
            [(all, names::ISOLATION), (ingress, names::OPEN_INGRESS), (egress, names::OPEN_EGRESS)]
        {
            assert_eq!(
                policy["metadata"],
                json!({"name": name, "namespace": space,
                    "labels": {"insula.dev/tenant": "acme", "insula.dev/tenant-uid": uid},
                    "annotations": {"insula.dev/namespace": "", "insula.dev/name": "shop", "insula.dev/uid": "u"}})
            );
            assert_eq!(stands_for(name, &Identity::of(&policy).unwrap()), Kind::Namespace);
        }
    }

    #[test]
    fn a_published_service_opens_the_ports_of_its_pods() {
        let tenant = TenantView::for_tests("acme", 7);
        let opened = |spec: Value| {
            let service = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec});
            published(shop(&tenant), &service)
        };
        let selector = json!({"app": "web"});
        let ports = json!([{"port": 80}, {"port": 53, "protocol": "UDP", "targetPort": 5300},
            {"port": 443, "targetPort": "tls"}]);
        for kind in ["NodePort", "LoadBalancer"] {
            let policy =
                opened(json!({"type": kind, "selector": selector.clone(), "ports": ports.clone()})).unwrap();
            assert_eq!(
                policy["spec"],
                json!({"podSelector": {"matchLabels": {"app": "web", "insula.dev/ingress": "open"}}, "policyTypes": ["Ingress"],
                    "ingress": [{"ports": [{"port": 80, "protocol": "TCP"}, {"port": 5300, "protocol": "UDP"},
                        {"port": "tls", "protocol": "TCP"}]}]})
            );
            assert_eq!(policy["metadata"]["name"], "insula-sync-published-web");
            assert_eq!(policy["metadata"]["namespace"], "acme-shop-hash");
            let identity = Identity::of(&policy).unwrap();
            assert_eq!(stands_for("insula-sync-published-web", &identity), Kind::Service);
            assert_eq!(stands_for("web", &identity), Kind::NetworkPolicy);
        }
        for closed in [
            json!({"type": "ClusterIP", "selector": selector.clone(), "ports": ports.clone()}),
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({"type": "NodePort", "ports": ports.clone()}),
            json!({"type": "NodePort", "selector": {}, "ports": ports}),
            json!({"type": "LoadBalancer", "selector": selector}),
        ] {
            assert_eq!(opened(closed.clone()), None, "{closed}");
        }
    }

    #[test]
    fn every_deviation_is_set_right() {
        let tenant = TenantView::for_tests("acme", 7);
        let namespace = json!({"metadata": {"name": "shop", "uid": "u"}});
        let [ingress, wanted, _] = policies(&tenant, &api("10.0.0.1"), &namespace);
        let changed = |pointer: &str, value: Value| {
            let mut observed = wanted.clone();
            *observed.pointer_mut(pointer).unwrap() = value;
            patch(&observed, &wanted)
        };
        assert_eq!(patch(&wanted, &wanted), None);
        for (pointer, value, expected) in [
            (
                "/spec/podSelector",
                json!({"matchLabels": {"a": "b"}}),
                json!({"podSelector": {"matchLabels": {"a": null, "insula.dev/egress": "open"}}}),
            ),
            ("/spec/egress", json!([{}]), json!({"egress": wanted["spec"]["egress"]})),
            ("/spec/egress/0/to/0", json!({"podSelector": {}}), json!({"egress": wanted["spec"]["egress"]})),
            ("/spec/policyTypes", json!(["Ingress"]), json!({"policyTypes": ["Egress"]})),
            ("/spec/egress/3/ports/0/port", json!(1), json!({"egress": wanted["spec"]["egress"]})),
        ] {
            assert_eq!(changed(pointer, value), Some(json!({"spec": expected})), "{pointer}");
        }
        assert!(patch(&ingress, &wanted).is_some());
        let metadata = changed("/metadata/labels", json!({})).unwrap();
        assert_eq!(metadata["metadata"]["labels"], wanted["metadata"]["labels"]);
    }
}
