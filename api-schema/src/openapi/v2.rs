//! OpenAPI version 2 (Swagger): one document for everything.

use serde_json::{Map, Value, json};

use super::operations::{self, Body, Operation, PATCHES, Path};
use super::parameters::{PRETTY, Parameter};
use super::schemas::{Dialect, Schemas};
pub use super::v2_protobuf::protobuf;
use super::{Descriptions, GroupVersionApi};

/// The media type of the protobuf form.
pub const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// What clients call it in `Accept`, although it is no media type; the answer has [`PROTOBUF`].
pub const PROTOBUF_ACCEPTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The document of all groups and versions. `version` is that of the server (`1.36`).
pub fn document(apis: &[GroupVersionApi], version: &str, descriptions: &Descriptions) -> Value {
    let mut schemas = Schemas::new(Dialect::V2, descriptions);
    let mut paths = Map::new();
    for api in apis {
        schemas.add_api(api);
        paths.extend(operations::paths(api).iter().map(|path| (path.path.clone(), item(path))));
    }
    json!({
        "swagger": "2.0",
        "info": { "title": "Insula", "version": version },
        "paths": paths,
        "definitions": schemas.finish(),
        "securityDefinitions": { "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization",
            "description": "Bearer Token authentication" } },
        "security": [{ "BearerToken": [] }],
    })
}

fn item(path: &Path) -> Value {
    let mut item: Map<String, Value> = path
        .operations
        .iter()
        .map(|operation| (operation.method.to_owned(), self::operation(operation)))
        .collect();
    let mut parameters = Vec::new();
    if path.path.contains("{name}") {
        parameters.push(in_path("name", &format!("name of the {}", path.kind)));
    }
    if path.path.contains("{namespace}") {
        parameters.push(in_path("namespace", "the namespace of the object"));
    }
    parameters.push(in_query(&PRETTY));
    item.insert("parameters".to_owned(), Value::Array(parameters));
    Value::Object(item)
}

fn in_path(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "path", "description": description, "required": true, "type": "string",
        "uniqueItems": true })
}

fn in_query(parameter: &Parameter) -> Value {
    json!({ "name": parameter.name, "in": "query", "description": parameter.description, "type": parameter.of,
        "uniqueItems": true })
}

fn operation(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    if let Some((definition, required)) = &operation.request {
        let mut body = json!({ "name": "body", "in": "body", "schema": Dialect::V2.reference(definition) });
        if *required {
            body["required"] = json!(true);
        }
        parameters.push(body);
    }
    parameters.extend(operation.parameters.iter().map(in_query));
    let mut produces = vec!["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    let schema = match &operation.response {
        Body::Object(definition) => Dialect::V2.reference(definition),
        Body::List(definition) => {
            produces.extend([
                "application/json;stream=watch",
                "application/vnd.kubernetes.protobuf;stream=watch",
            ]);
            Dialect::V2.reference(definition)
        }
        Body::Text => {
            produces = vec!["text/plain"];
            json!({ "type": "string" })
        }
        Body::None => {
            produces = vec!["*/*"];
            json!({ "type": "string" })
        }
    };
    let mut responses = Map::new();
    for (code, description) in [("200", "OK")].iter().chain(operation.codes) {
        responses.insert((*code).to_owned(), json!({ "description": description, "schema": schema }));
    }
    responses.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
    let consumes: &[&str] = if operation.action == "patch" { PATCHES } else { &["*/*"] };
    let (group, version, kind) = &operation.kind;
    json!({
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
        "consumes": consumes,
        "produces": produces,
        "schemes": ["https"],
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": { "group": group, "version": version, "kind": kind },
    })
}
