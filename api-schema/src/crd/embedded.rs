//! Resources within a resource (`x-kubernetes-embedded-resource`): what makes them one.

use super::lists::child;
use super::schema::Schema;
use api_types::{Cause, GroupVersion};
use serde_json::Value;

/// The defects of embedded resources below a value.
pub(super) fn check(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            if schema.embedded {
                resource(value, path, causes);
            }
            for (name, value) in map {
                match (schema.properties.get(name), schema.additional_schema()) {
                    (Some(property), _) => check(value, property, &child(path, name), causes),
                    (None, Some(values)) => check(value, values, &format!("{path}[{name}]"), causes),
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(of) = &schema.items else { return };
            for (at, item) in items.iter().enumerate() {
                check(item, of, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

fn resource(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind"] {
        let field = child(path, name);
        match value.get(name) {
            None => causes.push(Cause::required(field, "")),
            Some(Value::String(text)) if text.is_empty() => {
                causes.push(Cause::invalid(field, &"".into(), "must not be empty"));
            }
            Some(Value::String(text)) if name == "apiVersion" => {
                if GroupVersion::parse(text).is_none() {
                    let why = format!("unexpected GroupVersion string: {text}");
                    causes.push(Cause::invalid(field, &text.as_str().into(), &why));
                }
            }
            Some(Value::String(text)) => {
                if !is_kind(text) {
                    let why = "may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower \
                               case alphanumeric characters or '-', start with an alphabetic character, and end \
                               with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                               validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
                    causes.push(Cause::invalid(field, &text.as_str().into(), why));
                }
            }
            Some(other) => causes.push(Cause::invalid(field, other, "must be a string")),
        }
    }
    if let Some(metadata) = value.get("metadata")
        && !metadata.is_object()
    {
        causes.push(Cause::invalid(child(path, "metadata"), metadata, "must be an object"));
    }
}

fn is_kind(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}
