//! Single values: which JSON each type takes, and its canonical form.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};

use super::time;
use crate::graph::{Scalar, Shape, TypeRef};
use crate::quantity::Quantity;

/// Go's standard decoder does not look at the bits behind the last byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A value that does not fit.
pub(super) enum Misfit {
    /// Of the wrong kind.
    Kind,
    /// To be reported once the whole text is read.
    Later(String),
    /// To be reported at once.
    Now(String),
}

/// A scalar from a JSON string.
pub(super) fn from_string(scalar: Scalar, text: Cow<'_, str>) -> Result<Value, Misfit> {
    match scalar {
        Scalar::String | Scalar::IntOrString | Scalar::Duration => Ok(Value::String(text.into_owned())),
        Scalar::Bytes => bytes(&text).map(Value::String).map_err(Misfit::Later),
        Scalar::Time => time::seconds(&text).map(Value::String).map_err(Misfit::Now),
        Scalar::MicroTime => time::microseconds(&text).map(Value::String).map_err(Misfit::Now),
        Scalar::Quantity => quantity(text.trim()),
        Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::Boolean => Err(Misfit::Kind),
    }
}

/// A scalar from a JSON number.
pub(super) fn from_number(scalar: Scalar, text: &str) -> Result<Value, Misfit> {
    match scalar {
        Scalar::Int32 | Scalar::IntOrString => text.parse::<i32>().map(Value::from).map_err(|_| Misfit::Kind),
        Scalar::Int64 => text.parse::<i64>().map(Value::from).map_err(|_| Misfit::Kind),
        Scalar::Number => {
            let value: f64 = text.parse().map_err(|_| Misfit::Kind)?;
            float(value).ok_or(Misfit::Kind)
        }
        Scalar::Quantity => quantity(text),
        Scalar::String
        | Scalar::Bytes
        | Scalar::Time
        | Scalar::MicroTime
        | Scalar::Duration
        | Scalar::Boolean => Err(Misfit::Kind),
    }
}

/// A float as Go writes it: without a point when it is whole.
pub(crate) fn float(value: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

fn quantity(text: &str) -> Result<Value, Misfit> {
    match Quantity::normalize(text) {
        Ok(text) => Ok(Value::String(text.into_owned())),
        Err(error) => Err(Misfit::Now(error.to_string())),
    }
}

/// Base64 in its canonical form; line breaks are passed over.
fn bytes(text: &str) -> Result<String, String> {
    let clean: Cow<'_, str> =
        if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], "").into() } else { text.into() };
    match BASE64.decode(clean.as_bytes()) {
        Ok(bytes) => Ok(BASE64.encode(bytes)),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                // A text that ends within a group of four letters is broken where that group begins.
                base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                    (clean.len().saturating_sub(1)) / 4 * 4
                }
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

/// Type errors show the number only where a number was wanted.
pub(super) fn is_numeric(scalar: Scalar) -> bool {
    matches!(scalar, Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::IntOrString)
}

/// What Go calls a type.
pub(super) fn go_type(of: TypeRef<'_>) -> String {
    let node = of.node();
    if !node.alias.is_empty() {
        return node.alias.to_string();
    }
    if !node.name.is_empty() {
        let mut parts = node.name.rsplit('.');
        let name = parts.next().unwrap_or_default();
        return format!("{}.{name}", parts.next().unwrap_or_default());
    }
    match &node.shape {
        Shape::Object(_) | Shape::Any => "interface {}".to_owned(),
        Shape::Map(value) => format!("map[string]{}", go_type(of.at(*value))),
        Shape::List(element, _) => format!("[]{}", go_type(of.at(*element))),
        Shape::Scalar(scalar) => match scalar {
            Scalar::Bytes => "[]uint8",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Number => "float64",
            Scalar::Boolean => "bool",
            Scalar::String | Scalar::Time | Scalar::MicroTime | Scalar::Duration => "string",
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
        }
        .to_owned(),
    }
}
