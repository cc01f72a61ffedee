//! Webhook configurations.

use super::expressions::{CONDITION_NAMES, conditions};
use super::{client_config, default_matching, guard, rules};
use crate::kinds::place::{
    Causes, Place, each_mut, invalid_all, lookup, object_at, one_of, require, set_default,
};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const REINVOCATION: &[&str] = &["IfNeeded", "Never"];

/// How validating webhook configurations are written.
pub fn validating_webhooks() -> Strategy {
    Strategy {
        default: |object| default(object, false),
        validate_create: |object| all(object, None, false),
        validate_update: |new, old| all(new, Some(old), false),
        ..guard()
    }
}

/// How mutating webhook configurations are written.
pub fn mutating_webhooks() -> Strategy {
    Strategy {
        default: |object| default(object, true),
        validate_create: |object| all(object, None, true),
        validate_update: |new, old| all(new, Some(old), true),
        ..guard()
    }
}

fn default(object: &mut Value, mutating: bool) {
    for hook in each_mut(object, "webhooks") {
        set_default(hook, "failurePolicy", "Fail");
        default_matching(hook);
        set_default(hook, "timeoutSeconds", 10);
        if mutating {
            set_default(hook, "reinvocationPolicy", "Never");
        }
        rules::default_scopes(hook, "rules");
        if let Some(service) = object_at(hook, "clientConfig").and_then(|config| object_at(config, "service"))
        {
            set_default(service, "port", 443);
        }
    }
}

fn all(object: &Value, old: Option<&Value>, mutating: bool) -> Causes {
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    // Conditions that no change has touched are not looked at again.
    let conditions_of = |object: &Value| -> Vec<Value> {
        let hooks = object["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
        hooks.iter().map(|hook| lookup(hook, "matchConditions").clone()).collect()
    };
    let checked = old.is_none_or(|old| conditions_of(old) != conditions_of(object));
    for hook in Place::root(object).list("webhooks") {
        webhook(&mut out, &hook, mutating);
        if checked {
            conditions(&mut out, &hook, CONDITION_NAMES);
        }
        versions(&mut out, &hook);
        let name = hook.text("name");
        if !name.is_empty() && seen.contains(&name) {
            out.push(Cause::duplicate(hook.of("name"), &name.into()));
        }
        seen.push(name);
    }
    out
}

fn webhook(out: &mut Causes, at: &Place<'_>, mutating: bool) {
    let name = at.text("name");
    if require(out, at, "name") {
        let wrong = names::dns_subdomain(name);
        if !wrong.is_empty() {
            out.push(Cause::invalid(at.of("name"), &name.into(), &wrong.join(",")));
        } else if name.split('.').count() < 3 {
            let why = "should be a domain with at least three segments separated by dots";
            out.push(Cause::invalid(at.of("name"), &name.into(), why));
        }
    }
    at.list("rules").for_each(|rule| rules::rule(out, &rule));
    one_of(out, at, "failurePolicy", FAILURE_POLICIES);
    one_of(out, at, "matchPolicy", rules::MATCH_POLICIES);
    if at.has("sideEffects") {
        one_of(out, at, "sideEffects", SIDE_EFFECTS);
    } else {
        let why = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
        out.push(Cause::required(at.of("sideEffects"), &why));
    }
    if let Some(seconds) = at.int("timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let why = "the timeout value must be between 1 and 30 seconds";
        out.push(Cause::invalid(at.of("timeoutSeconds"), &seconds.into(), why));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        crate::metadata::label_selector(out, &at.field(field));
    }
    if mutating {
        one_of(out, at, "reinvocationPolicy", REINVOCATION);
    }
    client_config::target(out, &at.field("clientConfig"));
}

/// The versions of reviews that a webhook takes, of which this server sends `v1` only.
fn versions(out: &mut Causes, at: &Place<'_>) {
    const KNOWN: [&str; 2] = ["v1", "v1beta1"];
    let field = at.of("admissionReviewVersions");
    if at.lacks("admissionReviewVersions") {
        out.push(Cause::required(field, &format!("must specify one of {}", KNOWN.join(", "))));
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for version in at.list("admissionReviewVersions") {
        let text = version.as_text();
        if seen.contains(&text) {
            out.push(Cause::invalid(&version.path, version.value, "duplicate version"));
            continue;
        }
        seen.push(text);
        invalid_all(out, &version.path, text, names::dns_1035_label(text));
    }
    if !seen.iter().any(|version| KNOWN.contains(version)) {
        let why = format!("must include at least one of {}", KNOWN.join(", "));
        out.push(Cause::invalid(field, &json!(seen), &why));
    } else if !seen.contains(&"v1") {
        out.push(Cause::invalid(field, &json!(seen), "this server sends v1 only: it must be among them"));
    }
}
