//! Messages into JSON values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::wire::{BYTES, FIXED32, FIXED64, Reader, VARINT};
use super::{MAX_DEPTH, ProtobufError, special, text};
use crate::decode::scalar::float;
use crate::graph::{Field, Scalar, Shape, TypeRef};
use crate::quantity::Quantity;
use crate::zero;

/// Reads the message of a type that is carried as one.
pub(super) fn message(bytes: &[u8], of: TypeRef<'_>, depth: usize) -> Result<Value, ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    match of.shape() {
        Shape::Object(fields) => {
            let mut object = Map::new();
            level(bytes, of, fields, &[], &mut object, depth)?;
            object.retain(|name, value| {
                of.field(name).is_some_and(|field| !zero::is_left_out(of.at(field.of), field.presence, value))
            });
            Ok(Value::Object(object))
        }
        Shape::Any => special::read(bytes, of, depth),
        Shape::Scalar(scalar) => composed(bytes, *scalar),
        Shape::List(..) | Shape::Map(_) => wrapped(bytes, of, depth),
    }
}

/// Reads the fields of a message, of which `within` says how far inside its object it is.
fn level(
    bytes: &[u8],
    of: TypeRef<'_>,
    fields: &[Field],
    within: &[u32],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag()? {
        if let Some(field) = fields.iter().find(|f| f.number == number && f.number > 0 && f.within == within)
        {
            self::field(&mut reader, wire, of, field, object, depth)?;
            continue;
        }
        let inner = [within, &[number]].concat();
        if fields.iter().any(|field| field.within.starts_with(&inner)) {
            level(reader.bytes(wire, "inline")?, of, fields, &inner, object, depth)?;
        } else {
            reader.skip(wire)?;
        }
    }
    Ok(())
}

fn field(
    reader: &mut Reader<'_>,
    wire: u8,
    of: TypeRef<'_>,
    field: &Field,
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let member = of.at(field.of);
    let name = field.name.as_str();
    match member.shape() {
        Shape::List(element, _) if !member.node().wrapped => {
            let element = member.at(*element);
            let slot = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(list) = slot else { return Ok(()) };
            if wire == BYTES && is_number(element) {
                let mut packed = Reader::new(reader.bytes(wire, name)?);
                while !packed.is_empty() {
                    list.push(value(&mut packed, VARINT, element, name, depth)?);
                }
            } else {
                list.push(value(reader, wire, element, name, depth)?);
            }
        }
        Shape::Map(value_type) => {
            let element = member.at(*value_type);
            let (key, value) = entry(reader.bytes(wire, name)?, element, name, depth)?;
            let slot = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = slot {
                map.insert(key, value);
            }
        }
        _ => {
            object.insert(name.to_owned(), value(reader, wire, member, name, depth)?);
        }
    }
    Ok(())
}

fn entry(bytes: &[u8], of: TypeRef<'_>, name: &str, depth: usize) -> Result<(String, Value), ProtobufError> {
    let mut reader = Reader::new(bytes);
    let mut key = String::new();
    let mut found = match of.shape() {
        Shape::Scalar(Scalar::Bytes) => Value::String(String::new()),
        _ => zero::element(of),
    };
    while let Some((number, wire)) = reader.tag()? {
        match number {
            1 => key = text(reader.bytes(wire, name)?),
            2 => found = value(&mut reader, wire, of, name, depth)?,
            _ => reader.skip(wire)?,
        }
    }
    Ok((key, found))
}

fn is_number(of: TypeRef<'_>) -> bool {
    matches!(of.shape(), Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Boolean))
}

/// Reads one value.
fn value(
    reader: &mut Reader<'_>,
    wire: u8,
    of: TypeRef<'_>,
    field: &str,
    depth: usize,
) -> Result<Value, ProtobufError> {
    let wrong = || ProtobufError::WireType { wire, field: field.to_owned() };
    let Shape::Scalar(scalar) = of.shape() else {
        return message(reader.bytes(wire, field)?, of, depth + 1);
    };
    Ok(match scalar {
        Scalar::String => Value::String(text(reader.bytes(wire, field)?)),
        Scalar::Bytes => Value::String(STANDARD.encode(reader.bytes(wire, field)?)),
        Scalar::Int32 if wire == VARINT => Value::from(reader.varint()? as i32),
        Scalar::Int64 if wire == VARINT => Value::from(reader.varint()? as i64),
        Scalar::Boolean if wire == VARINT => Value::Bool(reader.varint()? != 0),
        Scalar::Number if wire == FIXED64 => float(f64::from_bits(reader.fixed64()?)).unwrap_or(Value::Null),
        Scalar::Number if wire == FIXED32 => {
            float(f64::from(f32::from_bits(reader.fixed32()?))).unwrap_or(Value::Null)
        }
        Scalar::Int32 | Scalar::Int64 | Scalar::Boolean | Scalar::Number => return Err(wrong()),
        Scalar::Time | Scalar::MicroTime | Scalar::Quantity | Scalar::IntOrString | Scalar::Duration => {
            composed(reader.bytes(wire, field)?, *scalar)?
        }
    })
}

/// Single values that protobuf carries as messages.
fn composed(bytes: &[u8], scalar: Scalar) -> Result<Value, ProtobufError> {
    let mut reader = Reader::new(bytes);
    let mut numbers = [0i64; 4];
    let mut string = String::new();
    while let Some((number, wire)) = reader.tag()? {
        match (number, wire) {
            (1..=3, VARINT) => numbers[number as usize] = reader.varint()? as i64,
            (1 | 3, BYTES) => string = text(reader.bytes(wire, "value")?),
            _ => reader.skip(wire)?,
        }
    }
    match scalar {
        Scalar::Time | Scalar::MicroTime if bytes.is_empty() => Ok(Value::Null),
        Scalar::Time | Scalar::MicroTime => {
            let nanos = i32::try_from(numbers[2]).unwrap_or(0);
            let at =
                Timestamp::new(numbers[1], nanos).map_err(|error| ProtobufError::Raw(error.to_string()))?;
            let format = match scalar {
                Scalar::Time => "%Y-%m-%dT%H:%M:%SZ",
                _ => "%Y-%m-%dT%H:%M:%S%.6fZ",
            };
            Ok(Value::String(at.strftime(format).to_string()))
        }
        Scalar::Quantity if string.is_empty() => Ok(Value::String("0".to_owned())),
        Scalar::Quantity => match Quantity::normalize(&string) {
            Ok(text) => Ok(Value::String(text.into_owned())),
            Err(error) => Err(ProtobufError::Raw(error.to_string())),
        },
        Scalar::IntOrString if numbers[1] == 1 => Ok(Value::String(string)),
        Scalar::IntOrString => Ok(Value::from(numbers[2] as i32)),
        _ => Err(ProtobufError::NotMarshalable(format!("{scalar:?}"))),
    }
}

/// A list inside a message of its own.
fn wrapped(bytes: &[u8], of: TypeRef<'_>, depth: usize) -> Result<Value, ProtobufError> {
    let element = of.element().ok_or_else(|| ProtobufError::NotMarshalable(of.node().alias.to_string()))?;
    let mut reader = Reader::new(bytes);
    let mut list = Vec::new();
    while let Some((number, wire)) = reader.tag()? {
        match number {
            1 => list.push(value(&mut reader, wire, element, "items", depth)?),
            _ => reader.skip(wire)?,
        }
    }
    Ok(Value::Array(list))
}
