//! A server and its clients.

use api_types::TenantId;
use base64::Engine;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use object_store::{EmbeddedOptions, EmbeddedStore, ObjectStore, SealingKeys, StoreError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tenant_apiserver_proxy::audit;
use tenant_apiserver_proxy::listener;
use tenant_apiserver_proxy::pki::KeyedCertificate;
use tenant_apiserver_proxy::sealing::Sealing;
use tenant_apiserver_proxy::server::{Options, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What is still not there after this never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The path of ConfigMaps of the namespace `default`.
pub const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
/// The path of tenants.
pub const TENANTS: &str = "/apis/tenancy.insula.dev/v1alpha1/tenants";

/// A running server.
pub struct Installation {
    pub server: Arc<Server>,
    pub dir: TempDir,
    address: std::net::SocketAddr,
    listening: tokio::task::JoinHandle<()>,
}

impl Installation {
    /// A new one.
    pub async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    /// One on a directory that may have been used before.
    pub async fn start_in(dir: TempDir) -> Self {
        // The same after a restart, whatever the port is.
        Self::start_at("https://127.0.0.1", dir).await
    }

    /// One that is told that clients reach it at an address.
    pub async fn start_at(base_url: &str, dir: TempDir) -> Self {
        let store = Arc::new(open(dir.path()).await);
        Self::start_on(store, base_url, dir).await
    }

    /// One on a store.
    pub async fn start_on(store: Arc<dyn ObjectStore>, base_url: &str, dir: TempDir) -> Self {
        Self::start_as(store, base_url, dir, None).await
    }

    /// A new one that writes down what it is asked.
    pub async fn start_audited(audit: audit::Installation, dir: TempDir) -> Self {
        let store = Arc::new(open(dir.path()).await);
        Self::start_as(store, "https://127.0.0.1", dir, Some(audit)).await
    }

    async fn start_as(
        store: Arc<dyn ObjectStore>,
        base_url: &str,
        dir: TempDir,
        audit: Option<audit::Installation>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options {
            base_url: base_url.into(),
            names: vec!["127.0.0.1".into()],
            embedded_super: true,
            sealing: sealing(dir.path()),
            audit,
            scratch: dir.path().to_owned(),
            backups: None,
        };
        let server = Server::start(store, options, Shutdown::new()).await.unwrap();
        let config = tenant_apiserver_proxy::tls::server_config(server.serving()).unwrap();
        let acceptor = TlsAcceptor::from(config);
        let listening = tokio::spawn(listener::serve(server.clone(), listener, acceptor));
        Installation { server, dir, address, listening }
    }

    /// Ends it, as a process ends, and gives its directory back.
    pub async fn stop(self) -> TempDir {
        self.server.shutdown.trigger();
        self.listening.await.unwrap();
        self.dir
    }

    /// A client with a certificate of a plane.
    pub async fn certified(&self, path: &str, certificate: Option<&KeyedCertificate>) -> Client {
        Client {
            http: connect(self.address, &self.server.ca_pem(), certificate).await,
            path: path.to_owned(),
            headers: Vec::new(),
        }
    }

    /// A connection on which nothing has been said.
    pub async fn stream(
        &self,
        certificate: Option<&KeyedCertificate>,
        protocol: &[u8],
    ) -> TlsStream<TcpStream> {
        tls(self.address, &self.server.ca_pem(), certificate, protocol).await
    }

    /// Whether a client connects that believes these authorities.
    pub async fn is_believed(&self, ca_pem: &str) -> bool {
        try_tls(self.address, ca_pem, None, b"h2").await.is_ok()
    }

    /// A client of a plane for a user.
    pub async fn user(&self, plane: TenantId, path: &str, name: &str, group: Option<&str>) -> Client {
        let certificate = self.server.sign_client(plane, name, group).unwrap();
        self.certified(path, Some(&certificate)).await
    }

    /// The admin of the host plane.
    pub async fn admin(&self) -> Client {
        self.user(TenantId::HOST, "", "admin", Some("system:masters")).await
    }

    /// A new tenant: its identity, and its admin by the kubeconfig that the platform wrote.
    pub async fn tenant(&self, name: &str) -> (TenantId, Client) {
        let made = self.admin().await.post(TENANTS, &tenant(name)).await.expect_code(201).json();
        let id = TenantId::parse(text(&made["metadata"]["uid"])).unwrap();
        (id, self.tenant_admin(name).await)
    }

    /// The admin of a tenant, by its kubeconfig.
    pub async fn tenant_admin(&self, name: &str) -> Client {
        let secret = self
            .admin()
            .await
            .get(&format!("/api/v1/namespaces/insula-system/secrets/{name}-kubeconfig"))
            .await
            .expect_code(200)
            .json();
        let decode = |value: &Value| {
            String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text(value)).unwrap()).unwrap()
        };
        let config: Value = serde_yaml_ng::from_str(&decode(&secret["data"]["value"])).unwrap();
        let user = &config["users"][0]["user"];
        let certificate = KeyedCertificate {
            certificate_pem: decode(&user["client-certificate-data"]),
            key_pem: decode(&user["client-key-data"]),
        };
        let endpoint = text(&config["clusters"][0]["cluster"]["server"]).to_owned();
        let path = endpoint.strip_prefix(&self.server.base_url()).unwrap().to_owned();
        assert_eq!(
            decode(&config["clusters"][0]["cluster"]["certificate-authority-data"]),
            self.server.ca_pem()
        );
        self.certified(&path, Some(&certificate)).await
    }
}

