//! Certificate signing requests. Who asks (`spec.username`, `groups`, `uid`, `extra`) is filled in by the server.

use super::generic::{clear_status, plain};
use super::place::{Causes, Place, each_mut, lookup, require};
use super::signing;
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
/// What an approver decides.
const DECISIONS: &[&str] = &["Approved", "Denied"];
/// Conditions that are there only when they hold.
const ALWAYS_TRUE: &[&str] = &["Approved", "Denied", "Failed"];

/// How certificate signing requests are written. The spec cannot change.
pub fn strategy() -> Strategy {
    Strategy {
        prepare_create: clear_status,
        prepare_update: |new, old| {
            super::generic::keep_status(new, old);
            new["spec"] = lookup(old, "spec").clone();
        },
        validate_create: |object| {
            let mut out = Vec::new();
            spec(&mut out, &Place::root(object).field("spec"));
            out
        },
        validate_status: |new, old| validate_change(new, old, Path::Status),
        validate_name: names::path_segment,
        ..plain()
    }
}

/// What a write of `approval` may change: conditions. `now` dates those that have no dates.
pub fn prepare_approval(new: &mut Value, old: &Value, now: &str) {
    let mut status = lookup(old, "status").clone();
    let conditions = new.get_mut("status").and_then(|status| status.get_mut("conditions")).map(Value::take);
    if !status.is_object() {
        status = Value::Object(serde_json::Map::new());
    }
    if let Some(fields) = status.as_object_mut() {
        match conditions {
            Some(conditions) => fields.insert("conditions".to_owned(), conditions),
            None => fields.remove("conditions"),
        };
    }
    new["status"] = status;
    date(new, old, now);
}

/// What a write of `status` may not change: decisions, unless one is added or taken away, which is refused later.
pub fn prepare_status(new: &mut Value, old: &Value, now: &str) {
    let of = |object: &Value, kind: &str| -> Vec<Value> { conditions_of(object, kind).cloned().collect() };
    for kind in DECISIONS {
        let before = of(old, kind);
        if before.len() == of(new, kind).len()
            && let Some(status) = new.get_mut("status")
        {
            let same_kind = each_mut(status, "conditions").filter(|c| c["type"] == *kind);
            same_kind.zip(before).for_each(|(condition, before)| *condition = before);
        }
    }
    date(new, old, now);
}

/// Dates conditions. What held before holds since then.
fn date(new: &mut Value, old: &Value, now: &str) {
    let Some(status) = new.get_mut("status") else { return };
    for condition in each_mut(status, "conditions") {
        if lookup(condition, "lastUpdateTime").is_null() {
            condition["lastUpdateTime"] = Value::from(now);
        }
        if lookup(condition, "lastTransitionTime").is_null() {
            let kind = condition["type"].as_str().unwrap_or("").to_owned();
            let since = conditions_of(old, &kind)
                .find(|before| before["status"] == condition["status"])
                .map(|before| lookup(before, "lastTransitionTime").clone())
                .filter(|since| !since.is_null());
            condition["lastTransitionTime"] = since.unwrap_or_else(|| Value::from(now));
        }
    }
}

/// Defects of a change through `approval`.
pub fn validate_approval(new: &Value, old: &Value) -> Causes {
    validate_change(new, old, Path::Approval)
}

/// Through what a request is changed.
#[derive(Clone, Copy, PartialEq)]
enum Path {
    Status,
    Approval,
}

fn spec(out: &mut Causes, spec: &Place<'_>) {
    let request = spec.field("request");
    if !signing::is_request(request.as_text()) {
        let message = "PEM block type must be CERTIFICATE REQUEST";
        out.push(Cause::invalid(&request.path, request.value, message));
    }
    require(out, spec, "usages");
    for usage in spec.list("usages").filter(|usage| !USAGES.contains(&usage.as_text())) {
        out.push(Cause::not_supported(&usage.path, usage.value, USAGES));
    }
    let mut seen: Vec<&str> = Vec::new();
    for usage in spec.list("usages") {
        if seen.contains(&usage.as_text()) {
            out.push(Cause::duplicate(&usage.path, usage.value));
        }
        seen.push(usage.as_text());
    }
    let signer = spec.field("signerName");
    if signer.as_text() == "kubernetes.io/legacy-unknown" {
        let message = "the legacy signerName is not allowed via this API version";
        out.push(Cause::invalid(&signer.path, signer.value, message));
    } else {
        signing::signer_name(out, &signer);
    }
    if let Some(seconds) = spec.int("expirationSeconds").filter(|s| *s < MIN_SECONDS) {
        let message = "may not specify a duration less than 600 seconds (10 minutes)";
        out.push(Cause::invalid(spec.of("expirationSeconds"), &Value::from(seconds), message));
    }
}

