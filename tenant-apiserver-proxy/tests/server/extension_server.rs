//! An extension server: discovery, OpenAPI, a list and a watch, in the test's own process, and ways to misbehave.

use crate::harness::{Client, Installation, TENANTS, tenant};
use api_types::TenantId;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use https_server::{AnyBody, Connections, Listening, json as json_reply, whole as full};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use plane_client::{Checked, ExtensionServers};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tenant_apiserver_proxy::in_process::InProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

/// The path of APIServices.
pub const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
/// The name in the server's certificate: that of its Service.
pub const NAME: &str = "ext.default.svc";

/// What was asked: method, path with query, headers.
type Seen = Arc<Mutex<Vec<(String, String, HeaderMap)>>>;

/// How it answers where it does not answer as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Good,
    /// Discovery never ends.
    Endless,
    /// Nothing is answered.
    Silent,
    /// Everything is elsewhere.
    Redirects,
    /// It is no API server.
    Nonsense,
    /// It fails.
    Fails,
}

/// A running extension server.
#[derive(Clone)]
pub struct ExtensionServer {
    pub port: u16,
    pub ca_bundle: String,
    pub mood: Arc<Mutex<Mood>>,
    /// Lets watches go on to their next event.
    pub next: Arc<Notify>,
    seen: Seen,
    /// Requests that are not answered.
    silent: Arc<AtomicUsize>,
    pub connections: Arc<Connections>,
}

impl ExtensionServer {
    /// Starts one on the loopback address that believes who has a certificate of this authority.
    pub async fn start(front_proxy_ca: &str) -> Self {
        let listening = Listening::start(&[NAME], Some(front_proxy_ca)).await;
        let server = ExtensionServer {
            port: listening.port(),
            ca_bundle: listening.ca_bundle(),
            mood: Arc::default(),
            next: Arc::new(Notify::new()),
            seen: Seen::default(),
            silent: Arc::default(),
            connections: listening.connections(),
        };
        let answering = server.clone();
        listening.serve(move |request| {
            let server = answering.clone();
            async move { server.answer(request).await }
        });
        server
    }

    /// What users asked for since the last look; what the API server asks for itself is not told.
    pub fn asked(&self) -> Vec<(String, String, HeaderMap)> {
        let mut all = std::mem::take(&mut *self.seen.lock());
        all.retain(|(.., headers)| headers.get("user-agent").is_none_or(|of| of != "kube-aggregator"));
        all
    }

    /// How many requests it has not answered.
    pub fn silent(&self) -> usize {
        self.silent.load(Ordering::SeqCst)
    }

    /// Its APIService, for `GROUP/VERSION`.
    pub fn api_service(&self, group: &str, version: &str) -> Value {
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": format!("{version}.{group}")},
            "spec": {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 15,
                "service": {"namespace": "default", "name": "ext", "port": self.port},
                "caBundle": self.ca_bundle}})
    }

    /// Its Service.
    pub fn service(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext"},
            "spec": {"type": "ExternalName", "externalName": "localhost"}})
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<AnyBody> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let target = head.uri.path_and_query().unwrap().to_string();
        self.seen.lock().push((head.method.to_string(), target.clone(), head.headers.clone()));
        let mood = *self.mood.lock();
        match mood {
            Mood::Good => {}
            Mood::Endless => return endless(),
            Mood::Silent => {
                self.silent.fetch_add(1, Ordering::SeqCst);
                std::future::pending().await
            }
            Mood::Redirects => {
                let to = format!("https://127.0.0.1:{}/elsewhere", self.port);
                return Response::builder().status(307).header("location", to).body(full("")).unwrap();
            }
            Mood::Nonsense => return Response::new(full("hello")),
            Mood::Fails => return Response::builder().status(500).body(full("no")).unwrap(),
        }
        if head.headers.contains_key("upgrade") {
            return upgraded(Request::from_parts(head, body));
        }
        let body = body.collect().await.unwrap().to_bytes();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["apis", group, version] => json_reply(&resources(group, version)),
            ["openapi", "v3"] => json_reply(&openapi_index()),
            ["openapi", "v3", "apis", group, version] => json_reply(&openapi_v3(group, version)),
            ["openapi", "v2"] => json_reply(&openapi_v2()),
            ["apis", .., "foos"] if target.contains("watch=") => self.watch(),
            ["apis", group, version, .., "foos"] if head.method == "GET" => {
                json_reply(&json!({"kind": "FooList", "apiVersion": format!("{group}/{version}"),
                    "metadata": {"resourceVersion": "1"}, "items": [foo(group, version, "a")]}))
            }
            ["apis", _, _, .., "foos"] if head.method == "POST" => Response::builder()
                .status(201)
                .header("content-type", "application/json")
                .header("x-of-the-server", "kept")
                .header("connection", "x-hop")
                .header("x-hop", "dropped")
                .header("set-cookie", "theirs=1")
                .body(full(body))
                .unwrap(),
            _ => Response::builder().status(404).body(full("not here")).unwrap(),
        }
    }

    /// Two events, the second when it is let go on, and then nothing.
    fn watch(&self) -> Response<AnyBody> {
        let next = self.next.clone();
        let events = futures::stream::unfold(0, move |count| {
            let next = next.clone();
            async move {
                if count > 0 {
                    next.notified().await;
                }
                let object = foo("ext.example.com", "v1", &format!("w{count}"));
                let line = format!("{}\n", json!({"type": "ADDED", "object": object}));
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), count + 1))
            }
        });
        let mut response = Response::new(StreamBody::new(events).boxed_unsync());
        response.headers_mut().insert("content-type", "application/json;stream=watch".parse().unwrap());
        response
    }
}

