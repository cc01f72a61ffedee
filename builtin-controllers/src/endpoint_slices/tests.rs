use super::slices::{Group, place};
use super::*;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn service(extra: Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": {"team": "a", SERVICE_NAME: "x"}},
        "spec": {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]}});
    for (key, value) in extra.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    service
}

fn pod(name: &str, ips: &[&str], ready: bool) -> Value {
    let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let status = if ready { "True" } else { "False" };
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "n", "hostname": name, "subdomain": "web",
            "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIPs": ips, "conditions": [{"type": "Ready", "status": status}]}})
}

fn node(name: &str, zone: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
        "status": {"allocatable": {"cpu": "1"}, "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn wanted(service: &Value, pods: &[Value], zones: &BTreeMap<String, String>) -> Vec<Group> {
    slices::wanted(service, &pods.iter().collect::<Vec<_>>(), zones)
}

/// Addresses and conditions (`r`eady, `s`erving, `t`erminating) of each group.
fn short(groups: &[Group]) -> Vec<String> {
    let endpoint = |endpoint: &Value| {
        let flag = |name: &str, letter| if endpoint["conditions"][name] == true { letter } else { "" };
        let flags = [flag("ready", "r"), flag("serving", "s"), flag("terminating", "t")].concat();
        format!("{}:{flags}", endpoint["addresses"][0].as_str().unwrap())
    };
    let ports =
        |ports: &[Value]| ports.iter().map(|port| port["port"].to_string()).collect::<Vec<_>>().join("+");
    groups
        .iter()
        .map(|group| {
            let endpoints: Vec<String> = group.endpoints.iter().map(endpoint).collect();
            format!("{} {} {}", group.family, ports(&group.ports), endpoints.join(" "))
        })
        .collect()
}

#[test]
fn endpoints_of_services() {
    let mut ending = pod("e", &["10.1.0.2"], true);
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut ended = pod("f", &["10.1.0.3"], false);
    ended["status"]["phase"] = "Succeeded".into();
    let mut other_port = pod("g", &["10.1.0.4"], true);
    other_port["spec"]["containers"][0]["ports"][0]["containerPort"] = 9090.into();
    let ready = || pod("a", &["10.1.0.1"], true);
    let both = || pod("d", &["10.1.0.1", "fd00::1"], true);
    for (case, spec, pods, expected) in [
        (
            "ready and not",
            json!({}),
            vec![ready(), pod("b", &["10.1.0.9"], false)],
            vec!["IPv4 8080 10.1.0.1:rs 10.1.0.9:"],
        ),
        (
            "not ready is published",
            json!({"publishNotReadyAddresses": true}),
            vec![pod("b", &["10.1.0.9"], false)],
            vec!["IPv4 8080 10.1.0.9:r"],
        ),
        ("ending serves on", json!({}), vec![ending], vec!["IPv4 8080 10.1.0.2:st"]),
        ("ended and without an address", json!({}), vec![ended, pod("h", &[], true)], vec!["IPv4  "]),
        (
            "ports apart",
            json!({}),
            vec![ready(), other_port],
            vec!["IPv4 8080 10.1.0.1:rs", "IPv4 9090 10.1.0.4:rs"],
        ),
        (
            "a port by number",
            json!({"ports": [{"port": 80, "targetPort": 81}]}),
            vec![ready()],
            vec!["IPv4 81 10.1.0.1:rs"],
        ),
        ("a port by itself", json!({"ports": [{"port": 80}]}), vec![ready()], vec!["IPv4 80 10.1.0.1:rs"]),
        (
            "a port of no container",
            json!({"ports": [{"port": 80, "targetPort": "x"}]}),
            vec![ready()],
            vec!["IPv4  10.1.0.1:rs"],
        ),
        (
            "two families",
            json!({"ipFamilies": ["IPv4", "IPv6"]}),
            vec![both()],
            vec!["IPv4 8080 10.1.0.1:rs", "IPv6 8080 fd00::1:rs"],
        ),
        (
            "headless without ports",
            json!({"clusterIP": "None", "ports": []}),
            vec![both()],
            vec!["IPv4  10.1.0.1:rs"],
        ),
    ] {
        assert_eq!(short(&wanted(&service(spec), &pods, &BTreeMap::new())), expected, "{case}");
    }
    let zones = BTreeMap::from([("n".to_owned(), "z".to_owned())]);
    let endpoint = wanted(&service(json!({})), &[ready()], &zones)[0].endpoints[0].clone();
    assert_eq!(
        (&endpoint["nodeName"], &endpoint["zone"], &endpoint["hostname"]),
        (&json!("n"), &json!("z"), &json!("a"))
    );
    assert_eq!(
        endpoint["targetRef"],
        json!({"kind": "Pod", "namespace": "default", "name": "a", "uid": "a"})
    );
}

#[test]
fn hints_follow_the_distribution_of_traffic() {
    let zones = BTreeMap::from([("n".to_owned(), "z".to_owned())]);
    let (zone, node) = (json!([{"name": "z"}]), json!([{"name": "n"}]));
    for (distribution, mode, ready, zones, expected) in [
        ("PreferClose", "", true, &zones, json!({"forZones": zone})),
        ("PreferSameZone", "", true, &zones, json!({"forZones": zone})),
        ("PreferSameNode", "", true, &zones, json!({"forZones": zone, "forNodes": node})),
        ("PreferSameNode", "", true, &BTreeMap::new(), json!({"forNodes": node})),
        ("PreferSameZone", "", true, &BTreeMap::new(), Value::Null),
        ("PreferSameZone", "", false, &zones, Value::Null),
        ("PreferSameZone", "Auto", true, &zones, Value::Null),
        ("", "", true, &zones, Value::Null),
    ] {
        let mut service = service(json!({"trafficDistribution": distribution}));
        service["metadata"]["annotations"] = json!({"service.kubernetes.io/topology-mode": mode});
        let found =
            wanted(&service, &[pod("a", &["10.1.0.1"], ready)], zones)[0].endpoints[0]["hints"].clone();
        assert_eq!(found, expected, "{distribution} {mode} {ready}");
    }
}

#[test]
fn subsets_are_addresses_with_the_same_ports() {
    let ports = json!([{"name": "http", "port": 80, "targetPort": "web"}, {"name": "raw", "port": 99}]);
    let mut without = pod("b", &["10.1.0.2"], true);
    without["spec"]["containers"][0]["ports"] = json!([]);
    let (subsets, _) =
        endpoints::subsets(&service(json!({"ports": ports})), &[pod("a", &["10.1.0.1"], true), without]);
    let short: Vec<(String, Vec<&str>)> = subsets
        .iter()
        .map(|subset| {
            let ips: Vec<&str> = elements(subset, "/addresses").iter().map(|a| text(a, "/ip")).collect();
            (ips.join(" "), elements(subset, "/ports").iter().map(|p| text(p, "/name")).collect())
        })
        .collect();
    assert_eq!(short, [("10.1.0.1".to_owned(), vec!["http"]), ("10.1.0.1 10.1.0.2".to_owned(), vec!["raw"])]);
}

#[tokio::test(start_paused = true)]
async fn endpoints_go_with_their_service_whoever_wrote_them() {
    let planes = FakePlanes::new();
    let controller = Controller::new(planes.client(), Arc::new(EndpointSlices::new(planes.client())), 2);
    tokio::spawn(controller.run(Shutdown::new()));
    for name in ["web", "lock"] {
        let mut bare = service(json!({"selector": {}}));
        bare["metadata"]["name"] = name.into();
        planes.put(TENANT, bare);
        let mut endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": "default"}});
        if name == "lock" {
            endpoints["metadata"]["annotations"] = json!({LEADER: "{}"});
        }
        planes.put(TENANT, endpoints);
    }
    let resource = ENDPOINTS.group_resource();
    let mut seen = service(json!({}));
    seen["metadata"]["name"] = "seen".into();
    planes.put(TENANT, seen);
    planes.wait_for(TENANT, &resource, "default", "seen", |found| found.is_some()).await;
    for name in ["lock", "web"] {
        planes.remove(TENANT, &SERVICES.group_resource(), "default", name);
    }
    planes.wait_for(TENANT, &resource, "default", "web", |found| found.is_none()).await;
    assert!(planes.find(TENANT, &resource, "default", "lock").is_some());
}

#[test]
fn endpoints_stay_in_their_slice_and_slices_are_full() {
    let pods = |range: std::ops::Range<u32>| -> Vec<Value> {
        range.map(|n| pod(&format!("p{n}"), &[&format!("10.1.{}.{}", n / 250, n % 250 + 1)], true)).collect()
    };
    let groups = |pods: &[Value]| wanted(&service(json!({})), pods, &BTreeMap::new());
    let apply = |pods: &[Value], existing: &[Value]| -> (Vec<Value>, usize) {
        let mut writes = 0;
        let mut slices = Vec::new();
        for placement in place(&groups(pods), existing) {
            match placement {
                Placement::Create(slice) => {
                    writes += 1;
                    slices.push(slice);
                }
                Placement::Keep { old, new } => {
                    writes += usize::from(old != new);
                    slices.push(new);
                }
                Placement::Delete(_) => writes += 1,
            }
        }
        (slices, writes)
    };
    let sizes =
        |slices: &[Value]| -> Vec<usize> { slices.iter().map(|s| elements(s, "/endpoints").len()).collect() };
    let (slices, _) = apply(&pods(0..250), &[]);
    assert_eq!(sizes(&slices), [100, 100, 50]);
    assert_eq!(apply(&pods(0..250), &slices), (slices.clone(), 0));
    let (more, writes) = apply(&pods(0..251), &slices);
    assert_eq!((sizes(&more), writes), (vec![100, 100, 51], 1));
    let (fewer, writes) = apply(&pods(200..250), &slices);
    assert_eq!((sizes(&fewer), writes), (vec![50], 2));
    let (none, writes) = apply(&[], &fewer);
    assert_eq!((sizes(&none), writes), (vec![0], 2));
    assert_eq!(apply(&[], &none), (none.clone(), 0));
    let twice = [slices[0].clone(), slices[0].clone()];
    assert_eq!(sizes(&apply(&pods(0..100), &twice).0), [100], "an endpoint is in one slice only");
}

#[test]
fn the_legacy_object_has_what_fits() {
    let pods: Vec<Value> = (0..1200u32)
        .map(|n| pod(&format!("p{n}"), &[&format!("10.1.{}.{}", n / 250, n % 250 + 1)], n % 2 == 0))
        .collect();
    let (subsets, cut) = endpoints::subsets(&service(json!({})), &pods);
    assert!(cut);
    let count = |field: &str| elements(&subsets[0], field).len();
    assert_eq!((subsets.len(), count("/addresses"), count("/notReadyAddresses")), (1, 600, 400));
    let (one, cut) = endpoints::subsets(&service(json!({})), &pods[..1]);
    assert!(!cut);
    assert_eq!(one[0]["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
}

#[tokio::test(start_paused = true)]
async fn slices_follow_pods_and_services() {
    let planes = FakePlanes::new();
    let reconciler = Arc::new(EndpointSlices::new(planes.client()));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    planes.put(TENANT, node("n", "z"));
    planes.put(TENANT, service(json!({})));
    planes.put(TENANT, pod("a", &["10.1.0.1"], false));
    let slices = ENDPOINT_SLICES.group_resource();
    let ready = |planes: &FakePlanes| -> Vec<Value> {
        let all = planes.all(TENANT, &slices, "default");
        all.iter()
            .flat_map(|slice| elements(slice, "/endpoints"))
            .map(|e| e["conditions"]["ready"].clone())
            .collect()
    };
    planes.wait_until("not ready", |planes| ready(planes) == [false]).await;
    planes.put(TENANT, pod("a", &["10.1.0.1"], true));
    planes.wait_until("ready", |planes| ready(planes) == [true]).await;
    let slice = planes.all(TENANT, &slices, "default").remove(0);
    let labels = json!({"team": "a", SERVICE_NAME: "web", MANAGED_BY: MANAGER});
    assert_eq!(
        (&slice["metadata"]["labels"], &slice["metadata"]["ownerReferences"][0]["uid"]),
        (&labels, &json!("s"))
    );
    let legacy = ENDPOINTS.group_resource();
    let has_ip =
        |found: Option<&Value>| found.is_some_and(|f| f["subsets"][0]["addresses"][0]["ip"] == "10.1.0.1");
    planes.wait_for(TENANT, &legacy, "default", "web", has_ip).await;
    let mut other = pod("a", &["10.1.0.1"], true);
    other["metadata"]["labels"] = json!({});
    planes.put(TENANT, other);
    planes.wait_until("no longer selected", |planes| ready(planes).is_empty()).await;
    planes.remove(TENANT, &SERVICES.group_resource(), "default", "web");
    planes.wait_for(TENANT, &legacy, "default", "web", |found| found.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn pods_on_nodes_that_are_not_known_wait_for_them() {
    let planes = FakePlanes::new();
    let reconciler = Arc::new(EndpointSlices::new(planes.client()));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    let mut open = service(json!({"publishNotReadyAddresses": true}));
    (open["metadata"]["name"], open["metadata"]["uid"]) = ("open".into(), "o".into());
    planes.put(TENANT, open);
    let mut web = service(json!({}));
    web["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    planes.put(TENANT, web);
    let mut changed = pod("a", &["10.1.0.1"], true);
    changed["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-01T00:00:07Z".into();
    planes.put(TENANT, changed);
    let of = |planes: &FakePlanes, name: &str| -> Vec<Value> {
        let all = planes.all(TENANT, &ENDPOINT_SLICES.group_resource(), "default");
        let slices = all.iter().filter(|slice| slice["metadata"]["labels"][SERVICE_NAME] == name);
        slices.flat_map(|slice| elements(slice, "/endpoints")).cloned().collect()
    };
    planes.wait_until("published", |planes| of(planes, "open").len() == 1).await;
    planes
        .wait_until("an empty slice", |planes| {
            planes.all(TENANT, &ENDPOINT_SLICES.group_resource(), "default").len() == 2
        })
        .await;
    assert!(of(&planes, "web").is_empty());
    let why = "Error updating Endpoint Slices for Service default/web: skipping Pod a for Service default/web: Node n Not Found";
    planes
        .wait_until("it is told", |planes| {
            let events = planes.all(TENANT, &crate::resources::EVENTS.group_resource(), "default");
            events.iter().any(|event| event["message"] == why)
        })
        .await;
    planes.put(TENANT, node("n", "z"));
    planes.wait_until("known", |planes| of(planes, "web").len() == 1).await;
    let legacy = planes.find(TENANT, &ENDPOINTS.group_resource(), "default", "web").unwrap();
    let told = &legacy["metadata"]["annotations"]["endpoints.kubernetes.io/last-change-trigger-time"];
    assert!(told.as_str().is_some_and(|time| time.starts_with("2026-01-01T00:00:0")), "{told}");
}

#[tokio::test(start_paused = true)]
async fn hints_in_proportion_come_and_go_with_the_zones() {
    let planes = FakePlanes::new();
    let reconciler = Arc::new(EndpointSlices::new(planes.client()));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    for (name, zone) in [("n", "a"), ("m", "b")] {
        planes.put(TENANT, node(name, zone));
    }
    let mut web = service(json!({}));
    web["metadata"]["annotations"] = json!({"service.kubernetes.io/topology-mode": "Auto"});
    planes.put(TENANT, web.clone());
    for index in 0..4 {
        planes.put(TENANT, pod(&format!("p{index}"), &[&format!("10.1.0.{index}")], true));
    }
    let hints = |planes: &FakePlanes| -> Vec<String> {
        let all = planes.all(TENANT, &ENDPOINT_SLICES.group_resource(), "default");
        let endpoints = all.iter().flat_map(|slice| elements(slice, "/endpoints"));
        let mut hints: Vec<String> =
            endpoints.map(|endpoint| text(endpoint, "/hints/forZones/0/name").to_owned()).collect();
        hints.sort();
        hints
    };
    let told = |planes: &FakePlanes, message: &str| {
        let events = planes.all(TENANT, &crate::resources::EVENTS.group_resource(), "default");
        events.iter().any(|event| event["message"] == message)
    };
    planes.wait_until("hinted", |planes| hints(planes) == ["a", "a", "b", "b"]).await;
    let enabled = "Topology Aware Hints has been enabled, addressType: IPv4";
    planes.wait_until("told", |planes| told(planes, enabled)).await;
    planes.remove(TENANT, &NODES.group_resource(), "", "m");
    planes.wait_until("one zone", |planes| hints(planes) == ["", "", "", ""]).await;
    let lacking = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes, addressType: IPv4";
    planes.wait_until("told", |planes| told(planes, lacking)).await;
    planes.put(TENANT, node("m", "b"));
    planes.wait_until("hinted again", |planes| hints(planes) == ["a", "a", "b", "b"]).await;
    web["metadata"]["annotations"] = json!({});
    planes.put(TENANT, web);
    planes.wait_until("no longer asked for", |planes| hints(planes) == ["", "", "", ""]).await;
    let disabled = "Topology Aware Hints has been disabled, addressType: IPv4";
    planes.wait_until("told", |planes| told(planes, disabled)).await;
}
