//! Conditions and status, written only when they change.

use crate::author::RUNTIME;
use api_types::condition::{self, Condition};
use api_types::{ApiError, Resource};
use plane_client::{Object, Patch, PlaneClient, Target, Write};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The new conditions with the transition times of the old ones; types that are not among the new ones go.
pub fn carry_over(old: &[Condition], new: Vec<Condition>) -> Vec<Condition> {
    let mut carried: Vec<Condition> =
        old.iter().filter(|c| new.iter().any(|n| n.kind == c.kind)).cloned().collect();
    for condition in new {
        condition::set(&mut carried, condition);
    }
    carried
}

/// Writes the status unless it is there already. An object that is gone meanwhile needs none.
pub async fn write_status(
    client: &dyn PlaneClient,
    resource: &Resource,
    object: &Object,
    old: &Value,
    new: &impl Serialize,
) -> Result<(), ApiError> {
    let new = serde_json::to_value(new).map_err(ApiError::internal)?;
    let Some(patch) = difference(old, &new) else { return Ok(()) };
    let target =
        Target::new(object.tenant, resource, &object.name.namespace, &object.name.name).subresource("status");
    let body = json!({"metadata": {"uid": object.meta.uid}, "status": patch});
    match client.write(&RUNTIME, &target, Write::Patch(Patch::Merge(body))).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a merge patch must say so that `old` becomes `new`, field by field of the top level.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (key, value) in new {
        if old.get(key) != Some(value) {
            patch.insert(key.clone(), value.clone());
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then(|| patch.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written() {
        let old = json!({"a": 1, "gone": [1], "list": [1, 2]});
        assert_eq!(difference(&old, &old), None);
        assert_eq!(difference(&old, &json!({"a": 1, "list": [2]})), Some(json!({"gone": null, "list": [2]})));
        assert_eq!(difference(&Value::Null, &json!({"a": 1})), Some(json!({"a": 1})));
        assert_eq!(difference(&Value::Null, &json!({})), None);
    }
}
