//! The protobuf form of OpenAPI version 2: `openapi.v2.Document` of gnostic, from the JSON document.
//!
//! Its messages hold JSON objects with keys of the client's choice as lists of named values, unions in messages of
//! their own, and vendor extensions as YAML, for which JSON does.

use serde_json::{Map, Value};

use crate::protobuf::wire::Writer;

/// How the value of a key is carried.
#[derive(Clone, Copy)]
enum Carried {
    Text,
    Boolean,
    Whole,
    Float,
    /// A string for each element.
    Texts,
    /// Any JSON.
    Any,
    /// Any JSON for each element.
    Anys,
    /// A message.
    Message(&'static Message),
    /// A message for each element.
    Messages(&'static Message),
    /// A message with `(name, message)` pairs in this field.
    Named(u32, &'static Message),
    /// A message with one string, or a list of them, in field 1.
    TypeItem,
    /// A message with a schema, or a list of them, in field 1.
    ItemsItem,
    /// A schema in field 1 of a message, or a boolean in field 2.
    AdditionalProperties,
    /// A list of objects from names to lists of strings.
    Requirements,
    /// What comes with an `in`, in its union.
    Parameters,
}

/// The keys of a message, their numbers, and how they are carried.
struct Message {
    fields: &'static [(&'static str, u32, Carried)],
    /// The field of vendor extensions; 0 when there are none.
    extensions: u32,
    /// The fields of the messages around it: 1 for `SchemaItem.schema`.
    wrapped: &'static [u32],
}

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Carried::Text),
        ("format", 2, Carried::Text),
        ("title", 3, Carried::Text),
        ("description", 4, Carried::Text),
        ("default", 5, Carried::Any),
        ("multipleOf", 6, Carried::Float),
        ("maximum", 7, Carried::Float),
        ("exclusiveMaximum", 8, Carried::Boolean),
        ("minimum", 9, Carried::Float),
        ("exclusiveMinimum", 10, Carried::Boolean),
        ("maxLength", 11, Carried::Whole),
        ("minLength", 12, Carried::Whole),
        ("pattern", 13, Carried::Text),
        ("maxItems", 14, Carried::Whole),
        ("minItems", 15, Carried::Whole),
        ("uniqueItems", 16, Carried::Boolean),
        ("maxProperties", 17, Carried::Whole),
        ("minProperties", 18, Carried::Whole),
        ("required", 19, Carried::Texts),
        ("enum", 20, Carried::Anys),
        ("additionalProperties", 21, Carried::AdditionalProperties),
        ("type", 22, Carried::TypeItem),
        ("items", 23, Carried::ItemsItem),
        ("properties", 25, Carried::Named(1, &SCHEMA)),
    ],
    extensions: 31,
    wrapped: &[],
};

static RESPONSE_SCHEMA: Message = Message { fields: SCHEMA_FIELDS, extensions: 31, wrapped: &[1] };
const SCHEMA_FIELDS: &[(&str, u32, Carried)] = &[("$ref", 1, Carried::Text), ("type", 22, Carried::TypeItem)];

static RESPONSE: Message = Message {
    fields: &[("description", 1, Carried::Text), ("schema", 2, Carried::Message(&RESPONSE_SCHEMA))],
    extensions: 5,
    wrapped: &[1],
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Carried::Texts),
        ("description", 3, Carried::Text),
        ("operationId", 5, Carried::Text),
        ("produces", 6, Carried::Texts),
        ("consumes", 7, Carried::Texts),
        ("parameters", 8, Carried::Parameters),
        ("responses", 9, Carried::Named(1, &RESPONSE)),
        ("schemes", 10, Carried::Texts),
    ],
    extensions: 13,
    wrapped: &[],
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, Carried::Message(&OPERATION)),
        ("put", 3, Carried::Message(&OPERATION)),
        ("post", 4, Carried::Message(&OPERATION)),
        ("delete", 5, Carried::Message(&OPERATION)),
        ("options", 6, Carried::Message(&OPERATION)),
        ("head", 7, Carried::Message(&OPERATION)),
        ("patch", 8, Carried::Message(&OPERATION)),
        ("parameters", 9, Carried::Parameters),
    ],
    extensions: 10,
    wrapped: &[],
};

/// `ParametersItem.parameter`, then `Parameter.body_parameter`.
static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, Carried::Text),
        ("name", 2, Carried::Text),
        ("in", 3, Carried::Text),
        ("required", 4, Carried::Boolean),
        ("schema", 5, Carried::Message(&SCHEMA)),
    ],
    extensions: 6,
    wrapped: &[1, 1],
};

/// `ParametersItem.parameter`, `Parameter.non_body_parameter`, `NonBodyParameter.query_parameter_sub_schema`.
static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Carried::Boolean),
        ("in", 2, Carried::Text),
        ("description", 3, Carried::Text),
        ("name", 4, Carried::Text),
        ("type", 6, Carried::Text),
        ("uniqueItems", 20, Carried::Boolean),
    ],
    extensions: 23,
    wrapped: &[1, 2, 3],
};

/// As above, with `NonBodyParameter.path_parameter_sub_schema`.
static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Carried::Boolean),
        ("in", 2, Carried::Text),
        ("description", 3, Carried::Text),
        ("name", 4, Carried::Text),
        ("type", 5, Carried::Text),
        ("uniqueItems", 19, Carried::Boolean),
    ],
    extensions: 22,
    wrapped: &[1, 2, 4],
};

