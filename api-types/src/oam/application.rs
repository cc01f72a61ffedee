//! ApplicationConfiguration: which components, with which values, under which traits.

use super::TypedReference;
use crate::condition::Condition;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an application is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationConfigurationSpec {
    /// Its components.
    pub components: Vec<ApplicationComponent>,
}

/// One component of an application. Exactly one of `component_name` and `revision_name` is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationComponent {
    /// The component, in its newest revision.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub component_name: String,
    /// The component in this revision, for good.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision_name: String,
    /// Values for the component's parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameter_values: Vec<ParameterValue>,
    /// Traits of the component.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<ComponentTrait>,
    /// Not implemented: refused when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_inputs: Vec<Value>,
    /// Not implemented: refused when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_outputs: Vec<Value>,
    /// Not implemented: refused when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Value>,
}

/// A value for a parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParameterValue {
    /// The parameter.
    pub name: String,
    /// A string, a number or a boolean; it is set as it is.
    pub value: Value,
}

/// One trait of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentTrait {
    /// The trait: a whole object with `apiVersion` and `kind`.
    #[serde(rename = "trait")]
    pub body: Value,
    /// Not implemented: refused when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_inputs: Vec<Value>,
    /// Not implemented: refused when not empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_outputs: Vec<Value>,
}

/// What the runtime says of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationConfigurationStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Synced`: everything is rendered and written. `Ready`: and it works. `<component>/Ready`: the same for
    /// one component.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What is there of the application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<WorkloadStatus>,
}

/// One workload of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadStatus {
    /// `Ready`, `Progressing` or `Failed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The component that it comes from.
    pub component_name: String,
    /// The revision of the component.
    pub component_revision_name: String,
    /// The workload.
    pub workload_ref: TypedReference,
    /// Its traits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<WorkloadTrait>,
}

/// One trait of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadTrait {
    /// The trait.
    pub trait_ref: TypedReference,
}
