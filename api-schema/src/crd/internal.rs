//! Definitions as Kubernetes shows them in messages: its internal types as JSON, with every field by its name in Go,
//! in the order of the type.

use serde_json::Value;

/// How one field is written.
enum Form {
    /// A text; `""` when absent.
    Text,
    /// `true` or `false`.
    Flag,
    /// A number; 0 when absent.
    Number,
    /// As it is; `null` when absent.
    AsIs,
    /// An object, or `null`.
    Object(&'static [Field]),
    /// A list of objects, or `null`.
    Objects(&'static [Field]),
    /// A list of other values, or `null`.
    List,
    /// A schema, or `null`.
    Schema,
    /// A list of schemas, or `null`.
    Schemas,
    /// Schemas by name, or `null`.
    SchemaMap,
    /// A schema or a boolean, or `null`.
    SchemaOrFlag,
    /// A schema or a list of them, or `null`.
    SchemaOrList,
}

/// A field: its name in JSON, in Go, and its form.
type Field = (&'static str, &'static str, Form);

const SCHEMA: &[Field] = &[
    ("id", "ID", Form::Text),
    ("$schema", "Schema", Form::Text),
    ("$ref", "Ref", Form::AsIs),
    ("description", "Description", Form::Text),
    ("type", "Type", Form::Text),
    ("nullable", "Nullable", Form::Flag),
    ("format", "Format", Form::Text),
    ("title", "Title", Form::Text),
    ("default", "Default", Form::AsIs),
    ("maximum", "Maximum", Form::AsIs),
    ("exclusiveMaximum", "ExclusiveMaximum", Form::Flag),
    ("minimum", "Minimum", Form::AsIs),
    ("exclusiveMinimum", "ExclusiveMinimum", Form::Flag),
    ("maxLength", "MaxLength", Form::AsIs),
    ("minLength", "MinLength", Form::AsIs),
    ("pattern", "Pattern", Form::Text),
    ("maxItems", "MaxItems", Form::AsIs),
    ("minItems", "MinItems", Form::AsIs),
    ("uniqueItems", "UniqueItems", Form::Flag),
    ("multipleOf", "MultipleOf", Form::AsIs),
    ("enum", "Enum", Form::List),
    ("maxProperties", "MaxProperties", Form::AsIs),
    ("minProperties", "MinProperties", Form::AsIs),
    ("required", "Required", Form::List),
    ("items", "Items", Form::SchemaOrList),
    ("allOf", "AllOf", Form::Schemas),
    ("oneOf", "OneOf", Form::Schemas),
    ("anyOf", "AnyOf", Form::Schemas),
    ("not", "Not", Form::Schema),
    ("properties", "Properties", Form::SchemaMap),
    ("additionalProperties", "AdditionalProperties", Form::SchemaOrFlag),
    ("patternProperties", "PatternProperties", Form::SchemaMap),
    ("dependencies", "Dependencies", Form::AsIs),
    ("additionalItems", "AdditionalItems", Form::SchemaOrFlag),
    ("definitions", "Definitions", Form::SchemaMap),
    ("externalDocs", "ExternalDocs", Form::Object(DOCS)),
    ("example", "Example", Form::AsIs),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields", Form::AsIs),
    ("x-kubernetes-embedded-resource", "XEmbeddedResource", Form::Flag),
    ("x-kubernetes-int-or-string", "XIntOrString", Form::Flag),
    ("x-kubernetes-list-map-keys", "XListMapKeys", Form::List),
    ("x-kubernetes-list-type", "XListType", Form::AsIs),
    ("x-kubernetes-map-type", "XMapType", Form::AsIs),
    ("x-kubernetes-validations", "XValidations", Form::Objects(RULE)),
];

const DOCS: &[Field] = &[("description", "Description", Form::Text), ("url", "URL", Form::Text)];

const RULE: &[Field] = &[
    ("rule", "Rule", Form::Text),
    ("message", "Message", Form::Text),
    ("messageExpression", "MessageExpression", Form::Text),
    ("reason", "Reason", Form::AsIs),
    ("fieldPath", "FieldPath", Form::Text),
    ("optionalOldSelf", "OptionalOldSelf", Form::AsIs),
];

const VALIDATION: &[Field] = &[("openAPIV3Schema", "OpenAPIV3Schema", Form::Schema)];

const SCALE: &[Field] = &[
    ("specReplicasPath", "SpecReplicasPath", Form::Text),
    ("statusReplicasPath", "StatusReplicasPath", Form::Text),
    ("labelSelectorPath", "LabelSelectorPath", Form::AsIs),
];

const SUBRESOURCES: &[Field] =
    &[("status", "Status", Form::Object(&[])), ("scale", "Scale", Form::Object(SCALE))];

const COLUMN: &[Field] = &[
    ("name", "Name", Form::Text),
    ("type", "Type", Form::Text),
    ("format", "Format", Form::Text),
    ("description", "Description", Form::Text),
    ("priority", "Priority", Form::Number),
    ("jsonPath", "JSONPath", Form::Text),
];

const SELECTABLE: &[Field] = &[("jsonPath", "JSONPath", Form::Text)];

const VERSION: &[Field] = &[
    ("name", "Name", Form::Text),
    ("served", "Served", Form::Flag),
    ("storage", "Storage", Form::Flag),
    ("deprecated", "Deprecated", Form::Flag),
    ("deprecationWarning", "DeprecationWarning", Form::AsIs),
    ("schema", "Schema", Form::Object(VALIDATION)),
    ("subresources", "Subresources", Form::Object(SUBRESOURCES)),
    ("additionalPrinterColumns", "AdditionalPrinterColumns", Form::Objects(COLUMN)),
    ("selectableFields", "SelectableFields", Form::Objects(SELECTABLE)),
];

/// Which part of a definition a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `spec.versions`.
    Versions,
    /// `schema` of a version.
    Validation,
    /// `openAPIV3Schema`.
    Schema,
    /// `subresources` of a version.
    Subresources,
    /// `additionalPrinterColumns` of a version.
    Columns,
    /// `selectableFields` of a version.
    SelectableFields,
    /// An element of `x-kubernetes-validations`.
    Rule,
}

impl Part {
    fn form(self) -> Form {
        match self {
            Part::Versions => Form::Objects(VERSION),
            Part::Validation => Form::Object(VALIDATION),
            Part::Schema => Form::Schema,
            Part::Subresources => Form::Object(SUBRESOURCES),
            Part::Columns => Form::Objects(COLUMN),
            Part::SelectableFields => Form::Objects(SELECTABLE),
            Part::Rule => Form::Object(RULE),
        }
    }

