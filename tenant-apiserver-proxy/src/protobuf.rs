//! Stand-in until the schema crate's codec is wired.

use api_schema::TypeRef;
use serde_json::Value;

/// Decodes.
pub fn decode(_bytes: &[u8], _root: TypeRef<'_>) -> Result<Value, &'static str> {
    Err("protobuf is not implemented")
}

/// Encodes.
pub fn encode(_value: &Value, _root: TypeRef<'_>, _api_version: &str, _kind: &str) -> Vec<u8> {
    Vec::new()
}

/// Frames.
pub fn watch_event(_of: &str, _object: &[u8]) -> Vec<u8> {
    Vec::new()
}
