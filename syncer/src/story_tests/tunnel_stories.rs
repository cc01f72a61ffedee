//! Connections to tenants' pods.

use super::harness::*;
use plane_client::PodTunnel;
use serde_json::json;

#[tokio::test]
async fn a_tenant_reaches_its_own_pods_where_they_run() {
    let story = Story::with_tenants(&["acme", "globex"]);
    let (acme, globex) = (id(0), id(1));
    let tunnel = story.reserver.pod_tunnel();
    let why = async |tenant, name: &str| {
        let refused = tunnel.connect(tenant, &at("default", name), 8443).await.err();
        refused.map(|error| error.why).unwrap_or_default()
    };
    story.planes.put(acme, config("settings", "1"));
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.runs(&space, "web").await;
    let runs = |pod: &serde_json::Value| pod["status"]["phase"] == "Running";
    story.until(acme, "pods", "default", "web", runs).await;
    assert!(why(acme, "web").await.starts_with("it is simulated"));
    assert_eq!(why(acme, "other").await, "it does not run yet");
    assert_eq!(why(globex, "web").await, "it does not run yet");
    assert!(why(api_types::TenantId::HOST, "web").await.contains("run nowhere"));

    let mut real = story.in_super("pods", &space, "web").await;
    real["metadata"]["labels"]["insula.dev/simulated"] = json!(null);
    real["spec"]["hostNetwork"] = json!(true);
    story.planes.put(SUPER, real.clone());
    while !why(acme, "web").await.starts_with("it has the network of its node") {
        tokio::task::yield_now().await;
    }
    real["spec"]["hostNetwork"] = json!(null);
    story.planes.put(SUPER, real);
    // The super cluster that a plane plays forwards nothing; that it was asked is what is seen here.
    let asked = async || why(acme, "web").await == "it cannot be reached where it runs";
    while !asked().await {
        tokio::task::yield_now().await;
    }
}
