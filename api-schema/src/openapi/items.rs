//! Paths with their operations, in the words of both versions.

use serde_json::{Map, Value, json};

use super::operations::{Body, CUSTOM_PATCHES, Media, Operation, PATCHES, Path};
use super::parameters::{PRETTY, Parameter};
use super::schemas::Dialect;

/// A path. What all its operations take is said once, for all of them.
pub(super) fn item(path: &Path, dialect: Dialect) -> Value {
    let mut shared: Vec<Value> = Vec::new();
    if path.path.contains("{name}") {
        shared.push(in_path("name", &format!("name of the {}", path.kind), dialect));
    }
    if path.path.contains("{namespace}") {
        shared.push(in_path("namespace", "the namespace of the object", dialect));
    }
    if path.path.contains("{path}") {
        shared.push(in_path("path", "the path behind the proxy", dialect));
    }
    // What is passed on is not made pretty.
    let connects = path.operations.iter().all(|operation| matches!(operation.response, Body::None));
    let pretty: &[Parameter] = if connects { &[] } else { &[PRETTY] };
    let all = path.operations.first().map_or(&[][..], |first| first.parameters);
    let common: Vec<Parameter> = all
        .iter()
        .filter(|parameter| path.operations.iter().all(|other| other.parameters.contains(parameter)))
        .copied()
        .collect();
    shared.extend(common.iter().chain(pretty).map(|parameter| in_query(parameter, dialect)));
    shared.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let mut item: Map<String, Value> = path
        .operations
        .iter()
        .map(|operation| (operation.method.to_owned(), self::operation(operation, &common, dialect)))
        .collect();
    item.insert("parameters".to_owned(), Value::Array(shared));
    Value::Object(item)
}

/// A path that is only read: discovery and the version.
pub(super) fn read_only(tag: &str, id: &str, description: &str, definition: &str, dialect: Dialect) -> Value {
    let mut out = Map::new();
    out.insert("description".to_owned(), json!(description));
    out.insert("tags".to_owned(), json!([tag]));
    out.insert("operationId".to_owned(), json!(id));
    if dialect == Dialect::V2 {
        out.insert("consumes".to_owned(), json!(object_types(Media::Protobuf)));
        out.insert("produces".to_owned(), json!(object_types(Media::Protobuf)));
        out.insert("schemes".to_owned(), json!(["https"]));
    }
    let body = Body::Object(definition.to_owned());
    out.insert("responses".to_owned(), responses(&body, Media::Protobuf, &[], dialect));
    json!({ "get": out })
}

/// A path that is only read, and gives one type of document: tag, name and words of the operation; what it takes, and
/// what it gives. Without a definition it gives text.
pub(super) fn plain(
    (tag, id, description): (&str, &str, &str),
    (consumes, produces): (&[&str], &str),
    definition: Option<&str>,
    dialect: Dialect,
) -> Value {
    let schema = definition.map_or_else(|| json!({ "type": "string" }), |name| dialect.reference(name));
    let mut out = json!({ "description": description, "tags": [tag], "operationId": id });
    let ok = match dialect {
        Dialect::V2 => {
            if !consumes.is_empty() {
                out["consumes"] = json!(consumes);
            }
            out["produces"] = json!([produces]);
            out["schemes"] = json!(["https"]);
            json!({ "description": "OK", "schema": schema })
        }
        Dialect::V3 => json!({ "description": "OK", "content": content(&[produces], &schema) }),
    };
    out["responses"] = json!({ "200": ok, "401": { "description": "Unauthorized" } });
    json!({ "get": out })
}

/// A type of a parameter: in version 3 a schema of its own.
fn typed(mut parameter: Value, of: &str, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => {
            parameter["type"] = json!(of);
            parameter["uniqueItems"] = json!(true);
        }
        Dialect::V3 => parameter["schema"] = json!({ "type": of, "uniqueItems": true }),
    }
    parameter
}

