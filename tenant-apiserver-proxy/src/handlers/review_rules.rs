//! The rules of questions about permissions: one thing is asked, about somebody, and nothing else is said.

use api_resources::kinds::place::{Place, invalid_all};
use api_resources::names;
use api_resources::selectors::{FieldSelector, LabelSelector};
use api_types::Cause;
use serde_json::{Value, json};

/// Defects of a question about the one who asks.
pub fn question(review: &Value) -> Vec<Cause> {
    let spec = Place::root(review).field("spec");
    let mut causes = one_thing(&spec);
    causes.extend(selectors(&spec));
    causes.extend(bare(review, &[], "must be empty"));
    causes
}

/// Defects of a question about a user or groups.
pub fn question_about_somebody(review: &Value) -> Vec<Cause> {
    let mut causes = about_somebody(review);
    causes.extend(bare(review, &[], "must be empty"));
    causes
}

/// Defects of a question about a user or groups in one namespace.
pub fn question_in_a_namespace(review: &Value, namespace: &str) -> Vec<Cause> {
    let mut causes = about_somebody(review);
    causes.extend(bare(review, &["namespace"], "must be empty except for namespace"));
    let spec = Place::root(review).field("spec");
    if let Some(asked) = spec.present("resourceAttributes")
        && asked.text("namespace") != namespace
    {
        let given = Value::from(asked.text("namespace"));
        causes.push(Cause::invalid(asked.of("namespace"), &given, "must match metadata.namespace"));
    }
    if let Some(path) = spec.present("nonResourceAttributes") {
        let why = "disallowed on this kind of request";
        causes.push(Cause::invalid(&path.path, path.value, why));
    }
    causes
}

/// What of the selectors of a question is not looked at, since it cannot be read.
pub fn ignored(spec: &Value) -> String {
    let asked = &spec["resourceAttributes"];
    let unread = [
        (
            "fieldSelector",
            FieldSelector::parse(raw(&asked["fieldSelector"])).is_err(),
            unread_field as fn(&Value) -> bool,
        ),
        ("labelSelector", LabelSelector::parse(raw(&asked["labelSelector"])).is_err(), unread_label),
    ];
    let mut said = Vec::new();
    for (selector, unread_text, unread) in unread {
        let requirements = asked[selector]["requirements"].as_array().map_or(&[][..], Vec::as_slice);
        let wrong = requirements.iter().filter(|requirement| unread(requirement)).count();
        if wrong > 0 || (requirements.is_empty() && unread_text) {
            let partially = if wrong < requirements.len() { "partially " } else { "" };
            said.push(format!("spec.resourceAttributes.{selector} {partially}ignored due to parse error"));
        }
    }
    said.join("; ")
}

fn raw(selector: &Value) -> &str {
    selector["rawSelector"].as_str().unwrap_or("")
}

/// Fields are compared with one value.
fn unread_field(requirement: &Value) -> bool {
    let one = requirement["values"].as_array().is_some_and(|values| values.len() == 1);
    !matches!(requirement["operator"].as_str(), Some("In" | "NotIn")) || !one
}

fn unread_label(requirement: &Value) -> bool {
    LabelSelector::from_json(&json!({"matchExpressions": [requirement]})).is_err()
}

fn about_somebody(review: &Value) -> Vec<Cause> {
    let spec = Place::root(review).field("spec");
    let mut causes = one_thing(&spec);
    if spec.text("user").is_empty() && spec.lacks("groups") {
        let why = "at least one of user or group must be specified";
        causes.push(Cause::invalid("spec.user", &Value::from(spec.text("user")), why));
    }
    causes.extend(selectors(&spec));
    causes
}

fn one_thing(spec: &Place<'_>) -> Vec<Cause> {
    match (spec.has("resourceAttributes"), spec.present("nonResourceAttributes")) {
        (true, Some(path)) => {
            let why = "cannot be specified in combination with resourceAttributes";
            vec![Cause::invalid(&path.path, path.value, why)]
        }
        (false, None) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![Cause::invalid("spec.resourceAttributes", &Value::Null, why)]
        }
        _ => Vec::new(),
    }
}

/// A review is not stored: it has no name, and nothing else that metadata says.
fn bare(review: &Value, may: &[&str], why: &str) -> Option<Cause> {
    let metadata = Place::root(review).field("metadata");
    let said =
        metadata.value.as_object()?.keys().any(|field| {
            field != "managedFields" && !may.contains(&field.as_str()) && !metadata.lacks(field)
        });
    said.then(|| Cause::invalid("metadata", metadata.value, why))
}

