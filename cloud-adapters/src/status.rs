//! Conditions and status, written only when they change.

use crate::account::PLATFORM;
use api_types::condition::{self, Condition};
use api_types::{ApiError, Resource};
use plane_client::{Object, Patch, PlaneClient, Target, Write};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The old conditions with one that is new or changed.
pub fn with(old: &[Condition], new: Condition) -> Vec<Condition> {
    let mut conditions = old.to_vec();
    condition::set(&mut conditions, new);
    conditions
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
    let empty = Map::new();
    let (before, after) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut patch: Map<String, Value> = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    patch.extend(before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    if patch.is_empty() {
        return Ok(());
    }
    let target =
        Target::new(object.tenant, resource, &object.name.namespace, &object.name.name).subresource("status");
    let body = json!({"metadata": {"uid": object.meta.uid}, "status": patch});
    match client.write(&PLATFORM, &target, Write::Patch(Patch::Merge(body))).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
