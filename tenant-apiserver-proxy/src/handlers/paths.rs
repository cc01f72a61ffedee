//! Paths that are no resources: discovery, OpenAPI, version, health, keys of tokens.

use crate::aggregation;
use crate::negotiation::{Format, Offer, Produced, Rendering};
use crate::reply::{Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::discovery;
use api_types::{ApiError, Reason};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The Kubernetes version whose API this is.
const KUBERNETES: (&str, &str, &str) = ("1", "36", "v1.36.2");

/// What is only read, with all below. Other paths answer every method, as in Kubernetes.
const ONLY_READ: &[&str] = &["/version", "/api", "/apis", "/openid", "/.well-known", "/openapi"];

/// Answers a path.
pub async fn answer(server: &Server, auth: &Authorized) -> Result<Reply, ApiError> {
    let crate::request_info::RequestInfo::Path { path, verb } = &auth.call().info else {
        return Ok(no_such_page());
    };
    let path = path.trim_end_matches('/');
    let catalog = auth.plane().catalog.load_full();
    let below =
        |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if verb != "get" && ONLY_READ.iter().any(below) {
        return Err(super::not_allowed());
    }
    match path {
        "" => Ok(Reply::value(&json!({"paths": roots(server, auth, &catalog)})).rendered(FOR_PEOPLE)),
        "/version" => {
            auth.call().wish().is_produced(Produced::Json)?;
            Ok(Reply::value(&version()).rendered(FOR_PEOPLE))
        }
        "/healthz" | "/livez" | "/readyz" => Ok(Reply::text("ok")),
        "/openid/v1/jwks" | "/.well-known/openid-configuration" => server_keys(server, auth, path).await,
        _ if path == "/api" || path.starts_with("/api/") || path == "/apis" || path.starts_with("/apis/") => {
            let foreign = aggregation::foreign(server, auth.plane());
            let served = discovery::Served { catalog: &catalog, foreign: &foreign };
            discover(auth, served, server.base_url().trim_start_matches("https://"), path)
        }
        "/openapi/v2" => server.documents.openapi_v2(server, auth, &catalog).await,
        _ if path == "/openapi/v3" || path.starts_with("/openapi/v3/") => {
            let rest = path.trim_start_matches("/openapi/v3").trim_start_matches('/');
            server.documents.openapi_v3(server, auth, &catalog, rest).await
        }
        _ => Ok(no_such_page()),
    }
}

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
}

fn roots(server: &Server, auth: &Authorized, catalog: &api_resources::Catalog) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for row in catalog.rows().filter(|row| !row.group.is_empty()) {
        paths.push(format!("/apis/{}", row.group));
        paths.extend(row.versions.iter().map(|version| format!("/apis/{}/{}", row.group, version.name)));
    }
    for foreign in aggregation::foreign(server, auth.plane()) {
        paths.push(format!("/apis/{}", foreign.group));
        paths.push(format!("/apis/{}/{}", foreign.group, foreign.version));
    }
    for fixed in ["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"] {
        paths.push(fixed.into());
    }
    paths.sort();
    paths.dedup();
    paths
}

/// What `kubectl version` shows. The commit is ours.
fn version() -> Value {
    json!({"major": KUBERNETES.0, "minor": KUBERNETES.1, "gitVersion": format!("{}+insula-{}", KUBERNETES.2, env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
        "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, platform()),
        "emulationMajor": KUBERNETES.0, "emulationMinor": KUBERNETES.1,
        "minCompatibilityMajor": KUBERNETES.0, "minCompatibilityMinor": "35"})
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
) -> Result<Reply, ApiError> {
    let catalog = served.catalog;
    let wish = auth.call().wish();
    // The list of groups has a handler of its own, which knows wildcards.
    if path != "/apis" {
        wish.is_produced(Produced::Objects)?;
    }
    let aggregated = wish.aggregated_discovery() && (path == "/api" || path == "/apis");
    let rendering = if aggregated { PLAIN } else { wish.accept(Offer::Document)?.rendering };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let found = match segments.as_slice() {
        ["api"] if aggregated => Some(discovery::aggregated(served, discovery::Root::Api)),
        ["apis"] if aggregated => Some(discovery::aggregated(served, discovery::Root::Apis)),
        ["api"] => Some(discovery::core_versions(address)),
        ["api", version] => discovery::resource_list(catalog, "", version),
        ["apis"] => Some(discovery::group_list(served)),
        ["apis", group] => discovery::group(served, group),
        ["apis", group, version] => discovery::resource_list(catalog, group, version),
        _ => None,
    };
    let Some(document) = found else {
        let group = if segments[0] == "api" { "" } else { segments.get(1).copied().unwrap_or("") };
        let known = is_built_in(catalog, group);
        return if known { Err(ApiError::no_such_path()) } else { Ok(no_such_page()) };
    };
    let text = document.to_string();
    let tag = discovery::etag(text.as_bytes());
    const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut reply = if auth.call().header("if-none-match") == tag {
        // With the type: client-go puts the headers of a 304 over those that it has kept, and reads by the type.
        let of = if aggregated { AGGREGATED } else { "application/json" };
        Reply::with(StatusCode::NOT_MODIFIED, Content::Raw(of, bytes::Bytes::new()))
    } else if aggregated {
        Reply::with(StatusCode::OK, Content::Raw(AGGREGATED, text.into()))
    } else {
        Reply::json(text).rendered(rendering)
    };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        reply.headers.insert(header::ETAG, value);
    }
    reply.headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(reply)
}

async fn server_keys(server: &Server, auth: &Authorized, path: &str) -> Result<Reply, ApiError> {
    let plane = auth.plane();
    let issuer = server.issuer(plane);
    if path == "/openid/v1/jwks" {
        let key = server.token_key(plane).await?;
        let set =
            key.jwks().ok_or_else(|| ApiError::new(Reason::InternalError, "the key cannot be shown"))?;
        return Ok(Reply::with(
            StatusCode::OK,
            Content::Raw("application/jwk-set+json", set.to_string().into()),
        ));
    }
    Ok(Reply::value(&json!({"issuer": issuer, "jwks_uri": format!("{issuer}/openid/v1/jwks"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"]})))
}
