//! Who has no credentials of a tenant cannot tell whether it is there.

use crate::harness::{Answer, CONFIGMAPS, Client, Installation, TENANTS, eventually};
use base64::Engine;
use serde_json::json;

/// All of an answer but its date and its id.
fn shown(mut answer: Answer) -> String {
    answer.headers.remove("date");
    answer.headers.remove("audit-id");
    format!("{} {:?} {}", answer.code, answer.headers, String::from_utf8_lossy(&answer.body))
}

fn unsigned(issuer: &str) -> String {
    let part =
        |value: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims =
        json!({"iss": issuer, "aud": [issuer], "exp": 4_000_000_000_u64, "sub": "system:serviceaccount:a:b"});
    format!("{}.{}.{}", part(json!({"alg": "ES256", "typ": "JWT"})), part(claims), "A".repeat(86))
}

#[tokio::test]
async fn a_tenant_that_is_there_looks_like_one_that_is_not() {
    let insula = Installation::start().await;
    let (acme, _) = insula.tenant("acme").await;
    let (_, other) = insula.tenant("other").await;
    // One that is refused to its own users, too.
    let (_, suspended) = insula.tenant("suspended").await;
    let host = insula.admin().await;
    host.merge(&format!("{TENANTS}/suspended"), &json!({"spec": {"suspended": true}})).await.expect_code(200);
    suspended.get(CONFIGMAPS).await.expect_code(403);
    let forged = tenant_apiserver_proxy::pki::make_authority(&format!("insula:{acme}")).unwrap();
    let forged = tenant_apiserver_proxy::pki::sign_client(
        &forged,
        "admin",
        Some("system:masters"),
        time::Duration::days(1),
    )
    .unwrap();
    let nobody = insula.certified("", None).await;
    let bearer = |token: String| nobody.with("authorization", format!("Bearer {token}"));
    let strangers: Vec<(&str, Client)> = vec![
        ("without credentials", nobody.clone()),
        ("with nonsense", bearer("nonsense".into())),
        ("with a token that nobody signed", bearer(unsigned("https://127.0.0.1/tenants/acme"))),
        ("of another tenant", other),
        ("of the host", host),
        ("with a forged certificate", insula.certified("", Some(&forged)).await),
        ("as someone else", nobody.with("impersonate-user", "admin")),
    ];
    let requests = [
        ("GET", "/"),
        ("GET", "/version"),
        ("GET", "/healthz"),
        ("GET", "/api"),
        ("GET", "/openapi/v3"),
        ("GET", CONFIGMAPS),
        ("GET", "/api/v1/namespaces/default/configmaps?watch=1"),
        ("POST", CONFIGMAPS),
        ("DELETE", "/api/v1/namespaces/default"),
        ("GET", "/apis/nothing/v1/things"),
        ("OPTIONS", CONFIGMAPS),
        ("GET", "/openid/v1/jwks"),
        ("GET", "/nowhere"),
    ];
    for (who, stranger) in strangers {
        for (method, path) in requests {
            let nowhere = shown(stranger.at("/tenants/none").send(method, path, "", "").await);
            for plane in ["/tenants/acme", "/tenants/suspended", "/supers/none", "/tenants/"] {
                let found = shown(stranger.at(plane).send(method, path, "", "").await);
                assert_eq!(found, nowhere, "{who}: {method} {plane}{path}");
            }
        }
    }
}

#[tokio::test]
async fn how_full_a_tenant_is_shows_nobody_that_it_is_there() {
    let insula = Installation::start().await;
    let host = insula.admin().await;
    let (_, acme) = insula.tenant("acme").await;
    let limits = json!({"spec": {"limits": {"requestsPerSecond": 1, "concurrentRequests": 1}}});
    host.merge(&format!("{TENANTS}/acme"), &limits).await.expect_code(200);
    let nobody = insula.certified("/tenants/acme", None).await;
    for _ in 0..100 {
        nobody.get("/version").await.expect_code(200);
    }
    // Nor have they taken anything from the tenant.
    acme.get(CONFIGMAPS).await.expect_code(200);
}

#[tokio::test]
async fn who_fails_too_often_is_told_to_wait_and_who_is_known_is_not() {
    let insula = Installation::start().await;
    let (id, known) = insula.tenant("acme").await;
    known.get(CONFIGMAPS).await.expect_code(200);
    let nobody = insula.certified("/tenants/acme", None).await;
    let guess = |n: u32| nobody.with("authorization", format!("Bearer guess-{n}"));
    let mut refused = None;
    // A source has some hundreds at once, and some more come back meanwhile.
    for n in 0..10_000 {
        let answer = guess(n).get(CONFIGMAPS).await;
        if answer.code == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect_code(401);
    }
    let refused = refused.expect("nobody is refused");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.json()["message"], "too many logins failed from this address: try again later");
    // What was proved before goes on from the same address, and so does who says nothing.
    known.get(CONFIGMAPS).await.expect_code(200);
    nobody.get(CONFIGMAPS).await.expect_code(403);
    // The failures of a moment ago are forgiven one after the other.
    let ann = insula.user(id, "/tenants/acme", "ann", Some("system:masters")).await;
    eventually("new credentials are looked at again", async || {
        (ann.get(CONFIGMAPS).await.code == 200).then_some(())
    })
    .await;
}
