//! WorkloadDefinition and TraitDefinition: which kinds may be what, and how they fit together.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Names a kind by its resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefinitionReference {
    /// `plural.group`, as a CustomResourceDefinition is named.
    pub name: String,
    /// The version; any when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// What a workload kind is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadDefinitionSpec {
    /// The kind.
    pub definition_ref: DefinitionReference,
    /// Kinds that its controller makes, for people and tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub child_resource_kinds: Vec<ChildResourceKind>,
    /// The label of its pods that tells revisions apart, for tools.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision_label: String,
    /// Where its pods' spec is: `spec.template.spec`. Bindings need it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_spec_path: String,
    /// For platform builders; not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Value>,
}

/// A kind that a workload's controller makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChildResourceKind {
    /// Its `apiVersion`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Labels that select the children.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// What a trait kind is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TraitDefinitionSpec {
    /// The kind.
    pub definition_ref: DefinitionReference,
    /// The trait tells revisions apart: its workload is named after the revision.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revision_enabled: bool,
    /// Where the runtime puts the reference to the workload: `spec.workloadRef`; empty for nowhere.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workload_ref_path: String,
    /// The workloads that it may be used with, each `*`, `*.group`, `plural.group`, a WorkloadDefinition's name, or
    /// `labelSelector:` with a selector of WorkloadDefinitions; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applies_to_workloads: Vec<String>,
    /// The traits that it may not be used with, in the same forms over TraitDefinitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<String>,
    /// For platform builders; not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Value>,
}