    /// The value as messages show it.
    pub fn text(self, value: &Value) -> String {
        let mut out = String::new();
        Writer { out: &mut out, empty_as_null: false }.write(&self.form(), value);
        out
    }

    /// True when two values say the same: an empty list or map says as much as none.
    pub fn same(self, a: &Value, b: &Value) -> bool {
        let meaning = |value| {
            let mut out = String::new();
            Writer { out: &mut out, empty_as_null: true }.write(&self.form(), value);
            out
        };
        a == b || meaning(a) == meaning(b)
    }
}

struct Writer<'o> {
    out: &'o mut String,
    empty_as_null: bool,
}

impl Writer<'_> {
    fn write(&mut self, form: &Form, value: &Value) {
        match form {
            Form::Text if value.is_string() => self.json(value),
            Form::Text => self.out.push_str("\"\""),
            Form::Flag => self.out.push_str(if value == &Value::Bool(true) { "true" } else { "false" }),
            Form::Number if value.is_null() => self.out.push('0'),
            Form::Number | Form::AsIs => self.json(value),
            Form::Object(fields) => match value.is_object() {
                true => self.object(fields, value),
                false => self.out.push_str("null"),
            },
            Form::Objects(fields) => self.list(value, |out, item| out.object(fields, item)),
            Form::List => self.list(value, |out, item| out.json(item)),
            Form::Schema => self.write(&Form::Object(SCHEMA), value),
            Form::Schemas => self.list(value, |out, item| out.object(SCHEMA, item)),
            Form::SchemaMap => self.map(value),
            Form::SchemaOrFlag => match value {
                Value::Bool(allows) => self.out.push_str(&format!("{{\"Allows\":{allows},\"Schema\":null}}")),
                Value::Object(_) => self.wrapped("{\"Allows\":true,\"Schema\":", value, "}"),
                _ => self.out.push_str("null"),
            },
            Form::SchemaOrList => match value {
                Value::Array(_) => {
                    self.out.push_str("{\"Schema\":null,\"JSONSchemas\":");
                    self.write(&Form::Schemas, value);
                    self.out.push('}');
                }
                Value::Object(_) => self.wrapped("{\"Schema\":", value, ",\"JSONSchemas\":null}"),
                _ => self.out.push_str("null"),
            },
        }
    }

    fn wrapped(&mut self, before: &str, schema: &Value, after: &str) {
        self.out.push_str(before);
        self.object(SCHEMA, schema);
        self.out.push_str(after);
    }

    fn object(&mut self, fields: &[Field], value: &Value) {
        self.out.push('{');
        for (at, (name, go, form)) in fields.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.out.push_str(&format!("\"{go}\":"));
            self.write(form, value.get(name).unwrap_or(&Value::Null));
        }
        self.out.push('}');
    }

    fn list(&mut self, value: &Value, mut item: impl FnMut(&mut Self, &Value)) {
        let Some(items) = value.as_array().filter(|items| !(items.is_empty() && self.empty_as_null)) else {
            return self.out.push_str("null");
        };
        self.out.push('[');
        for (at, each) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            item(self, each);
        }
        self.out.push(']');
    }

    fn map(&mut self, value: &Value) {
        let Some(map) = value.as_object().filter(|map| !(map.is_empty() && self.empty_as_null)) else {
            return self.out.push_str("null");
        };
        self.out.push('{');
        for (at, (name, schema)) in map.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.json(&Value::from(name.as_str()));
            self.out.push(':');
            self.object(SCHEMA, schema);
        }
        self.out.push('}');
    }

    /// JSON as Go writes it, which escapes what could be read as HTML.
    fn json(&mut self, value: &Value) {
        for c in value.to_string().chars() {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.out.push(c),
            }
        }
    }
}

