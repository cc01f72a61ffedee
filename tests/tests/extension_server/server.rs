//! An extension server in the test's own process: flavours, which are listed and watched and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub const GROUP: &str = "flavours.example.com";

/// Where it is, and its certificate.
pub struct Server {
    pub port: u16,
    pub ca_bundle: String,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Starts it; it believes who has a certificate of this authority, and nobody else.
    pub fn start(front_proxy_ca: &str) -> Server {
        let made = rcgen::generate_simple_self_signed(vec!["flavours.default.svc".into()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(front_proxy_ca.as_bytes()).unwrap()).unwrap();
        let roots = Arc::new(roots);
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
        Server { port, ca_bundle: STANDARD.encode(made.cert.pem()), _runtime: runtime }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
            // A client that goes away ends its connection.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

fn answer(request: &http::Request<Incoming>) -> Response {
    let user = request.headers().get("x-remote-user").map_or("", |user| user.to_str().unwrap());
    let watching = request.uri().query().is_some_and(|query| query.contains("watch="));
    let path = request.uri().path();
    match path {
        "/apis/flavours.example.com/v1" => said(&resources()),
        "/openapi/v3" => said(&json!({"paths": {"apis/flavours.example.com/v1":
            {"serverRelativeURL": "/openapi/v3/apis/flavours.example.com/v1?hash=1"}}})),
        "/openapi/v3/apis/flavours.example.com/v1" => said(&openapi()),
        _ if path.ends_with("/flavours") && watching => events(flavour("vanilla", user)),
        _ if path.ends_with("/flavours") => said(&json!({"kind": "FlavourList", "apiVersion": api_version(),
            "metadata": {"resourceVersion": "1"}, "items": [flavour("vanilla", user)]})),
        _ => http::Response::builder().status(404).body(full("not here")).unwrap(),
    }
}

fn full(text: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, Infallible> {
    Full::new(text.into()).boxed_unsync()
}

fn said(value: &Value) -> Response {
    http::Response::builder()
        .header("content-type", "application/json")
        .body(full(value.to_string()))
        .unwrap()
}

/// One event, and then nothing for as long as the client waits.
fn events(object: Value) -> Response {
    let line = Bytes::from(format!("{}\n", json!({"type": "ADDED", "object": object})));
    let first = futures::stream::iter([Ok::<_, Infallible>(Frame::data(line))]);
    let all = futures::StreamExt::chain(first, futures::stream::pending());
    let body = StreamBody::new(all).boxed_unsync();
    http::Response::builder().header("content-type", "application/json").body(body).unwrap()
}

fn api_version() -> String {
    format!("{GROUP}/v1")
}

/// A flavour, and who has asked for it.
fn flavour(name: &str, user: &str) -> Value {
    json!({"kind": "Flavour", "apiVersion": api_version(),
        "metadata": {"name": name, "namespace": "default", "labels": {"asked-by": user}}})
}

fn resources() -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(),
        "resources": [{"name": "flavours", "singularName": "flavour", "namespaced": true, "kind": "Flavour",
            "verbs": ["get", "list", "watch"], "shortNames": ["fl"]}]})
}

fn openapi() -> Value {
    let kind = json!([{"group": GROUP, "version": "v1", "kind": "Flavour"}]);
    json!({"openapi": "3.0.0", "info": {"title": "flavours", "version": "1"},
        "paths": {"/apis/flavours.example.com/v1/namespaces/{namespace}/flavours": {"get": {
            "x-kubernetes-action": "list", "x-kubernetes-group-version-kind": kind[0],
            "responses": {"200": {"description": "OK"}}}}},
        "components": {"schemas": {"com.example.Flavour": {"type": "object",
            "description": "What something tastes of.", "x-kubernetes-group-version-kind": kind,
            "properties": {"strength": {"type": "integer", "description": "How much."}}}}}})
}
