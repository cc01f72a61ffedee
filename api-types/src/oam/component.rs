//! Component: a workload by the developer, and what the operator may set in it.

use crate::condition::Condition;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a component is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentSpec {
    /// The workload: a whole object with `apiVersion` and `kind`.
    pub workload: Value,
    /// What an application may set in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ComponentParameter>,
}

/// One thing that an application may set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentParameter {
    /// Its name, unique in the component.
    pub name: String,
    /// Where the value goes: `spec.containers[0].image`, `metadata.annotations[example.com/tier]`.
    pub field_paths: Vec<String>,
    /// An application must set it; false when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What the runtime says of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentStatus {
    /// The `metadata.generation` that `latest_revision` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The newest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<ComponentRevision>,
    /// `Ready`: the newest spec has its revision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// One revision of a component: an `apps/v1` ControllerRevision of this name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentRevision {
    /// `<component>-v<revision>`.
    pub name: String,
    /// Counts from 1.
    pub revision: i64,
}
