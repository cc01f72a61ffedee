use super::*;
use plane_client::Controller;
use plane_client::fake::FakePlanes;
use service_runtime::Shutdown;

const TENANT: TenantId = TenantId::LOCAL_SUPER;

fn put_service(planes: &FakePlanes, selector: Value) {
    planes.put(
        TENANT,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "default"},
            "spec": {"selector": selector}}),
    );
}

fn put_endpoints(planes: &FakePlanes, ips: &[&str], meta: Value) {
    let addresses: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let mut endpoints = json!({"apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "db", "namespace": "default", "uid": "e"},
        "subsets": [{"addresses": addresses, "ports": [{"port": 5432, "protocol": "TCP"}]}]});
    for (field, value) in meta.as_object().unwrap() {
        endpoints["metadata"][field] = value.clone();
    }
    planes.put(TENANT, endpoints);
}

fn slices(planes: &FakePlanes) -> Vec<Value> {
    planes.all(TENANT, &ENDPOINT_SLICES.group_resource(), "default")
}

/// Waits for slices with these addresses, one list for each.
async fn mirrored(planes: &FakePlanes, expected: &[&[&str]]) -> Vec<Value> {
    let now = |planes: &FakePlanes| -> Vec<Vec<String>> {
        let addresses = |slice: &Value| -> Vec<String> {
            elements(slice, "/endpoints").iter().map(|one| text(one, "/addresses/0").to_owned()).collect()
        };
        let mut all: Vec<Vec<String>> = slices(planes).iter().map(addresses).collect();
        all.sort();
        all
    };
    planes.wait_until("slices", |planes| now(planes) == expected).await;
    slices(planes)
}

fn start() -> FakePlanes {
    let planes = FakePlanes::new();
    let reconciler = Arc::new(EndpointSliceMirroring::new(planes.client()));
    tokio::spawn(Controller::new(planes.client(), reconciler, 2).run(Shutdown::new()));
    planes
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_a_service_without_selector_are_mirrored() {
    let planes = start();
    put_service(&planes, Value::Null);
    let meta = json!({"labels": {"team": "a"}, "annotations": {"x": "y", OWN_ANNOTATIONS[1]: "{}"}});
    put_endpoints(&planes, &["10.0.0.1"], meta);
    let found = mirrored(&planes, &[&["10.0.0.1"]]).await;
    let slice = &found[0];
    assert_eq!(slice["metadata"]["labels"], json!({"team": "a", SERVICE_NAME: "db", MANAGED_BY: MANAGER}));
    assert_eq!(slice["metadata"]["annotations"], json!({"x": "y"}));
    assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], "e");
    assert_eq!(slice["addressType"], "IPv4");
    let name = text(slice, "/metadata/name").to_owned();

    // The slice stays while its ports do, and follows what is written.
    put_endpoints(&planes, &["10.0.0.1", "10.0.0.2", "fd00::1"], json!({}));
    let found = mirrored(&planes, &[&["10.0.0.1", "10.0.0.2"], &["fd00::1"]]).await;
    assert!(found.iter().any(|slice| slice["metadata"]["name"] == name.as_str()), "{found:#?}");
    planes.remove(TENANT, &ENDPOINTS.group_resource(), "default", "db");
    mirrored(&planes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn slices_go_when_nothing_is_to_be_mirrored() {
    let planes = start();
    let mirrored_again = async || {
        put_service(&planes, Value::Null);
        put_endpoints(&planes, &["10.0.0.1"], json!({}));
        mirrored(&planes, &[&["10.0.0.1"]]).await;
    };
    mirrored_again().await;
    put_service(&planes, json!({"app": "db"}));
    mirrored(&planes, &[]).await;
    mirrored_again().await;
    put_endpoints(&planes, &["10.0.0.1"], json!({"labels": {SKIP: "true"}}));
    mirrored(&planes, &[]).await;
    mirrored_again().await;
    put_endpoints(&planes, &["10.0.0.1"], json!({"annotations": {LEADER: "{}"}}));
    mirrored(&planes, &[]).await;
    mirrored_again().await;
    planes.remove(TENANT, &SERVICES.group_resource(), "default", "db");
    mirrored(&planes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn slices_of_others_stay() {
    let planes = start();
    planes.put(
        TENANT,
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "mine", "namespace": "default", "labels": {SERVICE_NAME: "db", MANAGED_BY: "me"}},
            "endpoints": [{"addresses": ["10.9.9.9"]}]}),
    );
    put_service(&planes, Value::Null);
    put_endpoints(&planes, &["10.0.0.1"], json!({}));
    mirrored(&planes, &[&["10.0.0.1"], &["10.9.9.9"]]).await;
    planes.remove(TENANT, &ENDPOINTS.group_resource(), "default", "db");
    mirrored(&planes, &[&["10.9.9.9"]]).await;
}
