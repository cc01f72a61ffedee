//! Services: down with the addresses that the tenant has, up with their load balancer's status.

use crate::kinds::Kind;
use crate::ownership;
use crate::translation::{Place, Refusal, list, list_mut, meta_text, remove, text};
use plane_client::Reservation;
use serde_json::{Map, Value, json};

/// Fields that are decided when a service is created; patches leave them alone.
const FIXED: &[&str] =
    &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort", "loadBalancerClass"];

/// Fields that name machines of the super cluster.
const KEPT_BACK: &[&str] = &["externalIPs"];

/// A tenant's service as the super cluster gets it. Its addresses, when it has some, are kept.
pub fn downward(place: Place<'_>, service: &Value) -> Result<Value, Refusal> {
    let name = place.super_name(Kind::Service, meta_text(service, "name"))?;
    let mut spec = service["spec"].clone();
    if !list(&spec, "externalIPs").is_empty() {
        return Err(Refusal::new(
            "ExternalIPsForbidden",
            "spec.externalIPs are not allowed: they could take over addresses of others (CVE-2020-8554)",
        ));
    }
    remove(&mut spec, KEPT_BACK);
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": ownership::downward(place.tenant, place.super_namespace, &name, service),
        "spec": spec,
    }))
}

/// The service without the addresses that another one has: for when they cannot be had.
pub fn without_addresses(service: &Value) -> Value {
    let mut out = service.clone();
    let Some(spec) = out.get_mut("spec") else { return out };
    if spec.get("clusterIP").is_none_or(|ip| ip != "None") {
        remove(spec, &["clusterIP", "clusterIPs"]);
    }
    remove(spec, &["healthCheckNodePort"]);
    for port in list_mut(spec, "ports").into_iter().flatten() {
        remove(port, &["nodePort"]);
    }
    out
}

