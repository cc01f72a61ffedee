//! A webhook: a small HTTPS server in the test's own process.

use base64::Engine;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use https_server::Listening;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What reviews were asked for: path and `request`.
type Seen = Arc<Mutex<Vec<(String, Value)>>>;

/// A running webhook.
#[derive(Clone)]
pub struct Hook {
    pub url: String,
    pub ca_bundle: String,
    seen: Seen,
    versions: Arc<Mutex<Vec<String>>>,
    /// Reviews at `/slow` wait for a permit.
    pub go: Arc<Semaphore>,
}

impl Hook {
    /// Starts one on a free port of the loopback address.
    pub async fn start() -> Hook {
        let listening = Listening::start(&["127.0.0.1", "localhost", "hook.default.svc"], None).await;
        let hook = Hook {
            url: listening.url(),
            ca_bundle: listening.ca_bundle(),
            seen: Seen::default(),
            versions: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        };
        let answering = hook.clone();
        listening.serve(move |request: Request<Incoming>| {
            let hook = answering.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                hook.answer(&path, &body).await
            }
        });
        hook
    }

    /// What was asked for since the last look: `PATH OPERATION resource[/sub] name`.
    pub fn asked(&self) -> Vec<String> {
        let take = std::mem::take(&mut *self.seen.lock());
        let line = |(path, request): &(String, Value)| {
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            let sub = text(&request["subResource"]);
            let slash = if sub.is_empty() { "" } else { "/" };
            let resource = text(&request["resource"]["resource"]);
            format!(
                "{path} {} {resource}{slash}{sub} {}",
                text(&request["operation"]),
                text(&request["name"])
            )
        };
        take.iter().map(line).collect()
    }

    /// The last request of a review, and forgets all.
    pub fn last(&self) -> Value {
        std::mem::take(&mut *self.seen.lock()).pop().unwrap().1
    }

    /// The versions of all reviews.
    pub fn versions(&self) -> Vec<String> {
        self.versions.lock().clone()
    }

    /// How many reviews were asked for since the last look.
    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    /// A configuration with a webhook for each path, for ConfigMaps.
    pub fn configuration(&self, kind: &str, name: &str, paths: &[&str], change: &Value) -> Value {
        let hooks = paths.iter().enumerate().map(|(at, path)| {
            let mut hook = json!({"name": format!("h{at}.{name}.example.com"),
                "clientConfig": {"url": format!("{}{path}", self.url), "caBundle": self.ca_bundle},
                "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"],
                    "resources": ["configmaps"]}]});
            for (field, value) in change.as_object().unwrap() {
                hook[field] = value.clone();
            }
            hook
        });
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "webhooks": hooks.collect::<Vec<_>>()})
    }
}

/// Answers a conversion between `spec.size`, a number, of `v1`, and `spec.width`, a text, of all other versions.
fn converted(path: &str, review: &Value) -> Value {
    let request = &review["request"];
    let version = &request["desiredAPIVersion"];
    let to_first = version.as_str().unwrap().ends_with("/v1");
    let convert = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = version.clone();
        let Some(spec) = object["spec"].as_object_mut() else { return object };
        let taken = spec.remove(if to_first { "width" } else { "size" });
        match (to_first, taken) {
            (true, Some(width)) => drop(spec.insert("size".into(), json!(width.as_str().unwrap().len()))),
            (false, Some(size)) => {
                drop(spec.insert("width".into(), "x".repeat(size.as_u64().unwrap() as usize).into()));
            }
            (_, None) => {}
        }
        object
    };
    let mut objects: Vec<Value> = request["objects"].as_array().unwrap().iter().map(convert).collect();
    let mut result = json!({"status": "Success"});
    match path {
        "/convert/sad" => result = json!({"status": "Failure", "message": "no such size"}),
        "/convert/few" => drop(objects.pop()),
        "/convert/renamed" => objects[0]["metadata"]["name"] = json!("other"),
        "/convert/labels" => {
            objects[0]["metadata"] = {
                let mut metadata = objects[0]["metadata"].clone();
                metadata["labels"] = json!({"converted": "yes"});
                metadata["generation"] = json!(99);
                metadata
            }
        }
        _ => {}
    }
    json!({"apiVersion": review["apiVersion"], "kind": "ConversionReview",
        "response": {"uid": request["uid"], "result": result, "convertedObjects": objects}})
}

impl Hook {
    async fn answer(&self, path: &str, body: &[u8]) -> http::Response<Full<Bytes>> {
        let review: Value = serde_json::from_slice(body).unwrap();
        let is_list = review["kind"] == "EventList";
        let request = if is_list { review.clone() } else { review["request"].clone() };
        self.seen.lock().push((path.to_owned(), request.clone()));
        self.versions.lock().push(review["apiVersion"].as_str().unwrap().to_owned());
        if path.starts_with("/convert") {
            if path == "/convert/slow" {
                self.go.acquire().await.unwrap().forget();
            }
            let answer = converted(path, &review);
            return http::Response::new(Full::new(Bytes::from(answer.to_string())));
        }
        let mut response = json!({"uid": request["uid"], "allowed": true});
        let plain = |code: u16, body: Vec<u8>| {
            http::Response::builder().status(code).body(Full::new(Bytes::from(body))).unwrap()
        };
        match path {
            "/deny" => {
                response["allowed"] = json!(false);
                response["status"] = json!({"message": "no way", "code": 403});
            }
            "/warn" => response["warnings"] = json!(["take care"]),
            "/baduid" => response["uid"] = json!("x"),
            "/slow" => self.go.acquire().await.unwrap().forget(),
            "/500" => return plain(500, Vec::new()),
            "/redirect" => {
                let location = format!("{}/allow", self.url);
                return http::Response::builder()
                    .status(307)
                    .header("location", location)
                    .body(Full::default())
                    .unwrap();
            }
            "/garbage" => return plain(200, b"hello".to_vec()),
            "/large" => return plain(200, vec![b' '; 4 << 20]),
            _ => {}
        }
        if let Some(key) = path.strip_prefix("/patch/") {
            let annotations = &request["object"]["metadata"]["annotations"];
            let mut patch = Vec::new();
            if !annotations.is_object() {
                patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
            }
            // Counts how often it was asked.
            let count = annotations[key].as_str().map_or(0, str::len);
            let value = "x".repeat(count + 1);
            patch.push(json!({"op": "add", "path": format!("/metadata/annotations/{key}"), "value": value}));
            response["patchType"] = json!("JSONPatch");
            let text = Value::Array(patch).to_string();
            response["patch"] = base64::engine::general_purpose::STANDARD.encode(text).into();
        }
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        plain(200, review.to_string().into_bytes())
    }
}
