//! What a custom resource has where its `scale` subresource reads.

use crate::resource::ScalePaths;
use api_schema::strategic::go_format;
use api_types::Cause;
use serde_json::Value;

/// Defects of the values at the paths. `status_only`: the change was made through `status`.
pub fn validate_scale(paths: &ScalePaths, object: &Value, status_only: bool) -> Vec<Cause> {
    let mut out = Vec::new();
    for path in
        [&paths.spec_replicas_path, &paths.status_replicas_path].into_iter().skip(usize::from(status_only))
    {
        let detail = match found(path, object) {
            Ok(None) => continue,
            Ok(Some(value)) => match value.as_i64() {
                None => Some((0, misfit(path, value, "int64"))),
                Some(count) if count < 0 => Some((count, "should be a non-negative integer".to_owned())),
                Some(count) if count > i64::from(i32::MAX) => {
                    Some((count, format!("should be less than or equal to {}", i32::MAX)))
                }
                Some(_) => None,
            },
            Err(why) => Some((0, why)),
        };
        out.extend(detail.map(|(count, why)| Cause::invalid(path.as_str(), &count.into(), &why)));
    }
    let path = &paths.label_selector_path;
    let wrong = match found(path, object) {
        _ if path.is_empty() => None,
        Ok(Some(value)) if !value.is_string() => Some(misfit(path, value, "string")),
        Ok(_) => None,
        Err(why) => Some(why),
    };
    out.extend(wrong.map(|why| Cause::invalid(path.as_str(), &"".into(), &why)));
    out
}

/// The value at a path of fields; none when it, or an object on the way, is not there.
fn found<'v>(path: &str, object: &'v Value) -> Result<Option<&'v Value>, String> {
    let mut value = object;
    let mut walked = String::new();
    for name in path.trim_start_matches('.').split('.') {
        walked.push('.');
        walked.push_str(name);
        value = match value {
            Value::Null => return Ok(None),
            Value::Object(map) => match map.get(name) {
                Some(value) => value,
                None => return Ok(None),
            },
            other => return Err(misfit(&walked, other, "map[string]interface{}")),
        };
    }
    Ok(Some(value))
}

/// A value of another type, in the words of Go.
fn misfit(path: &str, value: &Value, wanted: &str) -> String {
    let of = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let path = path.trim_start_matches('.');
    format!(".{path} accessor error: {} is of the type {of}, expected {wanted}", go_format(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn replicas_are_counts_and_selectors_texts() {
        let paths = ScalePaths {
            spec_replicas_path: ".spec.n".into(),
            status_replicas_path: ".status.n".into(),
            label_selector_path: ".status.selector".into(),
        };
        for (object, wrong) in [
            (json!({}), &[][..]),
            (json!({"spec": {"n": 3}, "status": {"n": 0, "selector": "a=b"}}), &[]),
            (json!({"spec": {"n": -1}}), &[".spec.n: Invalid value: -1: should be a non-negative integer"]),
            (
                json!({"spec": {"n": 2147483648_i64}}),
                &[".spec.n: Invalid value: 2147483648: should be less than or equal to 2147483647"],
            ),
            (
                json!({"spec": {"n": "x"}}),
                &[
                    ".spec.n: Invalid value: 0: .spec.n accessor error: x is of the type string, expected int64",
                ],
            ),
            (
                json!({"spec": "x", "status": {"selector": 5}}),
                &[
                    ".spec.n: Invalid value: 0: .spec.n accessor error: x is of the type string, expected \
                     map[string]interface{}",
                    ".status.selector: Invalid value: \"\": .status.selector accessor error: 5 is of the type int64, \
                     expected string",
                ],
            ),
        ] {
            let found: Vec<String> =
                validate_scale(&paths, &object, false).iter().map(Cause::to_string).collect();
            assert_eq!(found, wrong, "{object}");
        }
        assert_eq!(validate_scale(&paths, &json!({"spec": {"n": -1}}), true), []);
    }
}
