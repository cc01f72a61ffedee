//! Admission policies.

use super::expressions::{POLICY_NAMES, Variables, conditions, expression, required, variables};
use super::{default_matching, guard, rules};
use crate::kinds::generic::METADATA;
use crate::kinds::place::{Causes, Place, lookup, object_at, one_of, require, required_one_of, set_default};
use crate::names;
use crate::resource::Strategy;
use api_schema::cel::{Declared, Gives};
use api_types::{Cause, GroupVersion};
use serde_json::Value;

const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const MAX_ANNOTATIONS: usize = 20;
const MAX_ANNOTATION: usize = 5 * 1024;

/// How validating policies are written.
pub fn validating_policy() -> Strategy {
    Strategy {
        default,
        validate_create: |object| validating(object, None),
        validate_update: |new, old| validating(new, Some(old)),
        status_keeps: METADATA,
        ..guard()
    }
}

/// How mutating policies are written.
pub fn mutating_policy() -> Strategy {
    Strategy {
        default,
        validate_create: |object| mutating(object, None),
        validate_update: |new, old| mutating(new, Some(old)),
        ..guard()
    }
}

fn default(object: &mut Value) {
    let Some(spec) = object_at(object, "spec") else { return };
    set_default(spec, "failurePolicy", "Fail");
    if let Some(matching) = object_at(spec, "matchConstraints") {
        default_matching(matching);
        rules::default_scopes(matching, "resourceRules");
        rules::default_scopes(matching, "excludeResourceRules");
    }
}

/// What expressions of the policy may name.
fn names_of(spec: &Place<'_>) -> &'static [&'static str] {
    if spec.has("paramKind") {
        POLICY_NAMES
    } else {
        POLICY_NAMES.split_last().map_or(POLICY_NAMES, |(_, rest)| rest)
    }
}

/// What both kinds of policies have. Gives the variables.
fn both<'a>(out: &mut Causes, spec: &Place<'a>, old: Option<&Value>, constructs: bool) -> Variables<'a> {
    required_one_of(out, spec, "failurePolicy", FAILURE_POLICIES);
    if let Some(kind) = spec.present("paramKind") {
        param_kind(out, &kind);
    }
    match spec.present("matchConstraints") {
        None => out.push(Cause::required(spec.of("matchConstraints"), "")),
        Some(matching) => {
            rules::match_resources(out, &matching);
            require(out, &matching, "resourceRules");
        }
    }
    let same = |field: &str| old.is_some_and(|old| lookup(&old["spec"], field) == lookup(spec.value, field));
    if !(same("matchConditions") && same("paramKind")) {
        conditions(out, spec, names_of(spec));
    }
    variables(out, spec, names_of(spec), constructs)
}

fn param_kind(out: &mut Causes, at: &Place<'_>) {
    let text = at.text("apiVersion");
    let field = at.of("apiVersion");
    if require(out, at, "apiVersion") {
        match GroupVersion::parse(text) {
            Some(version) => {
                let mut wrong = |value: &str, why: Vec<String>| {
                    if !why.is_empty() {
                        out.push(Cause::invalid(&field, &value.into(), &why.join(",")));
                    }
                };
                if !version.group.is_empty() {
                    wrong(&version.group, names::dns_subdomain(&version.group));
                }
                if version.version.is_empty() {
                    wrong(text, vec!["version must be specified".into()]);
                } else {
                    wrong(&version.version, names::dns_1035_label(&version.version));
                }
            }
            None => {
                let why = format!("unexpected GroupVersion string: {text}");
                out.push(Cause::invalid(field, &text.into(), &why));
            }
        }
    }
    if require(out, at, "kind") {
        let wrong = names::dns_1035_label(&at.text("kind").to_lowercase());
        if !wrong.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
            out.push(Cause::invalid(at.of("kind"), at.field("kind").value, &why));
        }
    }
}

fn validating(object: &Value, old: Option<&Value>) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let own = both(&mut out, &spec, old, false);
    let declared = own.with(names_of(&spec), false);
    if spec.lacks("validations") && spec.lacks("auditAnnotations") {
        let why = "validations or auditAnnotations must contain at least one item";
        out.push(Cause::required(spec.of("validations"), why));
        out.push(Cause::required(spec.of("auditAnnotations"), why));
        return out;
    }
    spec.list("validations").for_each(|at| validation(&mut out, &at, declared));
    annotations(&mut out, &spec, lookup(object, "metadata.name").as_str().unwrap_or(""), declared);
    out
}

