//! OpenAPI documents: made when they are first asked for, kept compressed, once for all planes that have the same
//! resources.

use crate::aggregation;
use crate::aggregation::openapi::{Part, merge};
use crate::negotiation;
use crate::planes::Plane;
use crate::reply::{Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::table::metrics::GROUP as METRICS;
use api_resources::{Catalog, ResourceRow, Version};
use api_schema::openapi::{self, ApiResource, ApiSchema, ApiSubresource, Descriptions, GroupVersionApi};
use api_types::{ApiError, ObjectName};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Weak};

/// The version that the documents tell.
const VERSION: &str = "1.36";
/// How many documents are kept; when more are made, all are forgotten. The built-in ones are about 40.
const MAX_KEPT: usize = 1_000;

/// The words for documents that are being made. They take megabytes, so nobody keeps them longer.
fn descriptions() -> Arc<Descriptions> {
    static IN_USE: Mutex<Weak<Descriptions>> = Mutex::new(Weak::new());
    let mut in_use = IN_USE.lock();
    if let Some(found) = in_use.upgrade() {
        return found;
    }
    let made = Arc::new(Descriptions::collect());
    *in_use = Arc::downgrade(&made);
    made
}

/// The documents that have been made.
#[derive(Default)]
pub struct Documents {
    kept: Mutex<HashMap<String, Arc<Document>>>,
}

/// The v2 documents of a plane whose extension servers describe themselves, as JSON and in protobuf: what they were
/// made of, and what was made.
pub type ExtendedCell = Mutex<[Option<(String, Arc<Document>)>; 2]>;

/// One document.
pub struct Document {
    compressed: Bytes,
    /// Of the content: the entity tag, and the hash in the index.
    hash: String,
}

/// The first 32 hexadecimal digits of SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02X}")).collect()
}

impl Document {
    fn of(content: &[u8]) -> std::io::Result<Self> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content)?;
        Ok(Document { compressed: encoder.finish()?.into(), hash: digest(content) })
    }

    fn content(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(&self.compressed[..]).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Where the document is whose hash was asked for, when it is another.
    fn moved(&self, auth: &Authorized, path: &str) -> Result<Reply, ApiError> {
        let place = format!("{}/openapi/v3/{path}?hash={}", auth.plane().path(), self.hash);
        let mut reply = Reply::with(StatusCode::MOVED_PERMANENTLY, Content::Raw(JSON, Bytes::new()));
        let tag = format!("\"{}\"", self.hash);
        reply.headers.insert(header::ETAG, HeaderValue::from_str(&tag).map_err(ApiError::internal)?);
        reply.headers.insert(header::LOCATION, HeaderValue::from_str(&place).map_err(ApiError::internal)?);
        reply.headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        Ok(reply)
    }

    fn reply(&self, auth: &Authorized, of: &'static str) -> Result<Reply, ApiError> {
        let call = auth.call();
        let tag = format!("\"{}\"", self.hash);
        let mut reply = if is_known(call.header("if-none-match"), &tag) {
            Reply::with(StatusCode::NOT_MODIFIED, Content::Raw(of, Bytes::new()))
        } else if negotiation::takes_gzip(call.header("accept-encoding")) {
            let mut reply = Reply::with(StatusCode::OK, Content::Encoded(of, self.compressed.clone()));
            reply.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            reply
        } else {
            Reply::with(StatusCode::OK, Content::Raw(of, self.content().map_err(ApiError::internal)?.into()))
        };
        if let Ok(value) = HeaderValue::from_str(&tag) {
            reply.headers.insert(header::ETAG, value);
        }
        reply.headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Accept"));
        // A URL with the hash of the content never changes its meaning.
        let immutable = call.query.get("hash") == Some(&self.hash);
        let fresh = if immutable { "public, immutable" } else { "no-cache, private" };
        reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(fresh));
        if immutable && let Some(value) = in_a_year() {
            reply.headers.insert(header::EXPIRES, value);
        }
        Ok(reply)
    }
}

