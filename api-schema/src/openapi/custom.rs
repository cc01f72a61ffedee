//! The schemas of CustomResourceDefinitions in documents, and the definitions of custom resources and their lists.

use serde_json::{Map, Value, json};

use super::schemas::{Dialect, META, Schemas};
use super::{ApiResource, GroupVersionApi};

/// What there is to say of the metadata of an object where the library says nothing.
const METADATA: &str = "Standard metadata of an object.";

/// What version 2 has no words for.
const ONLY_V3: &[&str] = &["oneOf", "anyOf", "allOf", "not", "nullable", "default", "example"];

impl Schemas<'_> {
    /// A CRD's schema for a document. Version 2 cannot say that a value may be null or of several types: such values are
    /// left without a type, so that clients which check by version 2 let them pass.
    pub(super) fn custom(&self, schema: &Value) -> Value {
        let mut schema = match self.dialect {
            Dialect::V3 => schema.clone(),
            Dialect::V2 => for_v2(schema),
        };
        self.complete(&mut schema);
        schema
    }

    /// Adds what a CRD says by an extension alone: the fields of embedded objects, and that a value is of two types.
    fn complete(&self, schema: &mut Value) {
        let Value::Object(map) = schema else { return };
        if let Some(Value::Object(properties)) = map.get_mut("properties") {
            properties.values_mut().for_each(|property| self.complete(property));
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = map.get_mut(key) {
                self.complete(inner);
            }
        }
        let says = |key: &str| map.get(key) == Some(&Value::Bool(true));
        let v2 = self.dialect == Dialect::V2;
        let (two, embedded) = (says("x-kubernetes-int-or-string"), says("x-kubernetes-embedded-resource"));
        // With these fields, clients that check by version 2 would refuse others.
        let embedded = embedded && !(v2 && says("x-kubernetes-preserve-unknown-fields"));
        if two && !v2 && !map.contains_key("anyOf") && !map.contains_key("allOf") {
            map.insert("anyOf".to_owned(), json!([{ "type": "integer" }, { "type": "string" }]));
        }
        if embedded {
            let text = |words: &str| json!({ "type": "string", "description": words });
            let metadata = self.usual("metadata", METADATA);
            let metadata = self.described(&format!("{META}.ObjectMeta"), &metadata, false);
            if let Value::Object(properties) = map.entry("properties").or_insert_with(|| json!({})) {
                properties
                    .insert("apiVersion".to_owned(), text("The version of the embedded object's schema."));
                properties.insert("kind".to_owned(), text("The kind of the embedded object."));
                properties.insert("metadata".to_owned(), metadata);
            }
            if let Value::Array(required) = map.entry("required").or_insert_with(|| json!([])) {
                for field in ["kind", "apiVersion"] {
                    if !required.iter().any(|one| one == field) {
                        required.push(json!(field));
                    }
                }
            }
        }
    }

    /// Adds a custom resource and its list.
    pub(super) fn add_custom(
        &mut self,
        api: &GroupVersionApi,
        resource: &ApiResource,
        name: &str,
        schema: Value,
    ) {
        let kind = |kind: &str| json!([{ "group": api.group, "version": api.version, "kind": kind }]);
        let text = |description: &str| json!({ "type": "string", "description": description });
        let version = self.usual("apiVersion", "The version of the object's schema.");
        let of_kind = self.usual("kind", "The kind of the object.");
        let metadata = self.usual("metadata", METADATA);
        let mut whole = match schema {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        whole.insert("type".to_owned(), json!("object"));
        whole.insert("x-kubernetes-group-version-kind".to_owned(), kind(&resource.kind));
        let meta = self.described(&format!("{META}.ObjectMeta"), &metadata, false);
        let properties = whole.entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            properties.insert("apiVersion".to_owned(), text(&version));
            properties.insert("kind".to_owned(), text(&of_kind));
            properties.insert("metadata".to_owned(), meta);
        }
        let mut list = json!({
            "description": format!("{}List is a list of {}", resource.kind, resource.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": text(&version),
                "kind": text(&of_kind),
                "metadata": self.described(&format!("{META}.ListMeta"), "Standard metadata of a list.", false),
                "items": { "description": format!("List of {}.", resource.plural), "type": "array",
                    "items": self.dialect.reference(name) },
            },
            "x-kubernetes-group-version-kind": kind(&format!("{}List", resource.kind)),
        });
        if let Some(fields) = whole.get("x-kubernetes-selectable-fields") {
            list["x-kubernetes-selectable-fields"] = fields.clone();
        }
        self.definitions.insert(name.to_owned(), Value::Object(whole));
        self.definitions.insert(format!("{name}List"), list);
        self.add_meta("ObjectMeta");
        self.add_meta("ListMeta");
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
