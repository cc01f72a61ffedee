//! In which form answers come: `Accept`, `pretty`, `Content-Type`.

use crate::harness::{Answer, CONFIGMAPS, Client, Installation, configmap, names, text};
use serde_json::{Value, json};

const META: &str = ";g=meta.k8s.io;v=";

async fn ask(client: &Client, accept: &str, path: &str) -> Answer {
    client.with("accept", accept.replace("META", META)).get(path).await
}

#[tokio::test]
async fn a_review_comes_whole_or_as_its_metadata_and_not_as_a_table() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let view = |kind: &str| format!("application/json;as={kind};v=v1;g=meta.k8s.io");
    for (accept, kind) in [
        ("application/json".to_owned(), "SelfSubjectAccessReview"),
        (view("PartialObjectMetadata"), "PartialObjectMetadata"),
        (format!("{}, application/json", view("Table")), "SelfSubjectAccessReview"),
    ] {
        let answer = admin.with("accept", accept.as_str()).post(path, &review).await.expect_code(201).json();
        assert_eq!(text(&answer["kind"]), kind, "{accept}");
    }
    admin.with("accept", view("Table")).post(path, &review).await.expect_code(406);
}

#[tokio::test]
async fn views_come_in_the_version_that_is_asked_for() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let one = format!("{CONFIGMAPS}/a");
    // Accept, path, code, `kind` and `apiVersion` of the answer.
    let table = [
        (
            "application/json;as=PartialObjectMetadataMETAv1",
            one.as_str(),
            200,
            "PartialObjectMetadata meta.k8s.io/v1",
        ),
        (
            "application/json;as=PartialObjectMetadataMETAv1beta1",
            &one,
            200,
            "PartialObjectMetadata meta.k8s.io/v1beta1",
        ),
        (
            "application/json;as=PartialObjectMetadataListMETAv1beta1",
            CONFIGMAPS,
            200,
            "PartialObjectMetadataList meta.k8s.io/v1beta1",
        ),
        ("application/json;as=TableMETAv1beta1", CONFIGMAPS, 200, "Table meta.k8s.io/v1beta1"),
        ("application/json;as=TableMETAv1", &one, 200, "Table meta.k8s.io/v1"),
        ("application/json;as=TableMETAv2,application/json;q=0.5", &one, 200, "ConfigMap v1"),
        ("application/json;as=PartialObjectMetadataMETAv1", CONFIGMAPS, 406, "Status v1"),
        ("application/json;as=PartialObjectMetadataListMETAv1", &one, 406, "Status v1"),
        ("application/json;as=OtherMETAv1", &one, 406, "Status v1"),
        ("application/*", &one, 406, "Status v1"),
        ("application/*", "/apis/tenancy.insula.dev/v1alpha1/tenants", 406, "Status v1"),
        ("*/*;as=TableMETAv1", &one, 200, "Table meta.k8s.io/v1"),
    ];
    for (accept, path, code, kind) in table {
        let answer = ask(&admin, accept, path).await;
        assert_eq!(answer.code, code, "{accept} {path}: {answer:?}");
        let value = answer.json();
        assert_eq!(
            format!("{} {}", text(&value["kind"]), text(&value["apiVersion"])),
            kind,
            "{accept} {path}"
        );
        let inner = value["items"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(value["rows"].as_array().into_iter().flatten());
        for inner in inner {
            let object = inner.get("object").unwrap_or(inner);
            assert_eq!(text(&object["kind"]), "PartialObjectMetadata", "{accept} {path}");
            assert_eq!(object["apiVersion"], value["apiVersion"], "{accept} {path}");
        }
    }
    let misfit = ask(&admin, "application/json;as=PartialObjectMetadataMETAv1", CONFIGMAPS).await.json();
    assert_eq!(
        text(&misfit["message"]),
        "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"
    );
    assert!(misfit.get("details").is_none());
    // A watch is a stream, and YAML is none.
    let watch = format!("{CONFIGMAPS}?watch=1&timeoutSeconds=1");
    let refused = ask(&admin, "application/yaml", &watch).await.expect_code(406);
    let status: Value = serde_yaml_ng::from_slice(&refused.body).unwrap();
    assert!(text(&status["message"]).contains("application/json;stream=watch"), "{status}");
    let metadata = admin.with("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1");
    let event = metadata.watch(&watch).await.next().await.unwrap();
    assert_eq!(
        (text(&event["object"]["apiVersion"]), event["object"].get("data")),
        ("meta.k8s.io/v1beta1", None)
    );
}

/// Reads what a metadata client of client-go asks for.
fn metadata(body: &[u8], kind: &str) -> Value {
    let graph = api_schema::builtin::graph();
    let root = graph.at(api_schema::builtin::kind("meta.k8s.io", "v1", kind).unwrap());
    api_schema::protobuf::decode(body, root).unwrap()
}

