//! How Go writes values: as JSON, and as its own source in messages.

use super::DecodeError;
use super::plain::{Key, Plain};
use api_types::go_float;

/// A number as JSON, which has none for infinity.
pub(super) fn json_float(number: f64) -> Result<String, DecodeError> {
    let name = match number {
        n if n.is_nan() => "NaN",
        n if n.is_finite() => return Ok(go_float::json(n)),
        n if n > 0.0 => "+Inf",
        _ => "-Inf",
    };
    Err(DecodeError::Syntax(format!("json: unsupported value: {name}")))
}

/// A text as JSON.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value as Go source.
pub(super) fn value(value: &Plain) -> String {
    match value {
        Plain::Null => "<nil>".to_owned(),
        Plain::Bool(value) => value.to_string(),
        Plain::Int(number) => number.to_string(),
        Plain::Uint(number) => format!("{number:#x}"),
        Plain::Float(number) => float(*number),
        Plain::Text(text) => api_types::print::quoted(text),
        Plain::List(items) => {
            let items: Vec<String> = items.iter().map(member).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Plain::Map(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", key_inside(name), member(value)))
                .collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", members.join(", "))
        }
    }
}

/// A key as Go source.
pub(super) fn key(key: &Key) -> String {
    match key {
        Key::Null => "<nil>".to_owned(),
        Key::Bool(value) => value.to_string(),
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => format!("{number:#x}"),
        Key::Float(bits) => float(f64::from_bits(*bits)),
        Key::Text(text) => api_types::print::quoted(text),
    }
}

fn member(of: &Plain) -> String {
    if *of == Plain::Null { "interface {}(nil)".to_owned() } else { value(of) }
}

fn key_inside(of: &Key) -> String {
    if *of == Key::Null { "interface {}(nil)".to_owned() } else { key(of) }
}

fn float(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".to_owned(),
        n if n.is_infinite() => if n > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        n => go_float::shortest(&format!("{n:e}")),
    }
}
