//! Bodies of requests: how large they may be, alone and together, and that the large ones hold nobody up.

use crate::harness::{CONFIGMAPS, Installation, configmap, text};
use futures::future::join_all;
use serde_json::json;
use tenant_apiserver_proxy::bodies::PLANE_BYTES;

#[tokio::test]
async fn compressed_bodies_are_no_json_as_in_kubernetes() {
    use std::io::Write;
    let insula = Installation::start().await;
    let admin = insula.admin().await.with("content-encoding", "gzip");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(configmap("a", json!({})).to_string().as_bytes()).unwrap();
    let status = admin.send("POST", CONFIGMAPS, "application/json", packed.finish().unwrap()).await;
    let status = status.expect_code(400).json();
    assert!(
        text(&status["message"]).contains("invalid character '\\x1f' looking for beginning of value"),
        "{status}"
    );
    // The header means nothing.
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
}

#[tokio::test]
async fn bodies_of_one_plane_together_have_an_end_and_other_planes_have_theirs() {
    let insula = Installation::start().await;
    let (id, acme) = insula.tenant("acme").await;
    let host = insula.admin().await;
    // As if so much were under way.
    let others = insula.server.planes.get(id).unwrap().bodies.take(PLANE_BYTES - 1_000).unwrap();
    let object = |name: &str, size: usize| configmap(name, json!({"a": "x".repeat(size)}));
    let refused = acme.post(CONFIGMAPS, &object("large", 2_000)).await.expect_code(429);
    assert_eq!((refused.header("retry-after"), text(&refused.json()["reason"])), ("1", "TooManyRequests"));
    acme.get(&format!("{CONFIGMAPS}/large")).await.expect_code(404);
    acme.post(CONFIGMAPS, &object("small", 500)).await.expect_code(201);
    host.post(CONFIGMAPS, &object("large", 2_000)).await.expect_code(201);
    drop(others);
    acme.post(CONFIGMAPS, &object("large", 2_000)).await.expect_code(201);
    // What has been done takes nothing.
    assert!(insula.server.planes.get(id).unwrap().bodies.take(PLANE_BYTES).is_some());
}

#[tokio::test]
async fn large_bodies_and_lists_are_worked_on_elsewhere_and_come_out_the_same() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let lines: Vec<String> = (0..40_000).map(|line| format!("  k{line:05}: \"some text {line}\"")).collect();
    let yaml =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: yaml}}\ndata:\n{}\n", lines.join("\n"));
    let data = |prefix: &str| json!({"a": prefix.repeat(400_000)});
    let yaml = admin.send("POST", CONFIGMAPS, "application/yaml", yaml);
    let (json, other) = (configmap("json", data("ab")), configmap("other", data("cd")));
    let (yaml, json, other) =
        futures::join!(yaml, admin.post(CONFIGMAPS, &json), admin.post(CONFIGMAPS, &other));
    assert_eq!(yaml.expect_code(201).json()["data"]["k39999"], "some text 39999");
    assert_eq!(json.expect_code(201).json()["data"], data("ab"));
    other.expect_code(201);
    let patch = format!("{CONFIGMAPS}/json");
    admin.merge(&patch, &json!({"data": data("zz")})).await.expect_code(200);
    assert_eq!(admin.get(&patch).await.json()["data"], data("zz"));
    let lists = ["application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io"];
    let lists = lists.map(|accept| {
        let client = admin.with("accept", accept).with("accept-encoding", "gzip");
        async move { client.get(CONFIGMAPS).await.expect_code(200).body }
    });
    assert!(join_all(lists).await.iter().all(|body| body.len() > 500));
}
