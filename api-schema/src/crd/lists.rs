//! Lists of type `set` and `map`: no element twice.

use super::schema::Schema;
use api_types::Cause;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The duplicates in the lists of a value.
pub(super) fn check(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match (schema.properties.get(name), schema.additional_schema()) {
                    (Some(property), _) => check(value, property, &child(path, name), causes),
                    (None, Some(values)) => check(value, values, &format!("{path}[{name}]"), causes),
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            match schema.list_type.as_deref() {
                Some("set") => {
                    let items: Vec<&Value> = items.iter().collect();
                    for (at, item) in duplicates(&items) {
                        causes.push(Cause::duplicate(format!("{path}[{at}]"), item));
                    }
                }
                Some("map") => keyed(items, schema, path, causes),
                _ => {}
            }
            if let Some(of) = &schema.items {
                for (at, item) in items.iter().enumerate() {
                    check(item, of, &format!("{path}[{at}]"), causes);
                }
            }
        }
        _ => {}
    }
}

pub(super) fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn keyed(items: &[Value], schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if let Some((at, odd)) = items.iter().enumerate().find(|(_, i)| !i.is_object() && !i.is_null()) {
        let why = "must be an object for an array of list-type map";
        causes.push(Cause::invalid(format!("{path}[{at}]"), odd, why));
        return;
    }
    let keys: Vec<Value> = items
        .iter()
        .map(|item| {
            let key = schema.list_keys.iter().filter_map(|k| Some((k.clone(), item.get(k)?.clone())));
            Value::Object(key.collect::<Map<_, _>>())
        })
        .collect();
    for (at, key) in duplicates(&keys.iter().collect::<Vec<_>>()) {
        causes.push(Cause::duplicate(format!("{path}[{at}]"), key));
    }
}

/// The second of each value that occurs more than once.
fn duplicates<'v>(values: &[&'v Value]) -> Vec<(usize, &'v Value)> {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(values.len());
    let mut found = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            found.push((at, *value));
        }
    }
    found
}
