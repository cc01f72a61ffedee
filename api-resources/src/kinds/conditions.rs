//! Conditions of a status, as the API conventions have them (`metav1.Condition`).

use super::place::{Causes, Place, invalid_all, require};
use crate::names;
use api_types::Cause;
use serde_json::Value;

const REASON_MAX: usize = 1024;
const MESSAGE_MAX: usize = 32 * 1024;
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// The rules of a list of conditions.
pub(super) fn conditions(out: &mut Causes, list: &Place<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for condition in list.elements() {
        let kind = condition.text("type");
        if seen.contains(&kind) {
            out.push(Cause::duplicate(condition.of("type"), &Value::from(kind)));
        }
        seen.push(kind);
        one(out, &condition);
    }
}

fn one(out: &mut Causes, at: &Place<'_>) {
    invalid_all(out, &at.of("type"), at.text("type"), names::qualified_name(at.text("type")));
    let status = at.text("status");
    if !STATUSES.contains(&status) {
        out.push(Cause::not_supported(at.of("status"), &Value::from(status), STATUSES));
    }
    if let Some(generation) = at.int("observedGeneration").filter(|generation| *generation < 0) {
        let message = "must be greater than or equal to zero";
        out.push(Cause::invalid(at.of("observedGeneration"), &generation.into(), message));
    }
    require(out, at, "lastTransitionTime");
    if require(out, at, "reason") {
        let reason = at.text("reason");
        if !is_reason(reason) {
            let message = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
            out.push(Cause::invalid(at.of("reason"), &Value::from(reason), message));
        }
        if reason.len() > REASON_MAX {
            out.push(Cause::too_long(at.of("reason"), REASON_MAX));
        }
    }
    if at.text("message").len() > MESSAGE_MAX {
        out.push(Cause::too_long(at.of("message"), MESSAGE_MAX));
    }
}

fn is_reason(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_,:".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inside)
        && !text.ends_with([',', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_have_rules() {
        let good = json!({"type": "Ready", "status": "True", "reason": "A:B", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let with = |field: &str, value: Value| {
            let mut condition = good.clone();
            condition[field] = value;
            condition
        };
        for (list, wrong) in [
            (json!([good]), vec![]),
            (json!([good, good]), vec!["[1].type"]),
            (json!([with("type", json!("x y"))]), vec!["[0].type"]),
            (json!([with("status", json!("Maybe"))]), vec!["[0].status"]),
            (json!([with("reason", json!("A:"))]), vec!["[0].reason"]),
            (json!([with("observedGeneration", json!(-1))]), vec!["[0].observedGeneration"]),
            (json!([with("lastTransitionTime", Value::Null)]), vec!["[0].lastTransitionTime"]),
            (json!([with("message", json!("m".repeat(MESSAGE_MAX + 1)))]), vec!["[0].message"]),
        ] {
            let mut out = Vec::new();
            conditions(&mut out, &Place::new("", &list));
            assert_eq!(out.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), wrong);
        }
    }
}
