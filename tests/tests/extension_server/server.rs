//! An extension server in the test's own process: flavours, which are listed and watched and nothing else.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use https_server::{AnyBody, Listening, json as said, whole as full};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use std::convert::Infallible;

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
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listening = runtime.block_on(Listening::start(&["flavours.default.svc"], Some(front_proxy_ca)));
        let (port, ca_bundle) = (listening.port(), listening.ca_bundle());
        runtime.block_on(async { listening.serve(|request| async move { answer(&request) }) });
        Server { port, ca_bundle, _runtime: runtime }
    }
}

fn answer(request: &http::Request<Incoming>) -> Response<AnyBody> {
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

/// One event, and then nothing for as long as the client waits.
fn events(object: Value) -> Response<AnyBody> {
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
