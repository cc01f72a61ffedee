//! Making a value fit its schema: dropping what the schema does not know and nulls, setting what it has defaults for.

use super::schema::{Additional, Schema};
use serde_json::Value;

const TYPE_AND_META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops fields that the schema does not declare, and gives their paths, sorted.
pub(super) fn prune(value: &mut Value, schema: &Schema, root: bool) -> Vec<String> {
    let mut unknown = Vec::new();
    let path = &mut String::new();
    if schema.preserves() {
        prune_declared(value, schema, root || schema.embedded, path, &mut unknown);
    } else {
        prune_at(value, Some(schema), root || schema.embedded, path, &mut unknown);
    }
    unknown.sort();
    unknown
}

fn with_key(path: &mut String, key: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
    visit(path);
    path.truncate(length);
}

fn with_index(path: &mut String, index: usize, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(&format!("[{index}]"));
    visit(path);
    path.truncate(length);
}

fn descend(value: &mut Value, schema: Option<&Schema>, path: &mut String, unknown: &mut Vec<String>) {
    match schema {
        Some(schema) if schema.preserves() => prune_declared(value, schema, schema.embedded, path, unknown),
        Some(schema) => prune_at(value, Some(schema), schema.embedded, path, unknown),
        None => prune_at(value, None, false, path, unknown),
    }
}

fn prune_at(
    value: &mut Value,
    schema: Option<&Schema>,
    resource: bool,
    path: &mut String,
    unknown: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            if resource && TYPE_AND_META.contains(&name.as_str()) {
                return true;
            }
            let mut known = true;
            with_key(path, name, |path| match schema.map(|s| (s.properties.get(name), &s.additional)) {
                Some((Some(property), _)) => descend(value, Some(property), path, unknown),
                Some((None, Some(Additional::Of(values)))) => descend(value, Some(values), path, unknown),
                Some((None, Some(Additional::Any(_)))) => descend(value, None, path, unknown),
                _ => {
                    known = false;
                    unknown.push(path.clone());
                }
            });
            known
        }),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let schema = schema.and_then(|s| s.items.as_deref());
                with_index(path, index, |path| descend(item, schema, path, unknown));
            }
        }
        _ => {}
    }
}

/// Under a schema that keeps what it does not know, only what it declares is pruned.
fn prune_declared(
    value: &mut Value,
    schema: &Schema,
    resource: bool,
    path: &mut String,
    unknown: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if resource && TYPE_AND_META.contains(&name.as_str()) {
                    continue;
                }
                with_key(path, name, |path| match (schema.properties.get(name), &schema.additional) {
                    (Some(property), _) => descend(value, Some(property), path, unknown),
                    (None, Some(Additional::Of(values))) => descend(value, Some(values), path, unknown),
                    (None, Some(Additional::Any(_))) => descend(value, None, path, unknown),
                    (None, None) => {}
                });
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (index, item) in list.iter_mut().enumerate() {
                with_index(path, index, |path| prune_declared(item, items, items.embedded, path, unknown));
            }
        }
        _ => {}
    }
}

fn is_refused_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}

/// Sets defaults of fields that are absent, or null where null is not allowed.
pub(super) fn default(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                if let Some(default) = &property.default
                    && map.get(name).is_none_or(|v| is_refused_null(v, property))
                {
                    map.insert(name.clone(), plain(default));
                }
            }
            for (name, value) in map {
                match (schema.properties.get(name), schema.additional_schema()) {
                    (Some(property), _) => default(value, property),
                    (None, Some(values)) => set_or_descend(value, values),
                    (None, None) => {}
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for item in list {
                    set_or_descend(item, items);
                }
            }
        }
        _ => {}
    }
}

/// A default, as it comes out of the store.
fn plain(default: &Value) -> Value {
    let mut value = default.clone();
    crate::decode::plain_numbers(&mut value);
    value
}

fn set_or_descend(value: &mut Value, schema: &Schema) {
    if let Some(default) = schema.default.as_ref().filter(|_| is_refused_null(value, schema)) {
        *value = plain(default);
    }
    default(value, schema);
}

/// Drops nulls where neither null nor a default is declared.
pub(super) fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let member = schema.and_then(|s| s.member(name));
            if member.is_some_and(|m| is_refused_null(value, m) && m.default.is_none()) {
                return false;
            }
            drop_nulls(value, member);
            true
        }),
        Value::Array(list) => {
            let items = schema.and_then(|s| s.items.as_deref());
            for item in list {
                drop_nulls(item, items);
            }
        }
        _ => {}
    }
}
