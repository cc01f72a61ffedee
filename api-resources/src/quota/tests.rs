use super::*;
use api_types::GroupResource;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

fn world() -> World {
    let classes = json!([{"metadata": {"name": "big"}, "spec": {"extendedResourceName": "example.com/gpu"}}]);
    let classes = classes.as_array().unwrap();
    World { now: Timestamp::from_second(1_800_000_000).unwrap(), classes: DeviceClasses::read(classes) }
}

fn of(group: &str, plural: &str) -> Evaluator {
    evaluator_of(&GroupResource::new(group, plural)).unwrap()
}

fn quota(name: &str, spec: Value, hard: Value, used: Value) -> Quota {
    Quota::read(&json!({"metadata": {"name": name}, "spec": spec, "status": {"hard": hard, "used": used}}))
}

fn usage(evaluator: &Evaluator, object: Value) -> String {
    let mut used = evaluator.usage(&object, &world());
    used.retain(|_, amount| !amount.is_zero());
    amounts::told(&used)
}

#[test]
fn names_belong_to_evaluators() {
    let all = [
        ("pods", of("", "pods")),
        ("services", of("", "services")),
        ("claims", of("", "persistentvolumeclaims")),
        ("devices", of("resource.k8s.io", "resourceclaims")),
        ("configmaps", of("", "configmaps")),
        ("deployments", of("apps", "deployments")),
    ];
    for (name, expected) in [
        ("pods", vec!["pods"]),
        ("count/pods", vec!["pods"]),
        ("cpu", vec!["pods"]),
        ("limits.ephemeral-storage", vec!["pods"]),
        ("hugepages-2Mi", vec!["pods"]),
        ("requests.hugepages-2Mi", vec!["pods"]),
        ("limits.hugepages-2Mi", vec![]),
        ("requests.example.com/other", vec!["pods"]),
        ("requests.example.com/gpu", vec!["pods", "devices"]),
        ("example.com/gpu", vec![]),
        ("requests.deviceclass.resource.kubernetes.io/big", vec!["pods", "devices"]),
        ("requests.deviceclass.resource.kubernetes.io/small", vec!["pods"]),
        ("small.deviceclass.resource.k8s.io/devices", vec!["devices"]),
        ("requests.storage", vec!["claims"]),
        ("gold.storageclass.storage.k8s.io/requests.storage", vec!["claims"]),
        ("gold.storageclass.storage.k8s.io/pods", vec![]),
        ("services.nodeports", vec!["services"]),
        ("configmaps", vec!["configmaps"]),
        ("count/configmaps", vec!["configmaps"]),
        ("count/deployments.apps", vec!["deployments"]),
        ("count/deployments", vec![]),
    ] {
        let world = world();
        let found: Vec<&str> =
            all.iter().filter(|(_, of)| of.counts(name, &world)).map(|(called, _)| *called).collect();
        assert_eq!(found, expected, "{name}");
    }
    for (group, plural) in
        [("", "events"), ("events.k8s.io", "events"), ("authorization.k8s.io", "subjectaccessreviews")]
    {
        assert_eq!(evaluator_of(&GroupResource::new(group, plural)), None, "{plural}");
    }
}

#[test]
fn a_quota_tells_what_it_counts() {
    let hard = json!({"count/pods": "1", "cpu": "1", "count/widgets.example.com": "1", "secrets": "1",
        "count/configmaps": "1", "count/events": "1", "example.com/x": "1"});
    let found = resources_of(&amounts::read(&hard), &world());
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["pods", "configmaps", "secrets", "widgets.example.com"]);
}

#[test]
fn pods_use_what_they_request_until_they_end() {
    let resources = json!({"requests": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi", "example.com/gpu": "2"},
        "limits": {"cpu": "2", "example.com/gpu": "2"}});
    let spec = json!({"containers": [{"name": "c", "resources": resources}], "overhead": {"cpu": "100m"}});
    let all = "count/pods=1,cpu=1100m,hugepages-2Mi=4Mi,limits.cpu=2100m,memory=1Gi,pods=1,requests.cpu=1100m,\
               requests.example.com/gpu=2,requests.hugepages-2Mi=4Mi,requests.memory=1Gi";
    let deleted = |at: &str| json!({"deletionTimestamp": at, "deletionGracePeriodSeconds": 30});
    for (metadata, phase, expected) in [
        (json!({}), "Running", all),
        (json!({}), "Succeeded", "count/pods=1"),
        (json!({}), "Failed", "count/pods=1"),
        (deleted("2027-01-15T07:59:45Z"), "Running", all),
        (deleted("2027-01-15T07:59:15Z"), "Running", "count/pods=1"),
    ] {
        let pod = json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}});
        assert_eq!(usage(&of("", "pods"), pod), expected, "{metadata} {phase}");
    }
    assert_eq!(
        usage(&of("", "pods"), json!({"spec": {"containers": [{"name": "c"}]}})),
        "count/pods=1,pods=1"
    );
}

