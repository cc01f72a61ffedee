//! Certificate signing requests. Who asks (`spec.username`, `groups`, `uid`, `extra`) is filled in by the server.

use super::generic::{clear_status, plain};
use super::place::{Causes, Place, invalid_all, lookup, require};
use super::sameness::same;
use crate::names;
use crate::resource::Strategy;
use api_types::Cause;
use serde_json::Value;

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const MIN_SECONDS: i64 = 600;

/// How certificate signing requests are written. The spec cannot change.
pub fn strategy() -> Strategy {
    Strategy {
        prepare_create: clear_status,
        prepare_update: |new, old| {
            super::generic::keep_status(new, old);
            new["spec"] = lookup(old, "spec").clone();
        },
        validate_create,
        validate_status: conditions,
        validate_name: names::path_segment,
        ..plain()
    }
}

fn validate_create(object: &Value) -> Causes {
    let mut out = Vec::new();
    let spec = Place::root(object).field("spec");
    require(&mut out, &spec, "request");
    if require(&mut out, &spec, "usages") {
        let mut seen: Vec<&str> = Vec::new();
        for usage in spec.list("usages") {
            if !USAGES.contains(&usage.as_text()) {
                out.push(Cause::not_supported(&usage.path, usage.value, USAGES));
            }
            if seen.contains(&usage.as_text()) {
                out.push(Cause::duplicate(&usage.path, usage.value));
            }
            seen.push(usage.as_text());
        }
    }
    if require(&mut out, &spec, "signerName") {
        let name = spec.text("signerName");
        let host = name.split_once('/').map_or("", |(host, _)| host);
        let mut wrong = names::domain_prefixed_path(name);
        if wrong.is_empty() && !host.contains('.') {
            wrong.push("should be a domain with at least two segments separated by dots".to_owned());
        }
        invalid_all(&mut out, &spec.of("signerName"), name, wrong);
        if name == "kubernetes.io/legacy-unknown" {
            let message = "the legacy signerName is not allowed via this API version";
            out.push(Cause::invalid(spec.of("signerName"), &Value::from(name), message));
        }
    }
    if let Some(seconds) = spec.int("expirationSeconds").filter(|s| *s < MIN_SECONDS) {
        let message = "may not specify a duration less than 600 seconds (10 minutes)";
        out.push(Cause::invalid(spec.of("expirationSeconds"), &Value::from(seconds), message));
    }
    out
}

/// The rules of conditions, also of those set through `approval`: what was decided stays decided.
pub fn conditions(new: &Value, old: &Value) -> Causes {
    let mut out = Vec::new();
    let status = Place::root(new).field("status");
    let list = status.field("conditions");
    let of = |object: &Value, kind: &str| {
        let all = lookup(object, "status.conditions").as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|c| c["type"] == kind).collect::<Vec<_>>()
    };
    for condition in list.elements() {
        require(&mut out, &condition, "type");
        require(&mut out, &condition, "status");
        if matches!(condition.text("type"), "Approved" | "Denied" | "Failed")
            && condition.text("status") != "True"
            && !condition.lacks("status")
        {
            out.push(Cause::not_supported(
                condition.of("status"),
                condition.field("status").value,
                &["True"],
            ));
        }
    }
    if !of(new, "Approved").is_empty() && !of(new, "Denied").is_empty() {
        let message = "Approved and Denied conditions are mutually exclusive";
        out.push(Cause::invalid(&list.path, list.value, message));
    }
    for kind in ["Approved", "Denied", "Failed"] {
        let (now, before) = (of(new, kind), of(old, kind));
        if !before.is_empty() && !same(&Value::Array(now), &Value::Array(before)) {
            let message = format!("updates may not modify or remove a condition of type {kind:?}");
            out.push(Cause::forbidden(&list.path, &message));
        }
    }
    let certificate = lookup(old, "status.certificate");
    if !certificate.is_null() && certificate != lookup(new, "status.certificate") {
        out.push(Cause::forbidden("status.certificate", "updates may not modify an existing certificate"));
    }
    out
}
