//! Flow schemas and priority levels: which requests a server would queue together, and how many at a time.

use super::generic::plain;
use super::place::{
    Causes, Place, invalid_all, lookup, map_at, object_at, require, require_with, set_default,
    set_default_number,
};
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::{Value, json};

const MAX_PRECEDENCE: i64 = 10_000;
const MAX_QUEUES: i64 = 10_000_000;
/// The most bits that dealing a hand of queues may take.
const MAX_HASH_BITS: i64 = 60;
/// The name of the schema and of the level of what never waits.
const EXEMPT: &str = "exempt";
const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// Kind of a subject, the field that says whom it means.
const SUBJECTS: &[(&str, &str)] =
    &[("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

/// How flow schemas are written.
pub fn schema_strategy() -> Strategy {
    Strategy {
        default: |object| {
            if let Some(spec) = map_at(object, "spec") {
                set_default_number(spec, "matchingPrecedence", 1000);
            }
        },
        validate_create: schema,
        validate_update: |new, _| schema(new),
        validate_status: |new, _| conditions(new),
        status_keeps: &["labels", "annotations", "finalizers", "ownerReferences", "generateName"],
        generation: true,
        ..plain()
    }
}

/// How priority levels are written.
pub fn level_strategy() -> Strategy {
    Strategy {
        default: default_level,
        validate_create: level,
        validate_update: |new, _| level(new),
        validate_status: |new, _| conditions(new),
        status_keeps: &["labels", "annotations", "finalizers", "ownerReferences", "generateName"],
        generation: true,
        ..plain()
    }
}

fn default_level(object: &mut Value) {
    let Some(spec) = map_at(object, "spec") else { return };
    if let Some(exempt) = object_at(spec, "exempt") {
        set_default(exempt, "nominalConcurrencyShares", 0);
        set_default(exempt, "lendablePercent", 0);
    }
    let Some(limited) = object_at(spec, "limited") else { return };
    set_default(limited, "nominalConcurrencyShares", 30);
    set_default(limited, "lendablePercent", 0);
    let queuing = object_at(limited, "limitResponse").and_then(|response| object_at(response, "queuing"));
    if let Some(queuing) = queuing {
        set_default_number(queuing, "handSize", 8);
        set_default_number(queuing, "queues", 64);
        set_default_number(queuing, "queueLengthLimit", 50);
    }
}

fn conditions(object: &Value) -> Causes {
    let mut out = Vec::new();
    let mut seen = Vec::new();
    for condition in Place::root(object).field("status").list("conditions") {
        let of = condition.text("type");
        if seen.contains(&of) {
            out.push(Cause::duplicate(condition.of("type"), &of.into()));
        }
        seen.push(of);
        require(&mut out, &condition, "type");
    }
    out
}

fn schema(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let precedence = spec.int("matchingPrecedence").unwrap_or(0);
    let mut wrong = |message: &str| {
        out.push(Cause::invalid(spec.of("matchingPrecedence"), &precedence.into(), message));
    };
    if precedence <= 0 {
        wrong("must be a positive value");
    }
    if precedence > MAX_PRECEDENCE {
        wrong("must not be greater than 10000");
    }
    if precedence == 1 && lookup(object, "metadata.name") != EXEMPT {
        wrong("only the schema named 'exempt' may have matchingPrecedence 1");
    }
    if let Some(method) = spec.present("distinguisherMethod")
        && !matches!(method.text("type"), "ByNamespace" | "ByUser")
    {
        let shown = json!({"Type": method.text("type")});
        out.push(Cause::not_supported(method.of("type"), &shown, &["ByNamespace", "ByUser"]));
    }
    let level = spec.field("priorityLevelConfiguration");
    if require_with(&mut out, &level, "name", "must reference a priority level") {
        let name = level.text("name");
        invalid_all(&mut out, &level.of("name"), name, names::dns_subdomain(name));
    }
    spec.list("rules").for_each(|at| rule(&mut out, &at));
    out
}

fn rule(out: &mut Causes, at: &Place<'_>) {
    require_with(out, at, "subjects", "subjects must contain at least one value");
    at.list("subjects").for_each(|subject| one_subject(out, &subject));
    if at.lacks("resourceRules") && at.lacks("nonResourceRules") {
        let message = "at least one of resourceRules and nonResourceRules has to be non-empty";
        out.push(Cause::required(&at.path, message));
    }
    at.list("resourceRules").for_each(|rule| resources(out, &rule));
    at.list("nonResourceRules").for_each(|rule| paths(out, &rule));
}

fn one_subject(out: &mut Causes, at: &Place<'_>) {
    let kind = at.text("kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        out.push(Cause::not_supported(at.of("kind"), &kind.into(), &["Group", "ServiceAccount", "User"]));
        return;
    };
    match at.present(own) {
        None => {
            out.push(Cause::required(at.of(own), &format!("{own} is required when subject kind is '{kind}'")))
        }
        Some(subject) => {
            let name = subject.text("name");
            let account = *own == "serviceAccount";
            if require(out, &subject, "name") && account && name != "*" {
                invalid_all(out, &subject.of("name"), name, names::dns_subdomain(name));
            }
            let message = "must specify namespace for service account";
            if account && require_with(out, &subject, "namespace", message) {
                let namespace = subject.text("namespace");
                invalid_all(out, &subject.of("namespace"), namespace, names::dns_label(namespace));
            }
        }
    }
    let others = SUBJECTS.iter().filter(|(other, field)| *other != kind && at.has(field));
    for (other, field) in others {
        let message = format!("{field} is forbidden when subject kind is not '{other}'");
        out.push(Cause::forbidden(at.of(field), &message));
    }
}

/// A list that says something, and `*` alone or not at all. True when what it names is to be looked at.
fn named(out: &mut Causes, at: &Place<'_>, field: &str, missing: &str, others: &str) -> bool {
    if !require_with(out, at, field, missing) {
        return false;
    }
    let all = at.texts(field);
    let everything = all.contains(&"*");
    if everything && all.len() > 1 {
        let message = format!("if '*' is present, must not specify other {others}");
        out.push(Cause::invalid(at.of(field), at.field(field).value, &message));
    }
    !everything
}

fn verbs(out: &mut Causes, at: &Place<'_>) {
    if named(out, at, "verbs", "verbs must contain at least one value", "verbs")
        && !at.texts("verbs").iter().all(|verb| VERBS.contains(verb))
    {
        out.push(Cause::not_supported(at.of("verbs"), at.field("verbs").value, VERBS));
    }
}

fn resources(out: &mut Causes, at: &Place<'_>) {
    verbs(out, at);
    named(out, at, "apiGroups", "resource rules must supply at least one api group", "api groups");
    named(out, at, "resources", "resource rules must supply at least one resource", "resources");
    if at.lacks("namespaces") && at.flag("clusterScope") {
        return;
    }
    let missing = "resource rules that are not cluster scoped must supply at least one namespace";
    if named(out, at, "namespaces", missing, "namespaces") {
        for namespace in at.list("namespaces") {
            for message in names::dns_label(namespace.as_text()) {
                let message = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                out.push(Cause::invalid(&namespace.path, namespace.value, &message));
            }
        }
    }
}

fn paths(out: &mut Causes, at: &Place<'_>) {
    verbs(out, at);
    let missing = "nonResourceURLs must contain at least one value";
    if named(out, at, "nonResourceURLs", missing, "non-resource URLs") {
        for path in at.list("nonResourceURLs") {
            if let Some(message) = wrong_path(path.as_text()) {
                out.push(Cause::invalid(&path.path, path.value, message));
            }
        }
    }
}

/// What is wrong with a path, whose last step may be `*`.
fn wrong_path(path: &str) -> Option<&'static str> {
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !path.starts_with('/') => Some("must start with slash"),
        _ if path.contains(' ') => Some("must not contain white-space"),
        _ if path.contains("//") => Some("must not contain double slash"),
        _ => {
            let before_the_end = path.strip_suffix("/*").unwrap_or(path);
            before_the_end.contains('*').then_some("wildcard can only do suffix matching")
        }
    }
}