#[test]
fn while_a_pod_is_resized_the_most_counts() {
    let cpu = |cpu: &str| json!({"requests": {"cpu": cpu}});
    let status = |has: &str, promised: &str| json!([{"name": "c", "resources": cpu(has), "allocatedResources": {"cpu": promised}}]);
    let infeasible = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
    for (desired, statuses, conditions, expected) in [
        ("1", json!([]), json!([]), "1"),
        ("1", status("2", "2"), json!([]), "2"),
        ("1", status("1", "3"), json!([]), "3"),
        ("4", status("2", "2"), json!([]), "4"),
        ("4", status("2", "2"), infeasible, "2"),
    ] {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": cpu(desired)}]},
            "status": {"containerStatuses": statuses, "conditions": conditions}});
        let used = of("", "pods").usage(&pod, &world());
        assert_eq!(used["requests.cpu"].to_string(), expected, "{desired} {statuses}");
    }
    // An init container that is no sidecar needs what it says.
    let pod = json!({"spec": {"initContainers": [{"name": "c", "resources": cpu("1")}], "containers": [{"name": "d"}]},
        "status": {"initContainerStatuses": status("5", "5")}});
    assert_eq!(of("", "pods").usage(&pod, &world())["cpu"].to_string(), "1");
}

#[test]
fn what_a_pod_says_as_a_whole_counts() {
    let spec = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
        "resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "4"}}});
    let told = usage(&of("", "pods"), json!({"spec": spec}));
    assert_eq!(told, "count/pods=1,cpu=3,limits.cpu=4,memory=1Gi,pods=1,requests.cpu=3,requests.memory=1Gi");
}

#[test]
fn services_claims_and_devices_are_counted() {
    let ports = json!([{"port": 1}, {"port": 2, "nodePort": 30000}]);
    let service = |of: Value| {
        let mut spec = of;
        spec["ports"] = ports.clone();
        json!({"spec": spec})
    };
    let claim = |spec: Value, rest: Value| {
        let mut claim = rest;
        claim["spec"] = spec;
        claim
    };
    let gold = "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
                gold.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi";
    let one = |request: Value| json!({"spec": {"devices": {"requests": [request]}}});
    let (services, claims, devices) =
        (of("", "services"), of("", "persistentvolumeclaims"), of("resource.k8s.io", "resourceclaims"));
    let table = [
        (&services, service(json!({"type": "ClusterIP"})), "count/services=1,services=1"),
        (&services, service(json!({"type": "NodePort"})), "count/services=1,services=1,services.nodeports=2"),
        (
            &services,
            service(json!({"type": "LoadBalancer"})),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2",
        ),
        (
            &services,
            service(json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false})),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1",
        ),
        (
            &claims,
            claim(
                json!({"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}),
                json!({}),
            ),
            gold,
        ),
        (
            &claims,
            claim(
                json!({"storageClassName": "x", "resources": {"requests": {"storage": "1Gi"}}}),
                json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "gold"}}}),
            ),
            gold,
        ),
        (
            &claims,
            claim(
                json!({"resources": {"requests": {"storage": "1Gi"}}}),
                json!({"status": {"allocatedResources": {"storage": "2Gi"}}}),
            ),
            "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=2Gi",
        ),
        (
            &claims,
            claim(json!({"resources": {"requests": {"storage": "1500m"}}}), json!({})),
            "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=2",
        ),
        (
            &devices,
            one(json!({"exactly": {"deviceClassName": "small", "allocationMode": "ExactCount", "count": 3}})),
            "count/resourceclaims.resource.k8s.io=1,requests.deviceclass.resource.kubernetes.io/small=3,\
             small.deviceclass.resource.k8s.io/devices=3",
        ),
        (
            &devices,
            one(json!({"firstAvailable": [
                {"deviceClassName": "big", "allocationMode": "ExactCount", "count": 2},
                {"deviceClassName": "big", "allocationMode": "All"}]})),
            "big.deviceclass.resource.k8s.io/devices=32,count/resourceclaims.resource.k8s.io=1,\
             requests.deviceclass.resource.kubernetes.io/big=32,requests.example.com/gpu=32",
        ),
    ];
    for (evaluator, object, expected) in table {
        assert_eq!(usage(evaluator, object.clone()), expected, "{object}");
    }
}

