//! The operator's webhooks: an HTTPS server in the test's own process.

use crate::{Meaning, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use https_server::Listening;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

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
        let listening = Listening::start(&["127.0.0.1"], None).await;
        let hooks = Hooks {
            url: listening.url(),
            ca_bundle: listening.ca_bundle(),
            meanings: meanings.to_vec(),
            seen: Arc::default(),
        };
        let answering = hooks.clone();
        listening.serve(move |request: http::Request<Incoming>| {
            let hooks = answering.clone();
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                https_server::json(&hooks.answer(&path, &serde_json::from_slice(&body).unwrap()))
            }
        });
        hooks
    }

    pub fn client_config(&self, tenant: &str, path: &str) -> Value {
        json!({"url": format!("{}/{tenant}/{path}", self.url), "caBundle": self.ca_bundle})
    }

    /// Which path has seen objects of which tenant.
    pub fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().clone()
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
