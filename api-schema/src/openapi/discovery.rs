//! Paths that are no resources: discovery, the version, the keys of tokens.

use super::GroupVersionApi;
use super::items;
use super::operations::META;
use super::schemas::Dialect;
use serde_json::Value;

/// `RbacAuthorization` and `rbacAuthorization` for `rbac.authorization.k8s.io`.
pub(super) fn group_names(group: &str) -> (String, String) {
    let group = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    let name = group.split(['.', '-']).map(capital).collect::<Vec<String>>().concat();
    let tag = name.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c }).collect();
    (name, tag)
}

/// The path of a group and version itself, which tells its resources.
pub(super) fn discovery(api: &GroupVersionApi, dialect: Dialect) -> (String, Value) {
    let (group, tag) = group_names(&api.group);
    let item = items::read_only(
        &format!("{tag}_{}", api.version),
        &format!("get{group}{}APIResources", capital(&api.version)),
        "get available resources",
        &format!("{META}.APIResourceList"),
        dialect,
    );
    (format!("/{}/", api.path()), item)
}

/// The path of a group, which tells its versions.
pub(super) fn group_discovery(group: &str, dialect: Dialect) -> (String, Value) {
    let of_core = group.is_empty();
    let path = format!("/apis/{group}/");
    let (group, tag) = group_names(group);
    let (path, id, words, of) = if of_core {
        ("/api/".to_owned(), "getCoreAPIVersions".to_owned(), "get available API versions", "APIVersions")
    } else {
        (path, format!("get{group}APIGroup"), "get information of a group", "APIGroup")
    };
    (path, items::read_only(&tag, &id, words, &format!("{META}.{of}"), dialect))
}

/// The path that tells all groups.
pub(super) fn root_discovery(dialect: Dialect) -> (String, Value) {
    let words = "get available API versions";
    let of = format!("{META}.APIGroupList");
    ("/apis/".to_owned(), items::read_only("apis", "getAPIVersions", words, &of, dialect))
}

/// The type of what `/version` tells.
pub(super) const VERSION_INFO: &str = "io.k8s.apimachinery.pkg.version.Info";

/// What is no resource and no discovery: the version, and what is to be known of tokens.
pub(super) fn about_the_server(dialect: Dialect) -> [(String, Value); 3] {
    let json = "application/json";
    let version = items::plain(
        ("version", "getCodeVersion", "get the version information for this server"),
        (&[json], json),
        Some(VERSION_INFO),
        dialect,
    );
    let issuer = items::plain(
        (
            "WellKnown",
            "getServiceAccountIssuerOpenIDConfiguration",
            "get where tokens of service accounts come from",
        ),
        (&[], json),
        None,
        dialect,
    );
    let keys = items::plain(
        ("openid", "getServiceAccountIssuerOpenIDKeyset", "get the public keys of service accounts' tokens"),
        (&[], "application/jwk-set+json"),
        None,
        dialect,
    );
    [
        ("/version/".to_owned(), version),
        ("/.well-known/openid-configuration/".to_owned(), issuer),
        ("/openid/v1/jwks/".to_owned(), keys),
    ]
}

/// A word with a capital letter in front.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}
