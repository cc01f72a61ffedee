//! Methods and paths that clients use seldom: which of them there are, and how the others are refused.

use crate::harness::{CONFIGMAPS, Installation, configmap, text};
use serde_json::json;

const NOT_FOUND: &str = "the server could not find the requested resource";
const NOT_ALLOWED: &str = "the server does not allow this method on the requested resource";

#[tokio::test]
async fn methods_are_those_of_kubernetes() {
    let insula = Installation::start().await;
    let (_, acme) = insula.tenant("acme").await;
    let one = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
    // Method, path, code; the message, or the text of what is no `Status`.
    let table = [
        ("OPTIONS", CONFIGMAPS, 405, NOT_ALLOWED),
        ("TRACE", CONFIGMAPS, 405, NOT_ALLOWED),
        ("BREW", one, 405, NOT_ALLOWED),
        ("PUT", CONFIGMAPS, 405, NOT_ALLOWED),
        ("POST", one, 405, NOT_ALLOWED),
        ("DELETE", "/api/v1/configmaps", 405, NOT_ALLOWED),
        ("POST", "/version", 405, NOT_ALLOWED),
        ("BREW", "/version", 405, NOT_ALLOWED),
        ("POST", "/api", 405, NOT_ALLOWED),
        ("POST", "/healthz", 200, "ok"),
        ("OPTIONS", "/nowhere", 404, "404 page not found\n"),
        ("POST", "/api/v1/watch/namespaces/default/configmaps", 405, NOT_ALLOWED),
        ("GET", "/apis/apps/v7", 404, NOT_FOUND),
        ("GET", "/apis/apps/v7/deployments", 404, NOT_FOUND),
        ("GET", "/api/v2/pods", 404, NOT_FOUND),
        ("GET", "/apis/apps/v1/nothing", 404, NOT_FOUND),
        ("GET", "/apis/nothing/v1", 404, "404 page not found\n"),
        ("GET", "/apis/nothing/v1/things", 404, "404 page not found\n"),
        ("GET", "/api/v1/namespaces/default/nodes", 404, NOT_FOUND),
        ("GET", "/api/v1/pods/x", 404, NOT_FOUND),
        ("GET", "/api/v1/watch/namespaces/default/pods/x/status", 404, NOT_FOUND),
        ("GET", "/api/v1//configmaps", 404, NOT_FOUND),
        ("GET", "/api/v1/namespaces/default//configmaps", 404, NOT_FOUND),
        ("GET", "/api/v1/namespaces/default/configmaps/a%2Fb", 404, NOT_FOUND),
        ("GET", "/api/v1/namespaces/default/namespaces/x", 404, NOT_FOUND),
        ("GET", "/api/v1/namespaces/default/bindings/x", 404, NOT_FOUND),
        ("POST", "/api/v1/bindings", 404, NOT_FOUND),
        ("GET", "/version/x", 404, NOT_FOUND),
        ("GET", "//", 404, "404 page not found\n"),
        ("GET", "/livez/", 404, "404 page not found\n"),
        ("GET", "/livez/ping", 200, "ok"),
        ("GET", "/livez/nothing", 404, "404 page not found\n"),
        (
            "GET",
            "/livez?verbose",
            200,
            "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]poststarthook/rbac/bootstrap-roles ok\n\
             [+]poststarthook/scheduling/bootstrap-system-priority-classes ok\n\
             [+]poststarthook/crd-informer-synced ok\nlivez check passed\n",
        ),
        (
            "GET",
            "/livez?verbose&exclude=etcd&exclude=x",
            200,
            "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\n[+]poststarthook/rbac/bootstrap-roles ok\n\
             [+]poststarthook/scheduling/bootstrap-system-priority-classes ok\n\
             [+]poststarthook/crd-informer-synced ok\n\
             warn: some health checks cannot be excluded: no matches for \"x\"\nlivez check passed\n",
        ),
    ];
    for (method, path, code, message) in table {
        let answer = acme.send(method, path, "", "").await;
        assert_eq!(answer.code, code, "{method} {path}: {answer:?}");
        if answer.header("content-type") == "application/json" {
            let status = answer.json();
            assert_eq!(
                (text(&status["message"]), &status["details"]),
                (message, &json!({})),
                "{method} {path}"
            );
        } else {
            assert_eq!(answer.body, message.as_bytes(), "{method} {path}");
        }
    }
    for (path, code) in [(CONFIGMAPS, 405), (one, 405), ("/version", 405), ("/healthz", 200)] {
        let answer = acme.send("HEAD", path, "", "").await.expect_code(code);
        assert!(answer.body.is_empty());
    }
    // Lists of groups have no methods.
    for path in ["/apis", "/apis/apps", "/openapi/v3"] {
        acme.send("POST", path, "", "").await.expect_code(200);
    }
    // A slash at the end changes nothing.
    for path in [format!("{CONFIGMAPS}/"), format!("{one}/"), "/api/v1/".into(), "/apis/apps/".into()] {
        acme.get(&path).await.expect_code(200);
    }
    // What no segment of a path can be is nobody's name; what is no duration is no timeout.
    for (path, why) in [
        ("configmaps/%2e%2e", "Name parameter invalid: \"..\": may not be '..'"),
        ("configmaps/a%25", "Name parameter invalid: \"a%\": may not contain '%'"),
        (
            "configmaps?timeout=x",
            "invalid timeout specified in the request URL - time: invalid duration \"x\"",
        ),
        ("configmaps/x?export=true", "the export parameter, deprecated since v1.14, is no longer supported"),
    ] {
        let answer = acme.get(&format!("/api/v1/namespaces/default/{path}")).await.expect_code(400);
        assert_eq!(text(&answer.json()["message"]), why);
    }
    for path in [format!("{CONFIGMAPS}?timeout=1m30.5s"), "/apis?timeout=32s".into()] {
        acme.get(&path).await.expect_code(200);
    }
    // Without a right to it a method is refused as what it would do.
    let robert = acme.with("impersonate-user", "robert");
    for (method, verb) in [("HEAD", "list"), ("OPTIONS", ""), ("BREW", "")] {
        let answer = robert.send(method, CONFIGMAPS, "", "").await.expect_code(403);
        if method != "HEAD" {
            let why = format!("User \"robert\" cannot {verb} resource \"configmaps\"");
            assert!(text(&answer.json()["message"]).contains(&why), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn watches_have_an_old_path_too() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for name in ["a", "b"] {
        admin.post(CONFIGMAPS, &configmap(name, json!({}))).await.expect_code(201);
    }
    let old = CONFIGMAPS.replace("/v1/", "/v1/watch/");
    let mut all = admin.watch(&old).await;
    let mut one = admin.watch(&format!("{old}/b")).await;
    let mut nothing = admin.watch(&format!("{old}/c")).await;
    let mut namespace = admin.watch("/api/v1/watch/namespaces/default?watch=false").await;
    assert_eq!([all.line().await, all.line().await], ["ADDED a", "ADDED b"]);
    assert_eq!(one.line().await, "ADDED b");
    assert_eq!(namespace.line().await, "ADDED default");
    admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    admin.delete(&format!("{CONFIGMAPS}/b")).await.expect_code(200);
    assert_eq!(one.line().await, "DELETED b");
    admin.post(CONFIGMAPS, &configmap("c", json!({}))).await.expect_code(201);
    assert_eq!(nothing.line().await, "ADDED c");
    // Of an object itself there is no watch but that one.
    let plain = admin.get(&format!("{CONFIGMAPS}/c?watch=true")).await.expect_code(200).json();
    assert_eq!(text(&plain["kind"]), "ConfigMap");
    let two = admin.get(&format!("{old}/c?fieldSelector=metadata.name%3Da")).await.expect_code(400).json();
    assert_eq!(text(&two["message"]), "fieldSelector metadata.name doesn't match requested name");
}
