//! The rules of schemas beside those of structure: which keywords there are and how they go together.

use super::schema::{Additional, Schema};
use api_types::{Cause, CauseReason};
use serde_json::Value;

/// Why a default may not be set, and whether the schema is part of a resource's metadata.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    no_defaults: Option<&'a str>,
    in_metadata: bool,
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// The defects of a schema at `path` and of all below it.
pub(super) fn check(schema: &Schema, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(schema, path, true, Place::default(), &mut causes);
    causes
}

fn walk(s: &Schema, path: &str, root: bool, place: Place<'_>, causes: &mut Vec<Cause>) {
    standard(s, path, place, causes);
    if s.unique_items {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{path}.uniqueItems"), why));
    }
    if let Some(additional) = &s.additional {
        if !s.properties.is_empty() && !matches!(additional, Additional::Any(true)) {
            let why = "additionalProperties and properties are mutual exclusive";
            causes.push(Cause::forbidden(format!("{path}.additionalProperties"), why));
        }
        if let Additional::Of(values) = additional {
            let place = if place.in_metadata {
                Place {
                    no_defaults: Some("inside additionalProperties applying to object metadata"),
                    ..place
                }
            } else {
                place
            };
            walk(values, &format!("{path}.additionalProperties"), false, place, causes);
        }
    }
    for (name, property) in &s.properties {
        let top = format!("in top-level {name}");
        let meta = matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        let place = if (root || s.embedded) && meta {
            Place {
                in_metadata: true,
                no_defaults: if root { Some(top.as_str()) } else { place.no_defaults },
            }
        } else {
            place
        };
        walk(property, &format!("{path}.properties[{name}]"), false, place, causes);
    }
    if let Some(not) = &s.not {
        walk(not, &format!("{path}.not"), false, place, causes);
    }
    for (name, branches) in [("allOf", &s.all_of), ("oneOf", &s.one_of), ("anyOf", &s.any_of)] {
        for (at, branch) in branches.iter().enumerate() {
            walk(branch, &format!("{path}.{name}[{at}]"), false, place, causes);
        }
    }
    if let Some(items) = &s.items {
        walk(items, &format!("{path}.items"), false, place, causes);
    }
    extensions(s, path, causes);
    list_map(s, path, causes);
    list_items(s, path, causes);
    for (at, rule) in s.rules.iter().enumerate() {
        super::rules::check_text(rule, s, &format!("{path}.x-kubernetes-validations[{at}]"), causes);
    }
}

fn standard(s: &Schema, path: &str, place: Place<'_>, causes: &mut Vec<Cause>) {
    if !s.kind.is_empty() && !TYPES.contains(&s.kind.as_str()) {
        causes.push(Cause::not_supported(format!("{path}.type"), &s.kind.as_str().into(), &TYPES));
    }
    if let (Some(why), true) = (place.no_defaults, s.default.is_some()) {
        causes.push(Cause::forbidden(format!("{path}.default"), &format!("must not be set {why}")));
    }
    for name in &s.unsupported {
        causes.push(Cause::forbidden(format!("{path}.{name}"), &format!("{name} is not supported")));
    }
    if s.kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        causes.push(Cause::forbidden(format!("{path}.type"), why));
    }
    if s.items_is_list {
        let why = "items must be a schema object and not an array";
        causes.push(Cause::forbidden(format!("{path}.items"), why));
    }
    if place.in_metadata && s.embedded {
        let why = "must not be used inside of resource meta";
        causes.push(Cause::forbidden(format!("{path}.x-kubernetes-embedded-resource"), why));
    }
}

