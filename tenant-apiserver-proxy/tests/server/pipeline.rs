//! From the path to the handler: what is refused, how, and for whom.

use crate::harness::{CONFIGMAPS, Installation, configmap, text};
use api_types::TenantId;
use serde_json::json;

#[tokio::test]
async fn what_cannot_be_served_is_refused_in_kubernetes_words() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let body = configmap("x", json!({})).to_string();
    // Method, path, content type, Accept, body → code, reason, part of the message
    let table = [
        (
            "GET",
            "/api/v1/namespaces/default/configmaps/none",
            "",
            "",
            "",
            404,
            "NotFound",
            "configmaps \"none\" not found",
        ),
        ("GET", "/api/v1/bogus", "", "", "", 404, "NotFound", "could not find the requested resource"),
        (
            "GET",
            "/api/v1/nodes/n/bogus",
            "",
            "",
            "",
            404,
            "NotFound",
            "could not find the requested resource",
        ),
        ("GET", "/api/v1/configmaps/x", "", "", "", 404, "NotFound", "could not find the requested resource"),
        (
            "POST",
            "/api/v1/configmaps",
            "application/json",
            "",
            &body,
            405,
            "MethodNotAllowed",
            "does not allow this method",
        ),
        (
            "POST",
            "/version",
            "application/json",
            "",
            "{}",
            405,
            "MethodNotAllowed",
            "does not allow this method",
        ),
        ("GET", CONFIGMAPS, "", "application/cbor", "", 406, "NotAcceptable", "406: Not Acceptable"),
        (
            "POST",
            CONFIGMAPS,
            "application/json",
            "application/cbor",
            &body,
            406,
            "NotAcceptable",
            "406: Not Acceptable",
        ),
        (
            "POST",
            CONFIGMAPS,
            "application/cbor",
            "",
            &body,
            415,
            "UnsupportedMediaType",
            "accepted media types include",
        ),
        (
            "PATCH",
            "/api/v1/namespaces/default/configmaps/x",
            "text/plain",
            "",
            "{}",
            415,
            "UnsupportedMediaType",
            "415: Unsupported Media Type",
        ),
        ("POST", CONFIGMAPS, "application/json", "", "{", 400, "BadRequest", ""),
        (
            "POST",
            CONFIGMAPS,
            "application/json",
            "",
            "{\"kind\":\"Secret\",\"apiVersion\":\"v1\"}",
            400,
            "BadRequest",
            "Secret",
        ),
        (
            "POST",
            "/api/v1/namespaces/nowhere/configmaps",
            "application/json",
            "",
            &body,
            404,
            "NotFound",
            "namespaces \"nowhere\" not found",
        ),
        ("GET", "/api/v1/configmaps?limit=many", "", "", "", 400, "BadRequest", "many"),
        ("GET", "/api/v1/configmaps?resourceVersion=new", "", "", "", 400, "BadRequest", "resourceVersion"),
        ("GET", "/api/v1/configmaps?labelSelector=a%3D%3D%3D", "", "", "", 400, "BadRequest", ""),
        (
            "GET",
            "/api/v1/configmaps?fieldSelector=spec.bogus%3D1",
            "",
            "",
            "",
            400,
            "BadRequest",
            "spec.bogus",
        ),
    ];
    for (method, path, content_type, accept, body, code, reason, message) in table {
        let client = if accept.is_empty() { admin.clone() } else { admin.with("accept", accept) };
        let answer = client.send(method, path, content_type, body.to_owned()).await;
        assert_eq!(answer.code, code, "{method} {path}: {answer:?}");
        let status = answer.json();
        assert_eq!(
            (text(&status["kind"]), text(&status["status"]), text(&status["reason"]), &status["code"]),
            ("Status", "Failure", reason, &json!(code)),
            "{method} {path}"
        );
        assert!(text(&status["message"]).contains(message), "{method} {path}: {status}");
    }
    // Nothing was done whose answer could not be given.
    admin.get(&format!("{CONFIGMAPS}/x")).await.expect_code(404);
    admin.get("/bogus").await.expect_code(404);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let large = configmap("x", json!({"a": "x".repeat(3 << 20)}));
    let status = admin.post(CONFIGMAPS, &large).await.expect_code(413).json();
    assert_eq!(text(&status["reason"]), "RequestEntityTooLarge");
}

