//! A server as a client reaches it: its address, who asks, and connections with HTTP/2 over TLS.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What a stream, and a connection, may hold that nobody has read yet: a list of many MiB comes without waiting.
const WINDOW: u32 = 16 << 20;
/// What of a refusal is kept.
const REFUSAL: usize = 300;

/// Where a server is, and as whom it is asked.
pub struct Plane {
    host: String,
    port: u16,
    /// What all paths begin with.
    base: String,
    name: ServerName<'static>,
    tls: Arc<rustls::ClientConfig>,
    authorization: Option<HeaderValue>,
}

/// One request.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
    pub content_type: &'static str,
}

impl Call {
    /// A request without a body.
    pub fn new(method: Method, path: String) -> Self {
        Call { method, path, body: Bytes::new(), content_type: "application/json" }
    }

    /// A request with a JSON body.
    pub fn with(method: Method, path: String, body: &Value) -> Self {
        Call { body: body.to_string().into(), ..Call::new(method, path) }
    }
}

/// What came back: the status, how many bytes, and what was said when it was refused.
pub struct Answer {
    pub status: u16,
    pub bytes: u64,
    pub refusal: Option<String>,
}

impl Plane {
    /// The current context of a kubeconfig, or another one. It has to say `https`; commands that print credentials are
    /// not run.
    pub async fn of(kubeconfig: Kubeconfig, context: Option<&str>) -> anyhow::Result<Self> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        let url = config.cluster_url.clone();
        if url.scheme_str() != Some("https") {
            bail!("the server {url} is not reached by https");
        }
        let host = url.host().context("the server's address has no host")?.to_owned();
        let shown = config.tls_server_name.clone().unwrap_or_else(|| host.clone());
        let mut tls = config.rustls_client_config()?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Plane {
            port: url.port_u16().unwrap_or(443),
            base: url.path().trim_end_matches('/').to_owned(),
            name: ServerName::try_from(shown.trim_matches(['[', ']']).to_owned())?,
            tls: Arc::new(tls),
            authorization: authorization(&config)?,
            host,
        })
    }

    /// The address, as kubeconfigs write it.
    pub fn url(&self) -> String {
        format!("https://{}:{}{}", self.host, self.port, self.base)
    }

    /// A new connection.
    pub async fn connect(self: &Arc<Self>) -> anyhow::Result<Connection> {
        let place = (self.host.trim_matches(['[', ']']), self.port);
        let reached = || format!("the server {} cannot be reached", self.url());
        let socket = TcpStream::connect(place).await.with_context(reached)?;
        socket.set_nodelay(true)?;
        let tls = TlsConnector::from(self.tls.clone()).connect(self.name.clone(), socket);
        let tls = tls.await.with_context(reached)?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            bail!("the server {} does not speak HTTP/2", self.url());
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (sender, connection) = builder.handshake(TokioIo::new(tls)).await.with_context(reached)?;
        // Its end is an error of the requests on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { plane: self.clone(), sender })
    }

    /// What the server tells of itself; `None` where it does not, or not to this user.
    pub async fn metrics(self: &Arc<Self>) -> Option<String> {
        let mut connection = self.connect().await.ok()?;
        connection.text(Call::new(Method::GET, "/metrics".into())).await.ok()
    }
}

/// The header that says who asks, unless a certificate does.
fn authorization(config: &Config) -> anyhow::Result<Option<HeaderValue>> {
    let who = &config.auth_info;
    let token = match (&who.token, &who.token_file) {
        (Some(token), _) => token.expose_secret().to_owned(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?
        }
        (None, None) if who.exec.is_some() || who.auth_provider.is_some() || who.username.is_some() => {
            bail!("the kubeconfig's user has neither a client certificate nor a token")
        }
        (None, None) => return Ok(None),
    };
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// A connection. Its copies share it.
#[derive(Clone)]
pub struct Connection {
    plane: Arc<Plane>,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Sends a request, and gives the answer when its headers are there.
    pub async fn open(&mut self, call: Call) -> anyhow::Result<Response<Incoming>> {
        let plane = &self.plane;
        let uri = format!("https://{}:{}{}{}", plane.host, plane.port, plane.base, call.path);
        let mut request = Request::builder().method(call.method).uri(uri);
        request = request.header("user-agent", concat!("insula-bench/", env!("CARGO_PKG_VERSION")));
        if !call.body.is_empty() {
            request = request.header(CONTENT_TYPE, call.content_type);
        }
        if let Some(authorization) = &plane.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(call.body))?).await?)
    }

    /// Sends a request and reads all of the answer, which is thrown away.
    pub async fn measure(&mut self, call: Call) -> anyhow::Result<Answer> {
        let mut response = self.open(call).await?;
        let status = response.status().as_u16();
        let (mut bytes, mut refusal) = (0, Vec::new());
        while let Some(frame) = response.frame().await {
            if let Ok(data) = frame?.into_data() {
                bytes += data.len() as u64;
                if status >= 400 {
                    refusal.extend_from_slice(&data[..data.len().min(REFUSAL)]);
                }
            }
        }
        Ok(Answer { status, bytes, refusal: (status >= 400).then(|| message(&refusal)) })
    }

    /// Sends a request, and gives the object that came back. What is refused is an error with the server's words.
    pub async fn ask(&mut self, call: Call) -> anyhow::Result<Value> {
        let shown = format!("{} {}", call.method, call.path);
        let text = self.text(call).await.with_context(|| shown.clone())?;
        serde_json::from_str(&text).with_context(|| format!("{shown}: the answer is no JSON"))
    }

    /// The same for an answer that is text.
    pub async fn text(&mut self, call: Call) -> anyhow::Result<String> {
        let response = self.open(call).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(Refused { status: status.as_u16(), message: message(&body) }.into());
        }
        Ok(String::from_utf8(body.into())?)
    }
}

/// The server's own words.
fn message(body: &[u8]) -> String {
    let status: Option<Value> = serde_json::from_slice(body).ok();
    match status.as_ref().and_then(|status| status["message"].as_str()) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).chars().take(REFUSAL).collect(),
    }
}

/// A request that the server refused.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.status)
    }
}

impl std::error::Error for Refused {}

/// Whether a request failed because there is no such thing.
pub fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404)
}
