//! The table of a `Scale`, which is a kind of its own below many resources.

use super::TableOptions;
use super::about::{About, field, words};
use super::table::{definition, of_object};
use super::{about, age};
use serde_json::{Value, json};

const DESIRED: About = field("autoscaling.v1.ScaleSpec", "replicas");
const AVAILABLE: About = field("autoscaling.v1.ScaleStatus", "replicas");

/// What the columns say that are not a kind's.
pub(super) const ABOUT: [About; 2] = [DESIRED, AVAILABLE];

/// A `Scale` as a `meta.k8s.io/v1` `Table`. Those of custom resources say more of what their columns are. The caller adds
/// the table's `metadata`.
pub fn scale_table(scale: &Value, of_custom: bool, options: TableOptions) -> Value {
    let (name, age, desired, available) = match of_custom {
        true => ("name", "date", words("Number of desired replicas"), words("Number of actual replicas")),
        false => ("", "string", DESIRED, AVAILABLE),
    };
    let definitions = json!([
        definition("Name", "string", name, about::NAME.text(), 0),
        definition("Desired", "integer", "", desired.text(), 0),
        definition("Available", "integer", "", available.text(), 0),
        definition("Age", age, "", about::CREATED.text(), 0),
    ]);
    let cells = json!([
        scale["metadata"]["name"],
        scale["spec"]["replicas"].as_i64().unwrap_or(0),
        scale["status"]["replicas"].as_i64().unwrap_or(0),
        age::since(&scale["metadata"]["creationTimestamp"], options.now),
    ]);
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": definitions,
        "rows": [{"cells": cells, "object": of_object(scale, options.include_object)}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::IncludeObject;

    #[test]
    fn a_scale_says_how_many_there_are_and_are_to_be() {
        let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"replicas": 3}});
        let now = "2026-01-01T00:01:30Z".parse().unwrap();
        let options = TableOptions { include_object: IncludeObject::None, no_headers: false, now };
        let table = scale_table(&scale, false, options);
        assert_eq!(table["rows"], json!([{"cells": ["web", 3, 0, "90s"], "object": null}]));
        let says = |of_custom: bool, column: usize| {
            scale_table(&scale, of_custom, options)["columnDefinitions"][column].clone()
        };
        assert_eq!(says(true, 3)["type"], "date");
        assert_eq!(says(true, 1)["description"], "Number of desired replicas");
        assert!(says(false, 1)["description"].as_str().unwrap().contains("desired number of instances"));
        let whole = TableOptions { include_object: IncludeObject::Object, ..options };
        assert_eq!(scale_table(&scale, false, whole)["rows"][0]["object"], scale);
    }
}
