//! OpenAPI version 3: one document for each group and version.

use serde_json::{Map, Value, json};

use super::items;
use super::operations;
use super::schemas::{Dialect, Schemas};
use super::{ApiSchema, Descriptions, GroupVersionApi};

/// The document of a group and version. `version` is that of the server (`1.36`).
pub fn document(api: &GroupVersionApi, version: &str, descriptions: &Descriptions) -> Value {
    let paths = operations::paths(api);
    let mut schemas = Schemas::new(Dialect::V3, descriptions);
    schemas.add_api(api, &paths);
    let mut items: Map<String, Value> =
        paths.iter().map(|path| (path.path.clone(), items::item(path, Dialect::V3))).collect();
    // Documents of custom resources alone do not speak of discovery.
    if api.resources.iter().any(|resource| !matches!(resource.schema, ApiSchema::Custom(_))) {
        let (path, item) = operations::discovery(api, Dialect::V3);
        items.insert(path, item);
        schemas.add_meta("APIResourceList");
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Insula", "version": version },
        "paths": items,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": { "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication" } },
        },
    })
}