fn endless() -> Response<AnyBody> {
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    let chunks = futures::stream::repeat_with(move || Ok::<_, Infallible>(Frame::data(chunk.clone())));
    Response::new(StreamBody::new(chunks).boxed_unsync())
}

/// Says back what it is told over a connection that was upgraded.
fn upgraded(mut request: Request<Incoming>) -> Response<AnyBody> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..read]).await.unwrap();
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "echo")
        .body(full(""))
        .unwrap()
}

fn foo(group: &str, version: &str, name: &str) -> Value {
    json!({"kind": "Foo", "apiVersion": format!("{group}/{version}"),
        "metadata": {"name": name, "namespace": "default"}})
}

fn resources(group: &str, version: &str) -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"),
        "resources": [{"name": "foos", "singularName": "foo", "namespaced": true, "kind": "Foo",
            "verbs": ["create", "get", "list", "watch"], "shortNames": ["fo"]}]})
}

fn openapi_index() -> Value {
    let at = |path: &str| json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash=ABC")});
    json!({"paths": {"apis/ext.example.com/v1": at("apis/ext.example.com/v1"),
        "apis/other.example.com/v1": at("apis/other.example.com/v1")}})
}

fn openapi_v3(group: &str, version: &str) -> Value {
    json!({"openapi": "3.0.0", "info": {"title": "ext", "version": "0"},
        "paths": {format!("/apis/{group}/{version}/"): {}},
        "components": {"schemas": {"com.example.Foo": {"type": "object", "description": "A foo of the test."}}}})
}

fn openapi_v2() -> Value {
    json!({"swagger": "2.0", "info": {"title": "ext", "version": "0"},
        "paths": {"/apis/ext.example.com/v1/namespaces/{namespace}/foos": {"get":
                {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/com.example.Foo"}}}}},
            "/api/v1/pods": {"get": {"description": "not theirs"}}},
        "definitions": {"com.example.Foo": {"type": "object", "description": "A foo of the test."}}})
}

/// A tenant with an extension server for `ext.example.com/v1`, which the tenant may reach.
pub struct Extended {
    pub insula: Installation,
    pub id: TenantId,
    pub admin: Client,
    pub server: ExtensionServer,
    pub planes: InProcess,
}

impl Extended {
    /// Starts all, with an APIService that has not been looked at.
    pub async fn start() -> Self {
        let insula = Installation::start().await;
        let mut object = tenant("acme");
        object["spec"] = json!({"egress": {"allowedCIDRs": ["127.0.0.1/32"]}});
        let made = insula.admin().await.post(TENANTS, &object).await.expect_code(201).json();
        let id = TenantId::parse(made["metadata"]["uid"].as_str().unwrap()).unwrap();
        let admin = insula.tenant_admin("acme").await;
        let planes = InProcess::new(insula.server.clone());
        let trusted = planes.authentication(id).await.unwrap();
        let server = ExtensionServer::start(&trusted["requestheader-client-ca-file"]).await;
        admin.post("/api/v1/namespaces/default/services", &server.service()).await.expect_code(201);
        admin.post(API_SERVICES, &server.api_service("ext.example.com", "v1")).await.expect_code(201);
        Extended { insula, id, admin, server, planes }
    }

    /// The same, available.
    pub async fn available() -> Self {
        let extended = Self::start().await;
        assert_eq!(extended.judge("v1.ext.example.com").await, ("Passed", "all checks passed".to_owned()));
        extended
    }

    /// Does what the controller of availability does: asks, and says so.
    pub async fn judge(&self, name: &str) -> (&'static str, String) {
        let Checked::Is(now) = self.planes.check(self.id, name).await else { panic!("{name} is not remote") };
        let status = if now.available { "True" } else { "False" };
        let condition =
            json!({"type": "Available", "status": status, "reason": now.reason, "message": now.message});
        let patch = json!({"status": {"conditions": [condition]}});
        self.admin.merge(&format!("{API_SERVICES}/{name}/status"), &patch).await.expect_code(200);
        (now.reason, now.message)
    }
}