/// The merge patch for a service in the super cluster; `None` when it is as wanted.
pub fn patch(observed: &Value, wanted: &Value) -> Option<Value> {
    let mut patch = Map::new();
    if let Some(metadata) = ownership::patch(observed, &wanted["metadata"]) {
        patch.insert("metadata".into(), metadata);
    }
    let (old, new) = (&observed["spec"], &wanted["spec"]);
    let mut spec = Map::new();
    for (key, value) in new.as_object().into_iter().flatten() {
        let agrees = match key.as_str() {
            "ports" => ports_agree(old, new),
            _ => old.get(key) == Some(value) || (old.get(key).is_none() && value.is_null()),
        };
        if !FIXED.contains(&key.as_str()) && !agrees {
            spec.insert(key.clone(), value.clone());
        }
    }
    for key in old.as_object().into_iter().flat_map(Map::keys) {
        if !FIXED.contains(&key.as_str())
            && !SERVER_DEFAULTS.contains(&key.as_str())
            && new.get(key).is_none()
        {
            spec.insert(key.clone(), Value::Null);
        }
    }
    if !spec.is_empty() {
        patch.insert("spec".into(), spec.into());
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Fields that a server fills in when they are left out.
const SERVER_DEFAULTS: &[&str] = &[
    "type",
    "sessionAffinity",
    "internalTrafficPolicy",
    "externalTrafficPolicy",
    "allocateLoadBalancerNodePorts",
];

/// Ports agree when what the tenant says is so; a node port that the tenant has not is free.
fn ports_agree(old: &Value, new: &Value) -> bool {
    let (old, new) = (list(old, "ports"), list(new, "ports"));
    let number = |p: &Value, field: &str| p[field].as_i64().unwrap_or(0);
    old.len() == new.len()
        && old.iter().zip(new).all(|(o, n)| {
            let target = |p: &Value| {
                if p["targetPort"].is_null() { p["port"].clone() } else { p["targetPort"].clone() }
            };
            text(o, "name") == text(n, "name")
                && o["protocol"].as_str().unwrap_or("TCP") == n["protocol"].as_str().unwrap_or("TCP")
                && number(o, "port") == number(n, "port")
                && target(o) == target(n)
                && o["appProtocol"] == n["appProtocol"]
                && (number(n, "nodePort") == 0 || number(o, "nodePort") == number(n, "nodePort"))
        })
}

/// The addresses of a service in the super cluster.
pub fn addresses(super_service: &Value) -> Reservation {
    let spec = &super_service["spec"];
    let texts =
        |field: &str| list(spec, field).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    let mut cluster_ips: Vec<String> = texts("clusterIPs");
    if let (true, Some(ip)) = (cluster_ips.is_empty(), spec["clusterIP"].as_str()) {
        cluster_ips.push(ip.to_owned());
    }
    Reservation {
        cluster_ips,
        ip_families: texts("ipFamilies"),
        ip_family_policy: text(spec, "ipFamilyPolicy").to_owned(),
        node_ports: list(spec, "ports").iter().map(|p| number(&p["nodePort"])).collect(),
        health_check_node_port: number(&spec["healthCheckNodePort"]),
    }
}

/// The status of a tenant's service.
pub fn upward(place: Place<'_>, super_service: &Value) -> Value {
    let mut status = super_service["status"].clone();
    if !status.is_object() {
        status = json!({"loadBalancer": {}});
    }
    place.scrub_all(&mut status);
    status
}

/// The merge patch that gives the tenant's service the node ports of the super service, and takes those away that
/// a service of its type has not; `None` when they agree.
pub fn node_ports_up(tenant_service: &Value, super_service: &Value) -> Option<Value> {
    let (own, there) = (list(&tenant_service["spec"], "ports"), list(&super_service["spec"], "ports"));
    let kind = &super_service["spec"]["type"];
    if own.len() != there.len() || tenant_service["spec"]["type"] != *kind {
        return None;
    }
    let has_none = kind == "ClusterIP";
    let mut ports = own.to_vec();
    for (port, from) in ports.iter_mut().zip(there) {
        match from["nodePort"].as_u64().filter(|n| *n != 0) {
            Some(number) => port["nodePort"] = json!(number),
            None if has_none => remove(port, &["nodePort"]),
            None => {}
        }
    }
    (ports != own).then(|| json!({"spec": {"ports": ports}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenants::TenantView;
    use crate::translation::tests::shop;

    fn service(spec: Value) -> Value {
        json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec})
    }

    #[test]
    fn addresses_go_down_and_stolen_ones_do_not() {
        let tenant = TenantView::for_tests("acme", 7);
        let spec = json!({"clusterIP": "10.1.0.9", "clusterIPs": ["10.1.0.9"], "ports": [{"port": 80}]});
        assert_eq!(downward(shop(&tenant), &service(spec.clone())).unwrap()["spec"], spec);
        let refused = downward(shop(&tenant), &service(json!({"externalIPs": ["1.1.1.1"]})));
        assert_eq!(refused.unwrap_err().reason, "ExternalIPsForbidden");
        let bare = without_addresses(&service(
            json!({"clusterIP": "10.1.0.9", "clusterIPs": ["10.1.0.9"], "ports": [{"port": 80, "nodePort": 30000}]}),
        ));
        assert_eq!(bare["spec"], json!({"ports": [{"port": 80}]}));
        let headless = service(json!({"clusterIP": "None", "clusterIPs": ["None"]}));
        assert_eq!(without_addresses(&headless)["spec"], headless["spec"]);
    }

    #[test]
    fn only_what_differs_is_patched() {
        let with = |spec: Value| json!({"metadata": {"labels": {}, "annotations": {}}, "spec": spec});
        let observed = json!({"type": "ClusterIP", "clusterIP": "10.1.0.9", "sessionAffinity": "None",
            "selector": {"a": "1"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            "publishNotReadyAddresses": true});
        for (wanted, expected) in [
            (
                json!({"type": "ClusterIP", "clusterIP": "other", "selector": {"a": "1"}, "ports": [{"port": 80}],
                "publishNotReadyAddresses": true}),
                None,
            ),
            (
                json!({"type": "NodePort", "selector": {"a": "2"}, "ports": [{"port": 81}],
                "publishNotReadyAddresses": true}),
                Some(json!({"spec": {"type": "NodePort", "selector": {"a": "2"}, "ports": [{"port": 81}]}})),
            ),
            (
                json!({"ports": [{"port": 80}]}),
                Some(json!({"spec": {"selector": null, "publishNotReadyAddresses": null}})),
            ),
        ] {
            assert_eq!(patch(&with(observed.clone()), &with(wanted.clone())), expected, "{wanted}");
        }
    }

    #[test]
    fn reservations_read_all_addresses() {
        let super_service = json!({"spec": {"clusterIP": "10.1.0.9", "clusterIPs": ["10.1.0.9", "fd00::9"],
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack",
            "ports": [{"port": 80, "nodePort": 30001}, {"port": 81}]}});
        let got = addresses(&super_service);
        assert_eq!(got.cluster_ips, ["10.1.0.9", "fd00::9"]);
        assert_eq!(got.node_ports, [30001, 0]);
        assert_eq!(got.ip_family_policy, "PreferDualStack");
    }

    #[test]
    fn node_ports_agree_in_the_end() {
        let own = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
        let there = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}});
        assert_eq!(
            node_ports_up(&own, &there),
            Some(json!({"spec": {"ports": [{"port": 80, "nodePort": 30001}]}}))
        );
        let agreed = service(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}));
        assert_eq!(node_ports_up(&agreed, &there), None);
        let changed = service(json!({"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30001}]}));
        let without = json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80}]}});
        assert_eq!(node_ports_up(&changed, &without), Some(json!({"spec": {"ports": [{"port": 80}]}})));
    }
}