fn conditions_of<'a>(object: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = lookup(object, "status.conditions").as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(move |condition| condition["type"] == kind)
}

/// The rules of a change: what was decided stays decided, and only an approver decides.
fn validate_change(new: &Value, old: &Value, through: Path) -> Causes {
    let mut out = Vec::new();
    let status = Place::root(new).field("status");
    conditions(&mut out, &status.field("conditions"));
    let (certificate, before) = (status.text("certificate"), lookup(old, "status.certificate"));
    let before = before.as_str().unwrap_or("");
    if certificate != before
        && let Err(why) = signing::certificates(certificate)
    {
        let shown = Value::from("<certificate data>");
        out.push(Cause::invalid(status.of("certificate"), &shown, &why));
    }
    let count = |object, kind| conditions_of(object, kind).count();
    let mut forbid = |what: &str, kind: &str| {
        let message = format!("updates may not {what} a condition of type {kind:?}");
        out.push(Cause::forbidden(status.of("conditions"), &message));
    };
    for kind in ALWAYS_TRUE.iter().filter(|kind| count(new, kind) < count(old, kind)) {
        forbid("remove", kind);
    }
    if through == Path::Status {
        for kind in DECISIONS.iter().filter(|kind| count(new, kind) > count(old, kind)) {
            forbid("add", kind);
        }
    }
    if through == Path::Status && certificate != before && !before.is_empty() {
        let message = "updates may not modify existing certificate content";
        out.push(Cause::forbidden(status.of("certificate"), message));
    }
    out
}

fn conditions(out: &mut Causes, list: &Place<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for condition in list.elements() {
        let kind = condition.text("type");
        require(out, &condition, "type");
        if require(out, &condition, "status") {
            let allowed: &[&str] =
                if ALWAYS_TRUE.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
            super::place::one_of(out, &condition, "status", allowed);
        }
        let other = DECISIONS.iter().any(|decision| *decision != kind && seen.contains(decision));
        if DECISIONS.contains(&kind) && other {
            let message = "Approved and Denied conditions are mutually exclusive";
            out.push(Cause::invalid(&list.path, &Value::from(kind), message));
        }
        if seen.contains(&kind) {
            out.push(Cause::duplicate(condition.of("type"), &Value::from(kind)));
        }
        seen.push(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(conditions: &Value) -> Value {
        json!({"spec": {}, "status": {"conditions": conditions}})
    }

    fn told(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(Cause::to_string).collect()
    }

    #[test]
    fn what_is_decided_stays_decided() {
        let (approved, denied) =
            (json!({"type": "Approved", "status": "True"}), json!({"type": "Denied", "status": "True"}));
        let none = request(&json!([]));
        let yes = request(&json!([approved]));
        let both = request(&json!([approved, denied]));
        let unsure = request(&json!([{"type": "Denied", "status": "False"}]));
        assert_eq!(told(&validate_approval(&yes, &none)), [""; 0]);
        assert_eq!(
            told(&validate_approval(&none, &yes)),
            ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]
        );
        assert_eq!(
            told(&(strategy().validate_status)(&yes, &none)),
            ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
        );
        assert_eq!(
            told(&validate_approval(&both, &none)),
            [
                "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
            ]
        );
        assert_eq!(
            told(&validate_approval(&unsure, &none)),
            ["status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\""]
        );
    }

    #[test]
    fn an_approver_writes_conditions_only_and_they_are_dated() {
        let old = json!({"spec": {"a": 1}, "status": {"certificate": "YQ=="}});
        let mut new = json!({"spec": {"a": 1}, "status": {"certificate": "Yg==",
            "conditions": [{"type": "Approved", "status": "True"}]}});
        prepare_approval(&mut new, &old, "2026-01-01T00:00:00Z");
        assert_eq!(new["status"]["certificate"], "YQ==");
        assert_eq!(new["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let mut again = new.clone();
        again["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Again"}]);
        prepare_approval(&mut again, &new, "2026-02-02T00:00:00Z");
        let condition = &again["status"]["conditions"][0];
        assert_eq!(condition["lastUpdateTime"], "2026-02-02T00:00:00Z");
        assert_eq!(condition["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let mut status = new.clone();
        status["status"]["conditions"][0]["reason"] = json!("Other");
        prepare_status(&mut status, &new, "2026-03-03T00:00:00Z");
        assert_eq!(status["status"], new["status"]);
    }
}
