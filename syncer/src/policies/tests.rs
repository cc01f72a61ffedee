use super::*;
use crate::isolation::packets::{Blocks, End, goes, machine, pod_in, system};
use crate::isolation::published;
use crate::names::super_namespace;
use crate::translation::tests::shop;
use proptest::prelude::*;

fn acme() -> TenantView {
    let mut tenant = TenantView::for_tests("acme", 7);
    tenant.spec.egress.allowed_cidrs = vec!["10.9.0.0/16".to_owned()];
    tenant
}

fn namespaces() -> Vec<(String, StringMap)> {
    let of = |name: &str, team: &str| {
        (name.to_owned(), [("team".to_owned(), team.to_owned())].into_iter().collect::<StringMap>())
    };
    vec![of("shop", "a"), of("back", "b"), of("tools", "b"), (DNS_NAMESPACE.to_owned(), StringMap::new())]
}

fn services() -> Vec<Value> {
    vec![json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"type": "LoadBalancer",
        "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}, {"port": 443}]}})]
}

fn translate(spec: Value) -> Result<Vec<Value>, Refusal> {
    let (tenant, namespaces, services) = (acme(), namespaces(), services());
    let api = ApiAddress { host: "10.0.0.1".into(), port: 7443 };
    let context = Context { place: shop(&tenant), api: &api, namespaces: &namespaces, services: &services };
    let policy = json!({"metadata": {"name": "own", "namespace": "shop", "uid": "u"}, "spec": spec});
    downward(&context, &policy)
}

fn uid() -> String {
    acme().id.to_string()
}

fn own() -> Value {
    json!({"namespaceSelector": {"matchLabels": {"insula.dev/tenant-uid": uid()}}})
}

fn some(names: &[&str]) -> Value {
    let mut spaces: Vec<String> = names.iter().map(|name| super_namespace("acme", acme().id, name)).collect();
    spaces.sort();
    json!({"matchLabels": {"insula.dev/tenant-uid": uid()},
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": spaces}]})
}

#[test]
fn what_comes_in_comes_from_the_tenant() {
    let web = json!({"matchLabels": {"app": "web"}});
    for (from, expected) in [
        (json!(null), json!([{"from": [own()]}])),
        (json!([{"podSelector": web}]), json!([{"from": [{"podSelector": web}]}])),
        (json!([{"namespaceSelector": {}}]), json!([{"from": [own()]}])),
        (
            json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": web}]),
            json!([{"from": [{"namespaceSelector": some(&["back", "tools"]), "podSelector": web}]}]),
        ),
        (
            json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "back"}}}]),
            json!([{"from": [{"namespaceSelector": some(&["back"])}]}]),
        ),
        // Nothing is selected: no rule, and not one without peers, which would let in everything.
        (json!([{"namespaceSelector": {"matchLabels": {"team": "none"}}}]), json!([])),
        (json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}]), json!([])),
        (
            json!([{"ipBlock": {"cidr": "8.0.0.0/8"}}, {"podSelector": web}]),
            json!([{"from": [{"podSelector": web}]}]),
        ),
    ] {
        let mut rule = json!({"ports": [{"port": 1234}]});
        if !from.is_null() {
            rule["from"] = from.clone();
        }
        let down = translate(json!({"podSelector": web, "ingress": [rule]})).unwrap();
        let mut expected = expected;
        for rule in expected.as_array_mut().unwrap() {
            rule["ports"] = json!([{"port": 1234}]);
        }
        let spec = json!({"podSelector": web, "policyTypes": ["Ingress"], "ingress": expected});
        assert_eq!(down[0]["spec"], spec, "{from}");
        assert_eq!(down.len(), 1, "no port of it is published: {from}");
    }
}

