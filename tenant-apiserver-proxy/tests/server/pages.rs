//! What a plane says of itself: metrics, status, flags, aggregated discovery.

use crate::harness::{CONFIGMAPS, Client, Installation, configmap, eventually, text};
use serde_json::json;
use std::collections::BTreeSet;

async fn metrics(client: &Client) -> Vec<String> {
    let answer = client.get("/metrics").await.expect_code(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    String::from_utf8(answer.body.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// The value of the series of a name that has all these labels.
fn value(lines: &[String], name: &str, labels: &[&str]) -> Option<String> {
    let line = lines.iter().find(|line| {
        line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label))
    });
    line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
}

#[tokio::test]
async fn each_plane_counts_its_own_requests() {
    let insula = Installation::start().await;
    let (admin, (_, acme)) = (insula.admin().await, insula.tenant("acme").await);
    for name in ["a", "b"] {
        acme.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect_code(201);
    }
    acme.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(409);
    acme.get("/api/v1/namespaces/default/made-up").await.expect_code(404);
    let watch = acme.watch(&format!("{CONFIGMAPS}?watch=1&resourceVersion=0")).await;

    let lines = metrics(&acme).await;
    const TOTAL: &str = "apiserver_request_total";
    let of = |code: &str| {
        let code = format!("code=\"{code}\"");
        value(&lines, TOTAL, &[&code, "resource=\"configmaps\"", "verb=\"POST\"", "scope=\"resource\""])
    };
    assert_eq!((of("201").as_deref(), of("409").as_deref()), (Some("2"), Some("1")));
    let took = value(
        &lines,
        "apiserver_request_duration_seconds_bucket",
        &["resource=\"configmaps\"", "verb=\"POST\"", "le=\"+Inf\""],
    );
    assert_eq!(took.as_deref(), Some("3"));
    assert!(!lines.iter().any(|line| line.contains("made-up")), "what a client makes up is no label");
    let open = ["resource=\"configmaps\"", "verb=\"WATCH\""];
    assert_eq!(value(&lines, "apiserver_longrunning_requests", &open).as_deref(), Some("1"));
    let stored = value(&lines, "apiserver_resource_objects", &["resource=\"configmaps\""]);
    assert_eq!(value(&lines, "apiserver_storage_objects", &["resource=\"configmaps\""]), stored);
    assert!(stored.unwrap().parse::<u32>().unwrap() >= 2);
    assert!(value(&lines, "kubernetes_build_info", &["major=\"1\""]).is_some());
    assert!(
        value(&lines, "process_start_time_seconds", &[]).is_none(),
        "a tenant is told nothing of the process"
    );

    drop(watch);
    eventually("the end of the watch", async || {
        let lines = metrics(&acme).await;
        (value(&lines, "apiserver_longrunning_requests", &open).as_deref() == Some("0")).then_some(())
    })
    .await;
    let lines = metrics(&admin).await;
    assert!(
        value(&lines, TOTAL, &["resource=\"configmaps\""]).is_none(),
        "another plane's requests are its own"
    );
    assert!(value(&lines, "process_start_time_seconds", &[]).is_some());
    let checks = acme.get("/metrics/slis").await.expect_code(200);
    let checks = String::from_utf8(checks.body.to_vec()).unwrap();
    assert!(checks.contains("kubernetes_healthcheck{name=\"etcd\",type=\"livez\"} 1\n"), "{checks}");
}

#[tokio::test]
async fn the_platforms_series_do_not_grow_with_tenants() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let series = async || -> BTreeSet<String> {
        let lines = metrics(&admin).await.into_iter().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series.to_owned())).collect()
    };
    let use_one = async |name: String| {
        let (_, tenant) = insula.tenant(&name).await;
        tenant.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
        tenant.get("/api/v1/namespaces/default/made-up").await.expect_code(404);
    };
    use_one("first".into()).await;
    // To read them is counted too.
    series().await;
    let of_one = series().await;
    for number in 0..20 {
        use_one(format!("tenant-{number}")).await;
    }
    assert_eq!(series().await, of_one);
}

