//! What the kinds that make pods share: templates and selectors, numbers and percentages, replicas in a status.

use super::generic::counted;
use super::place::{Causes, Place, lookup, not_negative, same};
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

/// `Invalid value` of a selector.
pub(super) fn invalid_selector(at: &Place<'_>, detail: &str) -> Cause {
    Cause::invalid(&at.path, at.value, detail)
}

/// Adds `field is immutable` when the selector of the spec changed.
pub(super) fn selector_stays(out: &mut Causes, new: &Value, old: &Value) {
    if !same(new, old, "spec.selector") {
        let selector = Place::new("spec.selector", lookup(new, "spec.selector"));
        out.push(invalid_selector(&selector, "field is immutable"));
    }
}

/// Adds what is wrong when the labels of the template are not selected; without a selector none are.
pub(super) fn selects_template(out: &mut Causes, spec: &Place<'_>) {
    let labels = spec.field("template").field("metadata").field("labels");
    if !spec.has("selector") || !selects(spec.field("selector").value, labels.value) {
        let message = "`selector` does not match template `labels`";
        out.push(Cause::invalid(labels.path, labels.value, message));
    }
}

/// The rules of a selector that is there. False when it cannot be used to select.
pub(super) fn usable_selector(out: &mut Causes, selector: &Place<'_>) -> bool {
    let before = out.len();
    metadata::label_selector(out, selector);
    out.len() == before
}

/// The selector that must be there and the template that it must select. `kind` is named when the selector is empty,
/// `unusable` says what to say of one that cannot be used; then false is given and the template is not looked at.
pub(super) fn selector_and_template(
    out: &mut Causes,
    spec: &Place<'_>,
    template: &Place<'_>,
    kind: &str,
    unusable: &str,
) -> bool {
    let selector = spec.field("selector");
    if !spec.has("selector") {
        out.push(Cause::required(&selector.path, ""));
    } else if !usable_selector(out, &selector) {
        out.push(invalid_selector(&selector, unusable));
        return false;
    }
    let empty = spec.has("selector") && is_empty_selector(&selector);
    if empty {
        out.push(invalid_selector(&selector, &format!("empty selector is invalid for {kind}")));
    } else {
        selects_template(out, spec);
    }
    pods_spec::template(out, template);
    true
}

/// The warning of a name that is no DNS label: hosts are called after it.
pub(super) fn name_of_pods(object: &Value) -> Vec<String> {
    let wrong = names::dns_label(lookup(object, "metadata.name").as_str().unwrap_or(""));
    let warning = format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
        wrong.join(" ")
    );
    if wrong.is_empty() { Vec::new() } else { vec![warning] }
}

/// The warnings of a new object whose name and template are those of pods.
pub(super) fn warnings_of_new(object: &Value) -> Vec<String> {
    let mut all = name_of_pods(object);
    all.extend(super::pods_warnings::template(object));
    all
}

/// The warnings of a change: those of the template, when anything that is desired changed.
pub(super) fn warnings_of_change(new: &Value, old: &Value) -> Vec<String> {
    if counted(new, old) { super::pods_warnings::template(new) } else { Vec::new() }
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

/// The number, of a percentage or a text too; 0 when there is none.
pub(super) fn int_or_percent_value(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.strip_suffix('%').unwrap_or(text).parse().unwrap_or(0),
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
    fn a_selector_must_be_usable_and_select_its_template() {
        let told = |selector: Value| {
            let spec = json!({"selector": selector, "template": {"metadata": {"labels": {"a": "b"}}}});
            let spec = Place::new("spec", &spec);
            let mut out = Vec::new();
            selector_and_template(&mut out, &spec, &spec.field("template"), "thing", "not usable");
            let rest = |cause: &Cause| !cause.field.starts_with("spec.template.spec");
            out.iter().filter(|cause| rest(cause)).map(Cause::to_string).collect::<Vec<_>>()
        };
        let unselected = "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`";
        assert_eq!(told(json!({"matchLabels": {"a": "b"}})), [""; 0]);
        assert_eq!(told(Value::Null), ["spec.selector: Required value", unselected]);
        assert_eq!(told(json!({"matchLabels": {"a": "c"}})), [unselected]);
        assert_eq!(
            told(json!({})),
            ["spec.selector: Invalid value: {}: empty selector is invalid for thing"]
        );
        let unusable =
            told(json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In"}]}));
        assert_eq!(
            unusable[1],
            "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}],\"matchLabels\":{\"a\":\"b\"}}: not usable"
        );
        assert_eq!(unusable.len(), 2);
    }

    #[test]
    fn numbers_are_read_of_texts_and_percentages() {
        for (value, number) in [
            (json!(3), 3),
            (json!("25%"), 25),
            (json!("5"), 5),
            (json!("x"), 0),
            (json!("%"), 0),
            (Value::Null, 0),
        ] {
            assert_eq!(int_or_percent_value(&value), number, "{value}");
        }
    }

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
