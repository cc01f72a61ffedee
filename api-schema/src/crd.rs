//! Schemas of custom resources: what `CustomResourceDefinition` says of one version, compiled once.
//!
//! The rules are those of structural schemas (KEP-1152), pruning and defaulting (KEP-575), validation by OpenAPI v3
//! and rules in CEL (KEP-2876), with ratcheting (KEP-4008). Messages are those of Kubernetes.

mod defaults;
mod embedded;
mod fit;
mod format;
mod internal;
mod keywords;
mod lists;
mod number;
pub(crate) mod pattern;
mod pattern_error;
pub(crate) mod rules;
pub(crate) mod schema;
mod structural;
#[cfg(test)]
mod tests;
mod types;
mod validate;

pub(crate) use format::{duration, has_format};
pub use internal::Part;

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
    let schema = sound(schema)?;
    let rules = rules::compile(&schema, SCHEMA_FIELD)?;
    let (graph, root) = types::graph(&schema, preserve_unknown_fields);
    let compiled = CrdSchema { graph: Arc::new(graph), root, schema, rules, preserve_unknown_fields };
    let causes = defaults::check_rules(&compiled.schema, &compiled.rules, SCHEMA_FIELD);
    if causes.is_empty() { Ok(compiled) } else { Err(causes) }
}

/// All defects of a schema that is being written: those that [`compile`] finds, and rules whose types do not fit or that
/// cost too much. What is stored is not asked again.
pub fn defects(schema: &Value) -> Vec<Cause> {
    // What is wrong with the schema itself is told before what is wrong with its rules.
    let checked = match sound(schema) {
        Err(causes) => causes,
        Ok(schema) => rules::check(&schema, SCHEMA_FIELD),
    };
    if checked.is_empty() { compile(schema, false).err().unwrap_or_default() } else { checked }
}

/// Reads a schema of which no part but its rules can be wrong.
fn sound(schema: &Value) -> Result<Schema, Vec<Cause>> {
    let schema = Schema::read(schema);
    let mut causes = Vec::new();
    if schema.nullable {
        let field = format!("{SCHEMA_FIELD}.nullable");
        causes.push(Cause::forbidden(field, "nullable cannot be true at the root"));
    }
    let unreadable = schema.is_unreadable();
    if !unreadable {
        let mut wrong = structural::check(&schema, SCHEMA_FIELD);
        if wrong.is_empty() {
            wrong = defaults::check(&schema, SCHEMA_FIELD);
        }
        causes.append(&mut wrong);
    }
    causes.extend(keywords::check(&schema, SCHEMA_FIELD));
    if unreadable && causes.is_empty() {
        let why = "OpenAPIV3Schema 'schema' is not supported";
        causes.push(Cause::invalid(SCHEMA_FIELD, &Value::from(""), why));
    }
    if causes.is_empty() { Ok(schema) } else { Err(causes) }
}

/// What the root of a schema may have when status is a subresource, by the names in Go: only what does not lose its
/// meaning when the status is validated alone.
const WITH_STATUS: [&str; 22] = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
];

/// The defects of the schema of a version that has status as a subresource, beside those that [`compile`] finds.
/// Kubernetes tells only of the first.
pub fn check_with_status(schema: &Value) -> Vec<Cause> {
    let object = schema["type"].as_str().unwrap_or("") == "object";
    let first = internal::first_used(schema, |name| match name {
        "Type" => !object,
        name => !WITH_STATUS.contains(&name),
    });
    match first {
        None => Vec::new(),
        Some("Type") => {
            let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is \
                       enabled";
            vec![Cause::invalid(format!("{SCHEMA_FIELD}.type"), &schema["type"], why)]
        }
        Some(_) => {
            let message = format!(
                "Invalid value: {}: only [{}] fields are allowed at the root of the schema if the status subresource is \
                 enabled",
                Part::Schema.text(schema),
                WITH_STATUS.join(" ")
            );
            vec![Cause::new(CauseReason::FieldValueInvalid, SCHEMA_FIELD, message)]
        }
    }
}

/// The formats in a schema that are not known for their type: they say nothing, and their author is warned.
pub fn unknown_formats(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    schema::each(schema, &mut |schema| {
        let (kind, format) = (schema["type"].as_str().unwrap_or(""), schema["format"].as_str().unwrap_or(""));
        if !format.is_empty() && !format::is_supported(kind, format) {
            found.push(format.to_owned());
        }
    });
    found
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

    /// Sets defaults of fields that are absent, or null where null is not allowed.
    pub fn default(&self, object: &mut Value) {
        fit::default(object, &self.schema);
    }

    /// Drops nulls where the schema has neither null nor a default: what a client sends says nothing by them. An applied
    /// configuration keeps them, and is refused for them.
    pub fn drop_nulls(&self, object: &mut Value) {
        fit::drop_nulls(object, Some(&self.schema));
    }

    /// The defects of an object, beside those of its metadata and of its scale. `old` is the object before the
    /// change; what is as it was there is not looked at.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        self.judge(object, old).causes
    }

    /// The same, with what its author is warned of.
    pub fn judge(&self, object: &Value, old: Option<&Value>) -> Verdict {
        let causes = validate::check(object, old, &self.schema, "");
        self.judge_rest(object, old, causes, false)
    }

    /// The same for a new object whose metadata has these defects, some of which keep its rules from being looked at.
    pub fn judge_new(&self, object: &Value, of_metadata: &[Cause]) -> Vec<Cause> {
        let causes = validate::check(object, None, &self.schema, "");
        self.judge_rest(object, None, causes, of_metadata.iter().any(blocks_rules)).causes
    }

    /// The same for a change through `status`: of the values only the status is looked at, of the rules all.
    pub fn judge_status(&self, object: &Value, old: Option<&Value>) -> Verdict {
        let causes = match (object.get("status"), self.schema.properties.get("status")) {
            (Some(status), Some(schema)) => {
                validate::check(status, old.and_then(|o| o.get("status")), schema, "status")
            }
            _ => Vec::new(),
        };
        self.judge_rest(object, old, causes, false)
    }

    fn judge_rest(
        &self,
        object: &Value,
        old: Option<&Value>,
        mut causes: Vec<Cause>,
        blocked: bool,
    ) -> Verdict {
        embedded::check(object, &self.schema, "", &mut causes);
        let duplicates = |object: &Value| {
            let mut causes = Vec::new();
            lists::check(object, &self.schema, "", &mut causes);
            causes
        };
        if old.is_none_or(|old| duplicates(old).is_empty()) {
            causes.extend(duplicates(object));
        }
        let mut warnings = Vec::new();
        if self.rules.is_empty() {
            return Verdict { causes, warnings };
        }
        if blocked || causes.iter().any(blocks_rules) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing \
                       errors to complete validation";
            causes.push(Cause::invalid("<nil>", &Value::Null, why));
        } else {
            let broken = rules::evaluate(&self.rules, &self.schema, object, old);
            causes.extend(broken.causes);
            warnings.extend(broken.old.iter().map(Cause::to_string));
        }
        Verdict { causes, warnings }
    }
}

/// What is said about an object.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Its defects.
    pub causes: Vec<Cause>,
    /// What breaks rules and was there before.
    pub warnings: Vec<String>,
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
