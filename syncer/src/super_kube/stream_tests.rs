//! Subresources of pods, asked of a server that answers with bytes of its own.

use super::*;
use futures::StreamExt;
use http::HeaderMap;
use plane_client::{PodAnswer, PodRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers one request with this head, and echoes after it when that is an upgrade. It gives the request.
async fn server(answer: &'static str, echoes: bool) -> (KubeSuper, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = reached(&listener).await;
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        if echoes {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        }
        head
    });
    (api, asked)
}

/// The API of what listens there.
async fn reached(listener: &TcpListener) -> KubeSuper {
    let url = format!("http://{}/supers/local", listener.local_addr().unwrap());
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "ours"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}]});
    KubeSuper::from_kubeconfig(&kubeconfig.to_string()).await.unwrap()
}

/// All of a request that has no body.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
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

/// A server that closes its first connection when the second request comes on it, and answers one on each that follows.
/// It gives the first lines of all requests.
async fn closing(connections: usize) -> (KubeSuper, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = reached(&listener).await;
    let served = tokio::spawn(async move {
        let mut heard = Vec::new();
        for connection in 0..connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            heard.push(head(&mut stream).await);
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"gitVersion\": \"v\"}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            if connection == 0 {
                heard.push(head(&mut stream).await);
            }
        }
        heard.iter().map(|head| head.lines().next().unwrap_or("").to_owned()).collect()
    });
    (api, served)
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again_when_its_connection_was_just_closed() {
    let log = "GET /supers/local/api/v1/namespaces/acme-shop-x/pods/web/log HTTP/1.1";
    let (api, served) = closing(2).await;
    assert_eq!(api.version().await.unwrap(), "v");
    assert!(api.open(&at("log"), request("log", Method::GET, "", &[])).await.is_ok());
    assert_eq!(served.await.unwrap(), ["GET /supers/local/version HTTP/1.1", log, log]);
    let (api, served) = closing(2).await;
    assert_eq!(
        (api.version().await.unwrap(), api.version().await.unwrap()),
        ("v".to_owned(), "v".to_owned())
    );
    assert_eq!(served.await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_would_be_done_twice_is_not_asked_again() {
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let (api, served) = closing(1).await;
    api.version().await.unwrap();
    let error =
        api.open(&at("exec"), request("exec", Method::GET, "command=ls", &upgrade)).await.err().unwrap();
    assert_eq!((error.code(), served.await.unwrap().len()), (503, 2));
    let (api, served) = closing(1).await;
    api.version().await.unwrap();
    let error =
        api.create(&Resource::new("", "v1", "pods"), &At::new("s", ""), &json!({})).await.unwrap_err();
    assert_eq!((error.code(), served.await.unwrap().len()), (503, 2));
}
