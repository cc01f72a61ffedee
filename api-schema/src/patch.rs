//! JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386), with the limits and errors of the Kubernetes API.

mod operations;

use api_types::{ApiError, Reason};
use serde_json::Value;

/// The most operations that one JSON Patch may have.
pub const MAX_OPERATIONS: usize = 10_000;

/// The most bytes that the `copy` operations of one JSON Patch may copy in total. Without it, copies of copies
/// grow an object exponentially.
pub const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not one of its kind: 400.
    #[error("{0}")]
    Malformed(String),
    /// A JSON Patch with too many operations; how many: 413.
    #[error(
        "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}"
    )]
    TooManyOperations(usize),
    /// The patch is well-formed and does not fit the object: 422, without a word why, as Kubernetes answers.
    #[error("{0}")]
    Rejected(String),
    /// A strategic merge patch that contradicts itself or the object: 500 without a reason, as Kubernetes answers.
    #[error("{0}")]
    Contradictory(String),
}

impl PatchError {
    /// What the client is told.
    pub fn to_api_error(&self) -> ApiError {
        match self {
            PatchError::Malformed(why) => ApiError::bad_request(why),
            PatchError::TooManyOperations(_) => {
                ApiError::new(Reason::RequestEntityTooLarge, self.to_string())
            }
            // `about` with nothing makes the empty `details` that Kubernetes sends here.
            PatchError::Rejected(_) => ApiError::new(
                Reason::Invalid,
                "the server rejected our request due to an error in our request",
            )
            .about("", "", ""),
            PatchError::Contradictory(why) => ApiError::new(Reason::Unknown, why),
        }
    }
}

/// Applies a JSON Patch (RFC 6902), all of it or nothing. A patch that is null changes nothing.
///
/// Errors: [`PatchError::Malformed`] when `patch` is no array of objects, [`PatchError::TooManyOperations`], and
/// [`PatchError::Rejected`] for an unknown operation, a path that is not there, or a `test` that fails.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = match patch {
        Value::Null => return Ok(target.clone()),
        Value::Array(operations) => operations,
        _ => {
            let why = "error decoding patch: a JSON patch is an array of operations";
            return Err(PatchError::Malformed(why.into()));
        }
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    if let Some(odd) = operations.iter().find(|o| !(o.is_object() || o.is_null())) {
        return Err(PatchError::Malformed(format!("error decoding patch: {odd} is not an operation")));
    }
    let mut object = target.clone();
    let mut copied = 0;
    for operation in operations {
        operations::run(&mut object, operation, &mut copied)?;
    }
    Ok(object)
}

/// Applies a JSON Merge Patch (RFC 7386): objects merge, `null` removes, everything else replaces.
///
/// Errors: [`PatchError::Malformed`] when `patch` is no object, since the result would be none.
pub fn merge_patch(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed("Invalid JSON Patch".into()));
    }
    let mut object = target.clone();
    operations::merge(&mut object, patch);
    Ok(object)
}

