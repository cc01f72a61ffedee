//! Tokens of service accounts that Secrets hold.

use crate::harness::{CONFIGMAPS, Client, Installation, eventually, text};
use crate::sealing::found;
use api_types::TenantId;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plane_client::{TokenOrder, TokenSigner};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenant_apiserver_proxy::in_process::InProcess;

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=true";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const LABEL: &str = "kubernetes.io/legacy-token-last-used";
const FORMER: &str = "insula.dev/former-token";

/// A tenant `acme` with an account `robot` that may do everything.
struct Acme {
    insula: Installation,
    id: TenantId,
    admin: Client,
}

impl Acme {
    async fn start() -> Self {
        let insula = Installation::start().await;
        let (id, admin) = insula.tenant("acme").await;
        let binding = json!({"metadata": {"name": "robots"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}]});
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        admin.post(bindings, &binding).await.expect_code(201);
        let acme = Acme { insula, id, admin };
        acme.account().await;
        acme
    }

    /// Makes the account, and gives its UID.
    async fn account(&self) -> String {
        let made = json!({"metadata": {"name": "robot"}});
        self.admin.post(ACCOUNTS, &made).await;
        let found = self.admin.get(&format!("{ACCOUNTS}/robot")).await.expect_code(200).json();
        text(&found["metadata"]["uid"]).to_owned()
    }

    async fn order(&self) -> TokenOrder {
        let uid = self.account().await;
        TokenOrder { namespace: "default".into(), secret: "s".into(), account: "robot".into(), uid }
    }

    /// A token for the Secret `s`, as a controller has it signed.
    async fn sign(&self) -> String {
        let server = InProcess::new(self.insula.server.clone());
        server.sign_token(self.id, &self.order().await).await.unwrap()
    }

    /// Makes the Secret `s` with a token.
    async fn hold(&self, token: &str) {
        let secret = json!({"metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "robot"}},
            "type": "kubernetes.io/service-account-token", "data": {"token": STANDARD.encode(token)}});
        self.admin.post(SECRETS, &secret).await.expect_code(201);
    }

    async fn robot(&self, token: &str) -> Client {
        let client = self.insula.certified("/tenants/acme", None).await;
        client.with("authorization", format!("Bearer {token}"))
    }

    async fn review(&self, spec: Value) -> Value {
        let answer = self.admin.post(REVIEWS, &json!({"spec": spec})).await.expect_code(201);
        answer.json()["status"].clone()
    }
}

#[tokio::test]
async fn neither_a_token_nor_a_part_of_it_is_in_the_store() {
    let acme = Acme::start().await;
    let token = acme.sign().await;
    acme.hold(&token).await;
    // Its use is written down.
    acme.robot(&token).await.get(CONFIGMAPS).await.expect_code(200);
    let used = acme.admin.get(&format!("{SECRETS}/s")).await.expect_code(200).json();
    assert_eq!(text(&used["data"]["token"]), STANDARD.encode(&token));
    let dir = acme.insula.stop().await;
    let encoded = STANDARD.encode(&token);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let claims = head.split('.').nth(1).unwrap();
    let parts = [&token, &encoded[..64], head, claims, &claims[20..60], signature, &encoded[100..160]];
    assert_eq!(found(dir.path(), &parts), [""; 0]);
    assert_eq!(found(dir.path(), &["robot"]), ["robot"], "names are readable");
}

