//! Paths that are no resources: discovery, OpenAPI, version, health, keys of tokens.

use crate::reply::{self, Content, Reply};
use crate::server::Server;
use crate::stages::Authorized;
use api_resources::discovery;
use api_types::{ApiError, Reason};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The Kubernetes version whose API this is.
const KUBERNETES: (&str, &str, &str) = ("1", "36", "v1.36.2");

/// Answers a GET of a path.
pub async fn answer(server: &Server, auth: &Authorized) -> Result<Reply, ApiError> {
    let crate::request_info::RequestInfo::Path { path, verb } = &auth.call().info else {
        return Ok(no_such_page());
    };
    if verb != "get" && verb != "head" {
        return Err(super::not_allowed());
    }
    let path = path.trim_end_matches('/');
    let catalog = auth.plane().catalog.load_full();
    match path {
        "" => Ok(Reply::value(&json!({"paths": roots(&catalog)}))),
        "/version" => Ok(Reply::value(&version())),
        "/healthz" | "/livez" | "/readyz" => Ok(Reply::text("ok")),
        "/openid/v1/jwks" | "/.well-known/openid-configuration" => server_keys(server, auth, path).await,
        _ if path == "/api" || path.starts_with("/api/") || path == "/apis" || path.starts_with("/apis/") => {
            discover(auth, &catalog, server.base_url().trim_start_matches("https://"), path)
        }
        "/openapi/v2" => server.documents.openapi_v2(server, auth, &catalog).await,
        _ if path == "/openapi/v3" || path.starts_with("/openapi/v3/") => {
            let rest = path.trim_start_matches("/openapi/v3").trim_start_matches('/');
            server.documents.openapi_v3(server, auth, &catalog, rest).await
        }
        _ => Ok(no_such_page()),
    }
}

/// The plain 404 of a path that nothing answers.
pub fn no_such_page() -> Reply {
    Reply::with(
        StatusCode::NOT_FOUND,
        Content::Raw("text/plain; charset=utf-8", "404 page not found\n".into()),
    )
}

fn roots(catalog: &api_resources::Catalog) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for row in catalog.rows().filter(|row| !row.group.is_empty()) {
        paths.push(format!("/apis/{}", row.group));
        paths.extend(row.versions.iter().map(|version| format!("/apis/{}/{}", row.group, version.name)));
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
    catalog: &api_resources::Catalog,
    address: &str,
    path: &str,
) -> Result<Reply, ApiError> {
    let accept = reply::accept(auth.call().header("accept"), false)?;
    let aggregated = accept.aggregated_discovery && (path == "/api" || path == "/apis");
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let found = match segments.as_slice() {
        ["api"] if aggregated => Some(discovery::aggregated(catalog, discovery::Root::Api)),
        ["apis"] if aggregated => Some(discovery::aggregated(catalog, discovery::Root::Apis)),
        ["api"] => Some(discovery::core_versions(address)),
        ["api", version] => discovery::resource_list(catalog, "", version),
        ["apis"] => Some(discovery::group_list(catalog)),
        ["apis", group] => discovery::group(catalog, group),
        ["apis", group, version] => discovery::resource_list(catalog, group, version),
        _ => None,
    };
    let Some(document) = found else { return Ok(no_such_page()) };
    let text = document.to_string();
    let tag = discovery::etag(text.as_bytes());
    let of = if aggregated {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json"
    };
    let mut reply = if auth.call().header("if-none-match") == tag {
        // With the type: client-go puts the headers of a 304 over those that it has kept, and reads by the type.
        Reply::with(StatusCode::NOT_MODIFIED, Content::Raw(of, bytes::Bytes::new()))
    } else {
        Reply::with(StatusCode::OK, Content::Raw(of, text.into()))
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