/// About as many bytes as the value has as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|v| size(v) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(k, v)| k.len() + size(v) + 4).sum::<usize>() + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_types::arbitrary_json;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn operations_are_applied_in_order() {
        let target = json!({"spec": {"a": [1, 2, 3], "b": {"x": 1}}});
        for (patch, result) in [
            (json!([]), json!({"spec": {"a": [1, 2, 3], "b": {"x": 1}}})),
            (
                json!([{"op": "add", "path": "/spec/a/-", "value": 4}]),
                json!({"spec": {"a": [1, 2, 3, 4], "b": {"x": 1}}}),
            ),
            (
                json!([{"op": "add", "path": "/spec/a/0", "value": 0}]),
                json!({"spec": {"a": [0, 1, 2, 3], "b": {"x": 1}}}),
            ),
            (json!([{"op": "remove", "path": "/spec/a/1"}]), json!({"spec": {"a": [1, 3], "b": {"x": 1}}})),
            (
                json!([{"op": "replace", "path": "/spec/b", "value": 7}]),
                json!({"spec": {"a": [1, 2, 3], "b": 7}}),
            ),
            (
                json!([{"op": "move", "from": "/spec/b/x", "path": "/spec/y"}]),
                json!({"spec": {"a": [1, 2, 3], "b": {}, "y": 1}}),
            ),
            (
                json!([{"op": "copy", "from": "/spec/b", "path": "/spec/c"}]),
                json!({"spec": {"a": [1, 2, 3], "b": {"x": 1}, "c": {"x": 1}}}),
            ),
            (
                json!([{"op": "test", "path": "/spec/b", "value": {"x": 1}}, {"op": "remove", "path": "/spec"}]),
                json!({}),
            ),
            (
                json!([{"op": "add", "path": "/x~1y", "value": 1}, {"op": "remove", "path": "/spec"}]),
                json!({"x/y": 1}),
            ),
            (
                json!([{"op": "test", "path": "/spec/none", "value": null}, {"op": "remove", "path": "/spec"}]),
                json!({}),
            ),
            // Where Kubernetes is more lenient than the RFC.
            (
                json!([{"op": "remove", "path": "/spec/a/-1"}, {"op": "add", "path": "/spec/a/-1", "value": 9}]),
                json!({"spec": {"a": [1, 2, 9], "b": {"x": 1}}}),
            ),
            (
                json!([{"op": "replace", "path": "/spec/a/01", "value": 9}, {"op": "add", "path": "/spec/c"}]),
                json!({"spec": {"a": [1, 9, 3], "b": {"x": 1}, "c": null}}),
            ),
            (
                json!([{"op": "replace", "path": "/spec/b/y", "value": 9}, {"op": "test", "path": "/spec/none"}]),
                json!({"spec": {"a": [1, 2, 3], "b": {"x": 1, "y": 9}}}),
            ),
            (
                json!([{"op": "copy", "from": "/spec/none", "path": "/spec/b"}]),
                json!({"spec": {"a": [1, 2, 3], "b": null}}),
            ),
            (json!([{"op": "replace", "path": "", "value": {"z": 1}}]), json!({"z": 1})),
            (
                json!([{"op": "move", "from": "/spec/a/0", "path": "/spec/a/1"}, {"op": "add", "path": "/~01"}]),
                json!({"spec": {"a": [2, 1, 3], "b": {"x": 1}}, "~1": null}),
            ),
            (json!(null), json!({"spec": {"a": [1, 2, 3], "b": {"x": 1}}})),
        ] {
            assert_eq!(json_patch(&target, &patch), Ok(result), "{patch}");
        }
    }

    #[test]
    fn what_does_not_fit_is_rejected_without_detail() {
        let target = json!({"metadata": {"name": "p"}, "spec": {"list": [1]}});
        for patch in [
            json!([{"op": "replace", "path": "/spec/none/0", "value": 1}]),
            json!([{"op": "test", "path": "/metadata/name", "value": "zz"}]),
            json!([{"op": "test", "path": "/none/none", "value": null}]),
            json!([{"op": "test", "path": "/metadata/name", "value": null}]),
            json!([{"op": "remove", "path": "/spec/list/1"}]),
            json!([{"op": "add", "path": "/spec/list/9", "value": 1}]),
            json!([{"op": "move", "from": "/spec", "path": "/spec/a"}]),
            json!([{"op": "frob", "path": "/spec"}]),
            json!([{"path": "/spec"}]),
            json!([{"op": "add", "path": "spec", "value": 1}]),
            json!([{"op": "add", "path": "", "value": {}}]),
            json!([{"op": "replace", "path": "", "value": 1}]),
            json!([{"op": "add", "path": "/spec/list/-3", "value": 1}]),
            json!([{"op": "remove", "path": "/spec/none"}]),
            json!([{"op": "copy", "from": "/spec/list/1", "path": "/spec/x"}]),
            json!([null]),
        ] {
            let error = json_patch(&target, &patch).unwrap_err();
            assert!(matches!(error, PatchError::Rejected(_)), "{patch}");
            assert_eq!(
                error.to_api_error().to_status(),
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "the server rejected our request due to an error in our request",
                    "reason": "Invalid", "details": {}, "code": 422})
            );
        }
    }

    #[test]
    fn what_is_no_patch_is_a_bad_request() {
        for patch in [json!({}), json!("x"), json!([1]), json!([[]])] {
            let error = json_patch(&json!({}), &patch).unwrap_err();
            assert_eq!(error.to_api_error().code(), 400, "{patch}");
        }
        for patch in [json!([]), json!(1), json!(null)] {
            assert_eq!(merge_patch(&json!({}), &patch).unwrap_err().to_api_error().code(), 400, "{patch}");
        }
    }

    #[test]
    fn operations_and_copies_are_bounded() {
        let many = Value::Array(vec![json!({"op": "test", "path": "", "value": {}}); MAX_OPERATIONS + 1]);
        let error = json_patch(&json!({}), &many).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
        assert_eq!(error.to_api_error().code(), 413);
        let doubling = Value::Array(
            (0..64).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")})).collect(),
        );
        assert!(matches!(json_patch(&json!({"a": {"b": "cd"}}), &doubling), Err(PatchError::Rejected(_))));
    }

    #[test]
    fn merge_patch_follows_the_rfc() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            // Where Kubernetes differs: nulls inside of lists, and a list in the place of an object.
            (json!({"a": 1}), json!({"a": [{"b": null, "c": 1}]}), json!({"a": [{"c": 1}]})),
            (json!({"a": null}), json!({"a": [{"b": null}]}), json!({"a": [{}]})),
            (json!({"a": {}}), json!({"a": [{"b": null}]}), json!({"a": [{"b": null}]})),
        ] {
            assert_eq!(merge_patch(&target, &patch), Ok(result), "{target} {patch}");
        }
    }

    proptest! {
        #[test]
        fn patches_never_panic(target in arbitrary_json(), patch in arbitrary_json()) {
            let _ = json_patch(&target, &patch);
            let _ = merge_patch(&target, &patch);
        }

        #[test]
        fn any_path_is_applied_or_refused(target in arbitrary_json(), op in "add|remove|replace|move|copy|test",
            path in "(/[a-c0-2~-]{0,2}){0,3}", from in "(/[a-c0-2~-]{0,2}){0,3}", value in arbitrary_json()) {
            let _ = json_patch(&target, &json!([{"op": op, "path": path, "from": from, "value": value}]));
        }

        #[test]
        fn merge_patch_is_merge_patch_again(target in arbitrary_json(), patch in arbitrary_json()) {
            if let Ok(once) = merge_patch(&target, &patch) {
                // A list that takes the place of an object keeps its nulls, and loses them when it meets itself.
                let twice = merge_patch(&once, &patch).unwrap();
                prop_assert_eq!(merge_patch(&twice, &patch).unwrap(), twice);
            }
        }
    }
}
