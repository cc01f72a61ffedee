//! OpenAPI version 3: one document for each group and version.

use serde_json::{Map, Value, json};

use super::operations::{self, Body, Operation, PATCHES, Path};
use super::parameters::{PRETTY, Parameter};
use super::schemas::{Dialect, Schemas};
use super::{Descriptions, GroupVersionApi};

const OBJECT_TYPES: &[&str] =
    &["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const WATCH_TYPES: &[&str] =
    &["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// The document of a group and version. `version` is that of the server (`1.36`).
pub fn document(api: &GroupVersionApi, version: &str, descriptions: &Descriptions) -> Value {
    let mut schemas = Schemas::new(Dialect::V3, descriptions);
    schemas.add_api(api);
    let mut paths: Map<String, Value> =
        operations::paths(api).iter().map(|path| (path.path.clone(), item(path))).collect();
    let resources = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";
    paths.insert(
        format!("/{}/", api.path()),
        json!({ "get": {
            "description": "get available resources",
            "responses": responses(&Body::Object(resources.to_owned()), &[]),
        } }),
    );
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Insula", "version": version },
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": { "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication" } },
        },
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
    json!({ "name": name, "in": "path", "description": description, "required": true,
        "schema": { "type": "string", "uniqueItems": true } })
}

fn in_query(parameter: &Parameter) -> Value {
    json!({ "name": parameter.name, "in": "query", "description": parameter.description,
        "schema": { "type": parameter.of, "uniqueItems": true } })
}

fn operation(operation: &Operation) -> Value {
    let mut out = Map::new();
    out.insert("tags".to_owned(), json!([operation.tag]));
    out.insert("description".to_owned(), json!(operation.description));
    out.insert("operationId".to_owned(), json!(operation.id));
    if !operation.parameters.is_empty() {
        out.insert("parameters".to_owned(), operation.parameters.iter().map(in_query).collect());
    }
    if let Some((definition, required)) = &operation.request {
        let types: &[&str] = if operation.action == "patch" { PATCHES } else { &["*/*"] };
        let mut body = json!({ "content": content(types, &Dialect::V3.reference(definition)) });
        if *required {
            body["required"] = json!(true);
        }
        out.insert("requestBody".to_owned(), body);
    }
    out.insert("responses".to_owned(), responses(&operation.response, operation.codes));
    out.insert("x-kubernetes-action".to_owned(), json!(operation.action));
    let (group, version, kind) = &operation.kind;
    out.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        json!({ "group": group, "version": version, "kind": kind }),
    );
    Value::Object(out)
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|of| ((*of).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

fn responses(body: &Body, codes: &[(&str, &str)]) -> Value {
    let content = match body {
        Body::Object(definition) => content(OBJECT_TYPES, &Dialect::V3.reference(definition)),
        Body::List(definition) => {
            content(&[OBJECT_TYPES, WATCH_TYPES].concat(), &Dialect::V3.reference(definition))
        }
        Body::Text => content(&["text/plain"], &json!({ "type": "string" })),
        Body::None => content(&["*/*"], &json!({ "type": "string" })),
    };
    let mut out = Map::new();
    for (code, description) in [("200", "OK")].iter().chain(codes) {
        out.insert((*code).to_owned(), json!({ "description": description, "content": content }));
    }
    out.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
    Value::Object(out)
}