/// True when a client that sends this `If-None-Match` has what the tag stands for.
fn is_known(if_none_match: &str, tag: &str) -> bool {
    let known = |given: &str| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag;
    if_none_match.split(',').map(str::trim).any(known)
}

/// The moment a year from now, as HTTP writes it.
fn in_a_year() -> Option<HeaderValue> {
    let then = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(365 * 24)).ok()?;
    HeaderValue::from_str(&then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

const JSON: &str = "application/json";

/// 404 as Kubernetes says it here: without a word.
pub fn no_such_document() -> Reply {
    Reply::with(StatusCode::NOT_FOUND, Content::Raw("text/plain; charset=utf-8", Bytes::new()))
}

/// 406 as Kubernetes says it here: without a word.
fn not_acceptable() -> Reply {
    Reply::with(StatusCode::NOT_ACCEPTABLE, Content::Raw("text/plain; charset=utf-8", Bytes::new()))
}

/// A group and version as a plane serves it, and what tells it from those of other planes.
struct Api {
    key: String,
    api: GroupVersionApi,
}

impl Documents {
    /// `/openapi/v2`. What is served beside the catalog is described too.
    pub async fn openapi_v2(
        &self,
        server: &Server,
        auth: &Authorized,
        catalog: &Catalog,
        beside: &[Arc<ResourceRow>],
    ) -> Result<Reply, ApiError> {
        let wish = auth.call().wish();
        let types = [JSON, openapi::v2::PROTOBUF, openapi::v2::PROTOBUF_ACCEPTED];
        let Some(of) = wish.first_of(&types) else { return Ok(not_acceptable()) };
        let protobuf = of != JSON;
        let apis = apis(server, auth.plane(), catalog, beside)?;
        let keys: Vec<&str> = apis.iter().map(|api| api.key.as_str()).collect();
        let of = digest(keys.join("\n").as_bytes());
        let key = |protobuf: bool| format!("v2 {protobuf} {of}");
        let make = move |protobuf: bool| {
            let apis: Vec<GroupVersionApi> = apis.into_iter().map(|api| api.api).collect();
            let document = openapi::v2::document(&apis, VERSION, &descriptions());
            if protobuf { openapi::v2::protobuf(&document) } else { document.to_string().into_bytes() }
        };
        let parts = parts(server, auth.plane());
        let document = if parts.is_empty() {
            self.document(key(protobuf), move || make(protobuf)).await?
        } else {
            let own = self.document(key(false), move || make(false)).await?;
            extended(auth.plane(), own, parts, protobuf).await?
        };
        document.reply(auth, if protobuf { openapi::v2::PROTOBUF } else { JSON })
    }

    /// `/openapi/v3` and below; `rest` is empty for the index.
    pub async fn openapi_v3(
        &self,
        server: &Server,
        auth: &Authorized,
        catalog: &Catalog,
        beside: &[Arc<ResourceRow>],
        rest: &str,
    ) -> Result<Reply, ApiError> {
        let mut index = Vec::new();
        let mut words = None;
        let mut wanted: Vec<(String, String, Option<GroupVersionApi>)> = Vec::new();
        let mut groups: Vec<String> = catalog
            .rows()
            .filter(|row| !row.is_custom() && !api_resources::table::insula::is_ours(&row.group))
            .map(|row| row.group.to_string())
            .collect();
        groups.dedup();
        wanted.extend(openapi::v3::plain_paths(&groups).into_iter().map(|path| (path.clone(), path, None)));
        let apis = apis(server, auth.plane(), catalog, beside)?;
        wanted.extend(apis.into_iter().map(|Api { key, api }| (api.path(), key, Some(api))));
        let types = [JSON, openapi::v3::PROTOBUF, openapi::v3::PROTOBUF_ACCEPTED];
        let wish = auth.call().wish();
        for (path, key, api) in wanted {
            if !rest.is_empty() && rest != path {
                continue;
            }
            let key = format!("v3 {key}");
            if words.is_none() && !self.kept.lock().contains_key(&key) {
                // Kept until all documents of the index are made.
                words = Some(tokio::task::spawn_blocking(descriptions).await.map_err(ApiError::internal)?);
            }
            let of = path.clone();
            let make = move || {
                let document = match &api {
                    Some(api) => openapi::v3::document(api, VERSION, &descriptions()),
                    None => openapi::v3::plain_document(&of, VERSION, &descriptions()),
                };
                document.to_string().into_bytes()
            };
            let document = self.document(key.clone(), make).await?;
            if !rest.is_empty() {
                let Some(of) = wish.first_of(&types) else { return Ok(not_acceptable()) };
                return match auth.call().query.get("hash") {
                    Some(hash) if *hash != document.hash => document.moved(auth, rest),
                    _ if of == JSON => document.reply(auth, JSON),
                    _ => self.in_protobuf(key, document).await?.reply(auth, openapi::v3::PROTOBUF),
                };
            }
            index.push((path, document.hash.clone()));
        }
        if !rest.is_empty() {
            return Ok(no_such_document());
        }
        let extensions = aggregation::of(server, auth.plane());
        for extension in extensions.iter().flat_map(|extensions| extensions.all()) {
            let path = extension.path().trim_start_matches('/').to_owned();
            if let Some(hash) = extension.known.openapi().v3_hash {
                index.retain(|(own, _)| *own != path);
                index.push((path, hash));
            }
        }
        Ok(Reply::value(&openapi::index(&index)))
    }

    /// A document of version 3 in its other form, which has the same hash.
    async fn in_protobuf(&self, key: String, json: Arc<Document>) -> Result<Arc<Document>, ApiError> {
        let key = format!("{key} {} in protobuf", json.hash);
        if let Some(found) = self.kept.lock().get(&key) {
            return Ok(found.clone());
        }
        let made = tokio::task::spawn_blocking(move || {
            let document: Value = serde_json::from_slice(&json.content()?)?;
            let made = Document::of(&openapi::v3::protobuf(&document))?;
            std::io::Result::Ok(Document { hash: json.hash.clone(), ..made })
        });
        let made = Arc::new(made.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?);
        self.keep(key, &made);
        Ok(made)
    }

    async fn document(
        &self,
        key: String,
        make: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> Result<Arc<Document>, ApiError> {
        if let Some(found) = self.kept.lock().get(&key) {
            return Ok(found.clone());
        }
        let made = tokio::task::spawn_blocking(move || Document::of(&make())).await;
        let made = Arc::new(made.map_err(ApiError::internal)?.map_err(ApiError::internal)?);
        self.keep(key, &made);
        Ok(made)
    }

    fn keep(&self, key: String, document: &Arc<Document>) {
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, document.clone());
    }
}

/// What the plane's extension servers have said of themselves.
fn parts(server: &Server, plane: &Plane) -> Vec<Arc<Part>> {
    let extensions = aggregation::of(server, plane);
    let all = extensions.iter().flat_map(|extensions| extensions.all());
    all.filter_map(|one| one.known.openapi().v2).collect()
}

/// A document with the parts of extension servers. Kept with the plane, since nobody else has the same.
async fn extended(
    plane: &Plane,
    own: Arc<Document>,
    parts: Vec<Arc<Part>>,
    protobuf: bool,
) -> Result<Arc<Document>, ApiError> {
    let hashes: Vec<&str> = parts.iter().map(|part| part.hash.as_str()).collect();
    let of = format!("{} {}", own.hash, hashes.join(" "));
    if let Some((_, found)) =
        plane.openapi_v2.lock()[usize::from(protobuf)].as_ref().filter(|kept| kept.0 == of)
    {
        return Ok(found.clone());
    }
    let made = tokio::task::spawn_blocking(move || {
        let mut document: Value = serde_json::from_slice(&own.content()?)?;
        merge(&mut document, &parts);
        let bytes =
            if protobuf { openapi::v2::protobuf(&document) } else { document.to_string().into_bytes() };
        Document::of(&bytes)
    });
    let made = Arc::new(made.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?);
    plane.openapi_v2.lock()[usize::from(protobuf)] = Some((of, made.clone()));
    Ok(made)
}

/// The groups and versions that a plane serves, in the order of discovery.
fn apis(
    server: &Server,
    plane: &Plane,
    catalog: &Catalog,
    beside: &[Arc<ResourceRow>],
) -> Result<Vec<Api>, ApiError> {
    let mut apis: Vec<Api> = Vec::new();
    for row in catalog.rows().chain(beside) {
        for version in &row.versions {
            let (schema, key) = schema(server, plane, row, version)?;
            let found =
                apis.iter().position(|api| api.api.group == row.group && api.api.version == version.name);
            let index = found.unwrap_or_else(|| {
                let api = GroupVersionApi {
                    group: row.group.to_string(),
                    version: version.name.to_string(),
                    resources: Vec::new(),
                };
                apis.push(Api { key: api.path(), api });
                apis.len() - 1
            });
            let api = &mut apis[index];
            api.key.push(' ');
            api.key.push_str(&key);
            let row = row.of_version(&version.name).unwrap_or(row);
            api.api.resources.push(resource(row, schema));
        }
    }
    Ok(apis)
}

/// What objects of a version look like, and what tells it from another plane's of the same name.
fn schema(
    server: &Server,
    plane: &Plane,
    row: &ResourceRow,
    version: &Version,
) -> Result<(ApiSchema, String), ApiError> {
    if !row.is_custom() {
        return Ok((ApiSchema::Types(version.graph.clone(), version.root), row.plural.to_string()));
    }
    let name = ObjectName::cluster(format!("{}.{}", row.plural, row.group));
    let definition = match server.cache.get(plane.id, &crate::crds::DEFINITIONS, &name) {
        Some(record) => record.value().map_err(ApiError::internal)?,
        None => Value::Null,
    };
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let own = versions.into_iter().find(|candidate| candidate["name"] == version.name.as_str());
    let mut schema = own.map_or_else(|| json!({}), |own| own["schema"]["openAPIV3Schema"].clone());
    let fields: Vec<Value> = own.map_or_else(Vec::new, selectable_fields);
    if let (false, Some(schema)) = (fields.is_empty(), schema.as_object_mut()) {
        schema.insert("x-kubernetes-selectable-fields".to_owned(), fields.into());
    }
    let key = format!("{}:{}", row.plural, digest(json!([definition["spec"]]).to_string().as_bytes()));
    Ok((ApiSchema::Custom(Arc::new(schema)), key))
}

/// What field selectors may name beside names, as documents say it.
fn selectable_fields(version: &Value) -> Vec<Value> {
    let fields = version["selectableFields"].as_array().into_iter().flatten();
    let paths = fields.filter_map(|field| field["jsonPath"].as_str());
    paths.map(|path| json!({"fieldPath": path.strip_prefix('.').unwrap_or(path)})).collect()
}

fn resource(row: &ResourceRow, schema: ApiSchema) -> ApiResource {
    let verbs = |verbs: &[api_resources::Verb]| verbs.iter().map(|verb| verb.as_str().to_owned()).collect();
    ApiResource {
        plural: row.plural.to_string(),
        kind: row.kind.to_string(),
        namespaced: row.namespaced,
        verbs: verbs(&row.verbs),
        protobuf: !row.is_custom()
            && !api_resources::table::insula::is_ours(&row.group)
            && row.group != METRICS,
        returns_deleted: api_resources::table::returns_deleted(&row.group, &row.plural),
        schema,
        subresources: row
            .subresources
            .iter()
            .map(|sub| ApiSubresource {
                name: sub.name.to_string(),
                group: sub.group.to_string(),
                version: sub.version.to_string(),
                kind: sub.kind.to_string(),
                verbs: verbs(&sub.verbs),
            })
            .collect(),
    }
}
