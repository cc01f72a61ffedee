//! Types whose messages do not look like their JSON.

use serde_json::Value;

use super::wire::{Reader, Writer};
use super::{MAX_DEPTH, PREFIX, ProtobufError, envelope, read, text, write};
use crate::graph::{GroupVersionKind, TypeRef};

/// How a type that is any JSON is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// JSON text in field 1.
    Raw,
    /// A schema in field 1 or a list of them in field 2.
    SchemaOrList,
    /// A boolean in field 1 and a schema in field 2.
    SchemaOrBool,
    /// A schema in field 1 or a list of strings in field 2.
    SchemaOrStrings,
}

const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// The special types by their full names.
const TABLE: &[(&str, Special)] = &[
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", Special::Raw),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", Special::Raw),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", Special::Raw),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        Special::SchemaOrList,
    ),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", Special::SchemaOrBool),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
        Special::SchemaOrStrings,
    ),
];

fn special(of: TypeRef<'_>) -> Result<Special, ProtobufError> {
    let name = of.node().name.as_str();
    TABLE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, special)| *special)
        .ok_or_else(|| ProtobufError::NotMarshalable(name.to_owned()))
}

fn schema(of: TypeRef<'_>) -> Result<TypeRef<'_>, ProtobufError> {
    let id = of.graph.named(SCHEMA).ok_or_else(|| ProtobufError::NotMarshalable(SCHEMA.to_owned()))?;
    Ok(of.at(id))
}

/// Reads the message of a type that is any JSON.
pub(super) fn read(bytes: &[u8], of: TypeRef<'_>, depth: usize) -> Result<Value, ProtobufError> {
    let special = special(of)?;
    let mut reader = Reader::new(bytes);
    let mut value = Value::Null;
    let mut list = Vec::new();
    while let Some((number, wire)) = reader.tag()? {
        match (special, number) {
            (Special::Raw, 1) => value = raw(reader.bytes(wire, "raw")?, of, depth)?,
            (Special::SchemaOrBool, 1) => {
                let allowed = reader.varint()? != 0;
                if value.is_null() {
                    value = Value::Bool(allowed);
                }
            }
            (Special::SchemaOrBool, 2) | (Special::SchemaOrList | Special::SchemaOrStrings, 1) => {
                value = read::message(reader.bytes(wire, "schema")?, schema(of)?, depth + 1)?;
            }
            (Special::SchemaOrList, 2) => {
                list.push(read::message(reader.bytes(wire, "jSONSchemas")?, schema(of)?, depth + 1)?);
            }
            (Special::SchemaOrStrings, 2) => {
                list.push(Value::String(text(reader.bytes(wire, "property")?)));
            }
            _ => reader.skip(wire)?,
        }
    }
    Ok(if list.is_empty() { value } else { Value::Array(list) })
}

/// Raw bytes: JSON, or a whole message of a known kind.
fn raw(bytes: &[u8], of: TypeRef<'_>, depth: usize) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if !bytes.starts_with(PREFIX) {
        return crate::decode::decode_any(bytes, crate::decode::Format::Json)
            .map_err(|error| ProtobufError::Raw(error.to_string()));
    }
    if depth >= MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    let inner = envelope(bytes)?;
    let (group, version) = inner.api_version.split_once('/').unwrap_or(("", &inner.api_version));
    let kind =
        GroupVersionKind { group: group.into(), version: version.into(), kind: inner.kind.as_str().into() };
    let id = of
        .graph
        .kind(&kind)
        .ok_or_else(|| ProtobufError::Raw(format!("no kind {:?} in version {version:?}", inner.kind)))?;
    let mut value = read::message(inner.raw, of.at(id), depth + 1)?;
    if let Value::Object(object) = &mut value {
        object.insert("apiVersion".to_owned(), Value::String(inner.api_version.clone()));
        object.insert("kind".to_owned(), Value::String(inner.kind.clone()));
    }
    Ok(value)
}

/// Writes the message of a type that is any JSON.
pub(super) fn write(
    out: &mut Writer,
    value: &Value,
    of: TypeRef<'_>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let special = special(of)?;
    let field = |out: &mut Writer, number, value: &Value| {
        let mut inner = Writer::default();
        write::message(&mut inner, value, schema(of)?, depth + 1)?;
        out.bytes(number, &inner.finish());
        Ok(())
    };
    match (special, value) {
        (Special::Raw, value) => {
            let text = serde_json::to_vec(value).map_err(|error| ProtobufError::Raw(error.to_string()))?;
            out.bytes(1, &text);
            Ok(())
        }
        (Special::SchemaOrBool, Value::Bool(allowed)) => {
            out.varint(1, u64::from(*allowed));
            Ok(())
        }
        (Special::SchemaOrBool, value) => {
            out.varint(1, 1);
            field(out, 2, value)
        }
        (Special::SchemaOrList, Value::Array(list)) => list.iter().try_for_each(|item| field(out, 2, item)),
        (Special::SchemaOrStrings, Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).for_each(|text| out.bytes(2, text.as_bytes()));
            Ok(())
        }
        (Special::SchemaOrList | Special::SchemaOrStrings, value) => field(out, 1, value),
    }
}
