//! The rules of services.

use crate::{created, refused_new, refused_status, refused_update, updated, with};
use serde_json::{Value, json};

fn service() -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}})
}

/// A service as it is stored: with an address, and a node port when it needs one.
fn stored(changes: &[(&str, Value)]) -> Value {
    let mut service = created("", "Service", with(&service(), changes));
    if service["spec"]["type"] != "ExternalName" && service["spec"]["clusterIP"].is_null() {
        service["spec"]["clusterIP"] = json!("10.0.0.10");
        service["spec"]["clusterIPs"] = json!(["10.0.0.10"]);
    }
    if matches!(service["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        service["spec"]["ports"][0]["nodePort"] = json!(30080);
    }
    service
}

#[test]
fn good_services_are_good() {
    for changes in [
        vec![],
        vec![("/spec/type", json!("NodePort")), ("/spec/ports/0/nodePort", json!(30000))],
        vec![("/spec/type", json!("LoadBalancer")), ("/spec/externalTrafficPolicy", json!("Local"))],
        vec![("/spec/clusterIP", json!("None")), ("/spec/ports", json!([]))],
        vec![
            ("/spec/type", json!("ExternalName")),
            ("/spec/externalName", json!("a.example.")),
            ("/spec/ports", json!([])),
        ],
        vec![("/spec/clusterIP", json!("10.0.0.9"))],
    ] {
        let given = with(&service(), &changes);
        assert_eq!(refused_new("", "Service", given), Vec::<String>::new(), "{changes:?}");
    }
}

#[test]
fn each_rule_refuses() {
    let rows: Vec<(Vec<(&str, Value)>, &str)> = vec![
        (vec![("/spec/ports", json!([]))], "spec.ports: Required value"),
        (
            vec![("/spec/ports", json!([{"port": 80}, {"name": "b", "port": 81}]))],
            "spec.ports[0].name: Required value",
        ),
        (
            vec![("/spec/ports", json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}]))],
            "spec.ports[1].name: Duplicate value: \"a\"",
        ),
        (
            vec![("/spec/ports", json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}]))],
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
        ),
        (
            vec![("/spec/ports/0/port", json!(0))],
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            vec![("/spec/ports/0/targetPort", json!("Not-A-Name"))],
            "spec.ports[0].targetPort: Invalid value: \"Not-A-Name\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            vec![("/spec/ports/0/protocol", json!("ICMP"))],
            "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            vec![("/spec/ports/0/nodePort", json!(30000))],
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            vec![("/spec/type", json!("Magic"))],
            "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        (vec![("/spec/type", json!("ExternalName"))], "spec.externalName: Required value"),
        (
            vec![("/spec/type", json!("NodePort")), ("/spec/clusterIP", json!("None"))],
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            vec![("/spec/clusterIP", json!("10.0.0.300"))],
            "spec.clusterIPs[0]: Invalid value: \"10.0.0.300\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
        (
            vec![("/spec/clusterIP", json!("fd00::1")), ("/spec/ipFamilies", json!(["IPv4"]))],
            "spec.clusterIPs[0]: Invalid value: \"fd00::1\": expected an IPv4 value as indicated by `ipFamilies[0]`",
        ),
        (
            vec![("/spec/externalIPs", json!(["127.0.0.1"]))],
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            vec![("/spec/sessionAffinity", json!("Sticky"))],
            "spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\"",
        ),
        (
            vec![("/spec/externalTrafficPolicy", json!("Local"))],
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ),
        (
            vec![("/spec/loadBalancerSourceRanges", json!(["10.0.0.1/8"]))],
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        (
            vec![("/spec/healthCheckNodePort", json!(30001))],
            "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
    ];
    for (changes, refusal) in rows {
        let told = refused_new("", "Service", with(&service(), &changes));
        assert_eq!(told.first().map(String::as_str), Some(refusal), "{changes:?}");
    }
}

#[test]
fn an_update_keeps_what_was_allocated() {
    let old = stored(&[("/spec/type", json!("NodePort"))]);
    let new = updated("", "Service", with(&service(), &[("/spec/type", json!("NodePort"))]), &old);
    assert_eq!(new, old);
    let renumbered =
        with(&service(), &[("/spec/type", json!("NodePort")), ("/spec/ports/0/port", json!(81))]);
    let new = updated("", "Service", renumbered, &old);
    assert_eq!(new["spec"]["clusterIP"], "10.0.0.10");
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080, "ports are known by their names");
    let renamed =
        with(&service(), &[("/spec/type", json!("NodePort")), ("/spec/ports/0/name", json!("other"))]);
    let new = updated("", "Service", renamed, &old);
    assert_eq!(new["spec"]["ports"][0]["nodePort"], Value::Null, "another port gets another node port");
}

#[test]
fn a_change_of_type_drops_what_it_does_not_need() {
    let old = stored(&[("/spec/type", json!("LoadBalancer"))]);
    let to = |kind: &str, extra: &[(&str, Value)]| {
        let mut changes = vec![("/spec/type", json!(kind))];
        changes.extend(extra.iter().cloned());
        let new = updated("", "Service", with(&old, &changes), &old);
        assert_eq!(refused_update("", "Service", new.clone(), &old), Vec::<String>::new(), "{kind}");
        new["spec"].clone()
    };
    let spec = to("ClusterIP", &[]);
    for gone in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts"] {
        assert_eq!(spec[gone], Value::Null, "{gone}");
    }
    assert_eq!(spec["ports"][0]["nodePort"], Value::Null);
    assert_eq!(spec["clusterIP"], "10.0.0.10");
    assert_eq!(to("NodePort", &[])["ports"][0]["nodePort"], 30080);
    let external = to("ExternalName", &[("/spec/externalName", json!("a.example"))]);
    for gone in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        assert_eq!(external[gone], Value::Null, "{gone}");
    }
    let back = stored(&[("/spec/type", json!("ExternalName")), ("/spec/externalName", json!("a.example"))]);
    let again = updated("", "Service", with(&back, &[("/spec/type", json!("ClusterIP"))]), &back);
    assert_eq!(again["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(again["spec"]["clusterIP"], Value::Null, "the server allocates a new one");
}

#[test]
fn the_address_stays() {
    let old = stored(&[]);
    let moved = with(&old, &[("/spec/clusterIP", json!("10.0.0.11"))]);
    assert_eq!(
        refused_update("", "Service", moved, &old),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.11\"]: may not change once set"]
    );
    let cleared = updated("", "Service", with(&old, &[("/spec/clusterIP", json!(""))]), &old);
    assert_eq!(cleared["spec"]["clusterIP"], "10.0.0.10", "an address that is left out is kept");
    let nonsense = with(&old, &[("/spec/clusterIP", json!("x"))]);
    assert_eq!(
        refused_update("", "Service", nonsense, &old),
        [
            "spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        ]
    );
}

#[test]
fn two_families_become_one_by_policy() {
    let old = with(
        &stored(&[]),
        &[
            ("/spec/clusterIPs", json!(["10.0.0.10", "fd00::10"])),
            ("/spec/ipFamilies", json!(["IPv4", "IPv6"])),
            ("/spec/ipFamilyPolicy", json!("PreferDualStack")),
        ],
    );
    let single = updated("", "Service", with(&old, &[("/spec/ipFamilyPolicy", json!("SingleStack"))]), &old);
    assert_eq!(single["spec"]["clusterIPs"], json!(["10.0.0.10"]));
    assert_eq!(single["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(refused_update("", "Service", single, &old), Vec::<String>::new());
    let silent = with(&old, &[("/spec/clusterIPs", json!(["10.0.0.10"]))]);
    assert_eq!(
        refused_update("", "Service", silent, &old),
        [
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the secondary clusterIP"
        ]
    );
}

#[test]
fn only_balancers_report_addresses() {
    let old = stored(&[]);
    let mut new = old.clone();
    new["status"] = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
    assert_eq!(
        refused_status("", "Service", &new, &old),
        ["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"]
    );
    new["spec"]["type"] = json!("LoadBalancer");
    assert_eq!(refused_status("", "Service", &new, &old), Vec::<String>::new());
    new["status"] = json!({"loadBalancer": {"ingress": [{"hostname": "1.2.3.4"}, {"ip": "x"}]}});
    assert_eq!(
        refused_status("", "Service", &new, &old),
        [
            "status.loadBalancer.ingress[0].hostname: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
            "status.loadBalancer.ingress[1].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ]
    );
}
