//! What goes over the connection around the objects: heads, documents, WebSockets.

use crate::harness::{CONFIGMAPS, Installation, configmap};
use api_types::TenantId;
use futures::StreamExt;
use serde_json::{Value, json};
use tenant_apiserver_proxy::pki::KeyedCertificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

fn certificate(insula: &Installation) -> KeyedCertificate {
    insula.server.sign_client(TenantId::HOST, "admin", Some("system:masters")).unwrap()
}

/// Sends bytes, and gives back all that is answered until the connection ends.
async fn raw(insula: &Installation, certificate: Option<&KeyedCertificate>, sent: &str) -> String {
    let mut stream = insula.stream(certificate, b"http/1.1").await;
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end of TLS may be missing: what came before it counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn each_answer_has_an_id_that_the_client_may_choose() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let first = admin.get("/version").await.expect_code(200).header("audit-id").to_owned();
    let second = admin.get("/nope").await.expect_code(404).header("audit-id").to_owned();
    assert!(first.len() == 36 && second.len() == 36 && first != second, "{first} {second}");
    let chosen = admin.with("audit-id", "mine").get(CONFIGMAPS).await.expect_code(200);
    assert_eq!(chosen.header("audit-id"), "mine");
}

#[tokio::test]
async fn lines_of_json_end() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    for (path, code) in [(CONFIGMAPS, 200), ("/api", 200), ("/api/v1/namespaces/none", 404)] {
        let answer = admin.get(path).await.expect_code(code);
        let ends = answer.body.iter().filter(|byte| **byte == b'\n').count();
        assert!(ends == 1 && answer.body.ends_with(b"}\n"), "{path}");
    }
}

#[tokio::test]
async fn heads_are_long_but_bounded() {
    let insula = Installation::start().await;
    let admin = certificate(&insula);
    let ask =
        |headers: String| format!("GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    let many: String = (0..500).map(|n| format!("X-{n}: a\r\n")).collect();
    for (headers, code) in [
        (format!("X-A: {}\r\n", "a".repeat(200 << 10)), "200"),
        (many, "200"),
        (format!("X-A: {}\r\n", "a".repeat(300 << 10)), "431"),
    ] {
        let answer = raw(&insula, Some(&admin), &ask(headers)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
    let answer = raw(&insula, None, "GET /version HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("missing required Host header"),
        "{answer}"
    );
}

#[tokio::test]
async fn paths_that_are_no_text_name_nothing() {
    let insula = Installation::start().await;
    let user = certificate(&insula);
    for (path, code, why) in [
        (format!("{CONFIGMAPS}/a%ff"), 404, "configmaps \\\"a\u{fffd}\\\" not found"),
        (format!("{CONFIGMAPS}/a%zz"), 400, "400 Bad Request"),
        ("/%ff".to_owned(), 404, "404 page not found"),
        ("/%f".to_owned(), 400, "400 Bad Request"),
    ] {
        let asked = format!("GET {path} HTTP/1.1\r\nHost: insula\r\nConnection: close\r\n\r\n");
        let answer = raw(&insula, Some(&user), &asked).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.contains(why), "{path}: {answer}");
    }
}

#[tokio::test]
async fn openapi_version_3_comes_in_protobuf() {
    const JSON: &str = "application/json";
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
    const AS_ASKED: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let path = "/openapi/v3/api/v1";
    let tag = admin.get(path).await.expect_code(200).header("etag").to_owned();
    for (accept, of) in [
        (AS_ASKED.to_owned(), PROTOBUF),
        (PROTOBUF.to_owned(), PROTOBUF),
        (format!("{AS_ASKED},{JSON};q=0.5"), PROTOBUF),
        (JSON.to_owned(), JSON),
        (format!("{JSON},{AS_ASKED};q=0.5"), JSON),
    ] {
        let answer = admin.with("accept", accept.as_str()).get(path).await.expect_code(200);
        assert_eq!((answer.header("content-type"), answer.header("etag")), (of, tag.as_str()), "{accept}");
        // Field 1 is the version of OpenAPI.
        assert_eq!(answer.body.starts_with(b"\x0a\x053.0.0"), of == PROTOBUF, "{accept}");
    }
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        admin.with("if-none-match", known).get(path).await.expect_code(304);
    }
    admin.with("if-none-match", "\"other\"").get(path).await.expect_code(200);
    admin.with("accept", "text/html").get(path).await.expect_code(406);
}

/// A socket, or the code of the refusal.
pub async fn connect(
    insula: &Installation,
    certificate: &KeyedCertificate,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<tokio_tungstenite::WebSocketStream<TlsStream<TcpStream>>, u16> {
    let stream = insula.stream(Some(certificate), b"http/1.1").await;
    let mut request = format!("wss://insula{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_watch_goes_over_a_web_socket() {
    let insula = Installation::start().await;
    let admin = insula.admin().await;
    let made = admin.post(CONFIGMAPS, &configmap("a", json!({"k": "v"}))).await.expect_code(201).json();
    let user = certificate(&insula);
    let path = format!("{CONFIGMAPS}?watch=true&fieldSelector=metadata.name%3Da");
    let page = ("origin", "https://page.example.com");
    let mut socket = connect(&insula, &user, &path, &[page]).await.unwrap();
    let Some(Ok(Message::Text(event))) = socket.next().await else { panic!("no event") };
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), &made));
    admin.delete(&format!("{CONFIGMAPS}/a")).await.expect_code(200);
    let Some(Ok(Message::Text(event))) = socket.next().await else { panic!("no event") };
    assert!(event.starts_with("{\"type\":\"DELETED\""), "{event}");

    let protobuf = ("accept", "application/vnd.kubernetes.protobuf;stream=watch");
    admin.post(CONFIGMAPS, &configmap("a", json!({}))).await.expect_code(201);
    let mut socket = connect(&insula, &user, &path, &[page, protobuf]).await.unwrap();
    let Some(Ok(Message::Binary(event))) = socket.next().await else { panic!("no event") };
    assert!(event.starts_with(b"\x0a\x05ADDED"), "{event:?}");

    let short = format!("{path}&timeoutSeconds=1&resourceVersion=1");
    let mut ending = connect(&insula, &user, &short, &[page]).await.unwrap();
    let mut last = None;
    while let Some(Ok(message)) = ending.next().await {
        last = Some(message);
    }
    assert!(matches!(last, Some(Message::Close(Some(frame))) if u16::from(frame.code) == 1000));

    assert_eq!(connect(&insula, &user, &path, &[]).await.err(), Some(403));
    let wrong = format!("{CONFIGMAPS}?watch=true&fieldSelector=nope%3Da");
    assert_eq!(connect(&insula, &user, &wrong, &[page]).await.err(), Some(400));
}
