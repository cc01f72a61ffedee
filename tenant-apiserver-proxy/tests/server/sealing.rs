//! Secrets at rest.

use crate::harness::{Installation, configmap, names, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

const PATH: &str = "/insula/sealing";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const HIDDEN: &str = "correct horse battery staple";

fn secret(name: &str) -> Value {
    // As kubectl does it: what was applied stands in an annotation too.
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": HIDDEN},
        "metadata": {"name": name, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": HIDDEN}}})
}

/// Which of some texts are in the files of a directory, but for that of the sealing keys.
pub fn found<'a>(dir: &Path, texts: &[&'a str]) -> Vec<&'a str> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let files: Vec<Vec<u8>> = files
        .filter(|path| !path.ends_with("sealing.keys"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let has =
        |text: &str| files.iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
    texts.iter().copied().filter(|text| has(text)).collect()
}

/// The planes that each key seals, the first key first.
fn planes(answer: &Value) -> Vec<u64> {
    answer["keys"].as_array().unwrap().iter().map(|key| key["planes"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn neither_secrets_nor_private_keys_are_in_the_store() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.post(SECRETS, &secret("a")).await.expect_code(201);
    acme.post("/api/v1/namespaces/default/configmaps", &configmap("a", json!({"k": "an open text"})))
        .await
        .expect_code(201);
    // Its token key is made.
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    acme.post("/api/v1/namespaces/default/serviceaccounts/default/token", &request).await.expect_code(201);
    let dir = insula.stop().await;

    let encoded = STANDARD.encode(HIDDEN);
    let kubeconfig = STANDARD.encode("apiVersion: v1");
    let texts = [HIDDEN, &encoded, "PRIVATE KEY", &kubeconfig[..18], "an open text"];
    assert_eq!(found(dir.path(), &texts), ["an open text"]);

    let insula = Installation::start_in(dir).await;
    let acme = insula.tenant_admin("acme").await;
    let read = acme.get(&format!("{SECRETS}/a")).await.expect_code(200).json();
    assert_eq!(text(&read["data"]["password"]), encoded);
}

#[tokio::test]
async fn keys_change_while_secrets_are_written_and_watched() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let admin = insula.admin().await;
    let before = admin.get(PATH).await.expect_code(200).json();
    // The host plane, the embedded super cluster and the tenant have private keys.
    assert_eq!(planes(&before), [3]);
    acme.post(SECRETS, &secret("a")).await.expect_code(201);
    let mut watch = acme.watch(&format!("{SECRETS}?watch=true")).await;
    assert_eq!(watch.line().await, "ADDED a");

    let after = admin.send("POST", PATH, "", "").await.expect_code(200).json();
    assert_eq!(planes(&after), [3, 0]);
    assert_eq!(after["keys"][1]["name"], before["keys"][0]["name"]);
    acme.post(SECRETS, &secret("b")).await.expect_code(201);
    let event = watch.next().await.unwrap();
    assert_eq!(text(&event["object"]["metadata"]["name"]), "b", "no secret was written anew");
    assert_eq!(text(&event["object"]["data"]["password"]), STANDARD.encode(HIDDEN));

    let dir = insula.stop().await;
    let file = dir.path().join("sealing.keys");
    let kept = std::fs::read_to_string(&file).unwrap();
    let first = kept.lines().find(|line| !line.starts_with('#')).unwrap();
    std::fs::write(&file, first).unwrap();
    let insula = Installation::start_in(dir).await;
    let acme = insula.tenant_admin("acme").await;
    assert_eq!(
        names(&acme.get(SECRETS).await.expect_code(200).json()),
        ["a", "b"],
        "the old key is needed no more"
    );
}

#[tokio::test]
async fn only_the_platforms_admins_see_the_keys() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    acme.get(PATH).await.expect_code(404);
    acme.send("POST", PATH, "", "").await.expect_code(404);
    let nobody = insula.user(api_types::TenantId::HOST, "", "bob", None).await;
    nobody.get(PATH).await.expect_code(403);
    nobody.send("POST", PATH, "", "").await.expect_code(403);
    let admin = insula.admin().await;
    admin.send("DELETE", PATH, "", "").await.expect_code(405);
    let seen = admin.get(PATH).await.expect_code(200).json();
    assert_eq!(planes(&seen).len(), 1, "nothing was changed");
    assert_eq!(text(&seen["keys"][0]["name"]).len(), 8, "a name, and no key: {seen}");
}
