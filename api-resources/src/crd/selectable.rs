//! `selectableFields` of a definition.

use crate::kinds::place::{Causes, Place, require};
use api_types::{Cause, CauseReason};
use serde_json::Value;

const MAX: usize = 8;

/// The defects of the selectable fields of `at` (the spec or a version) by `schema`.
pub(super) fn validate(out: &mut Causes, at: &Place<'_>, schema: &Value) {
    let mut seen: Vec<Vec<String>> = Vec::new();
    for field in at.list("selectableFields") {
        if !require(out, &field, "jsonPath") {
            continue;
        }
        let path = field.field("jsonPath");
        let (names, kind) = match resolve(path.as_text(), schema) {
            Ok(found) => found,
            Err(why) => {
                let detail = format!("is an invalid path: {why}");
                out.push(Cause::invalid(path.path, path.value, &detail));
                continue;
            }
        };
        if names.first().is_some_and(|name| name == "metadata") {
            let detail = "must not point to fields in metadata";
            out.push(Cause::invalid(path.path.clone(), path.value, detail));
        }
        if !matches!(kind.as_str(), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                          with formats are allowed.";
            out.push(Cause::invalid(path.path.clone(), path.value, detail));
        }
        if seen.contains(&names) {
            out.push(Cause::duplicate(path.path, path.value));
        } else {
            seen.push(names);
        }
    }
    if seen.len() > MAX {
        let message = format!("Too many: {}: must have at most {MAX} items", seen.len());
        out.push(Cause::new(CauseReason::FieldValueTooMany, at.of("selectableFields"), message));
    }
}

/// The names that a path goes through, and the type of what it leads to.
fn resolve(path: &str, schema: &Value) -> Result<(Vec<String>, String), String> {
    let nowhere = || "does not refer to a valid field".to_owned();
    let (mut names, mut schema) = (Vec::new(), schema);
    let mut tokens = tokens(path).into_iter();
    while let Some(token) = tokens.next() {
        match token {
            "[" => return Err("array notation is not allowed".into()),
            "." => {}
            other => return Err(format!("expected [ or . but got: {other}")),
        }
        let name = tokens.next().ok_or("unexpected end of JSON path")?;
        let declared = schema["properties"].as_object().filter(|map| !map.is_empty());
        schema = match (declared, &schema["additionalProperties"]) {
            (Some(declared), _) => declared.get(name).ok_or_else(nowhere)?,
            (None, Value::Null) => return Err(nowhere()),
            (None, values) => values,
        };
        names.push(name.to_owned());
    }
    Ok((names, schema["type"].as_str().unwrap_or("").to_owned()))
}

/// A path in its parts: `.`, `[`, `]` and what is between them.
fn tokens(path: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let end = match rest.find(['.', '[', ']']) {
            Some(0) => 1,
            Some(end) => end,
            None => rest.len(),
        };
        out.push(&rest[..end]);
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_single_values() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string"}, "l": {"type": "array"},
            "m": {"type": "object", "additionalProperties": {"type": "integer"}}}},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}}}});
        let wrong_type = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                          with formats are allowed.";
        let nowhere = "is an invalid path: does not refer to a valid field";
        for (path, details) in [
            (".spec.a", &[][..]),
            (".spec.m.x", &[]),
            (".spec.l", &[wrong_type]),
            (".spec.b", &[nowhere]),
            (".spec.a.b", &[nowhere]),
            ("..", &[nowhere]),
            (".metadata.name", &["must not point to fields in metadata"]),
            (".metadata", &["must not point to fields in metadata", wrong_type]),
            ("spec.a", &["is an invalid path: expected [ or . but got: spec"]),
            (".", &["is an invalid path: unexpected end of JSON path"]),
            (".spec['a']", &["is an invalid path: array notation is not allowed"]),
        ] {
            let mut out = Vec::new();
            let spec = json!({"selectableFields": [{"jsonPath": path}]});
            validate(&mut out, &Place::new("spec", &spec), &schema);
            let told: Vec<String> = out.iter().map(|cause| cause.message.clone()).collect();
            let wanted: Vec<String> =
                details.iter().map(|detail| format!("Invalid value: {path:?}: {detail}")).collect();
            assert_eq!(told, wanted, "{path}");
        }
    }

    #[test]
    fn at_most_eight_and_none_twice() {
        let schema = json!({"additionalProperties": {"type": "string"}});
        let fields: Vec<Value> = (0..9).map(|n| json!({"jsonPath": format!(".f{n}")})).collect();
        let mut out = Vec::new();
        validate(&mut out, &Place::new("spec", &json!({"selectableFields": fields})), &schema);
        assert_eq!(out[0].to_string(), "spec.selectableFields: Too many: 9: must have at most 8 items");
        let mut out = Vec::new();
        let twice = json!({"selectableFields": [{"jsonPath": ".a"}, {"jsonPath": ".a"}, {}]});
        validate(&mut out, &Place::new("spec", &twice), &schema);
        let told: Vec<String> = out.iter().map(Cause::to_string).collect();
        assert_eq!(
            told,
            [
                "spec.selectableFields[1].jsonPath: Duplicate value: \".a\"",
                "spec.selectableFields[2].jsonPath: Required value"
            ]
        );
    }
}
