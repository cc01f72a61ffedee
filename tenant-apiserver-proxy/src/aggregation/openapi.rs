//! OpenAPI of extension servers: the hash of their document (v3), and the part of their document (v2) that is about
//! their own group and version.
//!
//! Both are asked for when a server has been found to answer, once a minute at most, so that nobody who asks this
//! server for OpenAPI waits for another. What cannot be had stays as it was, and costs nothing else.

use super::call;
use super::extensions::{Extension, Extensions};
use crate::documents::digest;
use crate::planes::Plane;
use crate::server::Server;
use http::header;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long each document may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long a document is believed.
const FRESH: Duration = Duration::from_secs(60);
/// The longest index of v3.
const MAX_INDEX: usize = 256 << 10;
/// The longest document of v2.
const MAX_V2: usize = 4 << 20;
/// What of it may be kept.
const MAX_PART: usize = 1 << 20;
/// What of all extension servers of a plane together.
const MAX_ALL_PARTS: usize = 4 << 20;
const DEFINITION: &str = "#/definitions/";

/// What OpenAPI is known of an extension server.
#[derive(Clone, Default)]
pub struct OpenApi {
    asked: Option<Instant>,
    /// The hash of its v3 document of the group and version.
    pub v3_hash: Option<String>,
    etag: String,
    /// `paths` and `definitions` of the group and version.
    pub v2: Option<Arc<Part>>,
}

/// Paths of a v2 document and the definitions that they need, JSON.
pub struct Part {
    bytes: Vec<u8>,
    /// Tells it apart.
    pub hash: String,
}

impl Part {
    /// Decodes it.
    pub fn value(&self) -> Value {
        // What was kept is JSON.
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }
}

/// Asks for both documents, unless they were asked for a moment ago.
pub async fn refresh(server: &Server, plane: &Plane, all: &Extensions, extension: &Extension) {
    let before = extension.known.openapi();
    if before.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
        return;
    }
    let mut now = OpenApi { asked: Some(Instant::now()), ..before };
    let json = [(header::ACCEPT, "application/json")];
    let with_tag = [(header::ACCEPT, "application/json"), (header::IF_NONE_MATCH, now.etag.as_str())];
    let headers = if now.etag.is_empty() { &with_tag[..1] } else { &with_tag[..] };
    let (index, document) = tokio::join!(
        call::get(server, plane, extension, ("/openapi/v3", &json), PATIENCE, MAX_INDEX),
        call::get(server, plane, extension, ("/openapi/v2", headers), PATIENCE, MAX_V2),
    );
    if let Ok(answer) = index {
        let index: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        now.v3_hash = answer.status.is_success().then(|| hash_of(&index, extension)).flatten();
    }
    if let Ok(answer) = document.as_ref().map_err(|error| tracing::debug!(%error, "no OpenAPI v2"))
        && answer.status.is_success()
    {
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let bytes = part(&document, &extension.path()).to_string().into_bytes();
        let others = all.all().iter().filter(|other| other.name != extension.name);
        let taken: usize = others.filter_map(|other| Some(other.known.openapi().v2?.bytes.len())).sum();
        let fits = bytes.len() <= MAX_PART && taken + bytes.len() <= MAX_ALL_PARTS;
        now.v2 = fits.then(|| Arc::new(Part { hash: digest(&bytes), bytes }));
        let etag = answer.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok());
        now.etag = etag.unwrap_or("").to_owned();
    }
    extension.known.set_openapi(now);
}

/// The hash that an index has for the group and version, if it has them.
fn hash_of(index: &Value, extension: &Extension) -> Option<String> {
    let at = index["paths"][extension.path().trim_start_matches('/')]["serverRelativeURL"].as_str()?;
    let query = at.split_once('?').map_or("", |(_, query)| query);
    let hash = crate::stages::Query::parse(query).get("hash").unwrap_or("").to_owned();
    // It becomes a part of a URL that others are told.
    Some(hash.chars().filter(char::is_ascii_alphanumeric).take(128).collect())
}

/// The paths of a document below a path, and the definitions that they need.
fn part(document: &Value, below: &str) -> Value {
    let is_below =
        |path: &str| path.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut paths = Map::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten().filter(|(path, _)| is_below(path))
    {
        paths.insert(path.clone(), item.clone());
    }
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<&Value> = paths.values().collect();
    // A kind need not be in any path to be explained.
    let (group, version) = below.trim_start_matches("/apis/").split_once('/').unwrap_or_default();
    for (name, definition) in document["definitions"].as_object().into_iter().flatten() {
        let kinds =
            definition["x-kubernetes-group-version-kind"].as_array().map(Vec::as_slice).unwrap_or_default();
        if kinds.iter().any(|kind| kind["group"] == group && kind["version"] == version) {
            names.insert(name.clone());
            waiting.push(definition);
        }
    }
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                let reference = fields.get("$ref").and_then(Value::as_str);
                if let Some(name) = reference.and_then(|reference| reference.strip_prefix(DEFINITION))
                    && names.insert(name.to_owned())
                {
                    waiting.push(&document["definitions"][name]);
                }
                waiting.extend(fields.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    let known = |name: &String| Some((name.clone(), document["definitions"].get(name)?.clone()));
    let definitions: Map<String, Value> = names.iter().filter_map(known).collect();
    json!({"paths": paths, "definitions": definitions})
}

/// Adds parts to a document. What it has already stays.
pub fn merge(document: &mut Value, parts: &[Arc<Part>]) {
    for part in parts {
        let mut part = part.value();
        for section in ["paths", "definitions"] {
            let Some(own) = document[section].as_object_mut() else { continue };
            let Value::Object(theirs) = part[section].take() else { continue };
            for (name, value) in theirs {
                own.entry(name).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "paths": {
                "/apis/x.io/v1/": {"get": {}},
                "/apis/x.io/v1/foos": {"get": {"schema": {"$ref": "#/definitions/FooList"}}},
                "/apis/x.io/v10/foos": {"get": {}},
                "/api/v1/pods": {"get": {"schema": {"$ref": "#/definitions/Pod"}}},
            },
            "definitions": {
                "FooList": {"properties": {"items": {"items": {"$ref": "#/definitions/Foo"}}}},
                "Foo": {"properties": {"again": {"$ref": "#/definitions/FooList"}, "no": {"$ref": "#/definitions/No"}}},
                "Bar": {"x-kubernetes-group-version-kind": [{"group": "x.io", "version": "v1", "kind": "Bar"}]},
                "Pod": {"description": "theirs"},
            },
        })
    }

    #[test]
    fn only_what_is_theirs_is_taken() {
        let part = part(&document(), "/apis/x.io/v1");
        let keys = |section: &str| -> Vec<&String> { part[section].as_object().unwrap().keys().collect() };
        assert_eq!(keys("paths"), ["/apis/x.io/v1/", "/apis/x.io/v1/foos"]);
        assert_eq!(keys("definitions"), ["Bar", "Foo", "FooList"]);
    }

    #[test]
    fn what_is_there_stays() {
        let mut own = json!({"paths": {"/api/v1/pods": 1}, "definitions": {"Foo": "ours"}});
        let bytes = part(&document(), "/apis/x.io/v1").to_string().into_bytes();
        merge(&mut own, &[Arc::new(Part { hash: digest(&bytes), bytes })]);
        assert_eq!((&own["definitions"]["Foo"], &own["paths"]["/api/v1/pods"]), (&json!("ours"), &json!(1)));
        assert!(own["definitions"]["FooList"].is_object() && own["paths"]["/apis/x.io/v1/foos"].is_object());
    }
}
