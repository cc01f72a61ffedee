//! Paths that are no resources: discovery, OpenAPI, version, health, keys of tokens.

use crate::certs;
use crate::negotiation::{Format, Offer, Produced, Rendering};
use crate::reply::{Content, Reply};
use crate::sealing;
use crate::server::Server;
use crate::stages::Authorized;
use crate::storage;
use api_resources::discovery;
use api_types::{ApiError, Reason};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The Kubernetes version whose API this is.
const KUBERNETES: (&str, &str, &str) = ("1", "36", "v1.36.2");

/// Answers a path.
pub async fn answer(server: &Server, auth: &Authorized) -> Result<Reply, ApiError> {
    let crate::request_info::RequestInfo::Path { path: full, verb } = &auth.call().info else {
        return Ok(no_such_page());
    };
    let catalog = auth.plane().catalog.load_full();
    let path = full.trim_end_matches('/');
    if path.contains("//") || (path.is_empty() && full != "/") {
        return unknown(&catalog, path);
    }
    // Below these nothing ends in a slash.
    if path.starts_with("/openapi/") && full != path {
        return Ok(if path == "/openapi/v2" { no_such_page() } else { crate::documents::no_such_document() });
    }
    if let Some(found) = super::health::answer(server, auth, full).await {
        return Ok(found);
    }
    if let Some(found) = super::pages::answer(server, auth, full).await {
        return found;
    }
    let reading = verb == "get";
    match path {
        "" | "/index.html" => {
            Ok(Reply::value(&json!({"paths": roots(server, auth, &catalog)})).rendered(FOR_PEOPLE))
        }
        "/version" | "/openid/v1/jwks" | "/.well-known/openid-configuration" if !reading => {
            Err(super::not_allowed())
        }
        "/version" => {
            auth.call().wish().is_produced(Produced::Json)?;
            Ok(Reply::value(&version()).rendered(FOR_PEOPLE))
        }
        "/openid/v1/jwks" | "/.well-known/openid-configuration" => server_keys(server, auth, path).await,
        _ if path == "/api" || path.starts_with("/api/") || path == "/apis" || path.starts_with("/apis/") => {
            let foreign = super::metrics::with_metrics(server, auth.plane(), &catalog);
            let served = discovery::Served { catalog: &catalog, foreign: &foreign };
            discover(auth, served, server.base_url().trim_start_matches("https://"), path, reading)
        }
        sealing::PATH => sealing::answer(server, auth).await,
        certs::PATH => certs::answer(server, auth).await,
        _ if path.starts_with(storage::PATH) => storage::answer(server, auth, path).await,
        "/openapi/v2" => {
            server
                .documents
                .openapi_v2(server, auth, &catalog, super::metrics::rows(server, auth.plane(), &catalog))
                .await
        }
        _ if path == "/openapi/v3" || path.starts_with("/openapi/v3/") => {
            let rest = path.trim_start_matches("/openapi/v3").trim_start_matches('/');
            let beside = super::metrics::rows(server, auth.plane(), &catalog);
            server.documents.openapi_v3(server, auth, &catalog, beside, rest).await
        }
        _ => unknown(&catalog, path),
    }
}

/// A path that is not there: a `Status` where Kubernetes' own kinds are, else a page.
fn unknown(catalog: &api_resources::Catalog, path: &str) -> Result<Reply, ApiError> {
    let mut segments = path.split('/').skip(1);
    let known = match (segments.next(), segments.next()) {
        (Some("api" | "version"), _) => true,
        (Some("apis"), Some(group)) => is_built_in(catalog, group),
        _ => false,
    };
    if known { Err(ApiError::no_such_path()) } else { Ok(no_such_page()) }
}

const AGGREGATED_JSON: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_YAML: &str = "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_PROTOBUF: &str =
    "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// As programs read it.
const PLAIN: Rendering = Rendering { format: Format::Json, pretty: false };
/// As Kubernetes always writes what it has no type for.
const FOR_PEOPLE: Rendering = Rendering { format: Format::Json, pretty: true };

/// True for the groups that Kubernetes' own server would answer for: what is not there in them is told as a `Status`.
pub fn is_built_in(catalog: &api_resources::Catalog, group: &str) -> bool {
    catalog.rows().any(|row| row.group == group && !row.is_custom())
}

/// The plain 404 of a path that nothing answers.
pub fn no_such_page() -> Reply {
    Reply::with(
        StatusCode::NOT_FOUND,
        Content::Raw("text/plain; charset=utf-8", "404 page not found\n".into()),
    )
    .as_it_is()
}

fn roots(server: &Server, auth: &Authorized, catalog: &api_resources::Catalog) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for row in catalog.rows().filter(|row| !row.group.is_empty()) {
        paths.push(format!("/apis/{}", row.group));
        paths.extend(row.versions.iter().map(|version| format!("/apis/{}/{}", row.group, version.name)));
    }
    for foreign in super::metrics::with_metrics(server, auth.plane(), catalog) {
        paths.push(format!("/apis/{}", foreign.group));
        paths.push(format!("/apis/{}/{}", foreign.group, foreign.version));
    }
    const FIXED: &[&str] = &[
        "/.well-known/openid-configuration",
        "/apis/",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/version",
    ];
    paths.extend(FIXED.iter().map(|path| (*path).to_owned()));
    paths.extend(super::pages::PATHS.iter().map(|path| (*path).to_owned()));
    paths.extend(super::health::paths());
    paths.sort();
    paths.dedup();
    paths
}

