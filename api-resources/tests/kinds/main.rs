//! The strategies of the built-in kinds as the gateway calls them: defaults, preparation, rules.

#![allow(clippy::unwrap_used, clippy::panic)] // what tests are made of

mod any_json;
mod apiservices;
mod cluster;
mod config;
mod defaults;
mod flowschemas;
mod pods;
mod services;
mod workloads;

use api_resources::kinds::strategy;
use api_types::Cause;
use serde_json::{Value, json};

/// What the gateway validates and stores of a new object.
pub fn created(group: &str, kind: &str, object: Value) -> Value {
    let strategy = strategy(group, kind);
    let mut object = object;
    (strategy.default)(&mut object);
    (strategy.prepare_create)(&mut object);
    object
}

/// The defects of a new object, as a user reads them.
pub fn refused_new(group: &str, kind: &str, object: Value) -> Vec<String> {
    let object = created(group, kind, object);
    told(&(strategy(group, kind).validate_create)(&object))
}

/// What the gateway validates and stores of an update.
pub fn updated(group: &str, kind: &str, new: Value, old: &Value) -> Value {
    let strategy = strategy(group, kind);
    let mut new = new;
    (strategy.default)(&mut new);
    (strategy.prepare_update)(&mut new, old);
    new
}

/// The defects of an update.
pub fn refused_update(group: &str, kind: &str, new: Value, old: &Value) -> Vec<String> {
    let new = updated(group, kind, new, old);
    told(&(strategy(group, kind).validate_update)(&new, old))
}

/// The defects of a change of the status.
pub fn refused_status(group: &str, kind: &str, new: &Value, old: &Value) -> Vec<String> {
    told(&(strategy(group, kind).validate_status)(new, old))
}

/// A copy with some values set by JSON pointer; null removes.
pub fn with(object: &Value, changes: &[(&str, Value)]) -> Value {
    let mut object = object.clone();
    for (pointer, value) in changes {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("nothing at {parent}"));
        match (parent, value) {
            (Value::Object(map), Value::Null) => {
                map.remove(last);
            }
            (Value::Object(map), value) => {
                map.insert(last.to_owned(), value.clone());
            }
            (Value::Array(list), value) if last == "-" => list.push(value.clone()),
            (Value::Array(list), value) => list[last.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{pointer} leads nowhere"),
        }
    }
    object
}

fn told(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(Cause::to_string).collect()
}

/// A pod with one container.
pub fn pod() -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}})
}

/// A workload whose template is labelled `app: web`.
pub fn workload() -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}}}})
}
