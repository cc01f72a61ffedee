//! Which packets policies let pass, by the rules of `networking.k8s.io/v1`. A part of tests alone.

use super::*;
use crate::policies::open::{Open, labels_of};
use crate::translation::tests::shop;
use api_types::tenancy::LabelSelector;

/// Whether blocks of addresses hold for pods too: some network plugins read them so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    ForAll,
    ForOthers,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub ip: &'static str,
    /// The labels of its namespace; `None` outside of the cluster and on its machines.
    pub namespace: Option<Value>,
    pub labels: Value,
    /// The specs of the policies in its namespace.
    pub policies: Vec<Value>,
}

pub(crate) fn machine(ip: &'static str) -> End {
    End { ip, namespace: None, labels: json!({}), policies: Vec::new() }
}

/// A pod in the cluster's own namespaces.
pub(crate) fn system(ip: &'static str) -> End {
    End { namespace: Some(json!({"kubernetes.io/metadata.name": "kube-system"})), ..machine(ip) }
}

/// A pod of a tenant in a namespace of it, under the platform's policies, with these labels of its own. The tenant's
/// policies of the namespace say which directions they close.
pub(crate) fn pod_in(
    tenant: &TenantView,
    namespace: &Value,
    ip: &'static str,
    labels: Value,
    own: &[Value],
) -> End {
    let api = ApiAddress { host: "10.0.0.1".into(), port: 7443 };
    let down = crate::namespaces::downward(tenant, namespace);
    let mut space = down["metadata"]["labels"].clone();
    space["kubernetes.io/metadata.name"] = down["metadata"]["name"].clone();
    let mut labels = labels;
    let open = Open::of(own, &labels_of(&json!({"metadata": {"labels": labels}})));
    for (key, value) in open.labels() {
        labels[key] = json!(value);
    }
    let policies = super::policies(tenant, &api, namespace).map(|policy| policy["spec"].clone()).to_vec();
    End { ip, namespace: Some(space), labels, policies }
}

fn pod(tenant: &TenantView, ip: &'static str) -> End {
    pod_in(tenant, &json!({"metadata": {"name": "shop"}}), ip, json!({"app": "web"}), &[])
}