/// `SecurityDefinitionsItem.api_key_security`.
static API_KEY: Message = Message {
    fields: &[
        ("type", 1, Carried::Text),
        ("name", 2, Carried::Text),
        ("in", 3, Carried::Text),
        ("description", 4, Carried::Text),
    ],
    extensions: 5,
    wrapped: &[2],
};

static INFO: Message = Message {
    fields: &[("title", 1, Carried::Text), ("version", 2, Carried::Text)],
    extensions: 7,
    wrapped: &[],
};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Carried::Text),
        ("info", 2, Carried::Message(&INFO)),
        ("paths", 8, Carried::Named(2, &PATH_ITEM)),
        ("definitions", 9, Carried::Named(1, &SCHEMA)),
        ("security", 12, Carried::Requirements),
        ("securityDefinitions", 13, Carried::Named(1, &API_KEY)),
    ],
    extensions: 16,
    wrapped: &[],
};

/// Encodes a document that [`super::v2::document`] made.
pub fn protobuf(document: &Value) -> Vec<u8> {
    let mut out = Writer::default();
    if let Value::Object(map) = document {
        message(&mut out, map, &DOCUMENT);
    }
    out.finish()
}

fn message(out: &mut Writer, map: &Map<String, Value>, of: &Message) {
    for (key, number, carried) in of.fields {
        if let Some(value) = map.get(*key) {
            field(out, *number, value, *carried);
        }
    }
    for (key, value) in map.iter().filter(|(key, _)| of.extensions > 0 && key.starts_with("x-")) {
        let mut inner = Writer::default();
        any(&mut inner, 2, value);
        named(out, of.extensions, key, |entry| entry.append(&inner.finish()));
    }
}

/// A message in its unions, with the number of the outermost.
fn wrapped(out: &mut Writer, number: u32, value: &Value, of: &'static Message) {
    let Value::Object(map) = value else { return };
    let mut inner = Writer::default();
    message(&mut inner, map, of);
    let mut bytes = inner.finish();
    for number in of.wrapped.iter().rev() {
        let mut outer = Writer::default();
        outer.bytes(*number, &bytes);
        bytes = outer.finish();
    }
    out.bytes(number, &bytes);
}

/// A name in field 1, and what else an entry has.
fn named(out: &mut Writer, number: u32, name: &str, rest: impl FnOnce(&mut Writer)) {
    let mut entry = Writer::default();
    entry.bytes(1, name.as_bytes());
    rest(&mut entry);
    out.bytes(number, &entry.finish());
}

/// `Any`, whose field 2 is YAML.
fn any(out: &mut Writer, number: u32, value: &Value) {
    let mut inner = Writer::default();
    inner.bytes(2, value.to_string().as_bytes());
    out.bytes(number, &inner.finish());
}

fn field(out: &mut Writer, number: u32, value: &Value, carried: Carried) {
    match (carried, value) {
        (Carried::Text, Value::String(text)) => out.bytes(number, text.as_bytes()),
        (Carried::Boolean, Value::Bool(true)) => out.varint(number, 1),
        (Carried::Whole, value) => {
            if let Some(whole) = value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)) {
                out.varint(number, whole as u64);
            }
        }
        (Carried::Float, value) => {
            if let Some(float) = value.as_f64() {
                out.fixed64(number, float.to_bits());
            }
        }
        (Carried::Texts, Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).for_each(|text| out.bytes(number, text.as_bytes()));
        }
        (Carried::Any, value) => any(out, number, value),
        (Carried::Anys, Value::Array(list)) => list.iter().for_each(|value| any(out, number, value)),
        (Carried::Message(of), value) => wrapped(out, number, value, of),
        (Carried::Messages(of), Value::Array(list)) => {
            list.iter().for_each(|value| wrapped(out, number, value, of));
        }
        (Carried::Named(inside, of), Value::Object(map)) => {
            let mut inner = Writer::default();
            for (name, value) in map {
                named(&mut inner, inside, name, |entry| wrapped(entry, 2, value, of));
            }
            out.bytes(number, &inner.finish());
        }
        (Carried::TypeItem, Value::String(text)) => {
            let mut inner = Writer::default();
            inner.bytes(1, text.as_bytes());
            out.bytes(number, &inner.finish());
        }
        (Carried::ItemsItem, value) => {
            let mut inner = Writer::default();
            match value {
                Value::Array(_) => field(&mut inner, 1, value, Carried::Messages(&SCHEMA)),
                value => wrapped(&mut inner, 1, value, &SCHEMA),
            }
            out.bytes(number, &inner.finish());
        }
        (Carried::AdditionalProperties, value) => {
            let mut inner = Writer::default();
            match value {
                Value::Bool(allowed) => inner.varint(2, u64::from(*allowed)),
                value => wrapped(&mut inner, 1, value, &SCHEMA),
            }
            out.bytes(number, &inner.finish());
        }
        (Carried::Requirements, Value::Array(list)) => {
            for requirement in list.iter().filter_map(Value::as_object) {
                let mut inner = Writer::default();
                for (name, scopes) in requirement {
                    named(&mut inner, 1, name, |entry| {
                        let mut array = Writer::default();
                        field(&mut array, 1, scopes, Carried::Texts);
                        entry.bytes(2, &array.finish());
                    });
                }
                out.bytes(number, &inner.finish());
            }
        }
        (Carried::Parameters, Value::Array(list)) => {
            for parameter in list {
                let of = match parameter["in"].as_str() {
                    Some("body") => &BODY_PARAMETER,
                    Some("path") => &PATH_PARAMETER,
                    _ => &QUERY_PARAMETER,
                };
                wrapped(out, number, parameter, of);
            }
        }
        _ => {}
    }
}
