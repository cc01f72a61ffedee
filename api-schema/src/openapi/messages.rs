//! The protobuf form of OpenAPI documents, along a table of messages for each version.
//!
//! The messages of gnostic hold JSON objects with keys of the client's choice as lists of named values, unions in
//! messages of their own, and vendor extensions as YAML, for which JSON does.

use serde_json::{Map, Value};

use crate::protobuf::wire::Writer;

/// How the value of a key is carried.
#[derive(Clone, Copy)]
pub(super) enum Carried {
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
    /// A message with a number, a boolean or a string in fields 1 to 3.
    Scalar,
    /// A message.
    Message(&'static Message),
    /// A message for each element.
    Messages(&'static Message),
    /// A message for each element, which is one of several.
    OneOf(fn(&Value) -> &'static Message),
    /// A message with `(name, message)` pairs in this field.
    Named(u32, &'static Message),
    /// A message with one string, or a list of them, in field 1.
    TypeItem,
    /// A message with a schema, or a list of them, in field 1.
    ItemsItem(&'static Message),
    /// A schema in field 1 of a message, or a boolean in field 2.
    AdditionalProperties(&'static Message),
    /// A list of objects from names to lists of strings.
    Requirements,
}

/// The keys of a message, their numbers, and how they are carried.
pub(super) struct Message {
    pub(super) fields: &'static [(&'static str, u32, Carried)],
    /// The field of vendor extensions; 0 when there are none.
    pub(super) extensions: u32,
    /// The fields of the messages around it: 1 for `SchemaItem.schema`.
    pub(super) wrapped: &'static [u32],
    /// The field of the message around it for what only refers to one; 0 when nothing does.
    pub(super) reference: u32,
}

impl Message {
    /// One with vendor extensions in this field, and none around it.
    pub(super) const fn new(fields: &'static [(&'static str, u32, Carried)], extensions: u32) -> Message {
        Message { fields, extensions, wrapped: &[], reference: 0 }
    }

    /// The same in these messages.
    pub(super) const fn within(self, wrapped: &'static [u32]) -> Message {
        Message { wrapped, ..self }
    }

    /// The same in field 1 of a union, of which field 2 refers to one.
    pub(super) const fn or_reference(self) -> Message {
        Message { wrapped: &[1], reference: 2, ..self }
    }
}

/// Encodes a document.
pub(super) fn encode(document: &Value, of: &Message) -> Vec<u8> {
    let mut out = Writer::default();
    if let Value::Object(map) = document {
        message(&mut out, map, of);
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
    let around = match map.get("$ref") {
        Some(place) if of.reference > 0 => {
            field(&mut inner, 1, place, Carried::Text);
            std::slice::from_ref(&of.reference)
        }
        _ => {
            message(&mut inner, map, of);
            of.wrapped
        }
    };
    let mut bytes = inner.finish();
    for number in around.iter().rev() {
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
        (Carried::ItemsItem(of), value) => {
            let mut inner = Writer::default();
            match value {
                Value::Array(_) => field(&mut inner, 1, value, Carried::Messages(of)),
                value => wrapped(&mut inner, 1, value, of),
            }
            out.bytes(number, &inner.finish());
        }
        (Carried::AdditionalProperties(of), value) => {
            let mut inner = Writer::default();
            match value {
                Value::Bool(allowed) => inner.varint(2, u64::from(*allowed)),
                value => wrapped(&mut inner, 1, value, of),
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
        (Carried::OneOf(which), Value::Array(list)) => {
            list.iter().for_each(|value| wrapped(out, number, value, which(value)));
        }
        (Carried::Scalar, Value::Number(float)) => {
            let mut inner = Writer::default();
            field(&mut inner, 1, &Value::Number(float.clone()), Carried::Float);
            out.bytes(number, &inner.finish());
        }
        (Carried::Scalar, Value::Bool(flag)) => {
            let mut inner = Writer::default();
            inner.varint(2, u64::from(*flag));
            out.bytes(number, &inner.finish());
        }
        (Carried::Scalar, Value::String(text)) => {
            let mut inner = Writer::default();
            inner.bytes(3, text.as_bytes());
            out.bytes(number, &inner.finish());
        }
        // gnostic has no room for other defaults, but says that there is one.
        (Carried::Scalar, _) => out.bytes(number, &[]),
        _ => {}
    }
}
