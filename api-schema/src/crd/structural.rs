//! The rules of structural schemas (KEP-1152): which schemas say enough to prune, default and apply by them.

use super::pattern;
use super::schema::{Additional, Schema};
use api_types::Cause;
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The defects of a schema at `path`, sorted as Kubernetes does.
pub(super) fn check(schema: &Schema, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    invariants(schema, Level::Root, path, &mut causes);
    complete(schema, path, &mut causes);
    causes.sort_by_cached_key(Cause::to_string);
    causes
}

fn is_int_or_string_pair(schemas: &[Schema]) -> bool {
    let bare = |s: &Schema, kind: &str| {
        s.kind == kind
            && s.properties.is_empty()
            && s.items.is_none()
            && s.values.is_none()
            && s.pattern.is_none()
            && s.all_of.is_empty()
            && s.any_of.is_empty()
            && s.one_of.is_empty()
            && s.not.is_none()
            && s.limits.maximum.is_none()
            && s.limits.minimum.is_none()
            && s.limits.max_length.is_none()
            && s.limits.min_length.is_none()
            && s.format.is_empty()
    };
    matches!(schemas, [a, b] if bare(a, "integer") && bare(b, "string"))
}

fn invariants(s: &Schema, level: Level, path: &str, causes: &mut Vec<Cause>) {
    if s.kind == "array" && s.items.is_none() {
        causes.push(Cause::required(format!("{path}.items"), "must be specified"));
    }
    if let Some(items) = &s.items {
        invariants(items, Level::Item, &format!("{path}.items"), causes);
    }
    for (name, property) in &s.properties {
        invariants(property, Level::Field, &format!("{path}.properties[{name}]"), causes);
    }
    if let Some(additional) = &s.additional {
        if level == Level::Root {
            causes.push(Cause::forbidden(
                format!("{path}.additionalProperties"),
                "must not be used at the root",
            ));
        }
        if let Additional::Of(values) = additional {
            invariants(values, Level::Field, &format!("{path}.additionalProperties"), causes);
        }
    }
    extensions(s, path, causes);
    let first_pair = s.all_of.first().is_some_and(|s| is_int_or_string_pair(&s.any_of));
    value_validation(s, is_int_or_string_pair(&s.any_of), first_pair, path, causes);
    kinds(s, level, path, causes);
    if s.embedded && s.additional.is_some() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        causes.push(Cause::forbidden(format!("{path}.additionalProperties"), why));
    }
    metadata(s, level, path, causes);
    if s.embedded && !s.preserves() && s.properties.is_empty() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        causes.push(Cause::required(format!("{path}.properties"), why));
    }
}

fn extensions(s: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let why = "must be false if x-kubernetes-int-or-string is true";
    if s.int_or_string && s.preserves() {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        causes.push(Cause::invalid(field, &Value::Bool(true), why));
    }
    if s.int_or_string && s.embedded {
        let field = format!("{path}.x-kubernetes-embedded-resource");
        causes.push(Cause::invalid(field, &Value::Bool(true), why));
    }
}

fn kinds(s: &Schema, level: Level, path: &str, causes: &mut Vec<Cause>) {
    let field = format!("{path}.type");
    if s.embedded && s.kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        causes.push(if s.kind.is_empty() {
            Cause::required(&field, why)
        } else {
            Cause::invalid(&field, &s.kind.as_str().into(), why)
        });
    } else if s.kind.is_empty() && !s.int_or_string && !s.preserves() {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.push(Cause::required(&field, why));
    }
    if level == Level::Root && !s.kind.is_empty() && s.kind != "object" {
        causes.push(Cause::invalid(&field, &s.kind.as_str().into(), "must be object at the root"));
    }
}

fn metadata(s: &Schema, level: Level, path: &str, causes: &mut Vec<Cause>) {
    let resource = level == Level::Root || s.embedded;
    for name in ["kind", "apiVersion"] {
        if let Some(property) = s.properties.get(name)
            && resource
            && property.kind != "string"
        {
            let field = format!("{path}.properties[{name}].type");
            causes.push(Cause::invalid(field, &property.kind.as_str().into(), "must be string"));
        }
    }
    let Some(metadata) = s.properties.get("metadata") else { return };
    let path = format!("{path}.properties[metadata]");
    if resource && metadata.kind != "object" {
        causes.push(Cause::invalid(format!("{path}.type"), &metadata.kind.as_str().into(), "must be object"));
    }
    if level == Level::Root {
        let names = metadata.properties.keys().all(|k| k == "name" || k == "generateName");
        let bare = metadata.items.is_none()
            && metadata.additional.is_none()
            && !metadata.nullable
            && !metadata.has_title
            && !metadata.has_description
            && metadata.preserve_unknown.is_none()
            && !metadata.embedded
            && !metadata.int_or_string
            && metadata.list_type.is_none()
            && metadata.map_type.is_none()
            && metadata.rules.is_empty()
            && metadata.required.is_empty()
            && metadata.values.is_none();
        if !names || !bare {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly \
                       specified";
            causes.push(Cause::forbidden(path, why));
        }
    }
}