/// The Go name of the first keyword that a schema uses and that `is_sought`.
pub(super) fn first_used(schema: &Value, is_sought: impl Fn(&str) -> bool) -> Option<&'static str> {
    let used = |form: &Form, value: &Value| match form {
        Form::Text => value.as_str().is_some_and(|text| !text.is_empty()),
        Form::Flag => value == &Value::Bool(true),
        _ => !value.is_null(),
    };
    SCHEMA
        .iter()
        .find(|(name, go, form)| is_sought(go) && used(form, schema.get(name).unwrap_or(&Value::Null)))
        .map(|(_, go, _)| *go)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_have_every_field_in_order() {
        for (part, value, text) in [
            (Part::Versions, json!(null), "null"),
            (Part::Versions, json!([]), "[]"),
            (
                Part::Versions,
                json!([{"name": "v1", "served": true}]),
                "[{\"Name\":\"v1\",\"Served\":true,\"Storage\":false,\"Deprecated\":false,\"DeprecationWarning\":null,\
                 \"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}]",
            ),
            (
                Part::Rule,
                json!({"rule": "self > 1 && true"}),
                "{\"Rule\":\"self \\u003e 1 \\u0026\\u0026 true\",\"Message\":\"\",\"MessageExpression\":\"\",\
                 \"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}",
            ),
            (
                Part::Subresources,
                json!({"status": {}, "scale": {"specReplicasPath": ".spec.n"}}),
                "{\"Status\":{},\"Scale\":{\"SpecReplicasPath\":\".spec.n\",\"StatusReplicasPath\":\"\",\
                 \"LabelSelectorPath\":null}}",
            ),
        ] {
            assert_eq!(part.text(&value), text);
        }
        let schema = Part::Schema.text(&json!({"type": "object", "additionalProperties": {"type": "string"},
            "items": {}, "properties": {}}));
        for part in [
            "{\"ID\":\"\",\"Schema\":\"\",\"Ref\":null,\"Description\":\"\",\"Type\":\"object\",",
            "\"AdditionalProperties\":{\"Allows\":true,\"Schema\":{\"ID\":",
            "\"Items\":{\"Schema\":{\"ID\":",
            "},\"JSONSchemas\":null},",
            "\"Properties\":{},",
        ] {
            assert!(schema.contains(part), "{part} is not in {schema}");
        }
    }

    #[test]
    fn empty_lists_and_maps_say_nothing() {
        for (part, a, b, same) in [
            (Part::Columns, json!([]), json!(null), true),
            (Part::Subresources, json!({}), json!(null), false),
            (Part::Subresources, json!({"status": {}}), json!({}), false),
            (Part::Columns, json!([{"name": "A"}]), json!([{"name": "A", "priority": 0}]), true),
            (
                Part::Validation,
                json!({"openAPIV3Schema": {"type": "object", "required": [], "nullable": false}}),
                json!({"openAPIV3Schema": {"type": "object", "properties": {}}}),
                true,
            ),
            (
                Part::Validation,
                json!({"openAPIV3Schema": {"minimum": 0}}),
                json!({"openAPIV3Schema": {}}),
                false,
            ),
        ] {
            assert_eq!(part.same(&a, &b), same, "{a} {b}");
        }
    }
}