#[test]
fn from_outside_only_what_is_published_comes_in() {
    let through = |from: Value, ports: Value| {
        let mut rule = json!({"ports": ports});
        if !from.is_null() {
            rule["from"] = from;
        }
        let selector = json!({"matchLabels": {"tier": "front"}});
        let down = translate(json!({"podSelector": selector, "ingress": [rule]})).unwrap();
        down.get(1).map(|policy| {
            assert_eq!(policy["metadata"]["annotations"]["insula.dev/name"], "own");
            assert_eq!(
                policy["spec"]["podSelector"],
                json!({"matchLabels": {"tier": "front"},
                    "matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]})
            );
            policy["spec"]["ingress"].clone()
        })
    };
    let open = json!([{"port": 8080, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}]);
    let block = json!([{"ipBlock": {"cidr": "8.0.0.0/8", "except": ["8.8.0.0/16"]}}]);
    for (from, ports, expected) in [
        (json!(null), json!([]), Some(json!([{"ports": open}]))),
        (json!(null), json!([{"port": 443}]), Some(json!([{"ports": [{"port": 443, "protocol": "TCP"}]}]))),
        (json!(null), json!([{"port": 22}]), None),
        (block.clone(), json!([]), Some(json!([{"from": block, "ports": open}]))),
        (json!([{"podSelector": {}}]), json!([]), None),
        (json!([{"namespaceSelector": {}}]), json!([]), None),
    ] {
        assert_eq!(through(from.clone(), ports.clone()), expected, "{from} {ports}");
    }
}

#[test]
fn what_goes_out_goes_where_the_tenant_may_reach() {
    let public = |cidr: &str, except: &[&str]| {
        let mut block = json!({"cidr": cidr});
        if !except.is_empty() {
            block["except"] = json!(except);
        }
        json!({"ipBlock": block})
    };
    let dns = json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"},
        {"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]);
    let at = |port: u16| json!([{"port": port}]);
    let tcp = |port: u16| json!([{"port": port, "protocol": "TCP"}]);
    let block = |cidr: &str| json!([{"ipBlock": {"cidr": cidr}}]);
    let kube_dns = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}]);
    let dns_pods = json!({"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "namespaceSelector": some(&["kube-system"])});
    for (to, ports, expected) in [
        (block("8.8.8.0/24"), at(443), json!([{"to": [public("8.8.8.0/24", &[])], "ports": at(443)}])),
        (block("10.0.0.0/8"), at(443), json!([{"to": [public("10.9.0.0/16", &[])], "ports": at(443)}])),
        (block("192.168.0.0/16"), at(443), json!([])),
        (block("169.254.169.254/32"), at(80), json!([])),
        (
            json!([{"ipBlock": {"cidr": "100.0.0.0/8", "except": ["100.1.0.0/16"]}}]),
            at(443),
            json!([{"to": [public("100.0.0.0/8", &["100.1.0.0/16", "100.64.0.0/10"])], "ports": at(443)}]),
        ),
        // DNS is where the cluster has it, on whatever address.
        (block("10.96.0.10/32"), at(53), json!([{"to": block("10.96.0.10/32"), "ports": tcp(53)}])),
        (
            kube_dns.clone(),
            json!([{"port": 53, "protocol": "UDP"}]),
            json!([{"to": [dns_pods], "ports": [{"port": 53, "protocol": "UDP"}]},
                {"ports": [{"port": 53, "protocol": "UDP"}]}]),
        ),
        (
            kube_dns.clone(),
            json!([{"port": "dns", "protocol": "UDP"}, {"port": "metrics"}]),
            json!([{"to": [dns_pods], "ports": [{"port": "dns", "protocol": "UDP"}, {"port": "metrics"}]},
                {"ports": [{"port": 53, "protocol": "UDP"}]}]),
        ),
        (kube_dns, at(80), json!([{"to": [dns_pods], "ports": at(80)}])),
        // The tenant's API has a private address here.
        (block("10.0.0.0/24"), at(7443), json!([{"to": block("10.0.0.1/32"), "ports": tcp(7443)}])),
        (block("10.0.0.0/24"), at(22), json!([])),
        (json!([{"podSelector": {}}]), at(80), json!([{"to": [{"podSelector": {}}], "ports": at(80)}])),
        (json!([{"namespaceSelector": {"matchLabels": {"team": "x"}}}]), json!([]), json!([])),
    ] {
        let rule = json!({"to": to, "ports": ports});
        let down =
            translate(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]})).unwrap();
        assert_eq!(down[0]["spec"]["egress"], expected, "{to} {ports}");
        assert!(down[0]["spec"].get("ingress").is_none());
    }
    let all = translate(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]})).unwrap();
    let rules = list(&all[0]["spec"], "egress");
    let kinds: Vec<usize> = rules.iter().map(|rule| list(rule, "to").len()).collect();
    assert_eq!(kinds, [4, 0, 1], "its pods, two families and what is allowed; DNS; its API: {rules:?}");
    assert_eq!(rules[1]["ports"], dns);
    let none = translate(json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})).unwrap();
    assert_eq!(
        none[0]["spec"],
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []})
    );
}

