//! The schemas of CustomResourceDefinitions in documents.

use serde_json::{Map, Value};

use super::schemas::Dialect;

/// What version 2 has no words for.
const ONLY_V3: &[&str] = &["oneOf", "anyOf", "allOf", "not", "nullable", "default", "example"];

/// A CRD's schema for a document. Version 2 cannot say that a value may be null or of several types: such values are
/// left without a type, so that clients which check by version 2 let them pass.
pub(super) fn schema(schema: &Value, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V3 => schema.clone(),
        Dialect::V2 => for_v2(schema),
    }
}

fn for_v2(schema: &Value) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    let truth = |key: &str| map.get(key) == Some(&Value::Bool(true));
    let untyped = truth("nullable") || truth("x-kubernetes-int-or-string");
    let mut out = Map::new();
    for (key, value) in map {
        let key = key.as_str();
        if ONLY_V3.contains(&key) {
            continue;
        }
        if untyped && matches!(key, "type" | "items" | "properties" | "additionalProperties" | "format") {
            continue;
        }
        let value = match (key, value) {
            ("properties", Value::Object(properties)) => Value::Object(
                properties.iter().map(|(name, schema)| (name.clone(), for_v2(schema))).collect(),
            ),
            ("items" | "additionalProperties", value) => for_v2(value),
            (_, value) => value.clone(),
        };
        out.insert(key.to_owned(), value);
    }
    Value::Object(out)
}