fn level(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    let of = spec.text("type");
    if (lookup(object, "metadata.name") == EXEMPT) != (of == "Exempt") {
        let message = "must be 'Exempt' if and only if `name` is 'exempt'";
        out.push(Cause::invalid(spec.of("type"), &of.into(), message));
    }
    match of {
        "Exempt" => {
            if spec.has("limited") {
                let message = "must be nil if the type is not Limited";
                out.push(Cause::forbidden(spec.of("limited"), message));
            }
            if let Some(exempt) = spec.present("exempt") {
                shares(&mut out, &exempt);
            }
        }
        "Limited" => {
            if spec.has("exempt") {
                out.push(Cause::forbidden(spec.of("exempt"), "must be nil if the type is Limited"));
            }
            match spec.present("limited") {
                None => {
                    let message = "must not be empty when type is Limited";
                    out.push(Cause::required(spec.of("limited"), message));
                }
                Some(limited) => one_limit(&mut out, &limited),
            }
        }
        _ => out.push(Cause::not_supported(spec.of("type"), &of.into(), &["Exempt", "Limited"])),
    }
    out
}

fn shares(out: &mut Causes, at: &Place<'_>) {
    if let Some(shares) = at.int("nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let message = "must be a non-negative integer";
        out.push(Cause::invalid(at.of("nominalConcurrencyShares"), &shares.into(), message));
    }
    if let Some(percent) = at.int("lendablePercent").filter(|percent| !(0..=100).contains(percent)) {
        let message = "must be between 0 and 100, inclusive";
        out.push(Cause::invalid(at.of("lendablePercent"), &percent.into(), message));
    }
}

