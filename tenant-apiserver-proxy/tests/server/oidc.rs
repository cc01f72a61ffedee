//! Users of a tenant's own issuer, which is a small HTTPS server in the test's own process.

use crate::harness::{CONFIGMAPS, Client, Installation, TENANTS, tenant};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use https_server::Listening;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use rcgen::PublicKeyData;
use serde_json::{Value, json};
use std::sync::Arc;

/// A running issuer.
#[derive(Clone)]
struct Issuer {
    url: String,
    ca: String,
    /// The set that it publishes.
    keys: Arc<Mutex<Vec<Value>>>,
    /// How often that was fetched.
    fetched: Arc<Mutex<usize>>,
}

impl Issuer {
    async fn start() -> Issuer {
        let listening = Listening::start(&["127.0.0.1"], None).await;
        let (url, ca) = (listening.url(), listening.certificate().to_owned());
        let issuer = Issuer { url, ca, keys: Arc::default(), fetched: Arc::default() };
        let answering = issuer.clone();
        listening.serve(move |request| {
            let answer = answering.answer(request.uri().path());
            async move { https_server::json(&answer) }
        });
        issuer
    }

    /// A key that it publishes from now on.
    fn key(&self, id: &str) -> SigningKey {
        let pair = rcgen::KeyPair::generate().unwrap();
        let point = pair.der_bytes();
        self.keys.lock().push(json!({"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])}));
        SigningKey { id: id.to_owned(), issuer: self.url.clone(), pem: pair.serialize_pem() }
    }

    fn answer(&self, path: &str) -> Value {
        match path {
            "/.well-known/openid-configuration" => {
                json!({"issuer": self.url, "jwks_uri": format!("{}/keys?all", self.url)})
            }
            _ => {
                *self.fetched.lock() += 1;
                json!({"keys": *self.keys.lock()})
            }
        }
    }
}

struct SigningKey {
    id: String,
    issuer: String,
    pem: String,
}

impl SigningKey {
    /// A token of Ann's, valid for an hour, with these claims changed.
    fn token(&self, change: Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"iss": self.issuer, "aud": "insula", "exp": now + 3_600, "iat": now, "sub": "ann",
            "groups": ["viewers"]});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        let key = EncodingKey::from_ec_pem(self.pem.as_bytes()).unwrap();
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }
}

fn authenticator(issuer: &Issuer) -> Value {
    json!({"issuer": {"url": issuer.url, "audiences": ["insula"], "certificateAuthority": issuer.ca},
        "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"},
            "groups": {"expression": "claims.groups.map(group, 'oidc:' + group)"}},
        "userValidationRules": [{"expression": "user.username != 'oidc:mallory'"}]})
}

async fn with_issuer(insula: &Installation, name: &str, issuer: &Issuer) -> Client {
    let mut object = tenant(name);
    object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]},
        "authentication": {"oidc": [authenticator(issuer)]}});
    insula.admin().await.post(TENANTS, &object).await.expect_code(201);
    insula.tenant_admin(name).await
}

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

#[tokio::test]
async fn users_of_an_issuer_are_users_of_its_tenant_alone() {
    let insula = Installation::start().await;
    let issuer = Issuer::start().await;
    let key = issuer.key("first");
    let acme = with_issuer(&insula, "acme", &issuer).await;
    insula.tenant("globex").await;
    let bearer = async |path: &str, token: &str| {
        insula.certified(path, None).await.with("authorization", format!("Bearer {token}"))
    };
    let ann = bearer("/tenants/acme", &key.token(json!({}))).await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let who = ann.post(WHO, &review).await.expect_code(201).json();
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "oidc:ann");
    assert_eq!(user["groups"], json!(["oidc:viewers", "system:authenticated"]));
    ann.get(CONFIGMAPS).await.expect_code(403);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "viewers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:viewers"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    acme.post(bindings, &binding).await.expect_code(201);
    ann.get(CONFIGMAPS).await.expect_code(200);
    // It selects no plane, and is nobody's in another one.
    for path in ["/tenants/globex", ""] {
        bearer(path, &key.token(json!({}))).await.get(CONFIGMAPS).await.expect_code(401);
    }
    let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": key.token(json!({}))}});
    let reviewed =
        acme.post("/apis/authentication.k8s.io/v1/tokenreviews", &question).await.expect_code(201).json();
    assert_eq!(reviewed["status"]["user"]["username"], "oidc:ann", "{reviewed}");
    let mut watch = ann.watch(&format!("{CONFIGMAPS}?watch=true")).await;
    assert_eq!(watch.line().await, "ADDED kube-root-ca.crt");
    // Without issuers the same token is nobody's.
    let without = json!({"spec": {"authentication": null}});
    insula.admin().await.merge(&format!("{TENANTS}/acme"), &without).await.expect_code(200);
    assert_eq!(watch.next().await, None, "it ends with the issuer");
    ann.get(CONFIGMAPS).await.expect_code(401);
}

#[tokio::test]
async fn only_sound_tokens_of_its_keys_are_taken_and_an_issuer_is_not_asked_for_each() {
    let insula = Installation::start().await;
    let issuer = Issuer::start().await;
    let key = issuer.key("first");
    with_issuer(&insula, "acme", &issuer).await;
    let code = async |token: String| {
        let client = insula.certified("/tenants/acme", None).await;
        let answer = client.with("authorization", format!("Bearer {token}")).get(CONFIGMAPS).await;
        answer.code.as_u16()
    };
    assert_eq!(code(key.token(json!({}))).await, 403, "known, and without rights");
    assert_eq!(code(key.token(json!({"aud": ["x", "insula"]}))).await, 403);
    let now = jiff::Timestamp::now().as_second();
    for (why, change) in [
        ("another audience", json!({"aud": "other"})),
        ("no audience", json!({"aud": null})),
        ("expired", json!({"exp": now - 1})),
        ("without an end", json!({"exp": null})),
        ("not yet", json!({"nbf": now + 3_600})),
        ("not yet for a while", json!({"nbf": now + 120})),
        ("with an end that is no time", json!({"exp": "never"})),
        ("issued at no time", json!({"iat": "once"})),
        ("a rule does not hold", json!({"sub": "mallory"})),
        ("no name", json!({"sub": null})),
        ("groups that are none", json!({"groups": 7})),
    ] {
        assert_eq!(code(key.token(change)).await, 401, "{why}");
    }
    let mut parts: Vec<String> = key.token(json!({})).split('.').map(str::to_owned).collect();
    parts[1] = key.token(json!({"sub": "root"})).split('.').nth(1).unwrap().to_owned();
    assert_eq!(code(parts.join(".")).await, 401, "another's signature");
    parts[0] = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
    assert_eq!(code(format!("{}.{}.", parts[0], parts[1])).await, 401, "no signature");
    let claims = json!({"iss": issuer.url, "aud": "insula", "exp": now + 3_600, "sub": "ann", "groups": []});
    let secret = EncodingKey::from_secret(key.pem.as_bytes());
    let shared = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).unwrap();
    assert_eq!(code(shared).await, 401, "a shared secret");
    assert_eq!(*issuer.fetched.lock(), 1);
    // Keys that are not known do not make it be asked again and again.
    assert_eq!(code(issuer.key("second").token(json!({}))).await, 401);
    assert_eq!(*issuer.fetched.lock(), 1, "it was asked a moment ago");
}