#[test]
fn pods_are_in_scopes() {
    let spec = |scope: &str, operator: &str, values: Value| json!({"scopeSelector": {"matchExpressions": [{"scopeName": scope, "operator": operator, "values": values}]}});
    let plain = |scope: &str| json!({"scopes": [scope]});
    let limits = json!({"limits": {"cpu": "1"}});
    let term = json!({"topologyKey": "x", "namespaceSelector": {}});
    let table = [
        (plain("Terminating"), json!({"activeDeadlineSeconds": 5}), true),
        (plain("Terminating"), json!({}), false),
        (plain("NotTerminating"), json!({}), true),
        (plain("BestEffort"), json!({}), true),
        (plain("BestEffort"), json!({"containers": [{"resources": limits}]}), false),
        (plain("NotBestEffort"), json!({"containers": [{"resources": limits}]}), true),
        (json!({"scopes": ["BestEffort", "Terminating"]}), json!({}), false),
        (plain("PriorityClass"), json!({"priorityClassName": "high"}), true),
        (spec("PriorityClass", "In", json!(["high"])), json!({"priorityClassName": "high"}), true),
        (spec("PriorityClass", "In", json!(["low"])), json!({"priorityClassName": "high"}), false),
        (spec("PriorityClass", "NotIn", json!(["low"])), json!({}), true),
        (spec("PriorityClass", "DoesNotExist", json!([])), json!({}), true),
        (
            plain("CrossNamespacePodAffinity"),
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
            true,
        ),
        (
            plain("CrossNamespacePodAffinity"),
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
                [{"weight": 1, "podAffinityTerm": {"namespaces": ["a"]}}]}}}),
            true,
        ),
        (plain("CrossNamespacePodAffinity"), json!({"affinity": {}}), false),
        (plain("VolumeAttributesClass"), json!({}), false),
    ];
    for (scopes, pod, expected) in table {
        let quota = quota("q", scopes.clone(), json!({"pods": "1"}), json!({}));
        assert_eq!(quota.covers(&of("", "pods"), &json!({"spec": pod})), expected, "{scopes} {pod}");
    }
    // What knows no scopes is in none.
    let scoped = quota("q", plain("NotTerminating"), json!({"configmaps": "1"}), json!({}));
    assert!(!scoped.covers(&of("", "configmaps"), &json!({})));
    let named = quota("q", spec("VolumeAttributesClass", "In", json!(["fast"])), json!({}), json!({}));
    let claim = json!({"status": {"modifyVolumeStatus": {"targetVolumeAttributesClassName": "fast"}}});
    assert!(named.covers(&of("", "persistentvolumeclaims"), &claim));
}

fn ask(
    quotas: &[Quota],
    evaluator: &Evaluator,
    new: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, String> {
    let charges = charge(quotas, &Write { evaluator, subresource: "", new, old }, &world())?;
    Ok(charges.iter().map(|charge| format!("{}: {}", charge.quota, amounts::told(&charge.used))).collect())
}

#[test]
fn every_quota_has_to_have_room() {
    let pod = |requests: Value| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}});
    let (some, none) = (pod(json!({"cpu": "500m", "memory": "1Gi"})), pod(json!({})));
    let hard = |hard: Value, used: Value| quota("q", json!({}), hard, used);
    let pods = of("", "pods");
    let table = [
        (hard(json!({"pods": "2"}), json!({"pods": "1"})), &some, Ok(vec!["0: pods=2"])),
        (
            hard(json!({"pods": "1", "cpu": "1"}), json!({"pods": "1", "cpu": "500m"})),
            &some,
            Err("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"),
        ),
        (
            hard(json!({"pods": "1", "requests.cpu": "700m"}), json!({"pods": "1", "requests.cpu": "500m"})),
            &some,
            Err(
                "exceeded quota: q, requested: pods=1,requests.cpu=500m, used: pods=1,requests.cpu=500m, limited: pods=1,requests.cpu=700m",
            ),
        ),
        (
            hard(json!({"cpu": "1", "limits.memory": "1"}), json!({"cpu": "0", "limits.memory": "0"})),
            &none,
            Err("failed quota: q: must specify cpu for: c; limits.memory for: c"),
        ),
        (
            hard(json!({"pods": "1", "memory": "1Gi"}), json!({"pods": "0"})),
            &some,
            Err("status unknown for quota: q, resources: memory,pods"),
        ),
        (hard(json!({"ephemeral-storage": "1"}), json!({"ephemeral-storage": "0"})), &some, Ok(vec![])),
        (hard(json!({"services": "0"}), json!({"services": "0"})), &some, Ok(vec![])),
        // What is used up already is no matter for what does not use it.
        (
            hard(json!({"pods": "5", "services": "1"}), json!({"pods": "0", "services": "9"})),
            &some,
            Ok(vec!["0: pods=1,services=9"]),
        ),
    ];
    for (quota, pod, expected) in table {
        let expected =
            expected.map(|all| all.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
        assert_eq!(ask(std::slice::from_ref(&quota), &pods, pod, None), expected, "{quota:?}");
    }
    let scoped = quota("s", json!({"scopes": ["BestEffort"]}), json!({"pods": "0"}), json!({"pods": "0"}));
    let both = [scoped, hard(json!({"pods": "2"}), json!({"pods": "1"}))];
    assert_eq!(ask(&both, &pods, &some, None).unwrap(), ["1: pods=2"]);
    assert!(ask(&both, &pods, &none, None).unwrap_err().starts_with("exceeded quota: s"));
}

