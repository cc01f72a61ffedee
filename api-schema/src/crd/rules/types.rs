//! `type(x)`, and the names of types, which are values in CEL. A type is a text here that no rule has a reason to
//! write.

use kube_cel::cel::objects::ValueType;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};

/// The types that rules can name.
pub(super) const NAMES: [&str; 9] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];

/// Makes the function and the names known.
pub(super) fn add(context: &mut Context<'_>) {
    context.add_function("type", |value: Cel| -> Result<Cel, ExecutionError> { Ok(named(name_of(&value))) });
    for name in NAMES {
        context.add_variable_from_value(name, named(name));
    }
}

fn named(name: &str) -> Cel {
    Cel::from(format!("<type {name}>"))
}

fn name_of(value: &Cel) -> &'static str {
    match value.type_of() {
        ValueType::List => "list",
        ValueType::Map => "map",
        ValueType::Int => "int",
        ValueType::UInt => "uint",
        ValueType::Float => "double",
        ValueType::String => "string",
        ValueType::Bytes => "bytes",
        ValueType::Bool => "bool",
        ValueType::Null => "null_type",
        ValueType::Duration => "google.protobuf.Duration",
        ValueType::Timestamp => "google.protobuf.Timestamp",
        ValueType::Function | ValueType::Opaque => "other",
    }
}
