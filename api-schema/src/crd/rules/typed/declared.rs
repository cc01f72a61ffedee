//! What a schema declares: types, and how large their values can be in an object of the largest size.

use super::types::{Object, Type};
use crate::crd::rules::names::escape;
use crate::crd::schema::Schema;

/// The most bytes that the JSON of an object may have, of which all sizes follow.
const MAX_OBJECT: u64 = 3 * 1024 * 1024;
/// The longest JSON of a duration and of a time, and the shortest.
const MAX_DURATION: u64 = 32;
const MAX_TIME: u64 = 32;
const MIN_DURATION: u64 = 3;
const MIN_TIME: u64 = 21;
const DATE: u64 = 12;

/// The type of a value; `None`: the schema declares none, and rules cannot speak of it.
pub fn type_of<'a>(schema: &'a Schema, resource: bool, name: &str) -> Option<Type<'a>> {
    if schema.int_or_string {
        return Some(Type::Dyn);
    }
    match schema.kind.as_str() {
        "array" => {
            let items = schema.items.as_deref()?;
            let element = type_of(items, items.embedded, &format!("{name}.@idx"))?;
            Some(Type::List(Box::new(element)))
        }
        "object" => match schema.additional_schema() {
            Some(values) if schema.properties.is_empty() => {
                let value = type_of(values, values.embedded, &format!("{name}.@elem"))?;
                Some(Type::Map(Box::new((Type::Text, value))))
            }
            _ => Some(Type::Object(Object { schema: Some(schema), resource, name: name.to_owned() })),
        },
        "string" => Some(match schema.format.as_str() {
            "byte" => Type::Bytes,
            "duration" => Type::Duration,
            "date" | "date-time" => Type::Timestamp,
            _ => Type::Text,
        }),
        "boolean" => Some(Type::Bool),
        "number" => Some(Type::Double),
        "integer" => Some(Type::Int),
        _ => None,
    }
}

/// True when rules can speak of values of a schema.
pub fn is_declared(schema: &Schema) -> bool {
    type_of(schema, schema.embedded, "").is_some()
}

/// The type of a field; `None`: there is none.
pub fn field<'a>(object: &Object<'a>, name: &str) -> Option<Type<'a>> {
    let below = format!("{}.{name}", object.name);
    let Some(schema) = object.schema else {
        return matches!(name, "name" | "generateName").then_some(Type::Text);
    };
    match name {
        "apiVersion" | "kind" if object.resource => return Some(Type::Text),
        "metadata" if object.resource => {
            return Some(Type::Object(Object { schema: None, resource: false, name: below }));
        }
        _ => {}
    }
    let property = property(schema, name)?;
    type_of(property, property.embedded, &below)
}

/// The field that rules call so.
fn property<'a>(schema: &'a Schema, name: &str) -> Option<&'a Schema> {
    schema
        .properties
        .iter()
        .find(|(own, _)| escape(own).as_deref() == Some(name))
        .map(|(_, property)| property)
}

/// The fewest bytes of the JSON of a value.
pub fn least(schema: &Schema) -> u64 {
    if schema.int_or_string {
        return 1;
    }
    match schema.kind.as_str() {
        "array" => 2,
        "object" if schema.additional_schema().is_some() && schema.properties.is_empty() => 2,
        "object" => {
            let needed = schema.required.iter().filter_map(|name| Some((name, schema.properties.get(name)?)));
            let needed = needed.filter(|(_, of)| of.default.is_none() && is_declared(of));
            2 + needed.map(|(name, of)| name.len() as u64 + least(of) + 4).sum::<u64>()
        }
        "string" => match schema.format.as_str() {
            "duration" => MIN_DURATION,
            "date" => DATE,
            "date-time" => MIN_TIME,
            _ => 2,
        },
        "boolean" => 4,
        _ => 1,
    }
}

fn given(limit: Option<i64>) -> Option<u64> {
    limit.map(|limit| u64::try_from(limit).unwrap_or(0))
}

/// The most elements, members or letters of a value.
fn most(schema: &Schema) -> u64 {
    let text = given(schema.limits.max_length).map(|letters| letters.saturating_mul(4));
    if schema.int_or_string {
        return text.unwrap_or(MAX_OBJECT - 2);
    }
    match schema.kind.as_str() {
        "array" => given(schema.limits.max_items)
            .unwrap_or_else(|| (MAX_OBJECT - 2) / (schema.items.as_deref().map_or(1, least) + 1)),
        "object" => match schema.additional_schema() {
            Some(values) if schema.properties.is_empty() => {
                given(schema.limits.max_properties).unwrap_or_else(|| (MAX_OBJECT - 2) / (least(values) + 6))
            }
            _ => 0,
        },
        "string" => match schema.format.as_str() {
            "byte" => given(schema.limits.max_length).unwrap_or(MAX_OBJECT - 2),
            "duration" => MAX_DURATION,
            "date" => DATE,
            "date-time" => MAX_TIME,
            _ => match (text, schema.values.as_deref().unwrap_or_default()) {
                (Some(text), _) => text,
                (None, []) => MAX_OBJECT - 2,
                (None, values) => {
                    values.iter().filter_map(|value| value.as_str()).map(str::len).max().unwrap_or(0) as u64
                }
            },
        },
        _ => 0,
    }
}

/// How large a value at a path can be: names of fields, `@items`, `@keys`, `@values`. `None`: nothing is known of it.
pub fn size(schema: &Schema, resource: bool, path: &[String]) -> Option<u64> {
    let Some((step, rest)) = path.split_first() else { return Some(most(schema)) };
    let is_map = schema.properties.is_empty();
    match step.as_str() {
        "@items" => size(schema.items.as_deref()?, schema.items.as_deref()?.embedded, rest),
        "@values" => {
            let values = schema.additional_schema().filter(|_| is_map)?;
            size(values, values.embedded, rest)
        }
        // Kubernetes counts keys as empty.
        "@keys" => (rest.is_empty() && is_map && schema.additional_schema().is_some()).then_some(0),
        "apiVersion" | "kind" if resource => rest.is_empty().then_some(MAX_OBJECT - 2),
        "metadata" if resource => match rest {
            [] => Some(0),
            [name] => matches!(name.as_str(), "name" | "generateName").then_some(MAX_OBJECT - 2),
            _ => None,
        },
        name => {
            let property = property(schema, name).filter(|property| is_declared(property))?;
            size(property, property.embedded, rest)
        }
    }
}

/// How often a value of a schema can stand in an object, when nothing around it says so.
pub fn cardinality(schema: &Schema) -> u64 {
    MAX_OBJECT / (least(schema) + 1)
}

/// By how much a schema multiplies what is below it; `None`: without a limit.
pub fn increase(schema: &Schema) -> Option<u64> {
    match schema.kind.as_str() {
        "object" if schema.additional.is_some() => given(schema.limits.max_properties),
        "array" => given(schema.limits.max_items),
        _ => Some(1),
    }
}
