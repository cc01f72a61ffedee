//! The value of a document, and its JSON.

use std::collections::BTreeMap;

use super::DecodeError;
use super::go_text;
use api_types::go_float;

/// A value. Other than in JSON, keys need not be texts.
#[derive(Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    /// Too large for the one before.
    Uint(u64),
    Float(f64),
    Text(String),
    List(Vec<Plain>),
    Map(BTreeMap<Key, Plain>),
}

/// A key: `1` and `"1"` are two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// By its bits.
    Float(u64),
    Text(String),
}

impl Key {
    /// None for what is no scalar.
    pub fn of(value: &Plain) -> Option<Key> {
        Some(match value {
            Plain::Null => Key::Null,
            Plain::Bool(value) => Key::Bool(*value),
            Plain::Int(value) => Key::Int(*value),
            Plain::Uint(value) => Key::Uint(*value),
            Plain::Float(value) => Key::Float(value.to_bits()),
            Plain::Text(text) => Key::Text(text.clone()),
            Plain::List(_) | Plain::Map(_) => return None,
        })
    }

    /// As a key of JSON.
    ///
    /// Errors: JSON has none for it. `value` is what it is the key of.
    fn text(&self, value: &Plain) -> Result<String, DecodeError> {
        let unsupported = |of: &str, key: &str| {
            DecodeError::Syntax(format!(
                "unsupported map key of type: {of}, key: {key}, value: {}",
                go_text::value(value)
            ))
        };
        Ok(match self {
            Key::Null => return Err(unsupported("%!s(<nil>)", "<nil>")),
            Key::Uint(number) => return Err(unsupported("uint64", &format!("{number:#x}"))),
            Key::Bool(value) => value.to_string(),
            Key::Int(number) => number.to_string(),
            Key::Float(bits) => match f64::from_bits(*bits) {
                number if number.is_nan() => ".nan".to_owned(),
                number if number.is_infinite() => if number > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
                number => go_float::shortest(&format!("{:e}", number as f32)),
            },
            Key::Text(text) => text.clone(),
        })
    }
}

impl Plain {
    /// Writes it as JSON, keys sorted.
    ///
    /// Errors: JSON has no such number, or no such key.
    pub fn write(&self, to: &mut String) -> Result<(), DecodeError> {
        match self {
            Plain::Null => to.push_str("null"),
            Plain::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
            Plain::Int(number) => to.push_str(&number.to_string()),
            Plain::Uint(number) => to.push_str(&number.to_string()),
            Plain::Float(number) => to.push_str(&go_text::json_float(*number)?),
            Plain::Text(text) => to.push_str(&go_text::json_string(text)),
            Plain::List(items) => {
                to.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        to.push(',');
                    }
                    item.write(to)?;
                }
                to.push(']');
            }
            Plain::Map(members) => {
                let mut named = BTreeMap::new();
                for (key, value) in members {
                    named.insert(key.text(value)?, value);
                }
                to.push('{');
                for (at, (name, value)) in named.into_iter().enumerate() {
                    if at > 0 {
                        to.push(',');
                    }
                    to.push_str(&go_text::json_string(&name));
                    to.push(':');
                    value.write(to)?;
                }
                to.push('}');
            }
        }
        Ok(())
    }
}
