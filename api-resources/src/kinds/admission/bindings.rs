//! Bindings of policies: for which requests, with which parameters, and what comes of a violation.

use super::{default_matching, guard, rules};
use crate::kinds::place::{Causes, Place, invalid_all, object_at, required_one_of};
use crate::resource::Strategy;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];

/// How bindings of validating policies are written.
pub fn validating_binding() -> Strategy {
    Strategy { default, validate_create: validating, validate_update: |new, _| validating(new), ..guard() }
}

/// How bindings of mutating policies are written.
pub fn mutating_binding() -> Strategy {
    Strategy { default, validate_create: mutating, validate_update: |new, _| mutating(new), ..guard() }
}

fn default(object: &mut Value) {
    if let Some(matching) = object_at(object, "spec").and_then(|spec| object_at(spec, "matchResources")) {
        default_matching(matching);
        rules::default_scopes(matching, "resourceRules");
        rules::default_scopes(matching, "excludeResourceRules");
    }
}

fn both(out: &mut Causes, spec: &Place<'_>) {
    let policy = spec.text("policyName");
    if policy.is_empty() {
        out.push(Cause::required(spec.of("policyName"), ""));
    } else {
        invalid_all(out, &spec.of("policyName"), policy, names::dns_subdomain(policy));
    }
    if let Some(reference) = spec.present("paramRef") {
        parameters(out, &reference);
    }
    if let Some(matching) = spec.present("matchResources") {
        rules::match_resources(out, &matching);
    }
}

fn parameters(out: &mut Causes, at: &Place<'_>) {
    const BOTH: &str = "name and selector are mutually exclusive";
    let name = at.text("name");
    let selector = at.present("selector");
    if !name.is_empty() {
        invalid_all(out, &at.of("name"), name, names::path_segment(name));
        if selector.is_some() {
            out.push(Cause::forbidden(at.of("name"), BOTH));
        }
    }
    if let Some(selector) = &selector {
        metadata::label_selector(out, selector);
        if !name.is_empty() {
            out.push(Cause::forbidden(at.of("selector"), BOTH));
        }
    }
    if name.is_empty() && selector.is_none() {
        out.push(Cause::required(&at.path, "one of name or selector must be specified"));
    }
    required_one_of(out, at, "parameterNotFoundAction", &["Deny", "Allow"]);
}

fn validating(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    both(&mut out, &spec);
    let mut seen: Vec<&str> = Vec::new();
    for action in spec.list("validationActions") {
        let text = action.as_text();
        if !ACTIONS.contains(&text) {
            out.push(Cause::not_supported(&action.path, action.value, ACTIONS));
        }
        if seen.contains(&text) {
            out.push(Cause::duplicate(&action.path, action.value));
        }
        seen.push(text);
    }
    let field = spec.of("validationActions");
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        out.push(Cause::invalid(&field, spec.field("validationActions").value, why));
    }
    if seen.is_empty() {
        out.push(Cause::required(field, "at least one validation action is required"));
    }
    out
}

fn mutating(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    both(&mut out, &spec);
    let matching = spec.field("matchResources");
    rules::changing_operations(&mut out, &matching, "spec.matchResources.resourceRules.operations");
    out
}