#[tokio::test]
async fn who_proves_nothing_is_anonymous_and_wrong_proofs_are_401() {
    let insula = Installation::start().await;
    let (acme, acme_admin) = insula.tenant("acme").await;
    let (_, other_admin) = insula.tenant("other").await;
    let host_admin = insula.admin().await;
    let nobody = insula.certified("/tenants/acme", None).await;

    let refused = nobody.get(CONFIGMAPS).await.expect_code(403).json();
    assert!(
        text(&refused["message"]).contains("User \"system:anonymous\" cannot list resource \"configmaps\"")
    );
    nobody.get("/version").await.expect_code(200);

    // A client, and the path on which it is refused.
    let token = token_of(&acme_admin).await;
    let bearer = |client: &crate::harness::Client, token: &str| {
        client.with("authorization", format!("Bearer {token}"))
    };
    let table = [
        ("another tenant's certificate", other_admin.at("/tenants/acme")),
        ("the host's certificate", host_admin.at("/tenants/acme")),
        ("a tenant's certificate on the super cluster", acme_admin.at("/supers/local")),
        ("a plane that is not there", acme_admin.at("/tenants/none")),
        ("nonsense", bearer(&nobody, "nonsense")),
        ("a token of another plane", bearer(&nobody.at("/tenants/other"), &token)),
        ("a token of another plane", bearer(&nobody.at("/supers/local"), &token)),
    ];
    for (what, client) in table {
        let status = client.get("/version").await.expect_code(401).json();
        assert_eq!(
            (text(&status["reason"]), text(&status["message"])),
            ("Unauthorized", "Unauthorized"),
            "{what}"
        );
    }
    // A certificate that a plane's CA did not sign, though it claims to be of the plane.
    let forged = tenant_apiserver_proxy::pki::make_authority(&format!("insula:{acme}")).unwrap();
    let forged = tenant_apiserver_proxy::pki::sign_client(
        &forged,
        "admin",
        Some("system:masters"),
        time::Duration::days(1),
    )
    .unwrap();
    for path in ["/tenants/acme", ""] {
        insula.certified(path, Some(&forged)).await.get("/version").await.expect_code(401);
    }
    // The right ones work, and select their plane where the path does not.
    for client in
        [acme_admin.clone(), acme_admin.at(""), bearer(&nobody, &token), bearer(&nobody.at(""), &token)]
    {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let review = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await;
        let user = review.expect_code(201).json()["status"]["userInfo"].clone();
        let name = text(&user["username"]).to_owned();
        assert!(!text(&user["uid"]).is_empty(), "{user}");
        assert!(["admin", "system:serviceaccount:default:default"].contains(&name.as_str()), "{name}");
    }
    assert!(insula.server.sign_client(TenantId::HOST, "x", None).is_ok());
}

async fn token_of(client: &crate::harness::Client) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    text(&client.post(path, &request).await.expect_code(201).json()["status"]["token"]).to_owned()
}

#[tokio::test]
async fn impersonation_needs_a_right_and_never_gives_the_platforms_group() {
    let insula = Installation::start().await;
    let (acme, admin) = insula.tenant("acme").await;
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let as_bob = admin.with("impersonate-user", "bob");

    // A certificate and headers that ask for the platform's own group do not get it.
    let claims = insula.user(acme, "/tenants/acme", "eve", Some("insula:platform")).await;
    for (client, user, groups) in [
        (claims.clone(), "eve", json!(["system:authenticated"])),
        (as_bob.with("impersonate-group", "insula:platform"), "bob", json!(["system:authenticated"])),
        (as_bob.with("impersonate-group", "dev"), "bob", json!(["dev", "system:authenticated"])),
        (
            admin.with("impersonate-user", "system:serviceaccount:a:b"),
            "system:serviceaccount:a:b",
            json!(["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]),
        ),
        (
            admin.with("impersonate-user", "system:anonymous"),
            "system:anonymous",
            json!(["system:unauthenticated"]),
        ),
        (admin.with("impersonate-user", "jürgen"), "jürgen", json!(["system:authenticated"])),
    ] {
        let info = client.post(path, &question).await;
        // Everyone but the anonymous user may ask.
        if user == "system:anonymous" {
            info.expect_code(403);
            continue;
        }
        let info = info.expect_code(201).json()["status"]["userInfo"].clone();
        assert_eq!((text(&info["username"]), &info["groups"]), (user, &groups));
    }
    // Who may not impersonate is told so, and a group without a user is a mistake.
    let refused = claims.with("impersonate-user", "admin").get(CONFIGMAPS).await.expect_code(403).json();
    assert!(
        text(&refused["message"]).contains("cannot impersonate-on:user-info:list resource \"configmaps\""),
        "{refused}"
    );
    admin.with("impersonate-group", "dev").get(CONFIGMAPS).await.expect_code(400);
}
