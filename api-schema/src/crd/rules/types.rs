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
    context.add_function("bool", |value: Cel| -> Result<Cel, ExecutionError> { truth(&value) });
    for name in NAMES {
        context.add_variable_from_value(name, named(name));
    }
}

/// `bool(x)`.
fn truth(value: &Cel) -> Result<Cel, ExecutionError> {
    match value {
        Cel::Bool(_) => Ok(value.clone()),
        Cel::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Cel::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Cel::Bool(false)),
            _ => Err(ExecutionError::function_error("bool", "type conversion error from 'string' to 'bool'")),
        },
        _ => Err(ExecutionError::function_error("bool", "no such overload")),
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
