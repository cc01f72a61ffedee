//! OpenAPI version 3: one document for each group and version.

use serde_json::{Map, Value, json};

use super::discovery;
use super::items;
use super::operations;
use super::schemas::{Dialect, Schemas};
pub use super::v3_protobuf::protobuf;
use super::{ApiSchema, Descriptions, GroupVersionApi};

/// The media type of the protobuf form.
pub const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
/// What clients call it in `Accept`, although it is no media type; the answer has [`PROTOBUF`].
pub const PROTOBUF_ACCEPTED: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

/// The document of a group and version. `version` is that of the server (`1.36`).
pub fn document(api: &GroupVersionApi, version: &str, descriptions: &Descriptions) -> Value {
    let paths = operations::paths(api);
    let mut schemas = Schemas::new(Dialect::V3, descriptions);
    schemas.add_api(api, &paths);
    let mut items: Map<String, Value> =
        paths.iter().map(|path| (path.path.clone(), items::item(path, Dialect::V3))).collect();
    // Documents of custom resources alone do not speak of discovery.
    if api.resources.iter().any(|resource| !matches!(resource.schema, ApiSchema::Custom(_))) {
        let (path, item) = discovery::discovery(api, Dialect::V3);
        items.insert(path, item);
        schemas.add_meta("APIResourceList");
    }
    whole(items, schemas, version)
}

/// The documents of paths that are no resources, by what the index calls them: the list of groups, each of these groups,
/// and what is to be known of the server. `groups`: those of Kubernetes' own kinds.
pub fn plain_paths(groups: &[String]) -> Vec<String> {
    let group = |group: &String| if group.is_empty() { "api".to_owned() } else { format!("apis/{group}") };
    let mut paths: Vec<String> = groups.iter().map(group).collect();
    paths
        .extend(["apis", "version", ".well-known/openid-configuration", "openid/v1/jwks"].map(str::to_owned));
    paths
}

/// A document of [`plain_paths`].
pub fn plain_document(path: &str, version: &str, descriptions: &Descriptions) -> Value {
    let mut schemas = Schemas::new(Dialect::V3, descriptions);
    let (path, item) = match path.strip_prefix("apis/") {
        Some(group) => {
            schemas.add_meta("APIGroup");
            discovery::group_discovery(group, Dialect::V3)
        }
        None if path == "api" => {
            schemas.add_meta("APIVersions");
            discovery::group_discovery("", Dialect::V3)
        }
        None => {
            let own = format!("/{path}/");
            let about = discovery::about_the_server(Dialect::V3).into_iter().find(|(known, _)| *known == own);
            if path == "version" {
                schemas.add_version();
            } else if about.is_none() {
                schemas.add_meta("APIGroupList");
            }
            about.unwrap_or_else(|| discovery::root_discovery(Dialect::V3))
        }
    };
    whole(Map::from_iter([(path, item)]), schemas, version)
}

fn whole(items: Map<String, Value>, schemas: Schemas<'_>, version: &str) -> Value {
    let mut document = json!({
        "openapi": "3.0.0",
        "info": { "title": "Insula", "version": version },
        "paths": items,
        "components": {
            "securitySchemes": { "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication" } },
        },
    });
    let schemas = schemas.finish();
    if !schemas.is_empty() {
        document["components"]["schemas"] = Value::Object(schemas);
    }
    document
}
