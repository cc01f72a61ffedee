//! An HTTPS server on the loopback address, for tests: what a webhook, an issuer or an extension server is made of.
//!
//! It listens first, so that its address and its certificate can be told to others, and answers from [`Listening::serve`]
//! on. It is for tests alone: what goes wrong at the start is a panic.

#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// A body of an answer, of whatever kind.
pub type AnyBody = UnsyncBoxBody<Bytes, Infallible>;

/// A server that has its port and its certificate, and does not answer yet.
pub struct Listening {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    port: u16,
    certificate: String,
    connections: Arc<Connections>,
}

/// The connections of a server.
#[derive(Default)]
pub struct Connections {
    accepted: AtomicUsize,
    hang_up: Notify,
}

impl Connections {
    /// How many were accepted so far, hands shaken.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Ends those that are open.
    pub fn hang_up(&self) {
        self.hang_up.notify_waiters();
    }
}

impl Listening {
    /// Takes a free port, and makes a certificate for these names. With `client_ca` (PEM) it accepts those who have a
    /// certificate of that authority, and nobody else.
    pub async fn start(names: &[&str], client_ca: Option<&str>) -> Listening {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = match client_ca {
            None => rustls::server::WebPkiClientVerifier::no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let provider = provider.clone();
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .unwrap()
            }
        };
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Listening {
            port: listener.local_addr().unwrap().port(),
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: made.cert.pem(),
            connections: Arc::default(),
        }
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Its certificate, which vouches for itself, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The certificate as a `caBundle` has it: PEM in base64.
    pub fn ca_bundle(&self) -> String {
        STANDARD.encode(&self.certificate)
    }

    /// Its connections, to count them and to end them.
    pub fn connections(&self) -> Arc<Connections> {
        self.connections.clone()
    }

    /// Answers every request, HTTP/1.1 or HTTP/2, for as long as the runtime is there.
    pub fn serve<F, A, B>(self, answer: F)
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let Listening { listener, acceptor, connections, .. } = self;
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, answer, connections) = (acceptor.clone(), answer.clone(), connections.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    connections.accepted.fetch_add(1, Ordering::SeqCst);
                    let service = service_fn(move |request| {
                        let answered = answer(request);
                        async move { Ok::<_, Infallible>(answered.await) }
                    });
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                    tokio::select! {
                        // A client that goes away ends its connection.
                        _ = serving => {}
                        () = connections.hang_up.notified() => {}
                    }
                });
            }
        });
    }
}

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).boxed_unsync()
}

/// An answer of JSON.
pub fn json(value: &Value) -> Response<AnyBody> {
    let response = Response::builder().header("content-type", "application/json");
    response.body(whole(value.to_string())).unwrap()
}
