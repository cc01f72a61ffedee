//! What an expression gave, as JSON.

use base64::Engine;
use kube_cel::cel::Value as Cel;
use kube_cel::cel::objects::Key;
use serde_json::{Map, Value};

/// The value as JSON; `None`: it has no JSON form.
pub(super) fn of(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(bool) => Value::Bool(*bool),
        Cel::Int(int) => Value::from(*int),
        Cel::UInt(uint) => Value::from(*uint),
        Cel::Float(float) => Value::from(*float),
        Cel::String(text) => Value::from(text.as_str()),
        Cel::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes.as_slice()).into(),
        Cel::Timestamp(at) => at.to_rfc3339().into(),
        Cel::List(items) => Value::Array(items.iter().map(of).collect::<Option<_>>()?),
        Cel::Map(map) => {
            let mut out = Map::new();
            for (key, value) in map.map.iter() {
                out.insert(text(key), of(value)?);
            }
            Value::Object(out)
        }
        _ => return None,
    })
}

fn text(key: &Key) -> String {
    match key {
        Key::String(text) => text.to_string(),
        other => other.to_string(),
    }
}
