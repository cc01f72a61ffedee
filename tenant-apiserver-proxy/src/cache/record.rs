//! A stored object: header and JSON, as it is in the store and as it is in the cache.
//!
//! The JSON has no `metadata.resourceVersion`, because with etcd the revision is known only after the
//! transaction. The header tells where it goes; it is filled in once, when the object enters the cache. The header
//! carries the facts of [`Meta`] too, so that entering the cache parses no JSON.
//!
//! Layout, numbers little-endian: format (1 byte), flags (1 byte, 0), header length (4), slot offset in the JSON
//! (4), schema hash (8), then strings and lists with 4-byte lengths: stored `apiVersion`, and the fields of
//! [`Meta`] in their order.

use api_types::{Meta, ObjectName, Owner, Revision};
use bytes::{BufMut, Bytes, BytesMut};
use compact_str::CompactString;
use serde_json::Value;
use std::sync::Arc;

/// The newest format that this release writes, and the newest that it reads.
pub const FORMAT: u8 = 1;

/// An object in the cache. Cheap to share; never changed.
#[derive(Debug)]
pub struct Record {
    /// Namespace and name.
    pub name: ObjectName,
    /// When it was written.
    pub revision: Revision,
    /// The whole JSON, with `metadata.resourceVersion`.
    pub bytes: Bytes,
    /// What selectors and controllers need.
    pub meta: Arc<Meta>,
    /// `apiVersion` of the bytes.
    pub api_version: CompactString,
    /// Tells under which schema it was stored: that of a custom kind's version; 0 for built-in kinds.
    pub schema: u64,
    /// Shared by all planes and not in the store: a bootstrap object that nobody has changed.
    pub shared: bool,
    /// Why nobody can read it. Then it has a name alone, and whoever comes upon it is told so: it is selected by every
    /// selector, and there is no list without it.
    pub broken: Option<Box<str>>,
    /// Where `"resourceVersion":"…",` begins in the bytes.
    slot: u32,
}

impl Record {
    /// The revision that a commit which replaces this record must expect: zero for a shared one.
    pub fn expected(&self) -> Revision {
        if self.shared { Revision::ZERO } else { self.revision }
    }

    /// The same object at another revision: what a deletion's event shows.
    pub fn at(&self, revision: Revision) -> Record {
        let slot = self.slot as usize;
        let mut rest = &self.bytes[slot..];
        let written = version_text(self.revision);
        if rest.starts_with(written.as_bytes()) {
            rest = &rest[written.len()..];
        }
        Record {
            name: self.name.clone(),
            revision,
            bytes: fill(&self.bytes[..slot], rest, revision),
            meta: self.meta.clone(),
            api_version: self.api_version.clone(),
            schema: self.schema,
            shared: self.shared,
            broken: self.broken.clone(),
            slot: self.slot,
        }
    }

    /// The same object without a `resourceVersion`: what a dry run answers for one that is not stored.
    pub fn without_revision(self) -> Record {
        let slot = self.slot as usize;
        let written = version_text(self.revision);
        let mut bytes = BytesMut::from(&self.bytes[..slot]);
        bytes.extend_from_slice(&self.bytes[slot + written.len()..]);
        Record { bytes: bytes.freeze(), ..self }
    }

    /// About what it takes in memory, without what its short texts do.
    pub fn weight(&self) -> usize {
        let meta = &self.meta;
        let pairs = (meta.labels.len() + meta.fields.len()) * size_of::<(CompactString, CompactString)>();
        let owners = meta.owners.len() * size_of::<Owner>();
        size_of::<Record>() + size_of::<Meta>() + self.bytes.len() + pairs + owners
    }

    /// Decodes the object.
    pub fn value(&self) -> Result<Value, RecordError> {
        let broken = |why: String| RecordError::Broken { name: self.name.clone(), why };
        match &self.broken {
            Some(why) => Err(broken(why.to_string())),
            None => serde_json::from_slice(&self.bytes).map_err(|error| broken(error.to_string())),
        }
    }
}

/// Why stored bytes are no object.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A newer release wrote them.
    #[error("stored in format {0}, this release reads up to {FORMAT}")]
    NewerFormat(u8),
    /// They are damaged.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// An object of the cache has none.
    #[error("the stored object {name} cannot be read: {why}")]
    Broken {
        /// Which.
        name: ObjectName,
        /// Why.
        why: String,
    },
}

fn version_text(revision: Revision) -> String {
    format!("\"resourceVersion\":\"{revision}\",")
}

