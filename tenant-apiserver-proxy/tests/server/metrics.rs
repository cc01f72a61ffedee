//! `metrics.k8s.io`: what pods and nodes use.

use crate::extension_server::{API_SERVICES, Extended};
use crate::harness::{Client, Installation, names, text};
use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use compact_str::CompactString;
use plane_client::{Interval, NodeUsage, PodUsage, ServedApis, ServiceAccount, Usage, UsageMeter};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";
const PODS: &str = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const ACCOUNT: ServiceAccount = ServiceAccount("horizontal-pod-autoscaler");

/// Measures one plane: each pod uses the same, but for `quiet`, of which nothing is known, and in the namespace `down`
/// nothing can be told.
struct Meter(TenantId);

fn interval() -> Interval {
    Interval { end: "2026-07-09T10:00:00Z".parse().unwrap(), window: Duration::from_secs(15) }
}

const USAGE: Usage = Usage { cpu: 250_000_000, memory: 64 << 20 };

#[async_trait]
impl UsageMeter for Meter {
    fn measures(&self, plane: TenantId) -> bool {
        plane == self.0
    }

    async fn pods(&self, _: TenantId, wanted: &[ObjectName]) -> Result<Vec<PodUsage>, ApiError> {
        if wanted.iter().any(|pod| pod.namespace == "down") {
            return Err(ApiError::unavailable("nothing is known", 5));
        }
        let known = wanted.iter().filter(|pod| pod.name != "quiet");
        let containers = vec![("c".into(), USAGE), ("d".into(), USAGE), ("injected".into(), USAGE)];
        let usage = |pod: &ObjectName| PodUsage {
            pod: pod.clone(),
            interval: interval(),
            containers: containers.clone(),
        };
        Ok(known.map(usage).collect())
    }

    async fn nodes(&self, _: TenantId, wanted: &[CompactString]) -> Result<Vec<NodeUsage>, ApiError> {
        let usage =
            |node: &CompactString| NodeUsage { node: node.clone(), interval: interval(), usage: USAGE };
        Ok(wanted.iter().map(usage).collect())
    }
}

async fn put_pod(admin: &Client, namespace: &str, name: &str, app: &str) {
    let containers = json!([{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"containers": containers}});
    admin.post(&format!("/api/v1/namespaces/{namespace}/pods"), &pod).await.expect_code(201);
}

async fn put_pods(admin: &Client) {
    for namespace in ["default", "down"] {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        admin.post("/api/v1/namespaces", &body).await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        admin.post(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &account).await;
    }
    for (name, app) in [("a", "web"), ("b", "web"), ("quiet", "web"), ("z", "db")] {
        put_pod(admin, "default", name, app).await;
    }
    put_pod(admin, "down", "x", "web").await;
}

async fn groups(client: &Client) -> Vec<String> {
    let found = client.get("/apis").await.expect_code(200).json();
    found["groups"].as_array().unwrap().iter().map(|group| text(&group["name"]).to_owned()).collect()
}

#[tokio::test]
async fn a_plane_that_nobody_measures_has_no_metrics() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let (id, measured) = insula.tenant("measured").await;
    let before = groups(&admin).await;
    assert!(!before.contains(&"metrics.k8s.io".to_owned()));
    insula.server.set_usage_meters(vec![Arc::new(Meter(id))]);
    assert_eq!(groups(&admin).await, before);
    for path in [METRICS, PODS, "/apis/metrics.k8s.io"] {
        let answer = admin.get(path).await.expect_code(404);
        assert_eq!(answer.body, "404 page not found\n", "{path}");
    }
    assert_eq!(groups(&measured).await, [before.as_slice(), &["metrics.k8s.io".to_owned()]].concat());
}