#[tokio::test]
async fn the_token_of_a_secret_is_its_account() {
    let acme = Acme::start().await;
    let token = acme.sign().await;
    acme.robot(&token).await.get(CONFIGMAPS).await.expect_code(401);
    acme.hold(&token).await;
    let robot = acme.robot(&token).await;
    let review = robot.post(WHO, &json!({})).await.expect_code(201).json();
    let user = json!({"username": "system:serviceaccount:default:robot", "uid": acme.account().await, "groups": [
        "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]});
    assert_eq!(review["status"]["userInfo"], user);
    // Without a path, as clients in a pod have it, the token says whose it is.
    let here = robot.at("").get(CONFIGMAPS).await.expect_code(200).json();
    assert_eq!(here, robot.get(CONFIGMAPS).await.json());
    acme.insula.tenant("globex").await;
    robot.at("/tenants/globex").get(CONFIGMAPS).await.expect_code(401);
    let used = acme.admin.get(&format!("{SECRETS}/s")).await.json();
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    assert_eq!(used["metadata"]["labels"], json!({LABEL: today}));
    let writers = used["metadata"]["managedFields"].as_array().unwrap();
    assert!(writers.iter().any(|writer| writer["manager"] == "kube-apiserver"), "{writers:?}");
    // It still says its type to field selectors, and a day is written once.
    let of_type = format!("{SECRETS}?fieldSelector=type=kubernetes.io/service-account-token");
    assert_eq!(acme.admin.get(&of_type).await.json()["items"].as_array().unwrap().len(), 1);
    robot.get(CONFIGMAPS).await.expect_code(200);
    assert_eq!(acme.admin.get(&format!("{SECRETS}/s")).await.json(), used);
    let reviewed = acme.review(json!({"token": token})).await;
    assert_eq!(reviewed["user"], user);
    assert_eq!(reviewed["audiences"], json!(["https://127.0.0.1/tenants/acme"]));
}

#[tokio::test]
async fn it_falls_with_what_it_stands_on_and_so_do_its_watches() {
    let acme = Acme::start().await;
    let secret = format!("{SECRETS}/s");
    let marked = json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}});
    let other = json!({"data": {"token": "b3RoZXI="}});
    for (what, why) in [
        ("secret", "Token has been invalidated"),
        ("data", "Token does not match server's copy"),
        (
            "mark",
            "the token in secret default/s for service account default/robot has been marked invalid. Use tokens from \
             the TokenRequest API or manually created secret-based tokens, or remove the \
             'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token",
        ),
        ("account", "serviceaccounts \"robot\" not found"),
    ] {
        let token = acme.sign().await;
        acme.hold(&token).await;
        let robot = acme.robot(&token).await;
        let mut watch = robot.watch(WATCH).await;
        assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
        match what {
            "secret" => acme.admin.delete(&secret).await,
            "data" => acme.admin.merge(&secret, &other).await,
            "mark" => acme.admin.merge(&secret, &marked).await,
            _ => acme.admin.delete(&format!("{ACCOUNTS}/robot")).await,
        }
        .expect_code(200);
        assert_eq!(watch.next().await, None, "{what}");
        robot.get(CONFIGMAPS).await.expect_code(401);
        let reviewed = acme.review(json!({"token": token})).await;
        assert_eq!(reviewed, json!({"user": {}, "error": format!("[invalid bearer token, {why}]")}));
        acme.admin.delete(&secret).await;
    }
    // An account made again is another one.
    let token = acme.sign().await;
    acme.hold(&token).await;
    acme.admin.delete(&format!("{ACCOUNTS}/robot")).await.expect_code(200);
    let uid = acme.account().await;
    let said = acme.review(json!({"token": token})).await;
    assert!(
        text(&said["error"])
            .starts_with(&format!("[invalid bearer token, ServiceAccount UID ({uid}) does not"))
    );
    // A Secret that waits for somebody is as good as gone.
    acme.admin.delete(&secret).await.expect_code(200);
    let token = acme.sign().await;
    acme.hold(&token).await;
    acme.admin
        .merge(&secret, &json!({"metadata": {"finalizers": ["example.com/wait"]}}))
        .await
        .expect_code(200);
    acme.robot(&token).await.get(CONFIGMAPS).await.expect_code(200);
    acme.admin.delete(&secret).await.expect_code(200);
    acme.robot(&token).await.get(CONFIGMAPS).await.expect_code(401);
}

#[tokio::test]
async fn a_former_key_is_believed_for_the_overlap_and_its_token_by_its_hash() {
    let acme = Acme::start().await;
    let (server, order) = (InProcess::new(acme.insula.server.clone()), acme.order().await);
    let before = acme.sign().await;
    acme.hold(&before).await;
    assert!(!server.is_former(acme.id, &order, &before));
    let rotate = async |overlap: u32| {
        let query = format!("/insula/certs?what=token-key&plane=tenants/acme&overlap={overlap}");
        acme.insula.admin().await.send("POST", &query, "", "").await.expect_code(200);
    };
    rotate(3_600).await;
    assert!(server.is_former(acme.id, &order, &before));
    assert!(!server.is_former(acme.id, &TokenOrder { secret: "t".into(), ..order.clone() }, &before));
    assert!(!server.is_former(acme.id, &order, "something"));
    let after = acme.sign().await;
    let hash: String = Sha256::digest(&before).iter().map(|byte| format!("{byte:02x}")).collect();
    let held =
        json!({"data": {"token": STANDARD.encode(&after)}, "metadata": {"annotations": {FORMER: hash}}});
    acme.admin.merge(&format!("{SECRETS}/s"), &held).await.expect_code(200);
    for token in [&before, &after] {
        acme.robot(token).await.get(CONFIGMAPS).await.expect_code(200);
    }
    let mut watch = acme.robot(&before).await.watch(WATCH).await;
    assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
    rotate(0).await;
    assert_eq!(watch.next().await, None);
    for token in [&before, &after] {
        acme.robot(token).await.get(CONFIGMAPS).await.expect_code(401);
        assert!(server.is_former(acme.id, &order, token));
    }
}

