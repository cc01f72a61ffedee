//! How server-side apply sees a value: as one, as a map of fields, or as a list of elements told apart.

use super::path::PathElement;
use crate::graph::{ListKind, Presence, Scalar, Shape, TypeRef};
use compact_str::CompactString;
use serde_json::{Map, Value};

/// The type of a value, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ty<'a> {
    /// A type of the graph.
    Known(TypeRef<'a>),
    /// A type of the graph that is owned as one elsewhere, and here field by field.
    Granular(TypeRef<'a>),
    /// Content that a schema lets through: objects are maps of more such content, all else is one value.
    Deduced,
    /// Content that is one value whatever it is.
    Untyped,
}

/// How a value of a type is owned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    /// As one.
    Leaf,
    /// Field by field.
    Map(Ty<'a>),
    /// Element by element.
    List(&'a ListKind, TypeRef<'a>),
}

impl<'a> Ty<'a> {
    pub fn of(known: TypeRef<'a>) -> Self {
        match known.shape() {
            Shape::Any if known.node().preserve_unknown || known.node().open => Ty::Deduced,
            Shape::Any => Ty::Untyped,
            _ => Ty::Known(known),
        }
    }

    /// The type of the graph that it is.
    pub fn known(self) -> Option<TypeRef<'a>> {
        match self {
            Ty::Known(known) | Ty::Granular(known) => Some(known),
            Ty::Deduced | Ty::Untyped => None,
        }
    }

    /// How these values of the type are owned. Null takes the form of the other value.
    pub fn form(self, values: [Option<&Value>; 2]) -> Form<'a> {
        match self {
            Ty::Untyped => Form::Leaf,
            Ty::Deduced if values.iter().any(|v| v.is_some_and(Value::is_object)) => Form::Map(self),
            Ty::Deduced => Form::Leaf,
            Ty::Granular(_) => Form::Map(self),
            Ty::Known(known) => match known.shape() {
                Shape::Object(_) | Shape::Map(_) if known.node().atomic => Form::Leaf,
                Shape::Object(_) | Shape::Map(_) => Form::Map(self),
                Shape::List(_, ListKind::Atomic) => Form::Leaf,
                Shape::List(element, kind) if !known.node().atomic => Form::List(kind, known.at(*element)),
                _ => Form::Leaf,
            },
        }
    }

    /// The type of a field, and whether the type declares it. `None`: the type has no such field.
    pub fn field(self, name: &str) -> Option<(Ty<'a>, bool)> {
        match self {
            Ty::Untyped => Some((Ty::Untyped, false)),
            Ty::Deduced => Some((Ty::Deduced, false)),
            Ty::Known(known) | Ty::Granular(known) => match known.shape() {
                Shape::Map(value) => Some((Ty::of(known.at(*value)), false)),
                Shape::Object(fields) => match known.field(name) {
                    Some(field) if field.granular => Some((Ty::Granular(known.at(field.of)), true)),
                    Some(field) => Some((Ty::of(known.at(field.of)), true)),
                    None if known.node().preserve_unknown || known.node().open || fields.is_empty() => {
                        Some((Ty::Deduced, false))
                    }
                    None => None,
                },
                _ => None,
            },
        }
    }

    /// The same, with undeclared fields taken for content that the schema lets through.
    pub fn field_or_deduced(self, name: &str) -> (Ty<'a>, bool) {
        self.field(name).unwrap_or((Ty::Deduced, false))
    }
}

/// The step to an element of a list that is not atomic.
///
/// Errors: the element has nothing that tells it apart, in Kubernetes' words.
pub(super) fn list_element(
    kind: &ListKind,
    element_type: TypeRef<'_>,
    item: &Value,
) -> Result<PathElement, String> {
    match kind {
        ListKind::Map(keys) => keyed(keys, element_type, item),
        ListKind::Set | ListKind::Atomic => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            scalar => Ok(PathElement::Value(scalar.clone())),
        },
    }
}

fn keyed(keys: &[CompactString], element_type: TypeRef<'_>, item: &Value) -> Result<PathElement, String> {
    let map = match item {
        Value::Object(map) => map,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let mut fields: Vec<(CompactString, Value)> = Vec::with_capacity(keys.len());
    for key in keys {
        let value = map.get(key.as_str()).cloned().or_else(|| key_default(element_type, key));
        // An element without one of its keys is one of its own.
        fields.extend(value.map(|value| (key.clone(), value)));
    }
    if fields.is_empty() && !keys.is_empty() {
        let keys: Vec<String> = keys.iter().map(|k| format!("{k:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            keys.join(" ")
        ));
    }
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(PathElement::Key(fields))
}

fn key_default(element_type: TypeRef<'_>, key: &str) -> Option<Value> {
    let field = element_type.field(key)?;
    match (&field.default, field.presence) {
        (Some(default), _) => Some(default.clone()),
        (None, Presence::Always) => match zero(element_type.at(field.of), 0) {
            Value::Null => None,
            zero => Some(zero),
        },
        _ => None,
    }
}

/// What an object of the type is before anything is set: the fields that are always written.
pub(super) fn zero(of: TypeRef<'_>, depth: usize) -> Value {
    match of.shape() {
        Shape::Object(fields) if depth < 16 => {
            let always = fields.iter().filter(|f| f.presence == Presence::Always);
            let map: Map<String, Value> =
                always.map(|f| (f.name.to_string(), zero(of.at(f.of), depth + 1))).collect();
            Value::Object(map)
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => "".into(),
            Scalar::Int32 | Scalar::Int64 | Scalar::IntOrString | Scalar::Number => 0.into(),
            Scalar::Boolean => false.into(),
            Scalar::Quantity => "0".into(),
            Scalar::Duration => "0s".into(),
            Scalar::Bytes | Scalar::Time | Scalar::MicroTime => Value::Null,
        },
        Shape::Object(_) | Shape::Map(_) | Shape::List(..) | Shape::Any => Value::Null,
    }
}