fn in_path(name: &str, description: &str, dialect: Dialect) -> Value {
    let parameter = json!({ "name": name, "in": "path", "description": description, "required": true });
    typed(parameter, "string", dialect)
}

fn in_query(parameter: &Parameter, dialect: Dialect) -> Value {
    let said = json!({ "name": parameter.name, "in": "query", "description": parameter.description });
    typed(said, parameter.of, dialect)
}

fn operation(operation: &Operation, common: &[Parameter], dialect: Dialect) -> Value {
    let mut out = Map::new();
    out.insert("tags".to_owned(), json!([operation.tag]));
    out.insert("description".to_owned(), json!(operation.description));
    out.insert("operationId".to_owned(), json!(operation.id));
    let own = operation.parameters.iter().filter(|parameter| !common.contains(parameter));
    let mut parameters: Vec<Value> = own.map(|parameter| in_query(parameter, dialect)).collect();
    let accepted = accepted(operation);
    match (&operation.request, dialect) {
        (Some((definition, required)), Dialect::V2) => {
            let mut body = json!({ "name": "body", "in": "body", "schema": dialect.reference(definition) });
            if *required {
                body["required"] = json!(true);
            }
            parameters.insert(0, body);
        }
        (Some((definition, required)), Dialect::V3) => {
            let mut body = json!({ "content": content(accepted, &dialect.reference(definition)) });
            if *required {
                body["required"] = json!(true);
            }
            out.insert("requestBody".to_owned(), body);
        }
        (None, _) => {}
    }
    if dialect == Dialect::V2 {
        out.insert("consumes".to_owned(), json!(accepted));
        out.insert("produces".to_owned(), json!(produced(&operation.response, operation.media)));
        out.insert("schemes".to_owned(), json!(["https"]));
    }
    if !parameters.is_empty() {
        out.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let answers = responses(&operation.response, operation.media, operation.codes, dialect);
    out.insert("responses".to_owned(), answers);
    out.insert("x-kubernetes-action".to_owned(), json!(operation.action));
    let (group, version, kind) = &operation.kind;
    out.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        json!({ "group": group, "version": version, "kind": kind }),
    );
    Value::Object(out)
}

/// The media types that a body may have.
fn accepted(operation: &Operation) -> &'static [&'static str] {
    match (operation.action, operation.media) {
        ("patch", Media::Custom) => CUSTOM_PATCHES,
        ("patch", _) => PATCHES,
        (_, Media::Custom) => object_types(Media::Custom),
        _ => &["*/*"],
    }
}

fn object_types(media: Media) -> &'static [&'static str] {
    match media {
        Media::Protobuf => &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"],
        Media::Plain | Media::Custom => &["application/json", "application/yaml"],
    }
}

/// The media types that an answer may have.
fn produced(body: &Body, media: Media) -> Vec<&'static str> {
    match body {
        Body::Object(_) => object_types(media).to_vec(),
        Body::List(_) | Body::Events => {
            let streams: &[&str] = match media {
                Media::Protobuf => {
                    &["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]
                }
                Media::Plain => &["application/json;stream=watch"],
                Media::Custom => &[],
            };
            [object_types(media), streams].concat()
        }
        Body::Text => [&["text/plain"][..], object_types(media)].concat(),
        Body::None => vec!["*/*"],
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|of| ((*of).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

fn responses(body: &Body, media: Media, codes: &[(&str, &str)], dialect: Dialect) -> Value {
    let schema = match body {
        Body::Object(definition) | Body::List(definition) => dialect.reference(definition),
        Body::Events => dialect.reference("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"),
        Body::Text | Body::None => json!({ "type": "string" }),
    };
    let mut out = Map::new();
    for (code, description) in [("200", "OK")].iter().chain(codes) {
        let answer = match dialect {
            Dialect::V2 => json!({ "description": description, "schema": schema }),
            Dialect::V3 => {
                json!({ "description": description, "content": content(&produced(body, media), &schema) })
            }
        };
        out.insert((*code).to_owned(), answer);
    }
    out.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
    Value::Object(out)
}
