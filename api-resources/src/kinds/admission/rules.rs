//! Which requests a guard is for: operations, groups, versions, resources, scope, and names.

use crate::kinds::place::{Causes, Place, invalid_all, one_of, require};
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
/// How a rule may match a resource by another of its versions.
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];

/// Sets the scope of each rule.
pub(super) fn default_scopes(at: &mut Value, field: &str) {
    super::super::place::each_mut(at, field)
        .for_each(|rule| super::super::place::set_default(rule, "scope", "*"));
}

/// A list that says something, and `*` alone or not at all.
fn named(out: &mut Causes, at: &Place<'_>, field: &str, others: &str) {
    if require(out, at, field) {
        let all = at.texts(field);
        if all.len() > 1 && all.contains(&"*") {
            let why = format!("if '*' is present, must not specify other {others}");
            out.push(Cause::invalid(at.of(field), at.field(field).value, &why));
        }
    }
}

/// The defects of a rule of a webhook or policy.
pub(super) fn rule(out: &mut Causes, at: &Place<'_>) {
    named(out, at, "operations", "operations");
    for operation in at.list("operations") {
        if !OPERATIONS.contains(&operation.as_text()) {
            out.push(Cause::not_supported(operation.path, operation.value, OPERATIONS));
        }
    }
    named(out, at, "apiGroups", "API groups");
    named(out, at, "apiVersions", "API versions");
    for version in at.list("apiVersions").filter(|version| version.as_text().is_empty()) {
        out.push(Cause::required(version.path, ""));
    }
    if require(out, at, "resources") {
        resources(out, at);
    }
    one_of(out, at, "scope", SCOPES);
}

/// Resources with and without subresources: what one of them says, no other says again.
fn resources(out: &mut Causes, at: &Place<'_>) {
    let (mut all_of, mut everywhere): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    // As in Kubernetes, the last one without a subresource decides.
    let mut plain = false;
    for element in at.list("resources") {
        let text = element.as_text();
        if text.is_empty() {
            out.push(Cause::required(element.path, ""));
            continue;
        }
        let Some((resource, sub)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        let mut wrong = |other: String| {
            let why = format!("if '{other}' is present, must not specify {text}");
            out.push(Cause::invalid(&element.path, element.value, &why));
        };
        if all_of.contains(&resource) {
            wrong(format!("{resource}/*"));
        }
        if everywhere.contains(&sub) {
            wrong(format!("*/{sub}"));
        }
        if sub == "*" {
            all_of.push(resource);
        }
        if resource == "*" {
            everywhere.push(sub);
        }
    }
    let all = at.texts("resources");
    let mut wrong =
        |why: &str| out.push(Cause::invalid(at.of("resources"), at.field("resources").value, why));
    if all.len() > 1 && all.contains(&"*/*") {
        wrong("if '*/*' is present, must not specify other resources");
    }
    if all.contains(&"*") && plain {
        wrong("if '*' is present, must not specify other resources without subresources");
    }
}

/// The selectors of a guard, and how it matches.
pub(super) fn matching(out: &mut Causes, at: &Place<'_>) {
    one_of(out, at, "matchPolicy", MATCH_POLICIES);
    for field in ["namespaceSelector", "objectSelector"] {
        metadata::label_selector(out, &at.field(field));
    }
}

/// `MatchResources` of a policy or of a binding.
pub(super) fn match_resources(out: &mut Causes, at: &Place<'_>) {
    matching(out, at);
    for field in ["resourceRules", "excludeResourceRules"] {
        for rule_at in at.list(field) {
            let mut seen: Vec<&str> = Vec::new();
            for name in rule_at.list("resourceNames") {
                let text = name.as_text();
                invalid_all(out, &name.path, text, names::path_segment(text));
                if seen.contains(&text) {
                    out.push(Cause::duplicate(&name.path, name.value));
                }
                seen.push(text);
            }
            rule(out, &rule_at);
        }
    }
}

/// The operations at which an object can be changed. `path` is where errors are told.
pub(super) fn changing_operations(out: &mut Causes, at: &Place<'_>, path: &str) {
    const SUPPORTED: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
    for rule in at.list("resourceRules") {
        for operation in rule.list("operations") {
            if !SUPPORTED.contains(&operation.as_text()) {
                out.push(Cause::not_supported(path, operation.value, SUPPORTED));
            }
        }
    }
}
