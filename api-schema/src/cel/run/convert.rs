//! Values of an object as expressions see them, and back.

use super::times;
use super::values::{Key, Like, List, Value};
use crate::crd::rules::escape;
use crate::crd::schema::{Additional, Schema};
use base64::Engine;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// The old value of a rule with `optionalOldSelf`.
pub(crate) fn optional(value: Option<Value>) -> Value {
    Value::Optional(value.map(Arc::new))
}

/// The value under its schema; what has no schema is converted by what it is.
pub(crate) fn of_json(value: &Json, schema: Option<&Schema>) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => {
            let as_float = schema.is_some_and(|s| s.kind == "number");
            match (number.as_i64(), number.as_u64()) {
                (Some(int), _) if !as_float => Value::Int(int),
                (_, Some(uint)) if !as_float => Value::Uint(uint),
                _ => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            }
        }
        Json::String(string) => text(string, schema),
        Json::Array(items) => {
            let of = schema.and_then(|s| s.items.as_deref());
            let items = items.iter().map(|item| of_json(item, of)).collect();
            let like = match schema.and_then(|schema| Some((schema, schema.list_type.as_deref()?))) {
                Some((_, "set")) => Like::Set,
                Some((schema, "map")) => Like::ByKeys(keys(schema).into()),
                _ => Like::Ordered,
            };
            Value::List(Arc::new(List { items, like }))
        }
        Json::Object(map) => {
            // Keys of maps are data; fields of objects are written escaped.
            let is_map = schema.is_none_or(|s| {
                s.properties.is_empty()
                    && matches!(&s.additional, Some(Additional::Of(_) | Additional::Any(true)))
            });
            // A field that is null is not there.
            let there = map.iter().filter(|(_, value)| is_map || !value.is_null());
            let members = there.filter_map(|(name, value)| {
                let key = if is_map { Some(name.clone()) } else { escape(name) };
                let of = schema.and_then(|s| s.member(name));
                Some((Key::Text(key?.into()), of_json(value, of)))
            });
            Value::Map(Arc::new(members.collect()))
        }
    }
}

/// The names of the keys of a list, as rules write them.
fn keys(schema: &Schema) -> Vec<String> {
    schema.list_keys.iter().filter_map(|key| escape(key)).collect()
}

fn text(text: &str, schema: Option<&Schema>) -> Value {
    let format = schema.filter(|s| !s.int_or_string).map_or("", |s| s.format.as_str());
    let made = match format {
        "date-time" | "datetime" => times::timestamp(text).map(Value::Time),
        "date" => times::timestamp(&format!("{text}T00:00:00Z")).map(Value::Time),
        "duration" => crate::crd::duration(text).map(Value::Duration),
        "byte" => base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()
            .map(|bytes| Value::Bytes(bytes.into())),
        _ => None,
    };
    made.unwrap_or_else(|| text.into())
}

/// The value as JSON; `None`: it has no JSON form.
pub(crate) fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Int(int) => Json::from(*int),
        Value::Uint(uint) => Json::from(*uint),
        Value::Double(double) => Json::from(*double),
        Value::Text(text) => Json::from(&**text),
        Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
        Value::Time(time) => time.to_string().into(),
        Value::Duration(nanoseconds) => times::seconds(*nanoseconds).into(),
        Value::List(list) => Json::Array(list.items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(map) => {
            let mut out = Map::new();
            for (key, value) in map.iter() {
                out.insert(super::operators::shown(&key.value()), to_json(value)?);
            }
            Json::Object(out)
        }
        _ => return None,
    })
}
