//! The table of a `Scale`, which is a kind of its own below many resources.

use super::TableOptions;
use super::age;
use super::table::{definition, of_object};
use serde_json::{Value, json};

/// A `Scale` as a `meta.k8s.io/v1` `Table`. Those of custom resources say more of what their columns are. The caller adds
/// the table's `metadata`.
pub fn scale_table(scale: &Value, of_custom: bool, options: TableOptions) -> Value {
    let (name, age) = if of_custom { ("name", "date") } else { ("", "string") };
    let definitions = json!([
        definition("Name", "string", name, "The name, unique in its scope.", 0),
        definition("Desired", "integer", "", "How many replicas there are to be.", 0),
        definition("Available", "integer", "", "How many replicas there are.", 0),
        definition("Age", age, "", "How long ago the object was created.", 0),
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
        assert_eq!(scale_table(&scale, true, options)["columnDefinitions"][3]["type"], "date");
        let whole = TableOptions { include_object: IncludeObject::Object, ..options };
        assert_eq!(scale_table(&scale, false, whole)["rows"][0]["object"], scale);
    }
}