#[tokio::test]
async fn pods_and_nodes_are_told_as_metrics_server_tells_them() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    insula.server.set_usage_meters(vec![Arc::new(Meter(id))]);
    put_pods(&admin).await;
    let usage = json!({"cpu": "250m", "memory": "64Mi"});

    let list = admin.get(PODS).await.expect_code(200).json();
    assert_eq!(names(&list), ["a", "b", "z"], "of quiet nothing is known");
    assert_eq!((&list["kind"], &list["metadata"]), (&json!("PodMetricsList"), &json!({})));
    let mut first = list["items"][0].clone();
    assert!(first["metadata"]["creationTimestamp"].take().is_string());
    let metadata =
        json!({"name": "a", "namespace": "default", "labels": {"app": "web"}, "creationTimestamp": null});
    // What the super cluster put beside them is not told.
    let containers = json!([{"name": "c", "usage": usage}, {"name": "d", "usage": usage}]);
    assert_eq!(
        first,
        json!({"metadata": metadata, "timestamp": "2026-07-09T10:00:00Z", "window": "15s", "containers": containers})
    );
    let selected = admin.get(&format!("{PODS}?labelSelector=app%3Dweb")).await.expect_code(200).json();
    assert_eq!(names(&selected), ["a", "b"]);
    let selected =
        admin.get(&format!("{PODS}?fieldSelector=metadata.name%3Db")).await.expect_code(200).json();
    assert_eq!(names(&selected), ["b"]);

    let one = admin.get(&format!("{PODS}/a")).await.expect_code(200).json();
    assert_eq!((&one["kind"], &one["apiVersion"]), (&json!("PodMetrics"), &json!("metrics.k8s.io/v1beta1")));
    for name in ["quiet", "none"] {
        let gone = admin.get(&format!("{PODS}/{name}")).await.expect_code(404).json();
        assert_eq!(gone["message"], format!("podmetrics.metrics.k8s.io \"default/{name}\" not found"));
    }
    let table = admin.with("accept", TABLE).get(PODS).await.expect_code(200).json();
    let columns: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| text(&c["name"])).collect();
    assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
    assert_eq!(table["columnDefinitions"][1]["format"], "quantity");
    assert_eq!(table["rows"][0]["cells"], json!(["a", "500m", "128Mi", "15s"]));

    let node =
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"zone": "z"}}});
    admin.post("/api/v1/nodes", &node).await.expect_code(201);
    let nodes = admin.get(&format!("{METRICS}/nodes")).await.expect_code(200).json();
    assert_eq!((names(&nodes), &nodes["items"][0]["usage"]), (vec!["n"], &usage));
    let gone = admin.get(&format!("{METRICS}/nodes/m")).await.expect_code(404).json();
    assert_eq!(gone["message"], "nodemetrics.metrics.k8s.io \"m\" not found");

    let all = admin.get(&format!("{METRICS}/pods")).await.expect_code(503).json();
    assert_eq!(
        (&all["message"], &all["details"]["retryAfterSeconds"]),
        (&json!("nothing is known"), &json!(5))
    );
    admin.post(PODS, &json!({})).await.expect_code(405);
    admin.get(&format!("{PODS}?watch=1")).await.expect_code(405);
    let jane = insula.user(id, &admin.path, "jane", None).await;
    jane.get(PODS).await.expect_code(403);
}

#[tokio::test]
async fn discovery_tells_of_metrics() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    insula.server.set_usage_meters(vec![Arc::new(Meter(id))]);
    let group = admin.get("/apis/metrics.k8s.io").await.expect_code(200).json();
    assert_eq!(group["preferredVersion"]["groupVersion"], "metrics.k8s.io/v1beta1");
    let list = admin.get(METRICS).await.expect_code(200).json();
    assert_eq!(
        (&list["groupVersion"], &list["resources"]),
        (
            &json!("metrics.k8s.io/v1beta1"),
            &json!([
                {"name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"]},
                {"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]},
            ])
        )
    );
    let all = admin.with("accept", V2).get("/apis").await.expect_code(200).json();
    let items = all["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["metadata"]["name"] == "metrics.k8s.io").unwrap();
    let version = &found["versions"][0];
    assert_eq!(
        (&version["freshness"], &version["resources"][1]["resource"]),
        (&json!("Current"), &json!("pods"))
    );
}