#[tokio::test]
async fn metrics_are_for_those_who_may_read_them() {
    let insula = Installation::start().await;
    let (id, _) = insula.tenant("acme").await;
    for path in ["/metrics", "/metrics/slis", "/statusz", "/flagz"] {
        let ann = insula.user(id, "/tenants/acme", "ann", None).await;
        ann.get(path).await.expect_code(403);
        let monitor = insula.user(id, "/tenants/acme", "prometheus", Some("system:monitoring")).await;
        monitor.get(path).await.expect_code(200);
    }
}

#[tokio::test]
async fn status_and_flags_come_as_text_or_by_their_kind() {
    let insula = Installation::start().await;
    let (admin, (_, acme)) = (insula.admin().await, insula.tenant("acme").await);
    let plain = acme.get("/statusz").await.expect_code(200);
    let said = String::from_utf8(plain.body.to_vec()).unwrap();
    assert!(
        said.starts_with("\napiserver statusz\nWarning: ") && said.contains("\nBinary version: 1.36\n"),
        "{said}"
    );
    let by_kind =
        |kind: &str, version: &str| format!("application/json;as={kind};g=config.k8s.io;v={version}");
    let status = acme.with("accept", by_kind("Statusz", "v1beta1")).get("/statusz").await.expect_code(200);
    assert_eq!((status.header("warning"), text(&status.json()["binaryVersion"])), ("", "1.36"));
    let before = acme.with("accept", by_kind("Statusz", "v1alpha1")).get("/statusz").await.expect_code(200);
    assert!(before.header("warning").contains("deprecated"));
    acme.with("accept", "application/json").get("/statusz").await.expect_code(406);
    let flags = async |client: &Client| {
        let answer = client.with("accept", by_kind("Flagz", "v1beta1")).get("/flagz").await.expect_code(200);
        answer.json()["flags"].clone()
    };
    assert_eq!(flags(&acme).await, json!({}));
    assert_eq!(flags(&admin).await["external-address"], "https://127.0.0.1");
    let roots = acme.get("/").await.expect_code(200).json();
    for path in ["/metrics", "/statusz", "/flagz", "/livez/ping"] {
        assert!(roots["paths"].as_array().unwrap().contains(&json!(path)), "{path}");
    }
}

#[tokio::test]
async fn aggregated_discovery_comes_in_every_format() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    const ASKS: &str = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let ask = async |format: &str| {
        let of = format!("{format}{ASKS}");
        let answer =
            acme.with("accept", format!("application/json,{of}")).get("/apis").await.expect_code(200);
        assert_eq!(answer.header("content-type"), of);
        answer
    };
    let json = ask("application/json").await.json();
    let yaml = ask("application/yaml").await;
    assert_eq!(serde_yaml_ng::from_slice::<serde_json::Value>(&yaml.body).unwrap(), json);
    let protobuf = ask("application/vnd.kubernetes.protobuf").await;
    let kind = "APIGroupDiscoveryList";
    let root = api_schema::builtin::kind("apidiscovery.k8s.io", "v2", kind).unwrap();
    let root = api_schema::builtin::graph().at(root);
    let value = api_schema::protobuf::decode(&protobuf.body, root).unwrap();
    assert_eq!(value["items"].as_array().unwrap().len(), json["items"].as_array().unwrap().len());
    let apps = |value: &serde_json::Value| {
        let mut groups = value["items"].as_array().unwrap().iter();
        groups.find(|group| group["metadata"]["name"] == "apps").unwrap()["versions"].clone()
    };
    assert_eq!(apps(&value), apps(&json));
    // Each form has a tag of its own.
    assert_ne!(protobuf.header("etag"), yaml.header("etag"));
    let again = acme.with("accept", format!("application/vnd.kubernetes.protobuf{ASKS}"));
    let again = again.with("if-none-match", protobuf.header("etag")).get("/apis").await;
    assert_eq!((again.code, again.body.len()), (http::StatusCode::NOT_MODIFIED, 0));
}
