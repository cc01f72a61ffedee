//! Subresources of pods, asked of a server that answers with bytes of its own.

use super::*;
use http::HeaderMap;
use plane_client::{PodAnswer, PodRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that answers one request with this head, and echoes after it when that is an upgrade. It gives the request.
async fn server(answer: &'static str, echoes: bool) -> (KubeSuper, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/supers/local", listener.local_addr().unwrap());
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "ours"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}]});
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        if echoes {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        }
        String::from_utf8(head).unwrap()
    });
    (KubeSuper::from_kubeconfig(&kubeconfig.to_string()).await.unwrap(), asked)
}

fn request(
    subresource: &'static str,
    method: Method,
    query: &str,
    headers: &[(&'static str, &'static str)],
) -> PodRequest {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .collect();
    PodRequest { subresource, method, query: query.to_owned(), headers }
}

fn at(subresource: &'static str) -> At {
    At::new("acme-shop-x", "web").subresource(subresource)
}

#[tokio::test]
async fn an_upgraded_connection_is_bytes() {
    const SHAKEN: &str = "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
    let (api, asked) = server(SHAKEN, true).await;
    let shaking = [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
    ];
    let request = request("exec", Method::POST, "container=c&command=ls&command=-l", &shaking);
    let PodAnswer::Upgraded { headers, mut connection } = api.open(&at("exec"), request).await.unwrap()
    else {
        panic!("not upgraded")
    };
    assert_eq!(headers["x-stream-protocol-version"], "v4.channel.k8s.io");
    // No protocol that anybody here knows.
    let said: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    connection.write_all(&said).await.unwrap();
    let mut heard = vec![0; said.len()];
    connection.read_exact(&mut heard).await.unwrap();
    assert!(heard == said);
    drop(connection);
    let asked = asked.await.unwrap().to_lowercase();
    let line = "post /supers/local/api/v1/namespaces/acme-shop-x/pods/web/exec?container=c&command=ls&command=-l http/1.1";
    assert!(asked.starts_with(line), "{asked}");
    for header in ["upgrade: spdy/3.1", "connection: upgrade", "authorization: bearer ours"] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{asked}");
    }
}

#[tokio::test]
async fn logs_come_as_they_are_printed() {
    const PRINTED: &str = "HTTP/1.1 200 X\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n4\r\ntwo\n\r\n";
    // The body has no end: what was printed is there all the same.
    let (api, _asked) = server(PRINTED, true).await;
    let opened = api.open(&at("log"), request("log", Method::GET, "follow=true", &[])).await;
    let PodAnswer::Body { code, mut body } = opened.unwrap() else { panic!("upgraded") };
    assert_eq!(code, 200);
    let mut heard = Vec::new();
    while heard.len() < 8 {
        heard.extend(body.next().await.unwrap().unwrap());
    }
    assert_eq!(heard, b"one\ntwo\n");
}

#[tokio::test]
async fn refusals_are_read() {
    const STATUS: &str = "HTTP/1.1 400 X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
        {\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"no host\",\"reason\":\"BadRequest\",\"code\":400}";
    const TEXT: &str = "HTTP/1.1 502 X\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nbad gateway\n";
    const NOT_UPGRADED: &str = "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n";
    for (answer, code, message) in [
        (STATUS, 400, "no host"),
        (TEXT, 502, "bad gateway"),
        (NOT_UPGRADED, 500, "Internal error occurred: invalid upgrade response: status code 200"),
    ] {
        let (api, _asked) = server(answer, false).await;
        let shaking = [("connection", "Upgrade"), ("upgrade", "websocket")];
        let opened = api.open(&at("attach"), request("attach", Method::GET, "", &shaking)).await;
        let error = opened.err().unwrap();
        assert_eq!((error.code(), error.message()), (code, message));
    }
}

#[tokio::test]
async fn the_cluster_says_as_whom_it_knows_us() {
    const SAID: &str = "HTTP/1.1 201 X\r\nContent-Type: application/json\r\nContent-Length: 88\r\n\r\n\
        {\"status\":{\"userInfo\":{\"username\":\"system:serviceaccount:insula-system:insula-syncer\"}}}";
    // What follows the head of the request has to be read too.
    let (api, asked) = server(SAID, true).await;
    assert_eq!(api.user().await.unwrap(), "system:serviceaccount:insula-system:insula-syncer");
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with("POST /supers/local/apis/authentication.k8s.io/v1/selfsubjectreviews "),
        "{asked}"
    );
}