/// The combinators and the pattern of a schema. In them only values may be restricted.
fn value_validation(s: &Schema, skip_any_of: bool, skip_first: bool, path: &str, causes: &mut Vec<Cause>) {
    if !skip_any_of {
        for (at, branch) in s.any_of.iter().enumerate() {
            nested(branch, false, &format!("{path}.anyOf[{at}]"), causes);
        }
    }
    for (at, branch) in s.all_of.iter().enumerate() {
        nested(branch, skip_first && at == 0, &format!("{path}.allOf[{at}]"), causes);
    }
    for (at, branch) in s.one_of.iter().enumerate() {
        nested(branch, false, &format!("{path}.oneOf[{at}]"), causes);
    }
    if let Some(not) = &s.not {
        nested(not, false, &format!("{path}.not"), causes);
    }
    if let Some(pattern) = &s.pattern
        && let Some(why) = pattern::problem(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        causes.push(Cause::invalid(format!("{path}.pattern"), &pattern.as_str().into(), &why));
    }
}

fn nested(s: &Schema, skip_any_of: bool, path: &str, causes: &mut Vec<Cause>) {
    value_validation(s, skip_any_of, false, path, causes);
    if let Some(items) = &s.items {
        nested(items, false, &format!("{path}.items"), causes);
    }
    for (name, property) in &s.properties {
        nested(property, false, &format!("{path}.properties[{name}]"), causes);
    }
    let forbidden = [
        (!s.kind.is_empty(), "type", "must be empty to be structural"),
        (s.additional.is_some(), "additionalProperties", "must be undefined to be structural"),
        (s.default.is_some(), "default", "must be undefined to be structural"),
        (s.has_title, "title", "must be empty to be structural"),
        (s.has_description, "description", "must be empty to be structural"),
        (s.nullable, "nullable", "must be false to be structural"),
        (s.preserves(), "x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        (s.embedded, "x-kubernetes-embedded-resource", "must be false to be structural"),
        (s.int_or_string, "x-kubernetes-int-or-string", "must be false to be structural"),
        (!s.list_keys.is_empty(), "x-kubernetes-list-map-keys", "must be empty to be structural"),
        (s.list_type.is_some(), "x-kubernetes-list-type", "must be undefined to be structural"),
        (s.map_type.is_some(), "x-kubernetes-map-type", "must be undefined to be structural"),
        (!s.rules.is_empty(), "x-kubernetes-validations", "must be empty to be structural"),
        (
            s.properties.contains_key("metadata"),
            "properties[metadata]",
            "must not be specified in a nested context",
        ),
    ];
    for (found, name, why) in forbidden {
        if found {
            causes.push(Cause::forbidden(format!("{path}.{name}"), why));
        }
    }
}

/// Every field and element that a combinator of the root speaks of must be declared outside of it. As in
/// Kubernetes, combinators further down are not looked at.
fn complete(s: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let branches = [("allOf", &s.all_of), ("anyOf", &s.any_of), ("oneOf", &s.one_of)];
    for (name, schemas) in branches {
        for (at, branch) in schemas.iter().enumerate() {
            skeleton(s, branch, path, &format!("{path}.{name}[{at}]"), causes);
        }
    }
    if let Some(not) = &s.not {
        skeleton(s, not, path, &format!("{path}.not"), causes);
    }
}

/// What `branch` mentions must be in `declared`, which is at `path`.
fn skeleton(declared: &Schema, branch: &Schema, path: &str, at: &str, causes: &mut Vec<Cause>) {
    if let Some(items) = &branch.items {
        match &declared.items {
            Some(there) => skeleton(there, items, &format!("{path}.items"), &format!("{at}.items"), causes),
            None => causes.push(missing(&format!("{path}.items"), &format!("{at}.items"))),
        }
    }
    for (name, property) in &branch.properties {
        let (field, from) = (format!("{path}.properties[{name}]"), format!("{at}.properties[{name}]"));
        match declared.properties.get(name) {
            Some(there) => skeleton(there, property, &field, &from, causes),
            None => causes.push(missing(&field, &from)),
        }
    }
    for (name, schemas) in [("allOf", &branch.all_of), ("anyOf", &branch.any_of), ("oneOf", &branch.one_of)] {
        for (n, nested) in schemas.iter().enumerate() {
            skeleton(declared, nested, path, &format!("{at}.{name}[{n}]"), causes);
        }
    }
    if let Some(not) = &branch.not {
        skeleton(declared, not, path, &format!("{at}.not"), causes);
    }
}

fn missing(field: &str, from: &str) -> Cause {
    Cause::required(field, &format!("because it is defined in {from}"))
}
