//! Which objects a list has, and in which versions, without reading them.

use super::wire::Reader;
use super::{ProtobufError, list};

/// What tells an object, and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// `metadata.namespace`; empty for objects of the cluster.
    pub namespace: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`.
    pub uid: &'a str,
    /// `metadata.resourceVersion`.
    pub resource_version: &'a str,
}

/// Reads the heads of any list, such as a `PartialObjectMetadataList`: in all of them the second field has the items, and in
/// all objects the first field has the metadata.
pub fn heads(bytes: &[u8]) -> Result<Vec<Head<'_>>, ProtobufError> {
    list(bytes)?.items.into_iter().map(item).collect()
}

fn item(bytes: &[u8]) -> Result<Head<'_>, ProtobufError> {
    let mut item = Reader::new(bytes);
    let mut head = Head::default();
    while let Some((number, wire)) = item.tag()? {
        match number {
            1 => head = metadata(item.bytes(wire, "metadata")?)?,
            _ => item.skip(wire)?,
        }
    }
    Ok(head)
}

fn metadata(bytes: &[u8]) -> Result<Head<'_>, ProtobufError> {
    let mut metadata = Reader::new(bytes);
    let mut head = Head::default();
    while let Some((number, wire)) = metadata.tag()? {
        match number {
            1 => head.name = utf8(metadata.bytes(wire, "name")?, "name")?,
            3 => head.namespace = utf8(metadata.bytes(wire, "namespace")?, "namespace")?,
            5 => head.uid = utf8(metadata.bytes(wire, "uid")?, "uid")?,
            6 => head.resource_version = utf8(metadata.bytes(wire, "resourceVersion")?, "resourceVersion")?,
            _ => metadata.skip(wire)?,
        }
    }
    Ok(head)
}

fn utf8<'a>(bytes: &'a [u8], field: &str) -> Result<&'a str, ProtobufError> {
    std::str::from_utf8(bytes)
        .map_err(|_| ProtobufError::Misfit { field: field.to_owned(), found: "no UTF-8".to_owned() })
}
