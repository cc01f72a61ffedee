//! The schemas of a server's OpenAPI v3 document, by which objects are changed.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// How deep made-up values go: schemas can contain themselves.
const DEEPEST: usize = 5;

/// Schemas by name.
#[derive(Default)]
pub struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Takes the schemas of a document of one group and version.
    pub fn add(&mut self, document: &Value) {
        let found = document.pointer("/components/schemas").and_then(Value::as_object);
        self.0.extend(found.into_iter().flatten().map(|(name, schema)| (name.clone(), schema.clone())));
    }

    /// The schema of a kind.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Value> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let wanted = json!({"group": group, "kind": kind, "version": version});
        self.0.values().find(|schema| {
            schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|kinds| kinds.contains(&wanted))
        })
    }

    /// The schema of `metadata`.
    pub fn of_metadata(&self) -> &Value {
        self.0.get(OBJECT_META).unwrap_or(&Value::Null)
    }

    /// What a schema refers to.
    pub fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..DEEPEST {
            schema = match (schema["$ref"].as_str(), schema["allOf"].as_array().map(Vec::as_slice)) {
                (Some(reference), _) => {
                    let name = reference.rsplit('/').next().unwrap_or(reference);
                    self.0.get(name).unwrap_or(&Value::Null)
                }
                (None, Some([one])) => one,
                _ => return schema,
            };
        }
        schema
    }

    /// A small value of the schema.
    pub fn sample(&self, schema: &Value, depth: usize) -> Value {
        let schema = self.resolve(schema);
        if schema["oneOf"].is_array() {
            return json!("1");
        }
        match (schema["type"].as_str().unwrap_or(""), schema["format"].as_str().unwrap_or("")) {
            ("string", "date-time") => json!("2026-01-01T00:00:00Z"),
            ("string", "byte") => json!("YQ=="),
            ("string", _) => json!("x"),
            ("integer" | "number", _) => json!(1),
            ("boolean", _) => json!(true),
            ("array", _) if depth < DEEPEST => json!([self.sample(&schema["items"], depth + 1)]),
            ("array", _) => json!([]),
            _ if depth >= DEEPEST => json!({}),
            _ => self.sample_object(schema, depth),
        }
    }

    fn sample_object(&self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = schema["properties"].as_object() else {
            let values = &schema["additionalProperties"];
            return if values.is_object() { json!({"k": self.sample(values, depth + 1)}) } else { json!({}) };
        };
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let fields: Map<String, Value> = required
            .filter_map(|name| Some((name.to_owned(), self.sample(properties.get(name)?, depth + 1))))
            .collect();
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_and_sampled() {
        let mut schemas = Schemas::default();
        schemas.add(&json!({"components": {"schemas": {
            "Lamp": {"type": "object", "required": ["spec"], "x-kubernetes-group-version-kind":
                [{"group": "x.example", "kind": "Lamp", "version": "v1"}],
                "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}]}}},
            "Spec": {"type": "object", "required": ["names", "self", "at"], "properties": {
                "names": {"type": "array", "items": {"type": "string"}},
                "at": {"type": "string", "format": "date-time"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "self": {"$ref": "#/components/schemas/Spec"}}}}}}));
        assert!(schemas.of_kind("x.example/v2", "Lamp").is_none());
        let sample = schemas.sample(schemas.of_kind("x.example/v1", "Lamp").unwrap(), 0);
        assert_eq!(sample["spec"]["names"], json!(["x"]));
        assert_eq!(sample["spec"]["self"]["at"], "2026-01-01T00:00:00Z");
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        assert_eq!(schemas.sample(&map, 0), json!({"k": 1}));
    }
}
