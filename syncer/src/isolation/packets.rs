//! Which packets the policies let pass, by the rules of `networking.k8s.io/v1`, where blocks of addresses hold for pods
//! too: some network plugins read them so.

use super::*;
use crate::translation::tests::shop;

/// One end of a connection.
struct End {
    ip: &'static str,
    /// The labels of its namespace; `None` outside of the cluster and on its machines.
    namespace: Option<Value>,
    labels: Value,
    /// The specs of the policies in its namespace.
    policies: Vec<Value>,
}

fn machine(ip: &'static str) -> End {
    End { ip, namespace: None, labels: json!({}), policies: Vec::new() }
}

/// A pod in the cluster's own namespaces.
fn system(ip: &'static str) -> End {
    End { namespace: Some(json!({"kubernetes.io/metadata.name": "kube-system"})), ..machine(ip) }
}

/// A pod of a tenant.
fn pod(tenant: &TenantView, ip: &'static str) -> End {
    let namespace = crate::namespaces::downward(tenant, &json!({"metadata": {"name": "shop"}}));
    let api = ApiAddress { host: "10.0.0.1".into(), port: 7443 };
    End {
        ip,
        namespace: Some(namespace["metadata"]["labels"].clone()),
        labels: json!({"app": "web"}),
        policies: vec![isolation_spec(tenant, &api)],
    }
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
    lets(from, to, "Egress", "egress", "to", port) && lets(to, from, "Ingress", "ingress", "from", port)
}

fn lets(own: &End, other: &End, direction: &str, rules: &str, peers: &str, port: u16) -> bool {
    let mut of_direction = own
        .policies
        .iter()
        .filter(|p| {
            list(p, "policyTypes").contains(&json!(direction)) && selects(&p["podSelector"], &own.labels)
        })
        .peekable();
    let has_port = |rule: &Value| {
        rule["ports"].is_null()
            || list(rule, "ports").iter().any(|p| p["port"] == port && p["protocol"] == "TCP")
    };
    let has_peer =
        |rule: &Value| rule[peers].is_null() || list(rule, peers).iter().any(|p| is_peer(p, other));
    of_direction.peek().is_none()
        || of_direction.any(|policy| list(policy, rules).iter().any(|rule| has_port(rule) && has_peer(rule)))
}

fn is_peer(peer: &Value, end: &End) -> bool {
    if let Some(cidr) = peer["ipBlock"]["cidr"].as_str() {
        let except = list(&peer["ipBlock"], "except");
        let ip = end.ip.parse().unwrap();
        return is_in(ip, cidr) && !except.iter().any(|e| is_in(ip, e.as_str().unwrap()));
    }
    end.namespace.as_ref().is_some_and(|labels| selects(&peer["namespaceSelector"], labels))
}

fn selects(selector: &Value, labels: &Value) -> bool {
    selector["matchLabels"].as_object().into_iter().flatten().all(|(key, value)| labels[key] == *value)
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