/// A `Tenant`.
pub fn tenant(name: &str) -> Value {
    json!({"apiVersion": "tenancy.insula.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}})
}

/// A ConfigMap.
pub fn configmap(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A text of an object.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// `metadata.resourceVersion`.
pub fn version(object: &Value) -> u64 {
    text(&object["metadata"]["resourceVersion"]).parse().unwrap()
}

/// The names of a list's items.
pub fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| text(&item["metadata"]["name"])).collect()
}

/// Waits for a state.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut state: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(found) = state().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never happened"))
}

/// The installation's keys, in a file of the directory.
fn sealing(dir: &Path) -> Sealing {
    let path = dir.join("sealing.keys");
    let keys = match std::fs::read_to_string(&path) {
        Ok(text) => SealingKeys::parse(&text).unwrap(),
        Err(_) => SealingKeys::generate().unwrap(),
    };
    std::fs::write(&path, keys.text()).unwrap();
    Sealing::new(keys, move |keys| std::fs::write(&path, keys.text()).map_err(|error| error.to_string()))
}

/// Opens a store that may still be held by a server which is ending.
pub async fn open(dir: &Path) -> EmbeddedStore {
    eventually("opening the store", || async {
        match EmbeddedStore::open(dir, EmbeddedOptions::default()) {
            Ok(store) => Some(store),
            Err(StoreError::InUse { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

async fn connect(
    address: std::net::SocketAddr,
    ca_pem: &str,
    certificate: Option<&KeyedCertificate>,
) -> SendRequest<Full<Bytes>> {
    let stream = tls(address, ca_pem, certificate, b"h2").await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn tls(
    address: std::net::SocketAddr,
    ca_pem: &str,
    certificate: Option<&KeyedCertificate>,
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    try_tls(address, ca_pem, certificate, protocol).await.unwrap()
}

async fn try_tls(
    address: std::net::SocketAddr,
    ca_pem: &str,
    certificate: Option<&KeyedCertificate>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some(keyed) => {
            let chain = vec![CertificateDer::from_pem_slice(keyed.certificate_pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(keyed.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A client of one plane, over one connection.
#[derive(Clone)]
pub struct Client {
    http: SendRequest<Full<Bytes>>,
    /// The plane's path; may be changed to try another one.
    pub path: String,
    /// Sent with every request.
    pub headers: Vec<(&'static str, String)>,
}

impl Client {
    /// The same connection, with a header more.
    pub fn with(&self, name: &'static str, value: impl Into<String>) -> Client {
        let mut client = self.clone();
        client.headers.push((name, value.into()));
        client
    }

    /// The same connection, on another plane's path.
    pub fn at(&self, path: &str) -> Client {
        Client { path: path.to_owned(), ..self.clone() }
    }

    async fn start(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> http::Response<hyper::body::Incoming> {
        let method: Method = method.parse().unwrap();
        let uri = format!("https://127.0.0.1{}{path}", self.path);
        let mut request = Request::builder().method(method).uri(uri);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let request = request.body(Full::new(body)).unwrap();
        let sent = self.http.clone().send_request(request);
        tokio::time::timeout(PATIENCE, sent).await.expect("no answer").unwrap()
    }

    /// One request.
    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let (head, body) = self.start(method, path, content_type, body.into()).await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer does not end");
        Answer { code: head.status, headers: head.headers, body: body.unwrap().to_bytes() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, "application/json", body.to_string()).await
    }

    /// A merge patch.
    pub async fn merge(&self, path: &str, patch: &Value) -> Answer {
        self.send("PATCH", path, "application/merge-patch+json", patch.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "", "").await
    }

    /// Posts bytes, and leaves the answer unread.
    pub async fn watch_post(&self, path: &str, body: Bytes) -> Watch {
        let response = self.start("POST", path, "application/octet-stream", body).await;
        Watch { body: response.into_body(), rest: BytesMut::new() }
    }

    /// Opens a watch.
    pub async fn watch(&self, path: &str) -> Watch {
        let response = self.start("GET", path, "", Bytes::new()).await;
        assert_eq!(response.status(), 200, "{path}");
        Watch { body: response.into_body(), rest: BytesMut::new() }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn expect_code(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An open watch.
pub struct Watch {
    body: hyper::body::Incoming,
    rest: BytesMut,
}

impl Watch {
    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("nothing more comes");
            self.rest.extend_from_slice(&frame?.ok()?.into_data().ok()?);
        }
    }

    /// The next event as `TYPE name@resourceVersion`.
    pub async fn line(&mut self) -> String {
        let event = self.next().await.expect("the watch ended");
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or("");
        format!("{} {name}", text(&event["type"]))
    }

    /// Reads until the end.
    pub async fn drain(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
