//! Webhook configurations.

use super::expressions::{CONDITION_NAMES, conditions};
use super::{default_matching, guard, rules};
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
const FORM: &str = "; desired format: https://host[/path]";

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
    let config = at.field("clientConfig");
    match (config.present("url"), config.present("service")) {
        (Some(url), None) => address(out, &url),
        (None, Some(service)) => reference(out, &service),
        _ => out.push(Cause::required(&config.path, "exactly one of url or service is required")),
    }
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

/// The parts of an address: scheme, user, host, rest.
fn parts(url: &str) -> (&str, Option<&str>, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => (scheme, Some(user), host, rest),
        None => (scheme, None, authority, rest),
    }
}

fn address(out: &mut Causes, at: &Place<'_>) {
    let url = at.as_text();
    if let Some(bad) = url.chars().find(|c| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
        out.push(Cause::required(
            &at.path,
            &format!("url must be a valid URL: invalid character {bad:?}{FORM}"),
        ));
        return;
    }
    let (scheme, user, host, rest) = parts(url);
    let mut wrong = |value: &str, why: &str| out.push(Cause::invalid(&at.path, &value.into(), why));
    if scheme != "https" {
        wrong(scheme, &format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if host.is_empty() {
        wrong(host, &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        wrong(user, "user information is not permitted in the URL");
    }
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    if !fragment.is_empty() {
        wrong(fragment, "fragments are not permitted in the URL");
    }
    if let Some((_, query)) = before.split_once('?').filter(|(_, query)| !query.is_empty()) {
        wrong(query, "query parameters are not permitted in the URL");
    }
}

fn reference(out: &mut Causes, at: &Place<'_>) {
    require(out, at, "name");
    require(out, at, "namespace");
    let port = at.int("port").unwrap_or(0);
    let wrong = names::port_number(port);
    if !wrong.is_empty() {
        let why = format!("port is not valid: {}", wrong.join(", "));
        out.push(Cause::invalid(at.of("port"), &port.into(), &why));
    }
    let path = at.text("path");
    if path.is_empty() || path == "/" {
        return;
    }
    let mut wrong = |why: &str| out.push(Cause::invalid(at.of("path"), &path.into(), why));
    if path == "//" {
        wrong("segment[0] may not be empty");
        return;
    }
    if !path.starts_with('/') {
        wrong("must start with a '/'");
    }
    let inner: String = path.chars().skip(1).collect();
    for (index, step) in inner.strip_suffix('/').unwrap_or(&inner).split('/').enumerate() {
        if step.is_empty() {
            wrong(&format!("segment[{index}] may not be empty"));
            continue;
        }
        for why in names::dns_subdomain(step) {
            wrong(&format!("segment[{index}]: {why}"));
        }
    }
}
