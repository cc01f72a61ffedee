//! Pods that run in the test's own process: what they are asked is written down, and whatever is said to them comes back.

use crate::harness::{Client, Installation};
use api_types::{ApiError, ObjectName, TenantId};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use plane_client::{Duplex, PodAnswer, PodRequest, PodTunnel, SuperActor, TunnelError};
use serde_json::{Value, json};
use std::sync::Arc;
use tenant_apiserver_proxy::pki::KeyedCertificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

pub const PODS: &str = "/api/v1/namespaces/default/pods";

/// What was asked: a line for the request, and its headers.
pub type Asked = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// The tunnel to them.
#[derive(Clone, Default)]
pub struct Beyond {
    pub asked: Asked,
    /// The port that all connections lead to.
    pub port: u16,
}

impl Beyond {
    /// The lines of what was asked since the last look.
    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock()).into_iter().map(|(line, _)| line).collect()
    }

    /// The headers of the last request that was asked.
    pub fn headers(&self) -> Vec<String> {
        let (_, headers) = std::mem::take(&mut *self.asked.lock()).pop().unwrap();
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }
}

#[async_trait]
impl PodTunnel for Beyond {
    fn leads_somewhere(&self, _: TenantId) -> bool {
        true
    }

    async fn connect(
        &self,
        _tenant: TenantId,
        pod: &ObjectName,
        port: u16,
    ) -> Result<Box<dyn Duplex>, TunnelError> {
        self.asked.lock().push((format!("connect {pod} {port}"), HeaderMap::new()));
        if self.port == 0 {
            return Err(TunnelError { pod: pod.clone(), why: "it does not run".to_owned() });
        }
        Ok(Box::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()))
    }

    async fn open(
        &self,
        _tenant: TenantId,
        pod: &ObjectName,
        request: PodRequest,
    ) -> Result<PodAnswer, ApiError> {
        let line = format!("{} {pod}/{}?{}", request.method, request.subresource, request.query);
        self.asked.lock().push((line, request.headers.clone()));
        if request.subresource == "log" {
            let lines = futures::stream::iter(["one\n", "two\n"].map(|line| Ok(Bytes::from(line))));
            // Who follows hears no end.
            let rest: futures::stream::BoxStream<'static, _> = if request.query.contains("follow") {
                futures::stream::pending().boxed()
            } else {
                futures::stream::empty().boxed()
            };
            return Ok(PodAnswer::Body { code: StatusCode::OK, body: lines.chain(rest).boxed() });
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::UPGRADE, request.headers[header::UPGRADE].clone());
        headers.insert(header::SERVER, HeaderValue::from_static("hz-1"));
        headers.insert(HeaderName::from_static("x-stream-protocol-version"), HeaderValue::from_static("v4"));
        let (near, far) = tokio::io::duplex(64);
        tokio::spawn(async move {
            let (mut from, mut to) = tokio::io::split(far);
            // Whoever goes away ends it.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        Ok(PodAnswer::Upgraded { headers, connection: Box::new(near) })
    }

    async fn actor(&self, _tenant: TenantId) -> Option<SuperActor> {
        Some(SuperActor { cluster: "hz-1".to_owned(), user: Some("the-syncer".to_owned()) })
    }
}

/// A server that answers each request with its head, one on each connection, and echoes once it is upgraded.
pub async fn echo_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let text = String::from_utf8(head).unwrap();
                if text.to_lowercase().contains("\r\nupgrade: ") {
                    let answer = "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    return;
                }
                let code = if text.contains("/away") { "302 Found\r\nLocation: /login" } else { "200 OK" };
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 {code}\r\nSet-Cookie: a=b\r\nX-App: yes\r\nContent-Length: {length}\r\n\r\n{text}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    port
}

/// A pod, on a node unless that is empty.
pub async fn pod(admin: &Client, name: &str, node: &str, containers: usize) {
    let all: Vec<Value> = (0..containers)
        .map(|at| json!({"name": format!("c{at}"), "image": "i", "ports": [{"containerPort": 8080 + at}]}))
        .collect();
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": all}});
    if !node.is_empty() {
        pod["spec"]["nodeName"] = node.into();
    }
    admin.post(PODS, &pod).await.expect_code(201);
}

/// What a client of HTTP/1.1 hears to the head of a request.
pub async fn ask(
    insula: &Installation,
    certificate: Option<&KeyedCertificate>,
    method: &str,
    path: &str,
    headers: &[&str],
) -> (TlsStream<TcpStream>, String) {
    let mut stream = insula.stream(certificate, b"http/1.1").await;
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: insula\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(answer).unwrap())
}

/// True for a connection that has been closed.
pub async fn is_closed(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut byte = [0];
    !matches!(stream.read(&mut byte).await, Ok(1))
}
