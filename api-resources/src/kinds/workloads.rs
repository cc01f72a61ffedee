//! What the kinds that make pods share: templates and selectors, numbers and percentages, replicas in a status.

use super::place::{Causes, Place, lookup, not_negative};
use super::pods_spec;
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

/// True when a label selector (`matchLabels`, `matchExpressions`) chooses these labels; an empty one chooses all.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let by_label = lookup(selector, "matchLabels").as_object().into_iter().flatten();
    let expressions = lookup(selector, "matchExpressions").as_array().into_iter().flatten();
    by_label.clone().all(|(key, wanted)| value(key) == wanted.as_str())
        && expressions.clone().all(|expression| {
            let own = value(expression["key"].as_str().unwrap_or(""));
            let listed = expression["values"]
                .as_array()
                .is_some_and(|values| values.iter().any(|v| v.as_str() == own && own.is_some()));
            match expression["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => own.is_some(),
                Some("DoesNotExist") => own.is_none(),
                _ => false,
            }
        })
}

/// True when a label selector has no requirement.
pub fn is_empty_selector(selector: &Place<'_>) -> bool {
    selector.lacks("matchLabels") && selector.lacks("matchExpressions")
}

/// The selector and the template that it must select. `kind` is named when the selector is empty.
pub(super) fn selector_and_template(out: &mut Causes, spec: &Place<'_>, kind: &str, template: &Place<'_>) {
    let selector = spec.field("selector");
    let before = out.len();
    if spec.has("selector") {
        metadata::label_selector(out, &selector);
        if is_empty_selector(&selector) {
            let message = format!("empty selector is invalid for {kind}");
            out.push(Cause::invalid(&selector.path, selector.value, &message));
        }
    } else {
        out.push(Cause::required(&selector.path, ""));
    }
    let labels = template.field("metadata").field("labels");
    let broken = out.len() > before;
    if broken && selector.list("matchExpressions").any(|e| e.lacks("operator")) {
        out.push(Cause::invalid(&selector.path, selector.value, "invalid label selector"));
        return;
    }
    if !is_empty_selector(&selector) && !selects(selector.value, labels.value) {
        out.push(Cause::invalid(labels.path, labels.value, "`selector` does not match template `labels`"));
    }
    pods_spec::template(out, template);
}

/// The template's pods run for good: they restart always and have no deadline.
pub(super) fn runs_for_good(out: &mut Causes, template: &Place<'_>, kind: &str) {
    let spec = template.field("spec");
    if spec.text("restartPolicy") != "Always" {
        out.push(Cause::not_supported(
            spec.of("restartPolicy"),
            &Value::from(spec.text("restartPolicy")),
            &["Always"],
        ));
    }
    if spec.has("activeDeadlineSeconds") {
        out.push(Cause::forbidden(
            spec.of("activeDeadlineSeconds"),
            &format!("activeDeadlineSeconds in {kind} is not Supported"),
        ));
    }
}

/// A number that is not negative, or a percentage.
pub(super) fn int_or_percent(out: &mut Causes, at: &Place<'_>) {
    match at.value {
        Value::String(text) => {
            for message in names::percent(text) {
                out.push(Cause::invalid(&at.path, at.value, &message));
            }
        }
        other if other.as_i64().is_some_and(|n| n < 0) => {
            out.push(Cause::invalid(&at.path, other, names::NOT_NEGATIVE));
        }
        _ => {}
    }
}

/// At most 100 %.
pub(super) fn at_most_100_percent(out: &mut Causes, at: &Place<'_>) {
    let percent =
        at.value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|n| n.parse::<u64>().ok());
    if percent.is_some_and(|p| p > 100) {
        out.push(Cause::invalid(&at.path, at.value, "must not be greater than 100%"));
    }
}

/// The number, of a percentage too; 0 when absent.
pub(super) fn int_or_percent_value(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.strip_suffix('%').and_then(|n| n.parse().ok()).unwrap_or(0),
        other => other.as_i64().unwrap_or(0),
    }
}

/// Counts of a status: none negative, none of `parts` above `replicas`, available not above ready.
pub(super) fn replica_counts(
    out: &mut Causes,
    status: &Place<'_>,
    others: &[&str],
    parts: &[&str],
    ready: &str,
) {
    others.iter().for_each(|field| not_negative(out, status, field));
    let count = |field: &str| status.int(field).unwrap_or(0);
    for part in parts {
        if count(part) > count("replicas") {
            let message = "cannot be greater than status.replicas";
            out.push(Cause::invalid(status.of(part), &Value::from(count(part)), message));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let value = Value::from(count("availableReplicas"));
        let message = format!("cannot be greater than {ready}");
        out.push(Cause::invalid(status.of("availableReplicas"), &value, &message));
    }
}

/// A counter of a status that only grows.
pub(super) fn not_decremented(out: &mut Causes, new: &Value, old: &Value, path: &str) {
    let count = |object: &Value| lookup(object, path).as_i64();
    if count(old).is_some_and(|before| count(new).unwrap_or(0) < before) {
        let value = Value::from(count(new).unwrap_or(0));
        out.push(Cause::invalid(path, &value, "cannot be decremented"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_choose_labels() {
        let labels = json!({"app": "a", "tier": "x"});
        for (selector, chosen) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "a"}}), true),
            (json!({"matchLabels": {"app": "b"}}), false),
            (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["x", "y"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["x"]}]}), true),
            (json!({"matchExpressions": [{"key": "none", "operator": "Exists"}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}), true),
        ] {
            assert_eq!(selects(&selector, &labels), chosen, "{selector}");
        }
    }
}