#[tokio::test]
async fn an_extension_server_stands_before_the_platform() {
    let extended = Extended::start().await;
    let Extended { insula, id, admin, server, planes } = &extended;
    insula.server.set_usage_meters(vec![Arc::new(Meter(*id))]);
    put_pods(admin).await;
    let read = async |path: &str| planes.get(*id, ACCOUNT, path).await;
    assert_eq!(names(&read(PODS).await.unwrap()), ["a", "b", "z"]);
    assert_eq!(planes.versions(*id, "metrics.k8s.io").await, ["v1beta1"]);

    admin.post(API_SERVICES, &server.api_service("metrics.k8s.io", "v1beta1")).await.expect_code(201);
    let foos = "/apis/metrics.k8s.io/v1beta1/namespaces/default/foos";
    let unavailable = read(PODS).await.unwrap_err();
    assert_eq!(
        unavailable.message(),
        "the server is currently unable to handle the request (get pods.metrics.k8s.io)"
    );
    extended.judge("v1beta1.metrics.k8s.io").await;
    assert_eq!(groups(admin).await.iter().filter(|group| *group == "metrics.k8s.io").count(), 1);
    let list = admin.get(METRICS).await.expect_code(200).json();
    assert_eq!(list["resources"][0]["name"], "foos");

    // The controllers' own account may read pods there, and nothing else.
    let refused = read(foos).await.unwrap_err();
    assert!(
        refused.message().contains("system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
        "{refused}"
    );
    server.asked();
    let missing = read(PODS).await.unwrap_err();
    assert_eq!(
        missing.message(),
        "the server could not find the requested resource (get pods.metrics.k8s.io)"
    );
    let (.., headers) = server.asked().pop().unwrap();
    assert_eq!(headers["x-remote-user"], "system:serviceaccount:kube-system:horizontal-pod-autoscaler");
    let groups: Vec<&str> =
        headers.get_all("x-remote-group").iter().map(|group| group.to_str().unwrap()).collect();
    assert!(groups.contains(&"system:serviceaccounts:kube-system"), "{groups:?}");

    admin.delete(&format!("{API_SERVICES}/v1beta1.metrics.k8s.io")).await.expect_code(200);
    let list: Value = admin.get(PODS).await.expect_code(200).json();
    assert_eq!(names(&list), ["a", "b", "z"]);
}

#[tokio::test]
async fn metrics_are_described_where_they_are_served() {
    let insula = Installation::start().await;
    let (id, admin) = insula.tenant("acme").await;
    let path = "apis/metrics.k8s.io/v1beta1";
    let v3 = format!("/openapi/v3/{path}");
    let kind = "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics";
    let index = admin.get("/openapi/v3").await.expect_code(200).json();
    assert!(index["paths"][path].is_null());
    admin.get(&v3).await.expect_code(404);
    let v2 = admin.get("/openapi/v2").await.expect_code(200).json();
    assert!(v2["definitions"][kind].is_null());

    insula.server.set_usage_meters(vec![Arc::new(Meter(id))]);
    let index = admin.get("/openapi/v3").await.expect_code(200).json();
    assert!(text(&index["paths"][path]["serverRelativeURL"]).contains("?hash="), "{}", index["paths"][path]);
    let document = admin.get(&v3).await.expect_code(200).json();
    let schema = &document["components"]["schemas"][kind];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"],
        json!([{"group": "metrics.k8s.io", "version": "v1beta1", "kind": "PodMetrics"}])
    );
    assert!(schema["properties"]["containers"]["description"].is_string(), "{schema}");
    let list = &document["paths"][format!("/{path}/namespaces/{{namespace}}/pods")];
    assert!(list["get"].is_object() && list.get("post").is_none(), "{list}");
    let v2 = admin.get("/openapi/v2").await.expect_code(200).json();
    assert!(v2["definitions"][kind].is_object());
}
