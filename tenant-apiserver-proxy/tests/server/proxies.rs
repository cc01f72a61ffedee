//! Requests that ports of pods answer.

use crate::harness::{Client, Installation, text};
use crate::pods_beyond::{Beyond, PODS, echo_server, pod};
use crate::upgrades;
use serde_json::json;

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

async fn tenant_with_app(insula: &Installation) -> (Client, Beyond) {
    let (_, admin) = insula.tenant("acme").await;
    let beyond = Beyond { port: echo_server().await, ..Beyond::default() };
    insula.server.set_pod_tunnel(Box::new(beyond.clone()));
    pod(&admin, "web", "n1", 1).await;
    let status = json!({"status": {"podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}]}});
    admin.merge(&format!("{PODS}/web/status"), &status).await.expect_code(200);
    (admin, beyond)
}

#[tokio::test]
async fn a_request_reaches_the_port_of_a_pod_as_it_was_sent() {
    let insula = Installation::start().await;
    let (admin, beyond) = tenant_with_app(&insula).await;
    let from = admin
        .with("authorization", "Basic YTpi")
        .with("cookie", "a=b")
        .with("x-own", "yes")
        .with("impersonate-user", "");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let path = format!("{PODS}/web:9/proxy/a//b%2F/../c/?timeout=x&q=%20");
        let answer = from.send(method, &path, "", "").await.expect_code(200);
        let heard = String::from_utf8(answer.body.to_vec()).unwrap().to_lowercase();
        let first = format!("{} /a//b%2f/../c/?timeout=x&q=%20 http/1.1\r\n", method.to_lowercase());
        assert!(heard.starts_with(&first), "{heard}");
        assert!(
            heard.contains("\r\nx-own: yes\r\n") && heard.contains("\r\nx-forwarded-proto: https\r\n"),
            "{heard}"
        );
        for withheld in ["authorization", "cookie", "impersonate-user", "x-remote-user"] {
            assert!(!heard.contains(&format!("\r\n{withheld}:")), "{heard}");
        }
        assert_eq!((answer.header("x-app"), answer.header("set-cookie")), ("yes", ""));
    }
    assert_eq!(beyond.lines()[0], "connect default/web 9");
    admin.send("TRACE", &format!("{PODS}/web/proxy/"), "", "").await.expect_code(405);
    assert_eq!(
        admin.send("HEAD", &format!("{PODS}/web/proxy/"), "", "").await.expect_code(200).header("x-app"),
        "yes"
    );
    assert_eq!(beyond.lines(), ["connect default/web 8080"]);

    let root = admin.get(&format!("{PODS}/web/proxy?a=b")).await.expect_code(301);
    assert_eq!(root.header("location"), format!("/tenants/acme{PODS}/web/proxy/?a=b"));
    let away = admin.get(&format!("{PODS}/web/proxy/away")).await.expect_code(302);
    assert_eq!(away.header("location"), format!("/tenants/acme{PODS}/web/proxy/login"));
    for (path, code, message) in [
        ("gone/proxy/", 404, "pods \"gone\" not found"),
        ("ftp:web:80/proxy/", 400, "invalid pod request \"ftp:web:80\""),
        ("web/proxy/?dryRun=All", 400, "dryRun is not supported"),
    ] {
        let answer = admin.get(&format!("{PODS}/{path}")).await.expect_code(code).json();
        assert_eq!(answer["message"], message);
    }
    let certificate = insula.server.sign_client(insula_id(&insula), "ann", Some("system:masters")).unwrap();
    let path = format!("/tenants/acme{PODS}/web/proxy/socket");
    assert_eq!(upgrades::echo(&insula, &certificate, &path, b"hello").await, b"hello");
}

fn insula_id(insula: &Installation) -> api_types::TenantId {
    let plane = insula.server.planes.named(tenant_apiserver_proxy::planes::PlaneKind::Tenant, "acme");
    plane.unwrap().id
}

#[tokio::test]
async fn a_service_leads_to_one_of_its_pods() {
    let insula = Installation::start().await;
    let (admin, beyond) = tenant_with_app(&insula).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    admin.post(SERVICES, &service).await.expect_code(201);
    let refused = async |path: &str, code: u16| {
        let answer = admin.get(&format!("{SERVICES}/{path}")).await.expect_code(code).json();
        text(&answer["message"]).to_owned()
    };
    for (path, code, message) in [
        ("web/proxy/", 503, "no endpoints available for service \"web\""),
        ("web:81/proxy/", 503, "no service port 81 found for service \"web\""),
        ("gone:80/proxy/", 404, "services \"gone\" not found"),
        ("ftp:web:80/proxy/", 400, "invalid service request \"ftp:web:80\""),
    ] {
        assert_eq!(refused(path, code).await, message);
    }
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}], "endpoints": [
            {"addresses": ["10.0.0.9"]},
            {"addresses": ["10.0.0.5"], "targetRef": {"kind": "Pod", "name": "web", "namespace": "default"}}]});
    admin.post(SLICES, &slice).await.expect_code(201);
    for name in ["web:80", "web:http", "http:web:http"] {
        admin.get(&format!("{SERVICES}/{name}/proxy/x")).await.expect_code(200);
        assert_eq!(beyond.lines(), ["connect default/web 8080"], "{name}");
    }
    assert_eq!(refused("web:other/proxy/", 503).await, "no endpoints available for service \"web:other\"");
    let node = admin.get("/api/v1/nodes/n1/proxy/metrics").await.expect_code(403).json();
    assert!(text(&node["message"]).contains("nodes are shared with other tenants"), "{node}");
}

#[tokio::test]
async fn a_pod_that_cannot_be_reached_is_told() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    pod(&admin, "web", "n1", 1).await;
    let refused = admin.get(&format!("{PODS}/web/proxy/")).await.expect_code(400).json();
    assert_eq!(refused["message"], "address not allowed");
    let status = json!({"status": {"podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}]}});
    admin.merge(&format!("{PODS}/web/status"), &status).await.expect_code(200);
    insula.server.set_pod_tunnel(Box::new(Beyond::default()));
    let refused = admin.get(&format!("{PODS}/web/proxy/")).await.expect_code(503).json();
    assert_eq!(refused["message"], "error trying to reach service: pod default/web: it does not run");
}
