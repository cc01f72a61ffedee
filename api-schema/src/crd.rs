//! Schemas of custom resources: what `CustomResourceDefinition` says of one version, compiled once.
//!
//! The rules are those of structural schemas (KEP-1152), pruning and defaulting (KEP-575), validation by OpenAPI v3
//! and rules in CEL (KEP-2876), with ratcheting (KEP-4008). Messages are those of Kubernetes.

mod defaults;
mod embedded;
mod fit;
mod format;
mod keywords;
mod lists;
mod number;
mod pattern;
mod rules;
mod schema;
mod structural;
#[cfg(test)]
mod tests;
mod types;
mod validate;

use crate::graph::{TypeGraph, TypeId};
use api_types::{Cause, CauseReason};
use rules::RuleTree;
use schema::Schema;
use serde_json::Value;
use std::sync::Arc;

/// Where the causes of [`compile`] begin: `openAPIV3Schema.properties[spec].type`.
pub const SCHEMA_FIELD: &str = "openAPIV3Schema";

/// One version of a custom resource, compiled.
#[derive(Debug)]
pub struct CrdSchema {
    /// The types. The object's `metadata` is `ObjectMeta`.
    pub graph: Arc<TypeGraph>,
    /// The type of the object in the graph.
    pub root: TypeId,
    schema: Schema,
    rules: RuleTree,
    /// Unknown fields stay (`spec.preserveUnknownFields`).
    preserve_unknown_fields: bool,
}

/// Compiles a schema, the value of `openAPIV3Schema`.
///
/// Errors: the defects of the schema, with fields that begin with [`SCHEMA_FIELD`]. For a definition that is read
/// from the store they mean that the version cannot be served.
pub fn compile(schema: &Value, preserve_unknown_fields: bool) -> Result<CrdSchema, Vec<Cause>> {
    let schema = Schema::read(schema);
    let mut causes = structural::check(&schema, SCHEMA_FIELD);
    if causes.is_empty() {
        causes = defaults::check(&schema, SCHEMA_FIELD);
    }
    causes.extend(keywords::check(&schema, SCHEMA_FIELD));
    if !causes.is_empty() {
        return Err(causes);
    }
    let rules = rules::compile(&schema, SCHEMA_FIELD)?;
    let (graph, root) = types::graph(&schema, preserve_unknown_fields);
    let compiled = CrdSchema { graph: Arc::new(graph), root, schema, rules, preserve_unknown_fields };
    let causes = defaults::check_rules(&compiled.schema, &compiled.rules, SCHEMA_FIELD);
    if causes.is_empty() { Ok(compiled) } else { Err(causes) }
}

impl CrdSchema {
    /// Drops the fields that the schema does not declare, and gives their paths (`spec.bogus`), sorted.
    /// `apiVersion`, `kind` and `metadata` are left alone.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        if self.preserve_unknown_fields {
            return Vec::new();
        }
        fit::prune(object, &self.schema, true)
    }

    /// Sets defaults, and drops nulls where the schema has neither null nor a default.
    pub fn default(&self, object: &mut Value) {
        fit::default(object, &self.schema);
    }

    /// The defects of an object, beside those of its metadata and of its scale. `old` is the object before the
    /// change; what is as it was there is not looked at.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let causes = validate::check(object, old, &self.schema, "");
        self.validate_rest(object, old, causes)
    }

    /// The same for a change through `status`: of the values only the status is looked at, of the rules all.
    pub fn validate_status(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let causes = match (object.get("status"), self.schema.properties.get("status")) {
            (Some(status), Some(schema)) => {
                validate::check(status, old.and_then(|o| o.get("status")), schema, "status")
            }
            _ => Vec::new(),
        };
        self.validate_rest(object, old, causes)
    }

    fn validate_rest(&self, object: &Value, old: Option<&Value>, mut causes: Vec<Cause>) -> Vec<Cause> {
        embedded::check(object, &self.schema, "", &mut causes);
        let duplicates = |object: &Value| {
            let mut causes = Vec::new();
            lists::check(object, &self.schema, "", &mut causes);
            causes
        };
        if old.is_none_or(|old| duplicates(old).is_empty()) {
            causes.extend(duplicates(object));
        }
        if self.rules.is_empty() {
            return causes;
        }
        if causes.iter().any(blocks_rules) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing \
                       errors to complete validation";
            causes.push(Cause::invalid("<nil>", &Value::Null, why));
        } else {
            causes.extend(rules::evaluate(&self.rules, &self.schema, object, old));
        }
        causes
    }
}

/// Rules are written for values of the right type and size.
fn blocks_rules(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        CauseReason::FieldValueNotSupported
            | CauseReason::FieldValueRequired
            | CauseReason::FieldValueTooLong
            | CauseReason::FieldValueTooMany
            | CauseReason::FieldValueTypeInvalid
    )
}
