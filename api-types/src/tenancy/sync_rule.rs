//! Rules for more kinds to sync.

use super::LabelSelector;
use crate::condition::Condition;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How one more kind is synced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncRuleSpec {
    /// The kind.
    pub resource: RuleResource,
    /// Which way. Default `down`.
    #[serde(default)]
    pub direction: Direction,
    /// For which tenants. Default all.
    #[serde(default)]
    pub tenant_selector: LabelSelector,
    /// Fields that name other objects, which go down with it.
    #[serde(default)]
    pub names: Vec<RuleName>,
    /// Fields that the platform sets.
    #[serde(default)]
    pub set: Vec<RuleSet>,
    /// Objects that the platform refuses.
    #[serde(default)]
    pub refuse: Vec<RuleRefusal>,
}

/// Group, version and plural.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RuleResource {
    #[serde(default)]
    pub group: String,
    pub version: String,
    pub plural: String,
}

/// Which way objects are synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// From the tenant to the super cluster.
    #[default]
    Down,
    /// From the super cluster to the tenant.
    Up,
    /// Desired state down, status up.
    Both,
}

/// A field that names another object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleName {
    /// The field, such as `spec.secretName`.
    pub path: String,
    /// The named object's kind.
    pub of: RuleKind,
}

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleKind {
    /// Default `v1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

/// A field that the platform sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleSet {
    /// The field.
    pub path: String,
    /// Its value; a string may hold a CEL expression in `${…}`.
    pub value: Value,
}

/// An object that the platform refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleRefusal {
    /// A CEL expression in `${…}`.
    pub when: String,
    /// What the tenant is told.
    pub message: String,
}

/// What is known of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SyncRuleStatus {
    /// `Ready` says whether the rule is in force.
    pub conditions: Vec<Condition>,
}