#[test]
fn behind_a_name_the_port_of_the_api_is_open_where_the_policy_says() {
    let (tenant, namespaces) = (acme(), namespaces());
    let api = ApiAddress { host: "api.example.com".into(), port: 7443 };
    let context = Context { place: shop(&tenant), api: &api, namespaces: &namespaces, services: &[] };
    let rule = json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/24"}}]});
    let policy = json!({"metadata": {"name": "own"}, "spec": {"podSelector": {}, "egress": [rule]}});
    let down = downward(&context, &policy).unwrap();
    let api_rule = json!({"to": rule["to"], "ports": [{"port": 7443, "protocol": "TCP"}]});
    assert!(list(&down[0]["spec"], "egress").contains(&api_rule), "{}", down[0]);
}

#[test]
fn what_cannot_mean_the_same_below_is_refused() {
    let odd = json!({"matchExpressions": [{"key": "ovn.kubernetes.io/x", "operator": "DoesNotExist"}]});
    for (spec, what) in [
        (json!({"podSelector": {"matchLabels": {"insula.dev/tenant": "globex"}}}), "insula.dev/tenant"),
        (json!({"podSelector": odd.clone()}), "ovn.kubernetes.io/x"),
        (json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": odd}]}]}), "ovn.kubernetes.io/x"),
        (json!({"podSelector": {}, "ingress": [{"from": [{}]}]}), "names nothing"),
        (json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "x"}}]}]}), "ipBlock"),
        (json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Maybe"}]}}), "cannot be read"),
    ] {
        let refusal = translate(spec.clone()).unwrap_err();
        assert_eq!(refusal.reason, "PolicyNotSupported", "{spec}");
        assert!(refusal.message.contains(what), "{spec}: {}", refusal.message);
    }
    let tenant = acme();
    let api = ApiAddress { host: "10.0.0.1".into(), port: 7443 };
    let context = Context { place: shop(&tenant), api: &api, namespaces: &[], services: &[] };
    let reserved = json!({"metadata": {"name": "insula-sync-open-egress"}, "spec": {"podSelector": {}}});
    assert_eq!(downward(&context, &reserved).unwrap_err().reason, "ReservedName");
}

fn selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"matchLabels": {"app": "web"}})),
        Just(json!({"matchLabels": {"app": "db"}})),
        Just(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]})),
        Just(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]})),
    ]
}

fn space_selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        Just(json!({"matchLabels": {"team": "a"}})),
        Just(json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]})),
        Just(json!({"matchLabels": {"team": "none"}})),
    ]
}

fn peer() -> impl Strategy<Value = Value> {
    let cidrs = ["0.0.0.0/0", "8.0.0.0/8", "10.0.0.0/8", "10.9.1.0/24", "192.168.0.0/16", "10.0.0.1/32"];
    prop_oneof![
        selector().prop_map(|s| json!({"podSelector": s})),
        space_selector().prop_map(|s| json!({"namespaceSelector": s})),
        (selector(), space_selector()).prop_map(|(p, n)| json!({"podSelector": p, "namespaceSelector": n})),
        prop::sample::select(cidrs.to_vec()).prop_map(|cidr| json!({"ipBlock": {"cidr": cidr}})),
        Just(json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["8.8.0.0/16", "10.9.0.0/16"]}})),
    ]
}

fn rules(peers: &'static str) -> impl Strategy<Value = Value> {
    let ports = prop_oneof![
        Just(json!([])),
        Just(json!([{"port": 8080, "protocol": "TCP"}])),
        Just(json!([{"port": 7000, "endPort": 8100, "protocol": "TCP"}, {"port": 443, "protocol": "UDP"}])),
    ];
    let rule = (prop::collection::vec(peer(), 0..3), ports).prop_map(move |(list, ports)| {
        let mut rule = json!({});
        if !list.is_empty() {
            rule[peers] = list.into();
        }
        if ports != json!([]) {
            rule["ports"] = ports;
        }
        rule
    });
    prop::collection::vec(rule, 0..3).prop_map(Value::from)
}

