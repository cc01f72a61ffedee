//! Requests as a client library makes them, with everything told that they were answered.

use crate::requests::Attempt;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest that a request waits for its answer; what comes later is unknown.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the objects of the load are.
pub const PATH: &str = "/api/v1/namespaces/default/configmaps";

/// A client with connections of its own.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
    origin: Instant,
}

/// An answer.
#[derive(Debug)]
pub struct Answered {
    pub code: u16,
    pub body: Value,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nobody listened: nothing was sent.
    Refused,
    /// The connection broke, or it took too long: what was asked for may have been done.
    Broken,
}

impl Client {
    /// `origin` is when time begins.
    pub async fn new(kubeconfig: &Path, origin: Instant) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        // A patch that is sent again after 504 may be done twice: what was answered is to be seen here.
        config.default_retry = false;
        Client { kube: kube::Client::try_from(config).unwrap(), origin }
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// An answer, or why there is none.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answered, Silence> {
        let whole = async {
            let response = self.send(method, path, body).await?;
            let code = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(|_| Silence::Broken)?.to_bytes();
            Ok(Answered { code, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
        };
        tokio::time::timeout(PATIENCE, whole).await.unwrap_or(Err(Silence::Broken))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Body>, Silence> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.kube.send(request.body(Body::from(bytes)).unwrap()).await.map_err(|error| silence(&error))
    }

    /// A request of any form: its code and all bytes of the answer, of its headers too. `None` when it cannot be sent,
    /// or there was no answer.
    pub async fn raw(&self, attempt: &Attempt) -> Option<(u16, Vec<u8>)> {
        let bytes = attempt.body.as_ref().map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let mut request = Request::builder().method(attempt.method.clone()).uri(attempt.path.as_str());
        for (name, value) in &attempt.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(bytes)).ok()?;
        let whole = async {
            let response = self.kube.send(request).await.ok()?;
            let code = response.status().as_u16();
            let mut answered = format!("{:?}\n", response.headers()).into_bytes();
            let mut body = response.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                answered.extend_from_slice(frame.data_ref().map(|data| &data[..]).unwrap_or_default());
            }
            Some((code, answered))
        };
        tokio::time::timeout(PATIENCE, whole).await.ok()?
    }

    /// A watch: its lines, or what it was answered instead. `None` when there is no connection.
    pub async fn watch(&self, path: &str) -> Option<Result<Lines, Answered>> {
        let response = tokio::time::timeout(PATIENCE, self.send(Method::GET, path, None)).await.ok()?.ok()?;
        if response.status().is_success() {
            return Some(Ok(Lines { body: response.into_body(), buffer: Vec::new() }));
        }
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        Some(Err(Answered { code, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }))
    }
}

fn silence(error: &kube::Error) -> Silence {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            return Silence::Refused;
        }
        next = error.source();
    }
    Silence::Broken
}

/// What a watch sends.
pub struct Lines {
    body: Body,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next event; `None` when the stream ended. A line that was cut off is none.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line is an event"));
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref()?);
        }
    }
}

/// The version of an object or list, as a number.
pub fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a version")
}

/// The mark of an object of the load; zero for another one.
pub fn mark(object: &Value) -> u64 {
    object["data"]["mark"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
