//! Open streams end when what proves their user is gone.

use crate::harness::{CONFIGMAPS, Client, Installation, text};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=true";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// A token of a service account, bound to an object or to none.
async fn token(admin: &Client, account: &str, bound: Value) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"boundObjectRef": bound}});
    let answer = admin.post(&format!("{ACCOUNTS}/{account}/token"), &request).await.expect_code(201);
    text(&answer.json()["status"]["token"]).to_owned()
}

/// A tenant `acme` whose service accounts may do everything.
async fn acme(insula: &Installation) -> Client {
    let (_, admin) = insula.tenant("acme").await;
    let binding = json!({"metadata": {"name": "robots"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    admin.post(bindings, &binding).await.expect_code(201);
    admin
}

async fn bearer(insula: &Installation, token: &str) -> Client {
    insula.certified("/tenants/acme", None).await.with("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_watch_ends_with_what_its_token_is_bound_to() {
    let insula = Installation::start().await;
    let admin = acme(&insula).await;
    admin.post(ACCOUNTS, &json!({"metadata": {"name": "robot"}})).await.expect_code(201);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "i"}]}});
    admin.post(PODS, &pod).await.expect_code(201);
    admin.post(SECRETS, &json!({"metadata": {"name": "s"}})).await.expect_code(201);
    let bound = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "name": name});
    let lasting = bearer(&insula, &token(&admin, "default", Value::Null).await).await;
    let mut stays = lasting.watch(WATCH).await;
    assert_eq!(stays.line().await, "ADDED kube-root-ca.crt");
    for (account, bound, object) in [
        ("default", bound("Pod", "p"), format!("{PODS}/p?gracePeriodSeconds=0")),
        ("default", bound("Secret", "s"), format!("{SECRETS}/s")),
        ("robot", Value::Null, format!("{ACCOUNTS}/robot")),
    ] {
        let client = bearer(&insula, &token(&admin, account, bound).await).await;
        let mut watch = client.watch(WATCH).await;
        assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
        admin.delete(&object).await.expect_code(200);
        assert_eq!(watch.next().await, None, "{object}");
        client.get(CONFIGMAPS).await.expect_code(401);
    }
    admin.post(CONFIGMAPS, &json!({"metadata": {"name": "z"}})).await.expect_code(201);
    assert_eq!(stays.line().await, "ADDED z", "nobody else's watch ended");
}

#[tokio::test]
async fn so_does_one_over_a_web_socket() {
    let insula = Installation::start().await;
    let admin = acme(&insula).await;
    admin.post(ACCOUNTS, &json!({"metadata": {"name": "robot"}})).await.expect_code(201);
    let token = token(&admin, "robot", Value::Null).await;
    let mut request = format!("wss://insula/tenants/acme{WATCH}").into_client_request().unwrap();
    for (name, value) in [("origin", "https://page"), ("authorization", &format!("Bearer {token}"))] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = insula.stream(None, b"http/1.1").await;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let Some(Ok(Message::Text(event))) = socket.next().await else { panic!("no event") };
    assert!(event.contains("kube-root-ca.crt"), "{event}");
    admin.delete(&format!("{ACCOUNTS}/robot")).await.expect_code(200);
    let Some(Ok(Message::Close(Some(said)))) = socket.next().await else { panic!("no end") };
    assert_eq!(u16::from(said.code), 1000);
}
