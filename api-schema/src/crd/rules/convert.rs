//! Values of an object as CEL sees them under their schema.

use super::names::escape;
use crate::crd::schema::{Additional, Schema};
use base64::Engine;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The programs that make values of types which only CEL can make.
pub(super) struct Converter {
    timestamp: Option<Program>,
    duration: Option<Program>,
    some: Option<Program>,
    none: Option<Program>,
}

impl Converter {
    pub fn new() -> Converter {
        let program = |text: &str| Program::compile(text).ok();
        Converter {
            timestamp: program("timestamp(x)"),
            duration: program("duration(x)"),
            some: program("optional.of(x)"),
            none: program("optional.none()"),
        }
    }

    fn call(&self, program: Option<&Program>, value: Cel, context: &Context<'_>) -> Option<Cel> {
        let mut scope = context.new_inner_scope();
        scope.add_variable_from_value("x", value);
        program?.execute(&scope).ok()
    }

    /// The old value of a rule with `optionalOldSelf`.
    pub fn optional(&self, value: Option<Cel>, context: &Context<'_>) -> Cel {
        let made = match value {
            Some(value) => self.call(self.some.as_ref(), value, context),
            None => self.call(self.none.as_ref(), Cel::Null, context),
        };
        made.unwrap_or(Cel::Null)
    }

    /// The value under its schema; what has no schema is converted by what it is.
    pub fn value(&self, value: &Value, schema: Option<&Schema>, context: &Context<'_>) -> Cel {
        match value {
            Value::Null => Cel::Null,
            Value::Bool(bool) => Cel::Bool(*bool),
            Value::Number(number) => {
                let as_float = schema.is_some_and(|s| s.kind == "number");
                match (number.as_i64(), number.as_u64()) {
                    (Some(int), _) if !as_float => Cel::Int(int),
                    (_, Some(uint)) if !as_float => Cel::UInt(uint),
                    _ => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
                }
            }
            Value::String(text) => self.text(text, schema, context),
            Value::Array(items) => {
                let of = schema.and_then(|s| s.items.as_deref());
                Cel::List(Arc::new(items.iter().map(|item| self.value(item, of, context)).collect()))
            }
            Value::Object(map) => {
                // Keys of maps are data; fields of objects are written escaped.
                let is_map = schema.is_none_or(|s| {
                    s.properties.is_empty()
                        && matches!(&s.additional, Some(Additional::Of(_) | Additional::Any(true)))
                });
                let members = map.iter().filter_map(|(name, value)| {
                    let key = if is_map { Some(name.clone()) } else { escape(name) };
                    let of = schema.and_then(|s| s.member(name));
                    Some((Key::String(Arc::new(key?)), self.value(value, of, context)))
                });
                Cel::Map(Map { map: Arc::new(members.collect::<HashMap<_, _>>()) })
            }
        }
    }

    fn text(&self, text: &str, schema: Option<&Schema>, context: &Context<'_>) -> Cel {
        let string = || Cel::String(Arc::new(text.to_owned()));
        let format = schema.filter(|s| !s.int_or_string).map_or("", |s| s.format.as_str());
        let made = match format {
            "date-time" | "datetime" => self.call(self.timestamp.as_ref(), string(), context),
            "date" => {
                let midnight = Cel::String(Arc::new(format!("{text}T00:00:00Z")));
                self.call(self.timestamp.as_ref(), midnight, context)
            }
            "duration" => self.call(self.duration.as_ref(), string(), context),
            "byte" => base64::engine::general_purpose::STANDARD
                .decode(text)
                .ok()
                .map(|bytes| Cel::Bytes(Arc::new(bytes))),
            _ => None,
        };
        made.unwrap_or_else(string)
    }
}