#[tokio::test]
async fn reviews_say_why_a_token_is_nobodys() {
    let acme = Acme::start().await;
    let bound = async |spec: Value| {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = acme.admin.post(&format!("{ACCOUNTS}/robot/token"), &request).await.expect_code(201);
        text(&answer.json()["status"]["token"]).to_owned()
    };
    let pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "robot",
        "containers": [{"name": "a", "image": "i"}]}});
    let pods = "/api/v1/namespaces/default/pods";
    acme.admin.post(pods, &pod).await.expect_code(201);
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "p"});
    let of_pod = bound(json!({"boundObjectRef": reference})).await;
    let plain = bound(json!({})).await;
    let elsewhere = bound(json!({"audiences": ["vault", "mail"]})).await;
    let kept = acme.sign().await;
    acme.hold(&kept).await;
    let own = "https://127.0.0.1/tenants/acme";
    let wrong = |of: &str, asked: &str| {
        format!("[invalid bearer token, token audiences {of} is invalid for the target audiences {asked}]")
    };
    let own_shown = format!("[{own:?}]");
    let signature = "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]";
    let unsigned = |token: &str| format!("{}.c2lnbmF0dXJl", token.rsplit_once('.').unwrap().0);
    for (spec, expected) in [
        (json!({"token": "abc"}), "invalid bearer token".to_owned()),
        (json!({"token": "a.b.c"}), "invalid bearer token".to_owned()),
        (json!({"token": unsigned(&plain)}), signature.to_owned()),
        (json!({"token": unsigned(&kept)}), signature.to_owned()),
        (json!({"token": elsewhere}), wrong(r#"["vault" "mail"]"#, &own_shown)),
        (json!({"token": plain, "audiences": ["vault"]}), wrong(&own_shown, r#"["vault"]"#)),
        (json!({"token": kept, "audiences": ["vault"]}), wrong(&own_shown, r#"["vault"]"#)),
    ] {
        assert_eq!(acme.review(spec.clone()).await, json!({"user": {}, "error": expected}), "{spec}");
    }
    let found = acme.review(json!({"token": elsewhere, "audiences": ["mail", "x", "vault"]})).await;
    assert_eq!(found["audiences"], json!(["mail", "vault"]), "in the order of the question");
    assert_eq!(acme.review(json!({"token": " "})).await, json!({"user": {}}));
    assert_eq!(acme.review(json!({"token": of_pod})).await["authenticated"], true);
    acme.admin.delete(&format!("{pods}/p?gracePeriodSeconds=0")).await.expect_code(200);
    let invalidated = "[invalid bearer token, service account token has been invalidated]";
    assert_eq!(acme.review(json!({"token": of_pod})).await["error"], invalidated);
    acme.admin.post(pods, &pod).await.expect_code(201);
    let said = acme.review(json!({"token": of_pod})).await;
    assert!(text(&said["error"]).contains(") does not match service account pod ref claim ("), "{said}");
    acme.admin.delete(&format!("{ACCOUNTS}/robot")).await.expect_code(200);
    let gone = "[invalid bearer token, serviceaccounts \"robot\" not found]";
    assert_eq!(acme.review(json!({"token": plain})).await["error"], gone);
    let uid = acme.account().await;
    let said = eventually("the account is there again", || async {
        let said = acme.review(json!({"token": plain})).await;
        (said["error"] != gone).then_some(said)
    });
    let expected = format!("[invalid bearer token, service account UID ({uid}) does not match claim (");
    assert!(text(&said.await["error"]).starts_with(&expected));
}