fn fill(before: &[u8], after: &[u8], revision: Revision) -> Bytes {
    let version = version_text(revision);
    let mut bytes = BytesMut::with_capacity(before.len() + version.len() + after.len());
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(version.as_bytes());
    bytes.extend_from_slice(after);
    bytes.freeze()
}

/// Writes an object as it is stored. `fields` are the values of the resource's selectable fields, `schema` tells the
/// schema that it fits.
///
/// The JSON begins with `kind`, `apiVersion` and `metadata`, in this order; the rest is sorted. A
/// `metadata.resourceVersion` in the value is left out.
pub fn encode(object: &Value, fields: Vec<(CompactString, CompactString)>, schema: u64) -> Bytes {
    let mut meta = Meta::of(object);
    meta.fields = fields;
    let (json, slot) = encode_json(object);
    let mut out = BytesMut::with_capacity(json.len() + 256);
    out.put_u8(FORMAT);
    out.put_u8(0);
    out.put_u32_le(0);
    out.put_u32_le(slot);
    out.put_u64_le(schema);
    put_text(&mut out, object["apiVersion"].as_str().unwrap_or(""));
    put_meta(&mut out, &meta);
    let header = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out[2..6].copy_from_slice(&header.to_le_bytes());
    out.extend_from_slice(&json);
    out.freeze()
}

/// How long the JSON of a stored object is, without its `resourceVersion`.
pub fn json_size(stored: &[u8]) -> usize {
    let header = stored.get(2..6).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    stored.len().saturating_sub(header as usize)
}

/// The JSON without its `resourceVersion`, and the offset at which it is to be filled in.
fn encode_json(object: &Value) -> (Vec<u8>, u32) {
    let mut out = Vec::with_capacity(512);
    let empty = serde_json::Map::new();
    let fields = object.as_object().unwrap_or(&empty);
    out.push(b'{');
    for key in ["kind", "apiVersion"] {
        if let Some(value) = fields.get(key) {
            put_member(&mut out, key, value);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"metadata\":{");
    let slot = u32::try_from(out.len()).unwrap_or(u32::MAX);
    let mut first = true;
    for (key, value) in fields.get("metadata").and_then(Value::as_object).unwrap_or(&empty) {
        if key != "resourceVersion" {
            if !first {
                out.push(b',');
            }
            first = false;
            put_member(&mut out, key, value);
        }
    }
    out.push(b'}');
    for (key, value) in fields {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            out.push(b',');
            put_member(&mut out, key, value);
        }
    }
    out.push(b'}');
    (out, slot)
}

fn put_member(out: &mut Vec<u8>, key: &str, value: &Value) {
    // Writing a JSON value to memory cannot fail: keys are strings and numbers are finite.
    let _ = serde_json::to_writer(&mut *out, key);
    out.push(b':');
    let _ = serde_json::to_writer(&mut *out, value);
}

/// Reads stored bytes and fills in the revision.
pub fn decode(name: ObjectName, stored: &Bytes, revision: Revision) -> Result<Record, RecordError> {
    let mut reader = Reader { bytes: stored, at: 0 };
    let format = reader.byte()?;
    if format > FORMAT {
        return Err(RecordError::NewerFormat(format));
    }
    reader.byte()?;
    let header = reader.number()? as usize;
    let slot = reader.number()?;
    let schema = reader.long()?;
    let api_version = reader.text()?;
    let meta = reader.meta()?;
    let json = stored.get(header..).ok_or_else(|| corrupt("the header is longer than the value"))?;
    let at = slot as usize;
    if reader.at != header || at > json.len() {
        return Err(corrupt("the header does not fit the value"));
    }
    Ok(Record {
        name,
        revision,
        bytes: fill(&json[..at], &json[at..], revision),
        meta: Arc::new(meta),
        api_version,
        schema,
        shared: false,
        broken: None,
        slot,
    })
}

/// An object that [`decode`] could not read.
pub fn broken(name: ObjectName, why: &RecordError, revision: Revision) -> Record {
    Record {
        name,
        revision,
        bytes: Bytes::new(),
        meta: Arc::new(Meta::of(&Value::Null)),
        api_version: CompactString::default(),
        schema: 0,
        shared: false,
        broken: Some(why.to_string().into()),
        slot: 0,
    }
}

/// A bootstrap object that all planes share.
pub fn shared(name: ObjectName, object: &Value, revision: Revision) -> Record {
    let (json, slot) = encode_json(object);
    let at = slot as usize;
    Record {
        name,
        revision,
        bytes: fill(&json[..at], &json[at..], revision),
        meta: Arc::new(Meta::of(object)),
        api_version: object["apiVersion"].as_str().unwrap_or("").into(),
        schema: 0,
        shared: true,
        broken: None,
        slot,
    }
}

