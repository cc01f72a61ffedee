//! Built-in kinds in Kubernetes' protobuf encoding, driven by the field numbers of the table.
//!
//! A message is the prefix `k8s\0` and a `runtime.Unknown` that carries the object's own message
//! (`application/vnd.kubernetes.protobuf`). Kinds without numbers, such as custom resources, have no such encoding.

mod heads;
mod lists;
mod read;
mod special;
pub(crate) mod wire;
mod write;

use serde_json::Value;
use thiserror::Error;

use crate::graph::{Shape, TypeRef};
pub use heads::{Head, heads};
pub use lists::{List, item_without_history, list};
use wire::{Reader, Writer};

/// What every message begins with.
pub const PREFIX: &[u8; 4] = b"k8s\0";
/// How deep messages may be nested.
const MAX_DEPTH: usize = 120;

/// Why a message cannot be read or written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProtobufError {
    /// The message does not begin with [`PREFIX`].
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoPrefix,
    /// Nothing, or nothing but [`PREFIX`]; which of them.
    #[error("empty {0}")]
    Empty(&'static str),
    /// The message ends before a value does.
    #[error("unexpected EOF")]
    Truncated,
    /// A number with more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A value of another wire type than its field's.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WireType {
        /// The wire type that was found.
        wire: u8,
        /// The field's name.
        field: String,
    },
    /// Messages nested too deeply.
    #[error("proto: exceeded max depth")]
    TooDeep,
    /// A raw value inside that cannot be read.
    #[error("{0}")]
    Raw(String),
    /// The envelope has a content encoding, or a content type that is not protobuf.
    #[error("unable to decode protobuf content of type {0:?}")]
    Content(String),
    /// The type has no protobuf encoding.
    #[error(
        "object {0} does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
    )]
    NotMarshalable(String),
    /// A value does not fit its type.
    #[error("field {field}: {found} does not fit")]
    Misfit {
        /// The field's name.
        field: String,
        /// What is there.
        found: String,
    },
}

/// The envelope of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apiVersion`; may be empty.
    pub api_version: String,
    /// `kind`; may be empty.
    pub kind: String,
    /// The object's own message.
    pub raw: &'a [u8],
}

/// Opens a message.
pub fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    if bytes.is_empty() || bytes == PREFIX {
        return Err(ProtobufError::Empty(if bytes.is_empty() { "data" } else { "body" }));
    }
    let mut reader = Reader::new(bytes.strip_prefix(PREFIX).ok_or(ProtobufError::NoPrefix)?);
    let mut envelope = Envelope::default();
    while let Some((number, wire)) = reader.tag()? {
        match number {
            1 => {
                let mut meta = Reader::new(reader.bytes(wire, "typeMeta")?);
                while let Some((number, wire)) = meta.tag()? {
                    match number {
                        1 => envelope.api_version = text(meta.bytes(wire, "apiVersion")?),
                        2 => envelope.kind = text(meta.bytes(wire, "kind")?),
                        _ => meta.skip(wire)?,
                    }
                }
            }
            2 => envelope.raw = reader.bytes(wire, "raw")?,
            3 | 4 => {
                let content = text(reader.bytes(wire, "contentType")?);
                if !content.is_empty() && (number == 3 || content != "application/vnd.kubernetes.protobuf") {
                    return Err(ProtobufError::Content(content));
                }
            }
            _ => reader.skip(wire)?,
        }
    }
    Ok(envelope)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decodes a message into the JSON value that it stands for, with `apiVersion` and `kind` from the envelope where
/// it has them. Unknown numbers are passed over.
pub fn decode(bytes: &[u8], root: TypeRef<'_>) -> Result<Value, ProtobufError> {
    let envelope = envelope(bytes)?;
    let mut value = read::message(envelope.raw, root, 0)?;
    if let Value::Object(object) = &mut value {
        for (key, text) in [("apiVersion", envelope.api_version), ("kind", envelope.kind)] {
            if !text.is_empty() {
                object.insert(key.to_owned(), Value::String(text));
            }
        }
    }
    Ok(value)
}

/// True when a type can be written: when it has field numbers.
pub fn is_supported(root: TypeRef<'_>) -> bool {
    match root.shape() {
        Shape::Object(fields) => fields.iter().any(|field| field.number > 0),
        _ => false,
    }
}

/// Encodes a value. Its own `apiVersion` and `kind` are not looked at.
pub fn encode(
    value: &Value,
    root: TypeRef<'_>,
    api_version: &str,
    kind: &str,
) -> Result<Vec<u8>, ProtobufError> {
    if !is_supported(root) {
        return Err(ProtobufError::NotMarshalable(root.node().name.to_string()));
    }
    let mut message = Writer::default();
    write::message(&mut message, value, root, 0)?;
    let mut meta = Writer::default();
    meta.bytes(1, api_version.as_bytes());
    meta.bytes(2, kind.as_bytes());
    let mut unknown = Writer::starting_with(PREFIX);
    unknown.bytes(1, &meta.finish());
    unknown.bytes(2, &message.finish());
    unknown.bytes(3, b"");
    unknown.bytes(4, b"");
    Ok(unknown.finish())
}

/// One frame of a watch stream (`application/vnd.kubernetes.protobuf;stream=watch`): four bytes of length and a
/// `metav1.WatchEvent`. `object` is a whole encoded message.
pub fn watch_frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Writer::default();
    raw.bytes(1, object);
    let mut message = Writer::default();
    message.bytes(1, event.as_bytes());
    message.bytes(2, &raw.finish());
    let message = message.finish();
    let mut frame = (message.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&message);
    frame
}

#[cfg(test)]
mod tests;