/// What `kubectl version` shows. The commit is ours.
pub fn version() -> Value {
    json!({"major": KUBERNETES.0, "minor": KUBERNETES.1, "gitVersion": format!("{}+insula-{}", KUBERNETES.2, env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
        "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, platform()),
        "emulationMajor": KUBERNETES.0, "emulationMinor": KUBERNETES.1,
        "minCompatibilityMajor": KUBERNETES.0, "minCompatibilityMinor": "35"})
}

/// `1.36`.
pub fn minor_version() -> String {
    format!("{}.{}", KUBERNETES.0, KUBERNETES.1)
}

fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn discover(
    auth: &Authorized,
    served: discovery::Served<'_>,
    address: &str,
    path: &str,
    reading: bool,
) -> Result<Reply, ApiError> {
    let catalog = served.catalog;
    let wish = auth.call().wish();
    let aggregated = wish.aggregated_discovery().filter(|_| path == "/api" || path == "/apis");
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    // Lists of groups, and what definitions add, have handlers of their own: they know wildcards, and every method.
    let own = match segments.as_slice() {
        ["apis"] | ["apis", _] => true,
        ["apis", group, _] => !is_built_in(catalog, group),
        _ => false,
    };
    let found = match segments.as_slice() {
        ["api"] if aggregated.is_some() => Some(discovery::aggregated(served, discovery::Root::Api)),
        ["apis"] if aggregated.is_some() => Some(discovery::aggregated(served, discovery::Root::Apis)),
        ["api"] => Some(discovery::core_versions(address)),
        ["api", version] => discovery::resource_list(catalog, "", version),
        ["apis"] => Some(discovery::group_list(served)),
        ["apis", group] => discovery::group(served, group),
        ["apis", group, version] => discovery::resource_list(catalog, group, version)
            .or_else(|| discovery::foreign_list(served.foreign, group, version)),
        _ => None,
    };
    let Some(document) = found else { return unknown(catalog, path) };
    if !own {
        if !reading {
            return Err(super::not_allowed());
        }
        wish.is_produced(Produced::Objects)?;
    }
    match aggregated {
        Some(rendering) => aggregated_of(&document, rendering, auth.call().header("if-none-match")),
        None => document_of(document, wish.accept(Offer::Document)?.rendering),
    }
}

/// Aggregated discovery in the form that is asked for. A client that has it already is told so.
fn aggregated_of(document: &Value, rendering: Rendering, known: &str) -> Result<Reply, ApiError> {
    let (of, bytes) = match rendering.format {
        Format::Json if rendering.pretty => {
            (AGGREGATED_JSON, serde_json::to_vec_pretty(document).map_err(ApiError::internal)?.into())
        }
        Format::Json => (AGGREGATED_JSON, bytes::Bytes::from(document.to_string())),
        Format::Yaml => (AGGREGATED_YAML, api_schema::encode::yaml(document).unwrap_or_default().into()),
        Format::Protobuf => (AGGREGATED_PROTOBUF, aggregated_in_protobuf(document)?),
    };
    let tag = discovery::etag(&bytes);
    // Also a 304 has the type: client-go puts its headers over those that it has kept, and reads by the type.
    let (code, bytes) = match known == tag {
        true => (StatusCode::NOT_MODIFIED, bytes::Bytes::new()),
        false => (StatusCode::OK, bytes),
    };
    let mut reply = Reply::with(code, Content::Raw(of, bytes));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        reply.headers.insert(header::ETAG, value);
    }
    reply.headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(reply)
}

fn aggregated_in_protobuf(document: &Value) -> Result<bytes::Bytes, ApiError> {
    const KIND: &str = "APIGroupDiscoveryList";
    let root = api_schema::builtin::kind("apidiscovery.k8s.io", "v2", KIND);
    let root = root.ok_or_else(|| ApiError::internal("discovery has no protobuf form"))?;
    let root = api_schema::builtin::graph().at(root);
    let encoded = api_schema::protobuf::encode(document, root, "apidiscovery.k8s.io/v2", KIND);
    encoded.map(bytes::Bytes::from).map_err(ApiError::internal)
}

/// A discovery document in the form that is asked for.
fn document_of(document: Value, rendering: Rendering) -> Result<Reply, ApiError> {
    let kind = document["kind"].as_str().unwrap_or("");
    let root = api_schema::builtin::kind("", "v1", kind).filter(|_| rendering.format == Format::Protobuf);
    let Some(root) = root else { return Ok(Reply::value(&document).rendered(rendering)) };
    let root = api_schema::builtin::graph().at(root);
    let content = super::get::protobuf(root, "v1", kind, &document)?;
    Ok(Reply::with(StatusCode::OK, content))
}

async fn server_keys(server: &Server, auth: &Authorized, path: &str) -> Result<Reply, ApiError> {
    let plane = auth.plane();
    let issuer = server.issuer(plane);
    const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");
    const SET: &str = "application/jwk-set+json";
    let wish = auth.call().wish();
    if path == "/openid/v1/jwks" {
        let keys = server.token_keys(plane).await?;
        let keys: Option<Vec<Value>> =
            keys.1.standing(crate::plane_keys::now()).map(|key| key.key.jwk()).collect();
        let keys = keys.ok_or_else(|| ApiError::new(Reason::InternalError, "a key cannot be shown"))?;
        let set = json!({"keys": keys});
        wish.is_of(&[SET])?;
        let mut reply = Reply::with(StatusCode::OK, Content::Raw(SET, set.to_string().into()));
        reply.headers.insert(header::CACHE_CONTROL, CACHE);
        return Ok(reply);
    }
    wish.is_produced(Produced::Json)?;
    let mut reply = Reply::value(&json!({"issuer": issuer, "jwks_uri": format!("{issuer}/openid/v1/jwks"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"]}));
    reply.headers.insert(header::CACHE_CONTROL, CACHE);
    Ok(reply.rendered(PLAIN))
}