fn extensions(s: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if s.preserve_unknown == Some(false) {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        causes.push(Cause::invalid(field, &Value::Bool(false), "must be true or undefined"));
    }
    let mut needs = |kind: &str, extension: &str| {
        let (field, why) = (format!("{path}.type"), format!("must be {kind} if {extension} is specified"));
        if s.kind.is_empty() {
            causes.push(Cause::required(field, &why));
        } else if s.kind != kind {
            causes.push(Cause::invalid(field, &s.kind.as_str().into(), &why));
        }
    };
    if s.map_type.is_some() {
        needs("object", "x-kubernetes-map-type");
    }
    if s.list_type.is_some() {
        needs("array", "x-kubernetes-list-type");
    }
    let supported = [
        ("x-kubernetes-map-type", &s.map_type, &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", &s.list_type, &["atomic", "set", "map"][..]),
    ];
    for (name, set, values) in supported {
        if let Some(set) = set
            && !values.contains(&set.as_str())
        {
            causes.push(Cause::not_supported(format!("{path}.{name}"), &set.as_str().into(), values));
        }
    }
    if s.list_type.as_deref() == Some("set")
        && s.kind == "array"
        && let Some(items) = &s.items
    {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        if items.kind == "array" && items.list_type.as_deref().is_some_and(|t| t != "atomic") {
            let field = format!("{path}.items.x-kubernetes-list-type");
            causes.push(Cause::invalid(field, &items.list_type.clone().into(), why));
        }
        if items.kind == "object" && items.map_type.as_deref() != Some("atomic") {
            let field = format!("{path}.items.x-kubernetes-map-type");
            causes.push(Cause::invalid(field, &items.list_type.clone().into(), why));
        }
    }
}

fn list_map(s: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let is_map = s.list_type.as_deref() == Some("map");
    if !s.list_keys.is_empty() && !is_map {
        let field = format!("{path}.x-kubernetes-list-type");
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        causes.push(match &s.list_type {
            None => Cause::required(field, why),
            Some(other) => Cause::invalid(field, &other.as_str().into(), why),
        });
    }
    if !is_map {
        return;
    }
    let keys_field = format!("{path}.x-kubernetes-list-map-keys");
    if s.list_keys.is_empty() {
        causes.push(Cause::required(&keys_field, "must not be empty if x-kubernetes-list-type is map"));
    }
    let Some(items) = &s.items else {
        let why = "must have a schema if x-kubernetes-list-type is map";
        causes.push(Cause::required(format!("{path}.items"), why));
        return;
    };
    if items.kind != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        causes.push(Cause::invalid(format!("{path}.items.type"), &items.kind.as_str().into(), why));
        return;
    }
    let keys = Value::from(s.list_keys.clone());
    for (at, key) in s.list_keys.iter().enumerate() {
        match items.properties.get(key) {
            Some(property) if matches!(property.kind.as_str(), "array" | "object") => {
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let field = format!("{path}.items.properties[{key}].type");
                causes.push(Cause::invalid(field, &items.kind.as_str().into(), why));
            }
            Some(_) => {}
            None => {
                causes.push(Cause::invalid(
                    &keys_field,
                    &keys,
                    "entries must all be names of item properties",
                ));
            }
        }
        if s.list_keys[..at].contains(key) {
            causes.push(Cause::invalid(&keys_field, &keys, "must not contain duplicate entries"));
        }
    }
}

/// What tells elements apart may not be null or absent.
fn list_items(s: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let (Some(items), Some(kind @ ("set" | "map"))) = (&s.items, s.list_type.as_deref()) else { return };
    if items.nullable {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        causes.push(Cause::forbidden(format!("{path}.items.nullable"), &why));
    }
    if kind != "map" {
        return;
    }
    for key in &s.list_keys {
        let Some(property) = items.properties.get(key) else { continue };
        let field = format!("{path}.items.properties[{key}]");
        if !items.required.contains(key) && property.default.is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                       property";
            causes.push(Cause::required(format!("{field}.default"), why));
        }
        if property.nullable {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            causes.push(Cause::new(
                CauseReason::FieldValueForbidden,
                format!("{field}.nullable"),
                format!("Forbidden: {why}"),
            ));
        }
    }
}