fn policy() -> impl Strategy<Value = Value> {
    let types = prop::sample::subsequence(vec!["Ingress", "Egress"], 0..=2);
    (selector(), types, rules("from"), rules("to")).prop_map(|(pods, types, ingress, egress)| {
        let mut spec = json!({"podSelector": pods, "ingress": ingress, "egress": egress});
        if !types.is_empty() {
            spec["policyTypes"] = json!(types);
        }
        spec
    })
}

/// A pod of the tenant as the platform has it, and as the tenant's API tells of it.
fn pod(tenant: &TenantView, space: usize, ip: &'static str, app: &str, own: &[Vec<Value>; 2]) -> [End; 2] {
    let api = ApiAddress { host: "10.0.0.1".into(), port: 7443 };
    let (name, space_labels) = namespaces().swap_remove(space);
    let namespace = json!({"metadata": {"name": name, "labels": space_labels}});
    let policies: Vec<Value> = own[space].iter().map(|spec| json!({"spec": spec})).collect();
    let mut below = pod_in(tenant, &namespace, ip, json!({"app": app}), &policies);
    let of_space = if space == 0 { services() } else { Vec::new() };
    let place =
        Place { tenant, namespace: &name, super_namespace: &super_namespace("acme", tenant.id, &name) };
    for service in &of_space {
        below.policies.extend(published(place, service).map(|policy| policy["spec"].clone()));
    }
    let all = namespaces();
    let context = Context { place, api: &api, namespaces: &all, services: &of_space };
    for (index, spec) in own[space].iter().enumerate() {
        let policy = json!({"metadata": {"name": format!("p{index}")}, "spec": spec});
        below.policies.extend(downward(&context, &policy).unwrap().into_iter().map(|p| p["spec"].clone()));
    }
    let mut labels = json!(with_name(&name, &all[space].1));
    labels["insula.dev/tenant-uid"] = json!(uid());
    let above =
        End { ip, namespace: Some(labels), labels: json!({"app": app}), policies: own[space].clone() };
    [below, above]
}

proptest! {
    /// What passes is what the tenant's policies and the platform let pass, no more and no less.
    #[test]
    fn tenants_policies_narrow_what_the_platform_allows(
        shop in prop::collection::vec(policy(), 0..3), back in prop::collection::vec(policy(), 0..3),
    ) {
        let (tenant, globex) = (acme(), TenantView::for_tests("globex", 8));
        let own = [shop, back];
        let none = [Vec::new(), Vec::new()];
        // To the tenant's policies, whoever is not in the tenant is outside.
        let both = |end: End| [end.clone(), machine(end.ip), end];
        let of = |space: usize, ip: &'static str, app: &str| {
            let [below, above] = pod(&tenant, space, ip, app, &own);
            let [bare, _] = pod(&tenant, space, ip, app, &none);
            [below, above, bare]
        };
        let other = pod_in(&globex, &json!({"metadata": {"name": "shop"}}), "10.244.9.1", json!({"app": "web"}), &[]);
        let ends = [
            of(0, "10.244.1.1", "web"), of(0, "10.244.1.2", "db"), of(1, "10.244.2.1", "web"),
            both(machine("8.8.8.8")), both(machine("8.1.1.1")), both(machine("10.9.1.1")),
            both(machine("192.168.7.7")), both(machine("10.0.0.1")), both(system("10.244.9.9")), both(other),
        ];
        for from in &ends {
            for to in &ends {
                let is_own = |end: &[End; 3]| end[1].namespace.is_some();
                if !is_own(from) && !is_own(to) {
                    continue;
                }
                for port in [22, 443, 7443, 8080] {
                    let below = goes(&from[0], &to[0], port, Blocks::ForAll);
                    let platform = goes(&from[2], &to[2], port, Blocks::ForAll);
                    let most = goes(&from[1], &to[1], port, Blocks::ForAll);
                    let least = goes(&from[1], &to[1], port, Blocks::ForOthers);
                    let what = format!("{} to {}:{port} under {own:?}", from[0].ip, to[0].ip);
                    prop_assert!(!below || platform, "the platform closes {}", what);
                    prop_assert!(!below || most, "the tenant closes {}", what);
                    prop_assert!(below || !(platform && least), "it should pass: {}", what);
                }
                let dns = goes(&from[0], &to[0], 53, Blocks::ForAll);
                prop_assert!(!dns || goes(&from[2], &to[2], 53, Blocks::ForAll), "the platform closes DNS");
            }
        }
    }
}
