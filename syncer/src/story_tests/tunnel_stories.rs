//! Connections to tenants' pods.

use super::harness::*;
use futures::StreamExt;
use http::{HeaderMap, Method};
use plane_client::{PodAnswer, PodRequest, PodTunnel, SuperActor};
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

#[tokio::test]
async fn subresources_of_pods_are_asked_where_they_run_and_refusals_name_nothing_of_it() {
    let story = Story::with_tenants(&["acme", "globex"]);
    let (acme, globex) = (id(0), id(1));
    let tunnel = story.reserver.pod_tunnel();
    let ask = async |tenant, subresource, query: &str| {
        let headers = HeaderMap::new();
        let request = PodRequest { subresource, method: Method::GET, query: query.to_owned(), headers };
        match tunnel.open(tenant, &at("default", "web"), request).await {
            Ok(PodAnswer::Body { mut body, .. }) => {
                String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap()
            }
            Ok(PodAnswer::Upgraded { .. }) => panic!("nobody asked for an upgrade"),
            Err(error) => format!("{} {}", error.code(), error.message()),
        }
    };
    story.planes.put(acme, config("settings", "1"));
    story.planes.put(acme, pod("web", json!({})));
    let space = story.super_namespace(acme, "default").await;
    story.runs(&space, "web").await;
    while ask(acme, "log", "").await.starts_with("503") {
        tokio::task::yield_now().await;
    }
    for (subresource, query, expected) in [
        ("log", "container=c&follow=true", format!("GET {space}/web/log?container=c&follow=true")),
        ("exec", "command=ls", format!("GET {space}/web/exec?command=ls")),
        ("log", "dead", "503 pod web: it cannot be reached where it runs".to_owned()),
        ("log", "waiting", "400 web in default is waiting to start".to_owned()),
        (
            "log",
            "forbidden",
            "503 pod web: the super cluster does not let the platform reach into pods in this way".to_owned(),
        ),
    ] {
        assert_eq!(ask(acme, subresource, query).await, expected);
    }
    assert_eq!(ask(globex, "log", "").await, "503 pod web: it does not run yet");
    assert!(ask(api_types::TenantId::HOST, "log", "").await.contains("run nowhere"));
    assert!(tunnel.leads_somewhere(acme) && !tunnel.leads_somewhere(api_types::TenantId::HOST));
    let actor = SuperActor { cluster: "local".to_owned(), user: Some("the-syncer".to_owned()) };
    assert_eq!(tunnel.actor(acme).await, Some(actor));
    assert_eq!(tunnel.actor(api_types::TenantId::HOST).await, None);
}
