//! Whose addresses are.

use super::harness::cluster;
use crate::kinds::Kind;
use crate::state::State;
use crate::whereabouts::Whereabouts;
use api_types::{ObjectName, TenantId};
use plane_client::PodDirectory;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

fn tenant(n: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(n))
}

fn object(of: u128, name: &str, rest: Value) -> Value {
    let mut object = json!({"metadata": {"name": name, "namespace": format!("s{of}"), "uid": format!("{of}-{name}"),
        "resourceVersion": "1", "labels": {"insula.dev/tenant-uid": tenant(of).to_string()},
        "annotations": {"insula.dev/namespace": "shop", "insula.dev/name": name, "insula.dev/uid": "u"}}});
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

fn pod(of: u128, name: &str, phase: &str, ip: &str) -> Value {
    object(of, name, json!({"spec": {}, "status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}]}}))
}

#[test]
fn an_address_is_its_pods_as_long_as_it_is_clear() {
    let state = Arc::new(State::default());
    let clusters: Vec<_> = ["a", "b"].map(cluster).into();
    clusters.iter().for_each(|cluster| state.put_super_cluster(cluster.clone()));
    let whereabouts = Whereabouts::new(state.clone());
    let at = |ip: &str| whereabouts.pod_at(ip.parse().unwrap()).map(|(of, pod)| (of, pod.to_string()));
    let (first, second) = (&clusters[0].cache, &clusters[1].cache);
    first.apply(Kind::Pod, pod(1, "web", "Running", "10.1.0.1"));
    first.apply(Kind::Pod, pod(1, "done", "Succeeded", "10.1.0.2"));
    let mut on_node = pod(1, "node", "Running", "10.1.0.3");
    on_node["spec"]["hostNetwork"] = json!(true);
    first.apply(Kind::Pod, on_node);
    assert_eq!(at("10.1.0.1"), Some((tenant(1), "shop/web".into())));
    for ip in ["10.1.0.2", "10.1.0.3", "10.1.0.4"] {
        assert_eq!(at(ip), None, "{ip}");
    }
    // A second one of the tenant's, and one of another tenant's in a cluster whose network is the same.
    first.apply(Kind::Pod, pod(1, "next", "Running", "10.1.0.1"));
    assert_eq!(at("10.1.0.1"), Some((tenant(1), "shop/next".into())));
    second.apply(Kind::Pod, pod(2, "web", "Running", "10.1.0.1"));
    assert_eq!(at("10.1.0.1"), None);
    second.remove(Kind::Pod, &pod(2, "web", "Running", "10.1.0.1"));
    first.remove(Kind::Pod, &pod(1, "next", "Running", "10.1.0.1"));
    assert_eq!(at("10.1.0.1"), Some((tenant(1), "shop/web".into())));
    first.remove(Kind::Pod, &pod(1, "web", "Running", "10.1.0.1"));
    assert_eq!(at("10.1.0.1"), None);
}

#[test]
fn services_are_found_by_their_own_tenant() {
    let state = Arc::new(State::default());
    let cluster = cluster("a");
    state.put_super_cluster(cluster.clone());
    let spec = json!({"spec": {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"]}});
    cluster.cache.apply(Kind::Service, object(1, "web", spec));
    let headless = json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
    cluster.cache.apply(Kind::Service, object(1, "db", headless));
    let whereabouts = Whereabouts::new(state);
    let at = |of: u128, ip: &str| whereabouts.service_at(tenant(of), ip.parse().unwrap());
    for ip in ["10.96.0.7", "fd00::7"] {
        assert_eq!(at(1, ip), Some(ObjectName::new("shop", "web")));
        assert_eq!(at(2, ip), None);
        assert_eq!(whereabouts.pod_at(ip.parse().unwrap()), None);
    }
}