fn corrupt(why: &str) -> RecordError {
    RecordError::Corrupt(why.to_owned())
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_pairs(out: &mut BytesMut, pairs: &[(CompactString, CompactString)]) {
    put_count(out, pairs.len());
    for (key, value) in pairs {
        put_text(out, key);
        put_text(out, value);
    }
}

fn put_meta(out: &mut BytesMut, meta: &Meta) {
    put_text(out, &meta.uid);
    put_pairs(out, &meta.labels);
    put_count(out, meta.owners.len());
    for owner in &meta.owners {
        for text in [&owner.api_version, &owner.kind, &owner.name, &owner.uid] {
            put_text(out, text);
        }
        out.put_u8(u8::from(owner.controller) | u8::from(owner.block_owner_deletion) << 1);
    }
    put_count(out, meta.finalizers.len());
    for finalizer in &meta.finalizers {
        put_text(out, finalizer);
    }
    out.put_i64_le(meta.generation);
    out.put_u8(u8::from(meta.deleting));
    put_pairs(out, &meta.fields);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], RecordError> {
        let end = self.at.checked_add(count).ok_or_else(|| corrupt("a length overflows"))?;
        let slice = self.bytes.get(self.at..end).ok_or_else(|| corrupt("the header is cut short"))?;
        self.at = end;
        Ok(slice)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, RecordError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn long(&mut self) -> Result<u64, RecordError> {
        let mut number = [0; 8];
        number.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(number))
    }

    fn text(&mut self) -> Result<CompactString, RecordError> {
        let count = self.number()? as usize;
        let bytes = self.take(count)?;
        CompactString::from_utf8(bytes).map_err(|_| corrupt("the header is not UTF-8"))
    }

    fn pairs(&mut self) -> Result<Vec<(CompactString, CompactString)>, RecordError> {
        let count = self.number()?;
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect()
    }

    fn meta(&mut self) -> Result<Meta, RecordError> {
        let uid = self.text()?;
        let labels = self.pairs()?;
        let owner_count = self.number()?;
        let mut owners = Vec::new();
        for _ in 0..owner_count {
            let (api_version, kind, name, uid) = (self.text()?, self.text()?, self.text()?, self.text()?);
            let flags = self.byte()?;
            owners.push(Owner {
                api_version,
                kind,
                name,
                uid,
                controller: flags & 1 != 0,
                block_owner_deletion: flags & 2 != 0,
            });
        }
        let finalizer_count = self.number()?;
        let finalizers = (0..finalizer_count).map(|_| self.text()).collect::<Result<_, _>>()?;
        let generation = self.long()?.cast_signed();
        Ok(Meta {
            uid,
            labels,
            owners,
            finalizers,
            generation,
            deleting: self.byte()? != 0,
            fields: self.pairs()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"a": [1, 2]}, "metadata": {
            "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"app": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "ou", "controller": true}],
            "finalizers": ["a/b"], "generation": 4, "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    }

    #[test]
    fn the_revision_is_filled_in_on_entering_the_cache() {
        let fields = vec![("spec.nodeName".into(), "n1".into())];
        let stored = encode(&pod(), fields.clone(), 77);
        let record = decode(ObjectName::new("n", "p"), &stored, Revision(41)).unwrap();
        let mut expected = pod();
        expected["metadata"]["resourceVersion"] = json!("41");
        assert_eq!(record.value().unwrap(), expected);
        let mut meta = Meta::of(&pod());
        meta.fields = fields;
        assert_eq!(*record.meta, meta);
        assert_eq!((record.api_version.as_str(), record.schema), ("v1", 77));
        assert!(
            record
                .bytes
                .starts_with(br#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"41","#)
        );

        let later = record.at(Revision(1000));
        expected["metadata"]["resourceVersion"] = json!("1000");
        assert_eq!(later.value().unwrap(), expected);
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut stored = encode(&pod(), Vec::new(), 0).to_vec();
        stored[0] = FORMAT + 1;
        let error = decode(ObjectName::new("n", "p"), &stored.into(), Revision(1)).unwrap_err();
        assert!(matches!(error, RecordError::NewerFormat(f) if f == FORMAT + 1));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..300, with: u8, cut in 0usize..300) {
            let mut stored = encode(&pod(), Vec::new(), 0).to_vec();
            let at = at % stored.len();
            stored[at] = with;
            stored.truncate(stored.len().saturating_sub(cut));
            let _ = decode(ObjectName::new("n", "p"), &stored.into(), Revision(1));
        }
    }
}
