//! The operator's webhooks: an HTTPS server in the test's own process.

use crate::{Meaning, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The webhooks of all tenants, at `/TENANT/convert`, `/TENANT/mutate` and `/TENANT/validate`.
#[derive(Clone)]
pub struct Hooks {
    url: String,
    ca_bundle: String,
    meanings: Vec<&'static Meaning>,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Hooks {
    /// Starts them on a free port of the loopback address.
    pub async fn start(meanings: &[&'static Meaning]) -> Hooks {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hooks = Hooks {
            url: format!("https://{}", listener.local_addr().unwrap()),
            ca_bundle: STANDARD.encode(made.cert.pem()),
            meanings: meanings.to_vec(),
            seen: Arc::default(),
        };
        tokio::spawn(hooks.clone().serve(listener, TlsAcceptor::from(Arc::new(config))));
        hooks
    }

    pub fn client_config(&self, tenant: &str, path: &str) -> Value {
        json!({"url": format!("{}/{tenant}/{path}", self.url), "caBundle": self.ca_bundle})
    }

    /// Which path has seen objects of which tenant.
    pub fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().clone()
    }

    async fn serve(self, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, hooks) = (acceptor.clone(), self.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let hooks = hooks.clone();
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let answer = hooks.answer(&path, &serde_json::from_slice(&body).unwrap());
                        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(answer.to_string()))))
                    }
                });
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // A client that goes away ends its connection.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    fn answer(&self, path: &str, review: &Value) -> Value {
        let (tenant, of) = path.trim_start_matches('/').split_once('/').unwrap();
        let meaning = self.meanings.iter().find(|meaning| meaning.tenant == tenant).unwrap();
        let request = &review["request"];
        let mut response = json!({"uid": request["uid"]});
        if of == "convert" {
            let objects = request["objects"].as_array().unwrap();
            objects.iter().for_each(|object| self.saw(path, object));
            let version = text(&request["desiredAPIVersion"]);
            let converted: Vec<Value> =
                objects.iter().map(|object| convert(meaning, object, version)).collect();
            response["result"] = json!({"status": "Success"});
            response["convertedObjects"] = converted.into();
        } else {
            let object = &request["object"];
            assert_eq!(object["apiVersion"], "example.dev/v2", "guards ask for the second version");
            self.saw(path, object);
            let forbidden = of == "validate" && object["metadata"]["name"] == "forbidden";
            response["allowed"] = (!forbidden).into();
            if forbidden {
                response["status"] = json!({"message": format!("{tenant} forbids it"), "code": 403});
            }
            if of == "mutate" {
                let patch =
                    json!([{"op": "add", "path": "/metadata/labels", "value": {"mutated-by": tenant}}]);
                response["patchType"] = "JSONPatch".into();
                response["patch"] = STANDARD.encode(patch.to_string()).into();
            }
        }
        json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})
    }

    fn saw(&self, path: &str, object: &Value) {
        let tenant = text(&object["metadata"]["annotations"]["tenant"]).to_owned();
        self.seen.lock().push((path.to_owned(), tenant));
    }
}

fn convert(meaning: &Meaning, object: &Value, version: &str) -> Value {
    let mut object = object.clone();
    let convert = if version.ends_with("/v2") { meaning.second } else { meaning.first };
    object["spec"] = convert(&object["spec"]);
    object["apiVersion"] = version.into();
    object
}
