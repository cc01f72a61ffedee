//! Reviews: questions that are answered and not stored.

use crate::harness::{Installation, text};
use serde_json::{Value, json};

const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";

#[tokio::test]
async fn selectors_that_cannot_be_read_are_told() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let requirement = |key: &str, operator: &str, values: &[&str]| json!({"requirements": [{"key": key, "operator": operator, "values": values}]});
    let both = json!({"requirements": [{"key": "a", "operator": "In", "values": ["b"]},
        {"key": "a", "operator": "In", "values": ["b", "c"]}]});
    let ignored = |selector: &str| format!("spec.resourceAttributes.{selector} ignored due to parse error");
    let partially = |selector: &str| ignored(selector).replace(" ignored", " partially ignored");
    let field = "fieldSelector";
    for (selectors, expected) in [
        (json!({}), String::new()),
        (
            json!({field: {"rawSelector": "a=b"}, "labelSelector": {"rawSelector": "a in (b,c)"}}),
            String::new(),
        ),
        (json!({field: {"rawSelector": "a in"}}), ignored(field)),
        (json!({field: requirement("a", "In", &["b"])}), String::new()),
        (json!({field: requirement("a", "NotIn", &["b"])}), String::new()),
        (json!({field: requirement("a", "In", &["b", "c"])}), ignored(field)),
        (json!({field: requirement("a", "Newer", &["b"])}), ignored(field)),
        (json!({field: both}), partially(field)),
        (json!({"labelSelector": {"rawSelector": "!!"}}), ignored("labelSelector")),
        (json!({"labelSelector": requirement("a", "Newer", &["b"])}), ignored("labelSelector")),
        (
            json!({field: {"rawSelector": "a in"}, "labelSelector": {"rawSelector": "!!"}}),
            format!("{}; {}", ignored(field), ignored("labelSelector")),
        ),
    ] {
        let mut attributes = selectors.clone();
        attributes["verb"] = json!("list");
        attributes["resource"] = json!("pods");
        for (path, user) in [("selfsubjectaccessreviews", false), ("subjectaccessreviews", true)] {
            let mut spec = json!({"resourceAttributes": attributes});
            if user {
                spec["user"] = json!("ann");
            }
            let answer = admin.post(&format!("{AUTHORIZATION}/{path}"), &json!({"spec": spec})).await;
            let status = answer.expect_code(201).json()["status"].clone();
            assert_eq!(status["allowed"], !user, "{selectors}");
            assert_eq!(status["evaluationError"].as_str().unwrap_or(""), expected, "{selectors}");
        }
    }
}

#[tokio::test]
async fn what_metadata_says_is_no_part_of_the_question() {
    let insula = Installation::start().await;
    let (_, admin) = insula.tenant("acme").await;
    let attributes = json!({"verb": "get", "resource": "pods", "namespace": "default"});
    let local = format!("{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews");
    let global = format!("{AUTHORIZATION}/subjectaccessreviews");
    for (path, metadata, code, left) in [
        (&local, json!({}), 201, json!({"namespace": "default"})),
        (&local, json!({"uid": "x"}), 201, json!({"namespace": "default"})),
        (&local, json!({"namespace": "other"}), 400, Value::Null),
        (&local, json!({"name": "x"}), 422, Value::Null),
        (&global, json!({"namespace": "other", "uid": "x"}), 201, json!({})),
        (&global, json!({"labels": {"a": "b"}}), 422, Value::Null),
    ] {
        let spec = json!({"user": "ann", "resourceAttributes": attributes});
        let review = json!({"metadata": metadata, "spec": spec});
        let answer = admin.post(path, &review).await.expect_code(code).json();
        if code == 201 {
            let mut found = answer["metadata"].clone();
            found.as_object_mut().unwrap().remove("managedFields");
            assert_eq!(found, left, "{metadata}");
        }
    }
    let who = json!({"metadata": {"name": "x", "labels": {"a": "b"}}});
    let answer = admin.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &who).await.expect_code(201);
    let metadata = answer.json()["metadata"].clone();
    assert_eq!(metadata.as_object().unwrap().keys().collect::<Vec<_>>(), ["creationTimestamp"]);
}

#[tokio::test]
async fn a_certificate_says_by_which_one_a_user_came() {
    let insula = Installation::start().await;
    let (id, _) = insula.tenant("acme").await;
    // One without a name is nobody's.
    let nobody = insula.user(id, "/tenants/acme", "", Some("system:masters")).await;
    let told = nobody.get("/api/v1/nodes").await.expect_code(403).json();
    assert!(text(&told["message"]).contains("User \"system:anonymous\" cannot list"), "{told}");
    let certificate = insula.server.sign_client(id, "ann", None).unwrap();
    let client = insula.certified("/tenants/acme", Some(&certificate)).await;
    let answer = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await;
    let answer = answer.expect_code(201).json();
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.certificate_pem.as_bytes()).unwrap();
    use sha2::Digest;
    let digest: String =
        sha2::Sha256::digest(&pem.contents).iter().map(|byte| format!("{byte:02x}")).collect();
    let said = &answer["status"]["userInfo"]["extra"]["authentication.kubernetes.io/credential-id"][0];
    assert_eq!(text(said), format!("X509SHA256={digest}"));
}
