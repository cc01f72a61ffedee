//! JSON values into messages. Fields are written in the order of their numbers, maps in that of their keys, and what
//! Kubernetes' types hold without a pointer even when it is zero: the bytes are those that Kubernetes writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::Writer;
use super::{MAX_DEPTH, ProtobufError, special};
use crate::decode::time;
use crate::graph::{Field, Presence, Scalar, Shape, TypeRef};
use crate::zero;

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
            let mut written: Vec<&Field> = fields
                .iter()
                .filter(|field| field.number > 0)
                .filter(|field| {
                    let value = object.get(field.name.as_str());
                    // What is inside of an inner message stands for that message, which is always written.
                    value.is_some_and(|value| !value.is_null())
                        || !field.within.is_empty()
                        || stands_when_absent(of.at(field.of), field)
                })
                .collect();
            written.sort_by(|a, b| path(a).cmp(path(b)));
            level(out, object, of, &written, 0, depth)
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

/// The numbers of the messages around a field, and its own.
fn path(field: &Field) -> impl Iterator<Item = u32> {
    field.within.iter().copied().chain([field.number])
}

/// The number of that path at a depth.
fn step(field: &Field, inside: usize) -> u32 {
    field.within.get(inside).copied().unwrap_or(field.number)
}

/// True for what Kubernetes' types hold without a pointer: its zero value is written like any other, even where
/// JSON leaves it out.
fn stands_when_absent(of: TypeRef<'_>, field: &Field) -> bool {
    matches!(field.presence, Presence::NonZero | Presence::Always)
        && !matches!(of.shape(), Shape::List(..) | Shape::Map(_) | Shape::Scalar(Scalar::Bytes))
}

/// Writes fields whose paths agree up to `inside`.
fn level(
    out: &mut Writer,
    object: &Map<String, Value>,
    of: TypeRef<'_>,
    fields: &[&Field],
    inside: usize,
    depth: usize,
) -> Result<(), ProtobufError> {
    for group in fields.chunk_by(|a, b| step(a, inside) == step(b, inside)) {
        let direct = group.partition_point(|field| field.within.len() == inside);
        let (direct, inner) = group.split_at(direct);
        for field in direct {
            let member = of.at(field.of);
            match object.get(field.name.as_str()).filter(|value| !value.is_null()) {
                Some(value) => {
                    self::field(out, field.number, value, member, field.name.as_str(), depth)?;
                }
                None if stands_when_absent(member, field) => {
                    zero_value(out, field.number, member, field.name.as_str(), depth)?;
                }
                None => {}
            }
        }
        if let Some(first) = inner.first() {
            let mut message = Writer::default();
            level(&mut message, object, of, inner, inside + 1, depth)?;
            out.bytes(step(first, inside), &message.finish());
        }
    }
    Ok(())
}

/// Writes the zero value of a type.
fn zero_value(
    out: &mut Writer,
    number: u32,
    of: TypeRef<'_>,
    name: &str,
    depth: usize,
) -> Result<(), ProtobufError> {
    match of.shape() {
        Shape::Any | Shape::Scalar(Scalar::Time | Scalar::MicroTime) => {
            out.bytes(number, b"");
            Ok(())
        }
        Shape::Object(_) => value(out, number, &Value::Object(Map::new()), of, name, depth),
        _ => value(out, number, &zero::unset(of), of, name, depth),
    }
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
                match map.get(key).filter(|value| !value.is_null()) {
                    Some(value) => self::value(&mut entry, 2, value, of.at(*member), name, depth)?,
                    None if matches!(of.at(*member).shape(), Shape::Scalar(Scalar::Bytes)) => {}
                    None => zero_value(&mut entry, 2, of.at(*member), name, depth)?,
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
