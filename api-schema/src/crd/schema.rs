//! The schema of a custom resource (`JSONSchemaProps` of `apiextensions.k8s.io/v1`), read once.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One schema: of the resource, of a field, of an element.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`; empty when not said.
    pub kind: String,
    pub format: String,
    pub nullable: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Option<Additional>,
    pub items: Option<Box<Schema>>,
    pub required: Vec<String>,
    pub values: Option<Vec<Value>>,
    pub limits: Limits,
    pub pattern: Option<String>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: Option<bool>,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`.
    pub list_type: Option<String>,
    /// `x-kubernetes-list-map-keys`.
    pub list_keys: Vec<String>,
    /// `x-kubernetes-map-type`.
    pub map_type: Option<String>,
    /// `x-kubernetes-validations`.
    pub rules: Vec<Rule>,
    pub has_title: bool,
    pub has_description: bool,
    pub unique_items: bool,
    /// Keywords that no schema of a custom resource may use, as their field is called.
    pub unsupported: Vec<&'static str>,
    /// `items` is an array of schemas.
    pub items_is_list: bool,
    /// `$schema`, which Kubernetes cannot read, and has no message of its own for.
    pub has_dialect: bool,
}

/// `additionalProperties`.
#[derive(Debug)]
pub(crate) enum Additional {
    Any(bool),
    Of(Box<Schema>),
}

/// The bounds of a value.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub multiple_of: Option<f64>,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
}

/// One rule of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub rule: String,
    pub message: String,
    pub message_expression: String,
    pub reason: Option<String>,
    pub field_path: String,
    pub optional_old_self: Option<bool>,
}

/// Whether the value of a keyword counts as use of it.
type Used = fn(&Value) -> bool;

/// Keywords that are refused by name.
const UNSUPPORTED: &[(&str, Used)] = &[
    ("id", |v| v.as_str().is_some_and(|s| !s.is_empty())),
    ("additionalItems", |v| !v.is_null()),
    ("patternProperties", |v| v.as_object().is_some_and(|m| !m.is_empty())),
    ("definitions", |v| v.as_object().is_some_and(|m| !m.is_empty())),
    ("dependencies", |v| !v.is_null()),
    ("$ref", |v| !v.is_null()),
];

impl Schema {
    /// Reads a schema. What has not the type that the API gives it counts as absent: the CRD was decoded before.
    pub fn read(value: &Value) -> Schema {
        let text = |name: &str| value[name].as_str().unwrap_or("").to_owned();
        let flag = |name: &str| value[name].as_bool().unwrap_or(false);
        let texts = |name: &str| -> Vec<String> {
            value[name]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        let schemas = |name: &str| -> Vec<Schema> {
            value[name].as_array().into_iter().flatten().map(Schema::read).collect()
        };
        let empty = Map::new();
        let properties = value["properties"].as_object().unwrap_or(&empty);
        Schema {
            kind: text("type"),
            format: text("format"),
            nullable: flag("nullable"),
            default: Some(value["default"].clone()).filter(|d| !d.is_null()),
            properties: properties.iter().map(|(name, s)| (name.clone(), Schema::read(s))).collect(),
            additional: match &value["additionalProperties"] {
                Value::Bool(allowed) => Some(Additional::Any(*allowed)),
                schema @ Value::Object(_) => Some(Additional::Of(Box::new(Schema::read(schema)))),
                _ => None,
            },
            items: value["items"].is_object().then(|| Box::new(Schema::read(&value["items"]))),
            items_is_list: value["items"].as_array().is_some_and(|a| !a.is_empty()),
            required: texts("required"),
            values: value["enum"].as_array().cloned(),
            limits: Limits::read(value),
            pattern: value["pattern"].as_str().filter(|p| !p.is_empty()).map(str::to_owned),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: value["not"].is_object().then(|| Box::new(Schema::read(&value["not"]))),
            preserve_unknown: value["x-kubernetes-preserve-unknown-fields"].as_bool(),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            list_type: value["x-kubernetes-list-type"].as_str().map(str::to_owned),
            list_keys: texts("x-kubernetes-list-map-keys"),
            map_type: value["x-kubernetes-map-type"].as_str().map(str::to_owned),
            rules: value["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
                .map(Rule::read)
                .collect(),
            has_title: !text("title").is_empty(),
            has_description: !text("description").is_empty(),
            unique_items: flag("uniqueItems"),
            has_dialect: !text("$schema").is_empty(),
            unsupported: UNSUPPORTED
                .iter()
                .filter(|(name, used)| value.get(*name).is_some_and(used))
                .map(|(name, _)| *name)
                .collect(),
        }
    }

    /// True when the schema or one below it has what cannot be part of a structural schema at all.
    pub fn is_unreadable(&self) -> bool {
        !self.unsupported.is_empty()
            || self.items_is_list
            || self.has_dialect
            || self.preserve_unknown == Some(false)
            || self.properties.values().any(Schema::is_unreadable)
            || self.additional_schema().is_some_and(Schema::is_unreadable)
            || [&self.items, &self.not].into_iter().flatten().any(|schema| schema.is_unreadable())
            || [&self.all_of, &self.any_of, &self.one_of].into_iter().flatten().any(Schema::is_unreadable)
    }

    /// Keeps fields that it does not declare.
    pub fn preserves(&self) -> bool {
        self.preserve_unknown == Some(true)
    }

    /// The schema of the values of a map, when it has one.
    pub fn additional_schema(&self) -> Option<&Schema> {
        match &self.additional {
            Some(Additional::Of(schema)) => Some(schema),
            _ => None,
        }
    }

    /// The schema of a field: its own, or that of all values of the map.
    pub fn member(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or_else(|| self.additional_schema())
    }

    /// True when the schema or one below it, outside of the combinators, satisfies `test`.
    pub fn any(&self, test: fn(&Schema) -> bool) -> bool {
        test(self)
            || self.properties.values().any(|s| s.any(test))
            || self.additional_schema().is_some_and(|s| s.any(test))
            || self.items.as_ref().is_some_and(|s| s.any(test))
    }

    /// The types that a value may have, as the openapi validation names them.
    pub fn types(&self) -> &[&'static str] {
        if self.int_or_string {
            return &["integer", "string"];
        }
        match self.kind.as_str() {
            "object" => &["object"],
            "array" => &["array"],
            "string" => &["string"],
            "integer" => &["integer"],
            "number" => &["number"],
            "boolean" => &["boolean"],
            _ => &[],
        }
    }
}

/// Visits a schema and all below it, in the combinators too.
pub(super) fn each<'v>(schema: &'v Value, visit: &mut dyn FnMut(&'v Value)) {
    if !schema.is_object() {
        return;
    }
    visit(schema);
    match &schema["items"] {
        Value::Array(items) => items.iter().for_each(|item| each(item, visit)),
        item => each(item, visit),
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        schema[name].as_array().into_iter().flatten().for_each(|branch| each(branch, visit));
    }
    each(&schema["not"], visit);
    schema["properties"].as_object().into_iter().flatten().for_each(|(_, property)| each(property, visit));
    each(&schema["additionalProperties"], visit);
}

impl Limits {
    fn read(value: &Value) -> Limits {
        Limits {
            maximum: value["maximum"].as_f64(),
            exclusive_maximum: value["exclusiveMaximum"].as_bool().unwrap_or(false),
            minimum: value["minimum"].as_f64(),
            exclusive_minimum: value["exclusiveMinimum"].as_bool().unwrap_or(false),
            multiple_of: value["multipleOf"].as_f64(),
            max_length: value["maxLength"].as_i64(),
            min_length: value["minLength"].as_i64(),
            max_items: value["maxItems"].as_i64(),
            min_items: value["minItems"].as_i64(),
            max_properties: value["maxProperties"].as_i64(),
            min_properties: value["minProperties"].as_i64(),
        }
    }
}

impl Rule {
    fn read(value: &Value) -> Rule {
        let text = |name: &str| value[name].as_str().unwrap_or("").to_owned();
        Rule {
            rule: text("rule"),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: value["reason"].as_str().map(str::to_owned),
            field_path: text("fieldPath"),
            optional_old_self: value["optionalOldSelf"].as_bool(),
        }
    }
}