/// Unknown operators are let through: who asks may be newer than this server.
fn selectors(spec: &Place<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (kind, of_labels) in [("fieldSelector", false), ("labelSelector", true)] {
        let Some(selector) = spec.field("resourceAttributes").present(kind) else { continue };
        match (selector.lacks("rawSelector"), selector.lacks("requirements")) {
            (false, false) => {
                let why = "may not specified at the same time as requirements";
                let raw = selector.field("rawSelector");
                causes.push(Cause::invalid(raw.path, raw.value, why));
            }
            (true, true) => {
                let why =
                    format!("when {} is specified, requirements or rawSelector is required", selector.path);
                causes.push(Cause::required(selector.of("requirements"), &why));
            }
            _ => {}
        }
        for at in selector.list("requirements") {
            requirement(&mut causes, &at, of_labels);
        }
    }
    causes
}

fn requirement(causes: &mut Vec<Cause>, at: &Place<'_>, of_labels: bool) {
    if !of_labels && at.lacks("key") {
        causes.push(Cause::required(at.of("key"), "must be specified"));
    }
    match (at.text("operator"), at.lacks("values")) {
        ("In" | "NotIn", true) => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            causes.push(Cause::required(at.of("values"), why));
        }
        ("Exists" | "DoesNotExist", false) => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.push(Cause::forbidden(at.of("values"), why));
        }
        _ => {}
    }
    if of_labels {
        invalid_all(causes, &at.of("key"), at.text("key"), names::qualified_name(at.text("key")));
        for value in at.list("values") {
            invalid_all(causes, &value.path, value.as_text(), names::label_value(value.as_text()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(causes: &[Cause]) -> Vec<&str> {
        causes.iter().map(|cause| cause.field.as_str()).collect()
    }

    #[test]
    fn a_question_asks_one_thing_about_somebody() {
        let resource = json!({"verb": "get", "resource": "pods"});
        let path = json!({"verb": "get", "path": "/healthz"});
        for (spec, wrong) in [
            (json!({"user": "bob", "resourceAttributes": resource}), vec![]),
            (json!({"groups": ["dev"], "nonResourceAttributes": path}), vec![]),
            (json!({"user": "", "groups": [], "resourceAttributes": resource}), vec!["spec.user"]),
            (json!({"user": "bob"}), vec!["spec.resourceAttributes"]),
            (json!({}), vec!["spec.resourceAttributes", "spec.user"]),
            (
                json!({"user": "bob", "resourceAttributes": resource, "nonResourceAttributes": path}),
                vec!["spec.nonResourceAttributes"],
            ),
        ] {
            assert_eq!(fields(&question_about_somebody(&json!({"spec": spec}))), wrong, "{spec}");
        }
    }

    #[test]
    fn selectors_have_requirements_or_a_text() {
        let at = |field: &str| format!("spec.resourceAttributes.{field}");
        for (asked, wrong) in [
            (json!({"fieldSelector": {"rawSelector": "a=b"}}), vec![]),
            (json!({"fieldSelector": {}}), vec![at("fieldSelector.requirements")]),
            (
                json!({"labelSelector": {"rawSelector": "a", "requirements": [{"key": "a", "operator": "Newer"}]}}),
                vec![at("labelSelector.rawSelector")],
            ),
            (
                json!({"fieldSelector": {"requirements": [{"operator": "In"}]}}),
                vec![at("fieldSelector.requirements[0].key"), at("fieldSelector.requirements[0].values")],
            ),
            (
                json!({"labelSelector": {"requirements": [{"key": "a b", "operator": "Exists", "values": ["c d"]}]}}),
                ["values", "key", "values[0]"]
                    .map(|f| at(&format!("labelSelector.requirements[0].{f}")))
                    .to_vec(),
            ),
        ] {
            assert_eq!(fields(&question(&json!({"spec": {"resourceAttributes": asked}}))), wrong, "{asked}");
        }
    }

    #[test]
    fn a_review_has_no_name_and_stays_in_its_namespace() {
        let spec = json!({"user": "bob", "resourceAttributes": {"verb": "get", "namespace": "a"}});
        let review = |metadata: Value| json!({"metadata": metadata, "spec": spec});
        let plain = review(json!({"namespace": "a", "labels": {}, "managedFields": [{}]}));
        assert_eq!(fields(&question_in_a_namespace(&plain, "a")), [""; 0]);
        assert_eq!(fields(&question_in_a_namespace(&plain, "b")), ["spec.resourceAttributes.namespace"]);
        assert_eq!(fields(&question_about_somebody(&review(json!({"name": "q"})))), ["metadata"]);
        let path = json!({"spec": {"user": "bob", "nonResourceAttributes": {"path": "/x"}}});
        assert_eq!(fields(&question_in_a_namespace(&path, "a")), ["spec.nonResourceAttributes"]);
    }
}