#[tokio::test]
async fn metadata_comes_in_protobuf_also_of_kinds_that_have_no_such_form() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201);
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "jars.x.dev"}, "spec": {"group": "x.dev", "scope": "Namespaced",
            "names": {"plural": "jars", "kind": "Jar"}, "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    acme.post(path, &definition).await.expect_code(201);
    let jars = "/apis/x.dev/v1/namespaces/default/jars";
    let jar = json!({"apiVersion": "x.dev/v1", "kind": "Jar", "metadata": {"name": "a"}});
    acme.post(jars, &jar).await.expect_code(201);
    for path in [CONFIGMAPS, jars] {
        let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let list = ask(&acme, accept, path).await.expect_code(200);
        assert_eq!(list.header("content-type"), "application/vnd.kubernetes.protobuf");
        let list = metadata(&list.body, "PartialObjectMetadataList");
        assert_eq!((names(&list)[0], text(&list["apiVersion"])), ("a", "meta.k8s.io/v1"));
        let one = ask(&acme, &accept.replace("MetadataList", "Metadata"), &format!("{path}/a")).await;
        let one = metadata(&one.expect_code(200).body, "PartialObjectMetadata");
        assert_eq!((text(&one["metadata"]["name"]), text(&one["kind"])), ("a", "PartialObjectMetadata"));
        let table = "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1";
        ask(&acme, table, path).await.expect_code(406);
    }
    // Custom resources have no protobuf form themselves, and know every wildcard.
    ask(&acme, "application/vnd.kubernetes.protobuf", jars).await.expect_code(406);
    ask(&acme, "application/*", jars).await.expect_code(200);
}

#[tokio::test]
async fn errors_come_in_the_format_that_is_accepted() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let missing = format!("{CONFIGMAPS}/none");
    let yaml = ask(&admin, "application/yaml", &missing).await.expect_code(404);
    assert_eq!(yaml.header("content-type"), "application/yaml");
    let protobuf = ask(&admin, "application/vnd.kubernetes.protobuf", &missing).await.expect_code(404);
    let graph = api_schema::builtin::graph();
    let root = graph.at(graph.named("io.k8s.apimachinery.pkg.apis.meta.v1.Status").unwrap());
    let status = api_schema::protobuf::decode(&protobuf.body, root).unwrap();
    assert_eq!((text(&status["kind"]), text(&status["reason"])), ("Status", "NotFound"));
    let unknown = ask(&admin, "text/html", &missing).await.expect_code(406);
    assert!(unknown.body.starts_with(b"{\n"), "{unknown:?}");
    assert_eq!(unknown.json()["details"], json!({}));
}

#[tokio::test]
async fn people_read_lines_and_programs_do_not() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let one = format!("{CONFIGMAPS}/a");
    // User agent, query, path, with lines.
    let table = [
        ("kubectl/v1.36.0", "", one.as_str(), false),
        ("curl/8.14", "", &one, true),
        ("curl/8.14", "?pretty=false", &one, false),
        ("", "?pretty=true", &one, true),
        ("", "?pretty=1", CONFIGMAPS, true),
        ("", "?pretty=1", "/api/v1", true),
        ("Mozilla/5.0", "", "/api/v1/namespaces/none", true),
        ("curl/8.14", "", "/api/v1", true),
        ("kubectl/v1.36.0", "", "/api/v1", false),
        ("kubectl/v1.36.0", "", "/version", true),
    ];
    for (agent, query, path, lines) in table {
        let client = if agent.is_empty() { admin.clone() } else { admin.with("user-agent", agent) };
        let answer = client.get(&format!("{path}{query}")).await;
        let found = answer.body.starts_with(b"{\n");
        assert_eq!(found, lines, "{agent} {path}{query}");
    }
}

#[tokio::test]
async fn bodies_are_what_their_type_says() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for (index, (of, code)) in [
        ("application/json;charset=utf-8", 201),
        ("APPLICATION/JSON", 201),
        ("application/json; x", 415),
        ("application/json, text/plain", 415),
        ("text/plain", 415),
    ]
    .into_iter()
    .enumerate()
    {
        let body = configmap(&format!("c{index}"), json!({})).to_string();
        let answer = admin.send("POST", CONFIGMAPS, of, body).await;
        assert_eq!(answer.code, code, "{of}");
    }
    let one = format!("{CONFIGMAPS}/c0");
    admin.send("PATCH", &one, "application/merge-patch+json; charset=utf-8", "{}").await.expect_code(200);
    admin.send("DELETE", &one, "text/plain", "{}").await.expect_code(415);
    admin.send("DELETE", &one, "text/plain", "").await.expect_code(200);
}
