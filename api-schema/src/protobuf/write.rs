//! JSON values into messages. Fields are written in the order of their numbers, maps in that of their keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::Writer;
use super::{MAX_DEPTH, ProtobufError, special};
use crate::decode::time;
use crate::graph::{Field, Scalar, Shape, TypeRef};

/// Writes the message of a type that is carried as one.
pub(super) fn message(
    out: &mut Writer,
    value: &Value,
    of: TypeRef<'_>,
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    match (of.shape(), value) {
        (Shape::Any, value) => special::write(out, value, of, depth),
        (Shape::Object(fields), Value::Object(object)) => {
            let mut present: Vec<(Vec<u32>, &Field)> = fields
                .iter()
                .filter(|field| field.number > 0)
                .filter(|field| object.get(field.name.as_str()).is_some_and(|value| !value.is_null()))
                .map(|field| ([field.within.as_slice(), &[field.number]].concat(), field))
                .collect();
            present.sort_by(|a, b| a.0.cmp(&b.0));
            level(out, object, of, &present, 0, depth)
        }
        (Shape::Scalar(scalar), value) => composed(out, value, *scalar, of.node().name.as_str()),
        (Shape::List(element, _), Value::Array(list)) => {
            list.iter().try_for_each(|item| self::value(out, 1, item, of.at(*element), "items", depth))
        }
        _ => Err(misfit(of.node().name.as_str(), value)),
    }
}

fn misfit(field: &str, value: &Value) -> ProtobufError {
    let mut found = value.to_string();
    found.truncate(found.char_indices().nth(40).map_or(found.len(), |(at, _)| at));
    ProtobufError::Misfit { field: field.to_owned(), found }
}

/// Writes fields whose paths agree up to `inside`.
fn level(
    out: &mut Writer,
    object: &Map<String, Value>,
    of: TypeRef<'_>,
    fields: &[(Vec<u32>, &Field)],
    inside: usize,
    depth: usize,
) -> Result<(), ProtobufError> {
    for group in fields.chunk_by(|a, b| a.0[inside] == b.0[inside]) {
        for (path, field) in group.iter().filter(|(path, _)| path.len() == inside + 1) {
            if let Some(value) = object.get(field.name.as_str()) {
                self::field(out, path[inside], value, of.at(field.of), field.name.as_str(), depth)?;
            }
        }
        let inner: Vec<(Vec<u32>, &Field)> =
            group.iter().filter(|(path, _)| path.len() > inside + 1).cloned().collect();
        if let Some((path, _)) = inner.first() {
            let mut message = Writer::default();
            level(&mut message, object, of, &inner, inside + 1, depth)?;
            out.bytes(path[inside], &message.finish());
        }
    }
    Ok(())
}

fn field(
    out: &mut Writer,
    number: u32,
    value: &Value,
    of: TypeRef<'_>,
    name: &str,
    depth: usize,
) -> Result<(), ProtobufError> {
    match (of.shape(), value) {
        (Shape::List(element, _), Value::Array(list)) if !of.node().wrapped => {
            list.iter().try_for_each(|item| self::value(out, number, item, of.at(*element), name, depth))
        }
        (Shape::Map(member), Value::Object(map)) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            for key in keys {
                let mut entry = Writer::default();
                entry.bytes(1, key.as_bytes());
                if let Some(value) = map.get(key).filter(|value| !value.is_null()) {
                    self::value(&mut entry, 2, value, of.at(*member), name, depth)?;
                }
                out.bytes(number, &entry.finish());
            }
            Ok(())
        }
        _ => self::value(out, number, value, of, name, depth),
    }
}

/// Writes one value with its number.
fn value(
    out: &mut Writer,
    number: u32,
    value: &Value,
    of: TypeRef<'_>,
    name: &str,
    depth: usize,
) -> Result<(), ProtobufError> {
    let wrong = || misfit(name, value);
    let Shape::Scalar(scalar) = of.shape() else {
        let mut inner = Writer::default();
        message(&mut inner, value, of, depth + 1)?;
        out.bytes(number, &inner.finish());
        return Ok(());
    };
    match scalar {
        Scalar::String => out.bytes(number, value.as_str().ok_or_else(wrong)?.as_bytes()),
        Scalar::Bytes => {
            let text = value.as_str().ok_or_else(wrong)?;
            out.bytes(number, &STANDARD.decode(text).map_err(|_| wrong())?);
        }
        Scalar::Int32 | Scalar::Int64 => out.varint(number, value.as_i64().ok_or_else(wrong)? as u64),
        Scalar::Boolean => out.varint(number, u64::from(value.as_bool().ok_or_else(wrong)?)),
        Scalar::Number => out.fixed64(number, value.as_f64().ok_or_else(wrong)?.to_bits()),
        Scalar::Time | Scalar::MicroTime | Scalar::Quantity | Scalar::IntOrString | Scalar::Duration => {
            let mut inner = Writer::default();
            composed(&mut inner, value, *scalar, name)?;
            out.bytes(number, &inner.finish());
        }
    }
    Ok(())
}

/// Single values that protobuf carries as messages.
fn composed(out: &mut Writer, value: &Value, scalar: Scalar, name: &str) -> Result<(), ProtobufError> {
    let wrong = || misfit(name, value);
    match (scalar, value) {
        (Scalar::Time | Scalar::MicroTime, Value::String(text)) => {
            let at = time::parse(text, scalar == Scalar::MicroTime).map_err(|_| wrong())?;
            // Seconds count down to the time, nanoseconds always up from there.
            let nanos = i64::from(at.subsec_nanosecond());
            let (seconds, nanos) =
                if nanos < 0 { (at.as_second() - 1, nanos + 1_000_000_000) } else { (at.as_second(), nanos) };
            out.varint(1, seconds as u64);
            out.varint(2, if scalar == Scalar::Time { 0 } else { nanos as u64 });
        }
        (Scalar::Quantity, Value::String(text)) => out.bytes(1, text.as_bytes()),
        (Scalar::IntOrString, Value::String(text)) => {
            out.varint(1, 1);
            out.varint(2, 0);
            out.bytes(3, text.as_bytes());
        }
        (Scalar::IntOrString, Value::Number(whole)) => {
            out.varint(1, 0);
            out.varint(2, whole.as_i64().ok_or_else(wrong)? as u64);
            out.bytes(3, b"");
        }
        (Scalar::Duration, _) => return Err(ProtobufError::NotMarshalable("metav1.Duration".to_owned())),
        _ => return Err(wrong()),
    }
    Ok(())
}
