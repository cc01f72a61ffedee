mod applying;
mod sets;
mod updating;

use super::*;
use serde_json::Value;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn writer(manager: &str) -> Writer<'_> {
    Writer { manager, api_version: "v1", kind: "", subresource: "", reset: &[], now: at(0), versions: None }
}

/// `[manager, operation, fields]` of each entry, with the subresource behind the manager where there is one.
fn entries(object: &Value) -> Vec<(String, String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries
        .map(|e| {
            let mut manager = e["manager"].as_str().unwrap().to_owned();
            if let Some(subresource) = e["subresource"].as_str() {
                manager.push('/');
                manager.push_str(subresource);
            }
            (manager, e["operation"].as_str().unwrap().to_owned(), e["fieldsV1"].clone())
        })
        .collect()
}

fn entry(manager: &str, operation: &str, fields: Value) -> (String, String, Value) {
    (manager.to_owned(), operation.to_owned(), fields)
}

fn times(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.map(|e| e["time"].as_str().unwrap_or("")).collect()
}
