mod objects;
mod rules;
mod schemas;

use super::*;
use serde_json::json;

/// The schema of a resource whose `spec` is this.
fn of_spec(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec, "status": {"type": "object",
        "x-kubernetes-preserve-unknown-fields": true}}})
}

fn compiled(schema: Value) -> CrdSchema {
    compile(&schema, false).unwrap_or_else(|causes| panic!("{schema}: {causes:#?}"))
}

/// The causes as one line each.
fn lines(causes: &[Cause]) -> Vec<String> {
    causes.iter().map(Cause::to_string).collect()
}

fn widget() -> Value {
    of_spec(json!({"type": "object", "required": ["size"],
        "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}, "replicas": {"type": "integer"},
            "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"},
                    "v": {"type": "string"}}}}},
        "x-kubernetes-validations": [{"rule": "!has(self.replicas) || self.replicas <= self.size",
            "message": "replicas must not exceed size"}]}))
}