fn validation(out: &mut Causes, at: &Place<'_>, declared: Declared<'_>) {
    required(out, at, "expression", "expression is not specified", declared, Gives::Bool);
    let message = at.field("messageExpression");
    if !message.as_text().is_empty() {
        if message.as_text().trim().is_empty() {
            out.push(Cause::invalid(&message.path, message.value, "must be non-empty if specified"));
        } else {
            // What a user may do is nobody's message.
            let names: Vec<&str> = declared.names.iter().copied().filter(|n| *n != "authorizer").collect();
            expression(out, &message, Declared { names: &names, ..declared }, Gives::Text);
        }
    }
    let message = at.field("message");
    if !message.as_text().is_empty() && message.as_text().trim().is_empty() {
        out.push(Cause::invalid(&message.path, message.value, "must be non-empty if specified"));
    } else if message.as_text().trim().contains(['\n', '\r']) {
        out.push(Cause::invalid(&message.path, message.value, "must not contain line breaks"));
    }
    one_of(out, at, "reason", REASONS);
}

fn annotations(out: &mut Causes, spec: &Place<'_>, policy: &str, declared: Declared<'_>) {
    let field = spec.field("auditAnnotations");
    if field.elements().count() > MAX_ANNOTATIONS {
        let why = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        out.push(Cause::invalid(&field.path, field.value, &why));
    }
    let mut seen: Vec<&str> = Vec::new();
    for annotation in field.elements() {
        let key = annotation.text("key");
        for why in names::qualified_name(&format!("{policy}/{key}")) {
            out.push(Cause::invalid(annotation.of("key"), &format!("{policy}/{key}").into(), &why));
        }
        let text = annotation.text("valueExpression").trim();
        if text.len() > MAX_ANNOTATION {
            let why = format!("must not exceed {MAX_ANNOTATION} bytes in length");
            out.push(Cause::required(annotation.of("valueExpression"), &why));
        } else {
            let missing = "valueExpression is not specified";
            required(out, &annotation, "valueExpression", missing, declared, Gives::TextOrNull);
        }
        if seen.contains(&key) {
            out.push(Cause::duplicate(annotation.of("key"), &key.into()));
        }
        seen.push(key);
    }
}

fn mutating(object: &Value, old: Option<&Value>) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let own = both(&mut out, &spec, old, true);
    let matching = spec.field("matchConstraints");
    rules::changing_operations(&mut out, &matching, "spec.matchConstraints.resourceRules.operations");
    let declared = own.with(names_of(&spec), true);
    if spec.lacks("mutations") {
        out.push(Cause::required(spec.of("mutations"), "mutations must contain at least one item"));
    }
    spec.list("mutations").for_each(|at| mutation(&mut out, &at, declared));
    required_one_of(&mut out, &spec, "reinvocationPolicy", &["IfNeeded", "Never"]);
    out
}

fn mutation(out: &mut Causes, at: &Place<'_>, declared: Declared<'_>) {
    const TYPES: &[(&str, &str, Gives)] = &[
        ("ApplyConfiguration", "applyConfiguration", Gives::Object),
        ("JSONPatch", "jsonPatch", Gives::Patches),
    ];
    let of = at.text("patchType");
    required_one_of(out, at, "patchType", &["ApplyConfiguration", "JSONPatch"]);
    let Some((_, own, gives)) = TYPES.iter().find(|(name, ..)| *name == of) else { return };
    match at.present(own) {
        None => out.push(Cause::required(at.of(own), &format!("must be specified when patchType is {of}"))),
        Some(patch) => {
            required(out, &patch, "expression", "", declared, *gives);
        }
    }
    for (_, other, _) in TYPES.iter().filter(|(name, ..)| *name != of) {
        if at.has(other) {
            let why = format!("must not be specified when patchType is {of}");
            out.push(Cause::invalid(at.of(other), &format!("{{{other}}}").into(), &why));
        }
    }
}
