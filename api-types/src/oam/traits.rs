//! ManualScalerTrait and ServiceBinding.

use super::TypedReference;
use crate::condition::Condition;
use serde::{Deserialize, Serialize};

/// How many replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManualScalerTraitSpec {
    /// The number of replicas, 0 or more.
    pub replica_count: i32,
    /// What is scaled; filled in by the runtime.
    #[serde(skip_serializing_if = "TypedReference::is_empty")]
    pub workload_ref: TypedReference,
}

/// Which keys go where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceBindingSpec {
    /// Where the values come from.
    pub source: BindingSource,
    /// Environment variables of every container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<BindingVariable>,
    /// A directory with a file for each key, in every container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<BindingFiles>,
    /// What is bound; filled in by the runtime.
    #[serde(skip_serializing_if = "TypedReference::is_empty")]
    pub workload_ref: TypedReference,
}

/// Where a binding's values come from: a Secret of the same namespace. The other form of OAM, a field of any object
/// (`apiVersion`, `kind`, `name`, `fieldPath`), is not implemented and refused when used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BindingSource {
    /// The Secret's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
    /// Not implemented: refused when set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Not implemented: refused when set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Not implemented: refused when set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Not implemented: refused when set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

/// One environment variable from a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindingVariable {
    /// The variable.
    pub name: String,
    /// The key of the Secret.
    pub key: String,
}

/// A directory of files from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BindingFiles {
    /// An absolute path.
    pub mount_path: String,
}

/// What the runtime says of a trait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TraitStatus {
    /// The `metadata.generation` that the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the trait is in effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