#[test]
fn changes_count_with_what_they_add() {
    let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{"port": 1}, {"port": 2}]}});
    let (plain, node) = (service("ClusterIP"), service("NodePort"));
    let services = of("", "services");
    let room = quota(
        "q",
        json!({}),
        json!({"services": "1", "services.nodeports": "2"}),
        json!({"services": "1", "services.nodeports": "0"}),
    );
    let room = std::slice::from_ref(&room);
    assert_eq!(ask(room, &services, &node, Some(&plain)).unwrap(), ["0: services=1,services.nodeports=2"]);
    assert_eq!(ask(room, &services, &plain, Some(&node)).unwrap(), Vec::<String>::new());
    assert!(ask(room, &services, &plain, None).unwrap_err().contains("requested: services=1"));

    // A pod that comes into a scope is new there.
    let pod =
        |deadline: Value| json!({"spec": {"activeDeadlineSeconds": deadline, "containers": [{"name": "c"}]}});
    let (endless, ending) = (pod(Value::Null), pod(json!(9)));
    let scope = |name: &str, used: &str| {
        quota(name, json!({"scopes": [name]}), json!({"pods": "5"}), json!({"pods": used}))
    };
    let both = [scope("Terminating", "0"), scope("NotTerminating", "1")];
    let pods = of("", "pods");
    assert!(pods.handles("", &ending, Some(&endless)));
    assert!(!pods.handles("", &ending, Some(&ending)));
    assert_eq!(ask(&both, &pods, &ending, Some(&endless)).unwrap(), ["0: pods=1"]);
}

#[test]
fn a_status_counts_and_is_never_refused() {
    let claim = |allocated: &str| {
        json!({"spec": {"resources": {"requests": {"storage": "1Gi"}}},
        "status": {"allocatedResources": {"storage": allocated}}})
    };
    let quotas =
        [quota("q", json!({}), json!({"requests.storage": "1Gi"}), json!({"requests.storage": "1Gi"}))];
    let (evaluator, new, old) = (&of("", "persistentvolumeclaims"), &claim("2Gi"), claim("1Gi"));
    assert!(evaluator.handles("status", new, Some(&old)) && !evaluator.handles("other", new, Some(&old)));
    let write = Write { evaluator, subresource: "status", new, old: Some(&old) };
    let charged = charge(&quotas, &write, &world()).unwrap();
    assert_eq!(amounts::told(&charged[0].used), "requests.storage=2Gi");
    assert!(charge(&quotas, &Write { subresource: "", ..write }, &world()).is_err());
}

proptest! {
    #[test]
    fn used_is_never_above_hard(hard in 0i64..6, asked in prop::collection::vec((0i64..4, 0i64..4), 0..20)) {
        let pods = of("", "pods");
        let hard = json!({"pods": hard.to_string(), "requests.cpu": format!("{}m", hard * 700)});
        let mut used = json!({"pods": "0", "requests.cpu": "0"});
        for (whole, milli) in asked {
            let cpu = format!("{}m", whole * 1000 + milli * 100);
            let pod = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
            let quotas = [quota("q", json!({}), hard.clone(), used.clone())];
            match charge(&quotas, &Write { evaluator: &pods, subresource: "", new: &pod, old: None }, &world()) {
                Ok(charges) => used = amounts::write(&charges[0].used),
                Err(why) => prop_assert!(why.starts_with("exceeded quota: q"), "{why}"),
            }
            for (name, amount) in amounts::read(&used) {
                prop_assert!(amount <= amounts::read(&hard)[&name], "{name}");
            }
        }
    }
}
