use super::*;
use crate::question::read;
use plane_client::fake::FakePlanes;
use plane_client::{Actor, Target, Write};
use serde_json::json;
use uuid::Uuid;

const USER: Actor = Actor::Platform("a-test");

fn tenant(n: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(n))
}

/// The pods and Services of the tests, by address.
pub struct Known;

impl PodDirectory for Known {
    fn pod_at(&self, address: IpAddr) -> Option<(TenantId, ObjectName)> {
        match address.to_string().as_str() {
            "10.1.0.1" => Some((tenant(1), ObjectName::new("shop", "db-0"))),
            "10.1.0.3" => Some((tenant(1), ObjectName::new("shop", "web-x"))),
            "fd00::1" => Some((tenant(1), ObjectName::new("shop", "web-y"))),
            "10.1.0.9" => Some((tenant(2), ObjectName::new("shop", "db-0"))),
            _ => None,
        }
    }

    fn service_at(&self, of: TenantId, address: IpAddr) -> Option<ObjectName> {
        let is_web = of == tenant(1) && address.to_string() == "10.96.0.7";
        is_web.then(|| ObjectName::new("shop", "web"))
    }
}

async fn planes() -> FakePlanes {
    let planes = FakePlanes::new();
    let slices = "discovery.k8s.io";
    let service = |name: &str, spec: Value| {
        ("", "services", json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}))
    };
    let slice = |name: &str, service: &str, labels: Value, rest: Value| {
        let mut slice = rest;
        slice["metadata"] = json!({"name": name, "namespace": "shop", "labels": labels});
        slice["metadata"]["labels"][SERVICE_NAME] = json!(service);
        (slices, "endpointslices", slice)
    };
    let ports = json!([{"name": "sql", "port": 5432, "protocol": "TCP"}, {"name": "", "port": 53, "protocol": "UDP"}]);
    for (group, plural, object) in [
        ("", "namespaces", json!({"metadata": {"name": "shop"}})),
        service(
            "web",
            json!({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}),
        ),
        service("db", json!({"clusterIP": "None"})),
        service("none", json!({"clusterIP": "None"})),
        service("far", json!({"type": "ExternalName", "externalName": "db.example.com"})),
        slice(
            "db-1",
            "db",
            json!({HEADLESS: ""}),
            json!({"addressType": "IPv4", "ports": ports, "endpoints": [
            {"addresses": ["10.1.0.1"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.1.0.2"], "conditions": {"ready": false}},
            {"addresses": ["10.1.0.3"], "conditions": {"ready": true}}]}),
        ),
        slice(
            "db-2",
            "db",
            json!({HEADLESS: ""}),
            json!({"addressType": "IPv6", "ports": ports, "endpoints": [
            {"addresses": ["fd00::1"], "hostname": "db-0"}]}),
        ),
        slice("web-1", "web", json!({}), json!({"ports": [], "endpoints": [{"addresses": ["10.1.0.1"]}]})),
    ] {
        let resource = api_types::Resource::new(group, "v1", plural);
        let target =
            Target::new(tenant(1), &resource, object["metadata"]["namespace"].as_str().unwrap_or(""), "");
        planes.write(&USER, &target, Write::Create(object)).await.unwrap();
    }
    planes
}

/// What a tenant is told of a name: records as in zone files, or the verdict.
async fn told(zone: &Zone, tenant: TenantId, name: &str, kind: RecordType) -> String {
    let name = Name::from_ascii(name).unwrap();
    let found = zone.find(tenant, &name, &read(&name), kind).await.unwrap();
    let of = |record: &Record| {
        let owner = if record.name == name { String::new() } else { format!("{} ", record.name) };
        format!("{owner}{} {}", record.record_type(), record.data)
    };
    match found {
        None => "elsewhere".to_owned(),
        Some(Found::NoData) => "no data".to_owned(),
        Some(Found::NoName) => "no name".to_owned(),
        Some(Found::Alias(other)) => format!("alias {other}"),
        Some(Found::Records(answers, more)) => {
            answers.iter().chain(&more).map(of).collect::<Vec<_>>().join("; ")
        }
    }
}

#[tokio::test]
async fn the_scheme_of_kubernetes_is_answered() {
    use RecordType::{A, AAAA, ANY, CNAME, MX, PTR, SOA, SRV, TXT};
    let zone = Zone::new(Arc::new(planes().await), Arc::new(Known));
    for (name, kind, expected) in [
        // 2.2
        ("dns-version.cluster.local.", TXT, "TXT 1.1.0"),
        ("dns-version.cluster.local.", A, "no data"),
        // 2.3
        ("web.shop.svc.cluster.local.", A, "A 10.96.0.7"),
        ("WEB.Shop.svc.cluster.local.", AAAA, "AAAA fd00::7"),
        ("web.shop.svc.cluster.local.", ANY, "A 10.96.0.7; AAAA fd00::7"),
        ("web.shop.svc.cluster.local.", MX, "no data"),
        (
            "_http._tcp.web.shop.svc.cluster.local.",
            SRV,
            "SRV 0 100 80 web.shop.svc.cluster.local.; web.shop.svc.cluster.local. A 10.96.0.7; \
             web.shop.svc.cluster.local. AAAA fd00::7",
        ),
        ("_http._tcp.web.shop.svc.cluster.local.", A, "no data"),
        ("_http._udp.web.shop.svc.cluster.local.", SRV, "no name"),
        (
            "_dns._udp.web.shop.svc.cluster.local.",
            SRV,
            "SRV 0 100 53 web.shop.svc.cluster.local.; web.shop.svc.cluster.local. A 10.96.0.7; web.shop.svc.cluster.local. AAAA fd00::7",
        ),
        ("_tcp.web.shop.svc.cluster.local.", A, "no data"),
        ("_sctp.web.shop.svc.cluster.local.", A, "no name"),
        ("_http._tcp.none.shop.svc.cluster.local.", SRV, "no name"),
        ("7.0.96.10.in-addr.arpa.", PTR, "PTR web.shop.svc.cluster.local."),
        ("7.0.96.10.in-addr.arpa.", A, "no data"),
        // 2.4
        ("db.shop.svc.cluster.local.", A, "A 10.1.0.1; A 10.1.0.3"),
        ("db.shop.svc.cluster.local.", AAAA, "AAAA fd00::1"),
        ("db-0.db.shop.svc.cluster.local.", A, "A 10.1.0.1"),
        ("db-0.db.shop.svc.cluster.local.", AAAA, "AAAA fd00::1"),
        ("10-1-0-3.db.shop.svc.cluster.local.", A, "A 10.1.0.3"),
        ("10-1-0-2.db.shop.svc.cluster.local.", A, "no name"),
        ("db-1.db.shop.svc.cluster.local.", A, "no name"),
        ("10-1-0-1.web.shop.svc.cluster.local.", A, "no name"),
        (
            "_sql._tcp.db.shop.svc.cluster.local.",
            SRV,
            "SRV 0 100 5432 db-0.db.shop.svc.cluster.local.; SRV 0 100 5432 10-1-0-3.db.shop.svc.cluster.local.; \
             SRV 0 100 5432 db-0.db.shop.svc.cluster.local.; db-0.db.shop.svc.cluster.local. A 10.1.0.1; \
             10-1-0-3.db.shop.svc.cluster.local. A 10.1.0.3; db-0.db.shop.svc.cluster.local. AAAA fd00::1",
        ),
        ("none.shop.svc.cluster.local.", A, "no name"),
        ("none.shop.svc.cluster.local.", SRV, "no name"),
        ("1.0.1.10.in-addr.arpa.", PTR, "PTR db-0.db.shop.svc.cluster.local."),
        ("3.0.1.10.in-addr.arpa.", PTR, "PTR 10-1-0-3.db.shop.svc.cluster.local."),
        // 2.5
        ("far.shop.svc.cluster.local.", CNAME, "alias db.example.com."),
        ("far.shop.svc.cluster.local.", A, "alias db.example.com."),
        // Pods.
        ("10-1-0-3.shop.pod.cluster.local.", A, "A 10.1.0.3"),
        ("10-1-0-3.shop.pod.cluster.local.", AAAA, "no data"),
        ("fd00--1.shop.pod.cluster.local.", AAAA, "AAAA fd00::1"),
        ("10-1-0-3.other.pod.cluster.local.", A, "no name"),
        ("10-1-0-9.shop.pod.cluster.local.", A, "no name"),
        // What is not there, and what has only names below it.
        ("missing.shop.svc.cluster.local.", A, "no name"),
        ("shop.svc.cluster.local.", A, "no data"),
        ("missing.svc.cluster.local.", A, "no name"),
        ("svc.cluster.local.", A, "no data"),
        ("cluster.local.", A, "no data"),
        ("node.cluster.local.", A, "no name"),
        ("9.0.1.10.in-addr.arpa.", PTR, "no name"),
        ("8.8.8.8.in-addr.arpa.", PTR, "elsewhere"),
        ("example.com.", A, "elsewhere"),
    ] {
        assert_eq!(told(&zone, tenant(1), name, kind).await, expected, "{name} {kind}");
    }
    assert!(told(&zone, tenant(1), "cluster.local.", SOA).await.starts_with("SOA dns.cluster.local."));
}

#[tokio::test]
async fn another_tenants_names_are_not_there() {
    let zone = Zone::new(Arc::new(planes().await), Arc::new(Known));
    for (name, kind) in [
        ("web.shop.svc.cluster.local.", RecordType::A),
        ("db.shop.svc.cluster.local.", RecordType::A),
        ("shop.svc.cluster.local.", RecordType::A),
        ("10-1-0-1.shop.pod.cluster.local.", RecordType::A),
        ("1.0.1.10.in-addr.arpa.", RecordType::PTR),
    ] {
        assert_eq!(told(&zone, tenant(2), name, kind).await, "no name", "{name}");
    }
    assert_eq!(told(&zone, tenant(2), "7.0.96.10.in-addr.arpa.", RecordType::PTR).await, "elsewhere");
}
