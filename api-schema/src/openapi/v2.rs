//! OpenAPI version 2 (Swagger): one document for everything.

use serde_json::{Map, Value, json};

use super::discovery;
use super::items;
use super::operations;
use super::schemas::{Dialect, Schemas};
pub use super::v2_protobuf::protobuf;
use super::{ApiSchema, Descriptions, GroupVersionApi};

/// The media type of the protobuf form.
pub const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients call it in `Accept`, although it is no media type; the answer has [`PROTOBUF`].
pub const PROTOBUF_ACCEPTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The document of all groups and versions. `version` is that of the server (`1.36`).
pub fn document(apis: &[GroupVersionApi], version: &str, descriptions: &Descriptions) -> Value {
    let mut schemas = Schemas::new(Dialect::V2, descriptions);
    let mut items = Map::new();
    for api in apis {
        let paths = operations::paths(api);
        schemas.add_api(api, &paths);
        items.extend(paths.iter().map(|path| (path.path.clone(), items::item(path, Dialect::V2))));
        if api.resources.iter().any(|resource| !matches!(resource.schema, ApiSchema::Custom(_))) {
            let group = discovery::group_discovery(&api.group, Dialect::V2);
            items.extend([discovery::discovery(api, Dialect::V2), group]);
        }
    }
    items.extend([discovery::root_discovery(Dialect::V2)]);
    items.extend(discovery::about_the_server(Dialect::V2));
    schemas.add_version();
    for name in ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions"] {
        schemas.add_meta(name);
    }
    json!({
        "swagger": "2.0",
        "info": { "title": "Insula", "version": version },
        "paths": items,
        "definitions": schemas.finish(),
        "securityDefinitions": { "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization",
            "description": "Bearer Token authentication" } },
        "security": [{ "BearerToken": [] }],
    })
}