/// The same pod behind a published Service.
fn behind_service(tenant: &TenantView, ip: &'static str) -> End {
    let service = json!({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer",
        "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    let mut pod = pod(tenant, ip);
    pod.policies.push(published(shop(tenant), &service).unwrap()["spec"].clone());
    pod
}

fn passes(from: &End, to: &End, port: u16) -> bool {
    goes(from, to, port, Blocks::ForAll)
}

/// Whether TCP goes from one end to a port of the other.
pub(crate) fn goes(from: &End, to: &End, port: u16, blocks: Blocks) -> bool {
    lets(from, to, ["Egress", "egress", "to"], port, blocks)
        && lets(to, from, ["Ingress", "ingress", "from"], port, blocks)
}

fn lets(own: &End, other: &End, names: [&str; 3], port: u16, blocks: Blocks) -> bool {
    let [direction, rules, peers] = names;
    let holds = |policy: &&Value| {
        let (ingress, egress) = crate::policies::open::directions(policy);
        let of_direction = if direction == "Ingress" { ingress } else { egress };
        of_direction && selects(&policy["podSelector"], &own.labels)
    };
    let mut of_direction = own.policies.iter().filter(holds).peekable();
    let has_port =
        |rule: &Value| list(rule, "ports").is_empty() || list(rule, "ports").iter().any(|p| is_port(p, port));
    let has_peer = |rule: &Value| {
        list(rule, peers).is_empty() || list(rule, peers).iter().any(|p| is_peer(p, own, other, blocks))
    };
    of_direction.peek().is_none()
        || of_direction.any(|policy| list(policy, rules).iter().any(|rule| has_port(rule) && has_peer(rule)))
}

fn is_port(allowed: &Value, port: u16) -> bool {
    if allowed["protocol"].as_str().unwrap_or("TCP") != "TCP" {
        return false;
    }
    match (allowed["port"].as_u64(), allowed["endPort"].as_u64()) {
        (Some(from), Some(to)) => (from..=to).contains(&port.into()),
        (Some(one), None) => one == u64::from(port),
        (None, _) => allowed["port"].is_null(),
    }
}

fn is_peer(peer: &Value, own: &End, end: &End, blocks: Blocks) -> bool {
    if peer["ipBlock"].is_object() {
        let block = Block::read(&peer["ipBlock"]).unwrap();
        return block.has(end.ip.parse().unwrap()) && (blocks == Blocks::ForAll || end.namespace.is_none());
    }
    let Some(namespace) = &end.namespace else { return false };
    let in_namespace = match peer.get("namespaceSelector") {
        Some(selector) => selects(selector, namespace),
        None => own.namespace.as_ref() == Some(namespace),
    };
    in_namespace && peer.get("podSelector").is_none_or(|selector| selects(selector, &end.labels))
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let selector: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
    selector.matches(&labels_of(&json!({"metadata": {"labels": labels}})))
}

#[test]
fn pods_reach_their_own_tenant_and_the_public_and_nothing_else() {
    let (acme, mut globex) = (TenantView::for_tests("acme", 7), TenantView::for_tests("globex", 8));
    globex.spec.egress.allowed_cidrs = vec!["10.9.0.0/16".to_owned()];
    let web = || pod(&acme, "10.244.1.1");
    let other = || pod(&globex, "10.244.1.2");
    for (what, from, to, port, expected) in [
        ("its own tenant", web(), pod(&acme, "10.244.7.7"), 9000, true),
        ("its own tenant by a global address", web(), pod(&acme, "2001:db8::7"), 9000, true),
        ("another tenant", web(), other(), 80, false),
        ("another tenant, back", other(), web(), 80, false),
        ("another tenant by a global address", web(), pod(&globex, "2001:db8::7"), 80, false),
        ("another tenant's DNS port", web(), other(), 53, false),
        ("the cluster's DNS", web(), system("10.244.9.9"), 53, true),
        ("DNS of OpenShift", web(), system("10.244.9.9"), 5353, true),
        ("a pod of the cluster", web(), system("10.244.9.9"), 443, false),
        ("a pod of the cluster, back", system("10.244.9.9"), web(), 443, false),
        ("a machine's kubelet", web(), machine("192.168.7.7"), 10250, false),
        ("the cloud's credentials", web(), machine("169.254.169.254"), 80, false),
        ("the public", web(), machine("8.8.8.8"), 443, true),
        ("the public, IPv6", web(), machine("2001:4860:4860::8888"), 443, true),
        ("a private network, IPv6", web(), machine("fd00::5"), 443, false),
        ("from the public", machine("8.8.8.8"), web(), 80, false),
        ("its API", web(), machine("10.0.0.1"), 7443, true),
        ("what else runs beside its API", web(), machine("10.0.0.1"), 22, false),
        ("a private network", web(), machine("10.9.1.1"), 5432, false),
        ("a private network that is allowed", other(), machine("10.9.1.1"), 5432, true),
        ("one beside it", other(), machine("10.10.1.1"), 5432, false),
    ] {
        assert_eq!(passes(&from, &to, port), expected, "{what}");
    }
}

#[test]
fn published_ports_are_open_to_everyone_outside() {
    let (acme, globex) = (TenantView::for_tests("acme", 7), TenantView::for_tests("globex", 8));
    let open = || behind_service(&acme, "10.244.1.1");
    for (what, from, port, expected) in [
        ("the public", machine("8.8.8.8"), 8080, true),
        ("a machine of the cluster", machine("192.168.7.7"), 8080, true),
        ("the port of the Service is not that of the pod", machine("8.8.8.8"), 80, false),
        ("its own tenant on any port", pod(&acme, "10.244.7.7"), 9000, true),
        ("another tenant, around the load balancer", pod(&globex, "10.244.1.2"), 8080, false),
    ] {
        assert_eq!(passes(&from, &open(), port), expected, "{what}");
    }
    assert!(!passes(&open(), &pod(&globex, "10.244.1.2"), 8080), "publishing opens no way out");
}

#[test]
fn one_policy_that_is_missing_opens_nothing_between_tenants() {
    let (acme, globex) = (TenantView::for_tests("acme", 7), TenantView::for_tests("globex", 8));
    let bare = || End { policies: Vec::new(), ..pod(&acme, "10.244.1.1") };
    let whole = || pod(&globex, "10.244.1.2");
    assert!(!passes(&bare(), &whole(), 80));
    assert!(!passes(&whole(), &bare(), 80));
    let another = End { policies: Vec::new(), ..whole() };
    assert!(passes(&bare(), &another, 80), "without any policy they would meet");
}
