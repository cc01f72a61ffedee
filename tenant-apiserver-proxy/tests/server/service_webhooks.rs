//! Webhooks behind Services of the tenant: by name, by endpoints, in pods.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, configmap, tenant, text};
use crate::hooks::Hook;
use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use parking_lot::Mutex;
use plane_client::{Duplex, PodAnswer, PodRequest, PodTunnel, SuperActor, TunnelError};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpStream;

const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A webhook at a path of `hook.default.svc`.
async fn register(admin: &Client, hook: &Hook, port: u16, path: &str) {
    let mut object = hook.configuration("ValidatingWebhookConfiguration", "s", &["/x"], &json!({}));
    let service = json!({"namespace": "default", "name": "hook", "port": port, "path": path});
    object["webhooks"][0]["clientConfig"] = json!({"service": service, "caBundle": hook.ca_bundle});
    admin.post(VALIDATING, &object).await.expect_code(201);
}

async fn refused(admin: &Client) -> String {
    let answer = admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(500).json();
    let start = "Internal error occurred: failed calling webhook \"h0.s.example.com\": failed to call webhook: Post \
                 \"https://hook.default.svc:";
    let message = text(&answer["message"]).to_owned();
    message.strip_prefix(start).unwrap_or_else(|| panic!("{message}")).to_owned()
}

fn port(hook: &Hook) -> u16 {
    hook.url.rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_service_leads_to_its_host_or_to_its_endpoints() {
    let insula = Installation::start().await;
    let mut object = tenant("acme");
    object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}});
    insula.admin().await.post(TENANTS, &object).await.expect_code(201);
    let admin = insula.tenant_admin("acme").await;
    let hook = Hook::start().await;
    register(&admin, &hook, port(&hook), "/check").await;
    let url = format!("{}/check?timeout=10s\": ", port(&hook));
    assert_eq!(refused(&admin).await, format!("{url}service \"hook\" not found"));

    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"}, "spec": spec});
    admin.post(SERVICES, &service(json!({"ports": [{"port": 80}]}))).await.expect_code(201);
    let why = format!("{url}no service port {} found for service \"hook\"", port(&hook));
    assert_eq!(refused(&admin).await, why);
    admin.delete(&format!("{SERVICES}/hook")).await.expect_code(200);
    // Headless, with endpoints that somebody writes.
    let headless = json!({"clusterIP": "None", "ports": [{"name": "https", "port": port(&hook)}]});
    admin.post(SERVICES, &service(headless)).await.expect_code(201);
    assert_eq!(refused(&admin).await, format!("{url}no endpoints available for service \"hook\""));
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "hook"},
        "subsets": [{"addresses": [{"ip": "10.9.8.7"}], "ports": [{"name": "https", "port": 1}]}]});
    admin.post("/api/v1/namespaces/default/endpoints", &endpoints).await.expect_code(201);
    let why = refused(&admin).await;
    assert!(
        why.contains("hook.default.svc:") && why.contains("leads to 10.9.8.7, which is not public"),
        "{why}"
    );
    assert_eq!(hook.count(), 0);

    admin.delete(&format!("{SERVICES}/hook")).await.expect_code(200);
    let by_name = json!({"type": "ExternalName", "externalName": "localhost"});
    admin.post(SERVICES, &service(by_name)).await.expect_code(201);
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    assert_eq!(hook.asked(), ["/check CREATE configmaps a"]);
}

/// Pods whose containers are in the test's own process: all lead to one port of it.
struct Tunnel {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl PodTunnel for Tunnel {
    fn leads_somewhere(&self, _: TenantId) -> bool {
        true
    }

    async fn connect(
        &self,
        tenant: TenantId,
        pod: &ObjectName,
        port: u16,
    ) -> Result<Box<dyn Duplex>, TunnelError> {
        self.asked.lock().push(format!("{tenant} {pod} {port}"));
        if pod.name != "web" {
            return Err(TunnelError { pod: pod.clone(), why: "it does not run".to_owned() });
        }
        Ok(Box::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()))
    }

    async fn open(&self, _: TenantId, _: &ObjectName, _: PodRequest) -> Result<PodAnswer, ApiError> {
        Err(ApiError::internal("webhooks are connected to"))
    }

    async fn actor(&self, _: TenantId) -> Option<SuperActor> {
        None
    }
}

#[tokio::test]
async fn a_pod_is_reached_where_it_runs_whatever_its_address_is() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    let hook = Hook::start().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    insula.server.set_pod_tunnel(Box::new(Tunnel { port: port(&hook), asked: asked.clone() }));
    register(&admin, &hook, 443, "/check").await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
        "spec": {"ports": [{"port": 443, "targetPort": 8443}]}});
    admin.post(SERVICES, &service).await.expect_code(201);
    let slice = |pod: &str, ip: &str| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}},
            "ports": [{"name": "", "port": 8443}],
            "endpoints": [{"addresses": [ip], "targetRef": {"kind": "Pod", "name": pod, "namespace": "default"}}]})
    };
    for (name, ip) in [("web", "10.0.0.5"), ("gone", "10.0.0.6")] {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        admin.post(PODS, &pod).await.expect_code(201);
        let status = json!({"status": {"podIP": ip, "podIPs": [{"ip": ip}]}});
        admin.merge(&format!("{PODS}/{name}/status"), &status).await.expect_code(200);
    }
    admin.post(SLICES, &slice("web", "10.0.0.5")).await.expect_code(201);
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    assert_eq!(hook.asked(), ["/check CREATE configmaps a"]);
    assert_eq!(std::mem::take(&mut *asked.lock()), [format!("{id} default/web 8443")]);

    admin.put(&format!("{SLICES}/hook"), &slice("gone", "10.0.0.6")).await.expect_code(200);
    let why = refused_second(&admin).await;
    assert!(why.ends_with("pod default/gone: it does not run"), "{why}");
    // An address that is not the pod's is an address, and is refused as one.
    asked.lock().clear();
    admin.put(&format!("{SLICES}/hook"), &slice("web", "10.0.0.6")).await.expect_code(200);
    let why = refused_second(&admin).await;
    assert!(why.contains("leads to 10.0.0.6, which is not public"), "{why}");
    assert!(asked.lock().is_empty());

    // Of the embedded super cluster it is known that nothing runs there.
    let local = insula.user(TenantId::LOCAL_SUPER, "/supers/local", "admin", Some("system:masters")).await;
    register(&local, &hook, 443, "/check").await;
    local.post(SERVICES, &service).await.expect_code(201);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    local.post(PODS, &pod).await.expect_code(201);
    let status = json!({"status": {"podIP": "10.0.0.5"}});
    local.merge(&format!("{PODS}/web/status"), &status).await.expect_code(200);
    local.post(SLICES, &slice("web", "10.0.0.5")).await.expect_code(201);
    let why = refused(&local).await;
    assert!(why.contains("pod default/web: it is simulated"), "{why}");
}

async fn refused_second(admin: &Client) -> String {
    let answer = admin.post(CONFIGMAPS, &configmap("b", json!({}))).await.expect_code(500).json();
    text(&answer["message"]).to_owned()
}
