//! Lists, whose objects are read one by one, and without their history where nobody looks at that.

use serde_json::Value;

use super::wire::{Reader, Writer};
use super::{ProtobufError, envelope, read, text};
use crate::graph::TypeRef;
use crate::zero;

/// `metadata` of all objects.
const METADATA: u32 = 1;
/// `ObjectMeta.managedFields`.
const MANAGED_FIELDS: u32 = 17;

/// A list whose objects are not read yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<'a> {
    /// `apiVersion`, that of its objects too.
    pub api_version: String,
    /// `kind`, such as `PodList`.
    pub kind: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `metadata.continue`: where the next page begins; empty after the last.
    pub next: String,
    /// The messages of its objects.
    pub items: Vec<&'a [u8]>,
}

/// Reads any list: in all of them the first field has the metadata and the second the items.
pub fn list(bytes: &[u8]) -> Result<List<'_>, ProtobufError> {
    let envelope = envelope(bytes)?;
    if envelope.raw.is_empty() {
        // Also an empty list says at which revision it is empty.
        return Err(ProtobufError::Truncated);
    }
    let mut list = List { api_version: envelope.api_version, kind: envelope.kind, ..List::default() };
    let mut reader = Reader::new(envelope.raw);
    while let Some((number, wire)) = reader.tag()? {
        match number {
            1 => list.take_metadata(reader.bytes(wire, "metadata")?)?,
            2 => list.items.push(reader.bytes(wire, "items")?),
            _ => reader.skip(wire)?,
        }
    }
    Ok(list)
}

impl List<'_> {
    fn take_metadata(&mut self, metadata: &[u8]) -> Result<(), ProtobufError> {
        let mut reader = Reader::new(metadata);
        while let Some((number, wire)) = reader.tag()? {
            match number {
                2 => self.resource_version = text(reader.bytes(wire, "resourceVersion")?),
                3 => self.next = text(reader.bytes(wire, "continue")?),
                _ => reader.skip(wire)?,
            }
        }
        Ok(())
    }
}

/// Decodes an object of a list as an API server writes it in JSON, empty values included, but without
/// `metadata.managedFields`, and without `apiVersion` and `kind`, which only the list has. For types whose first field is an
/// `ObjectMeta`, as that of all objects is.
pub fn item_without_history(item: &[u8], root: TypeRef<'_>) -> Result<Value, ProtobufError> {
    let mut kept = Writer::default();
    let mut reader = Reader::new(item);
    loop {
        let begin = reader.rest();
        match reader.tag()? {
            Some((METADATA, wire)) => {
                kept.bytes(METADATA, &without_history(reader.bytes(wire, "metadata")?)?)
            }
            Some((_, wire)) => kept.append(reader.skipped_since(begin, wire)?),
            None => {
                let mut object = read::message(&kept.finish(), root, 0)?;
                zero::normalize(root, &mut object);
                return Ok(object);
            }
        }
    }
}

fn without_history(metadata: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    let mut kept = Writer::default();
    let mut reader = Reader::new(metadata);
    loop {
        let begin = reader.rest();
        match reader.tag()? {
            Some((MANAGED_FIELDS, wire)) => reader.skip(wire)?,
            Some((_, wire)) => kept.append(reader.skipped_since(begin, wire)?),
            None => return Ok(kept.finish()),
        }
    }
}