fn one_limit(out: &mut Causes, at: &Place<'_>) {
    shares(out, at);
    if let Some(percent) = at.int("borrowingLimitPercent").filter(|percent| *percent < 0) {
        let message = "if specified, must be a non-negative integer";
        out.push(Cause::invalid(at.of("borrowingLimitPercent"), &percent.into(), message));
    }
    let response = at.field("limitResponse");
    let of = response.text("type");
    match (of, response.present("queuing")) {
        ("Reject", Some(queuing)) => {
            let message = "must be nil if limited.limitResponse.type is not Limited";
            out.push(Cause::forbidden(queuing.path, message));
        }
        ("Queue", None) => {
            let message = "must not be empty if limited.limitResponse.type is Limited";
            out.push(Cause::required(response.of("queuing"), message));
        }
        ("Queue", Some(queuing)) => queues(out, &queuing),
        ("Reject", None) => {}
        _ => out.push(Cause::not_supported(response.of("type"), &of.into(), &["Queue", "Reject"])),
    }
}

fn queues(out: &mut Causes, at: &Place<'_>) {
    let number = |field: &str| at.int(field).unwrap_or(0);
    let mut wrong = |field: &str, message: &str| {
        out.push(Cause::invalid(at.of(field), &number(field).into(), message));
    };
    let (queues, hand) = (number("queues"), number("handSize"));
    if number("queueLengthLimit") <= 0 {
        wrong("queueLengthLimit", "must be positive");
    }
    if queues <= 0 {
        wrong("queues", "must be positive");
    } else if queues > MAX_QUEUES {
        wrong("queues", &format!("must not be greater than {MAX_QUEUES}"));
    }
    if hand <= 0 {
        wrong("handSize", "must be positive");
    } else if hand > queues {
        wrong("handSize", &format!("should not be greater than queues ({queues})"));
    } else if bits(queues, hand) > MAX_HASH_BITS {
        let message = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        );
        wrong("handSize", &message);
    }
}

/// How many bits it takes to deal a hand, each card from a whole deck.
fn bits(deck: i64, hand: i64) -> i64 {
    ((deck as f64).log2() * hand as f64).ceil() as i64
}
