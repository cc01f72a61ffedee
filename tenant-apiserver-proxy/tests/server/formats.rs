//! Bodies in other formats than plain JSON.

use crate::harness::{CONFIGMAPS, Installation, TENANTS, configmap, names, text};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;

#[tokio::test]
async fn built_in_kinds_speak_protobuf_both_ways() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let protobuf = admin.with("accept", "application/vnd.kubernetes.protobuf");
    let read = protobuf.get(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    assert_eq!(read.header("content-type"), "application/vnd.kubernetes.protobuf");
    assert!(read.body.starts_with(b"k8s\0"));

    // What was read is sent back under the same name, after the object went.
    admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    let graph = api_schema::builtin::graph();
    let root = graph.at(api_schema::builtin::kind("", "v1", "ConfigMap").unwrap());
    let object = configmap("b", json!({"k": "v"}));
    let body = api_schema::protobuf::encode(&object, root, "v1", "ConfigMap").unwrap();
    let made = admin.send("POST", CONFIGMAPS, "application/vnd.kubernetes.protobuf", body).await;
    assert_eq!(made.expect_code(201).json()["data"], json!({"k": "v"}));
    // A body is what it says that it is, whatever it could be read as.
    let namespace = protobuf.get("/api/v1/namespaces/default").await.expect_code(200).body;
    let list = protobuf.get(CONFIGMAPS).await.expect_code(200).body;
    let cannot = |what: &str| {
        format!(
            "{what} in version \"v1\" cannot be handled as a ConfigMap: converting (v1.{what}) to (core.ConfigMap): \
             unknown conversion"
        )
    };
    let unrecognized = "the object provided is unrecognized (must be of type ConfigMap): ";
    for (body, why) in [
        (namespace.to_vec(), cannot("Namespace")),
        (list.to_vec(), cannot("ConfigMapList")),
        (Vec::new(), format!("{unrecognized}empty data (<empty>)")),
        (b"k8s\0".to_vec(), format!("{unrecognized}empty body (6b387300)")),
    ] {
        let refused = admin.send("POST", CONFIGMAPS, "application/vnd.kubernetes.protobuf", body).await;
        assert_eq!(text(&refused.expect_code(400).json()["message"]), why);
    }
    let list = protobuf.get(CONFIGMAPS).await.expect_code(200);
    assert!(list.body.starts_with(b"k8s\0"));
    let other =
        admin.send("POST", TENANTS, "application/vnd.kubernetes.protobuf", b"k8s\0\x12\0".to_vec()).await;
    let why = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml";
    assert_eq!(text(&other.expect_code(415).json()["message"]), why);
    // The platform's kinds have no protobuf form: who takes nothing else is told so, and others get JSON.
    protobuf.get(TENANTS).await.expect_code(406);
    let either = admin.with("accept", "application/vnd.kubernetes.protobuf,application/json");
    assert_eq!(either.get(TENANTS).await.expect_code(200).header("content-type"), "application/json");
}

#[tokio::test]
async fn yaml_tables_and_metadata_are_given_when_asked_for() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: \"1\"\n";
    admin.send("POST", CONFIGMAPS, "application/yaml", body).await.expect_code(201);
    let one = format!("{CONFIGMAPS}/a");
    let yaml = admin.with("accept", "application/yaml").get(&one).await.expect_code(200);
    let value: Value = serde_yaml_ng::from_slice(&yaml.body).unwrap();
    assert_eq!((yaml.header("content-type"), &value["data"]["k"]), ("application/yaml", &json!("1")));
    let table = admin.with("accept", "application/json;as=Table;v=v1;g=meta.k8s.io").get(CONFIGMAPS).await;
    let table = table.expect_code(200).json();
    assert_eq!(text(&table["kind"]), "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let metadata = admin.with("accept", metadata).get(CONFIGMAPS).await.expect_code(200).json();
    assert_eq!(
        (text(&metadata["kind"]), &metadata["items"][0]["data"]),
        ("PartialObjectMetadataList", &Value::Null)
    );
}

#[tokio::test]
async fn large_answers_are_compressed_for_who_takes_them() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("large", json!({"a": "x".repeat(200_000)}))).await.expect_code(201);
    let plain = admin.get(CONFIGMAPS).await.expect_code(200);
    assert_eq!(plain.header("content-encoding"), "");
    let packed = admin.with("accept-encoding", "gzip").get(CONFIGMAPS).await.expect_code(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() < plain.body.len() / 10);
    let mut unpacked = Vec::new();
    GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    assert!(names(&plain.json()).contains(&"large"));
}
