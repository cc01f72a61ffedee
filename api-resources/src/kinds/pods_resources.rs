//! Requests and limits of a pod as a whole (KEP-2837): what they are when its author left them out, and their rules.

use super::place::{Causes, Place, lookup};
use super::resources::{self, quantity};
use crate::amounts::{self, Amounts};
use api_schema::quantity::Quantity;
use api_types::Cause;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// What a pod can say as a whole.
pub(super) fn is_supported(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || resources::is_huge_page(name)
}

/// What all containers need together, in `requests` or `limits`.
fn of_containers(spec: &Value, list: &str) -> Amounts {
    amounts::of_containers(spec, |container| amounts::read(&container["resources"][list]))
}

/// Fills in what a pod that says some of its amounts leaves out: limits of huge pages from its containers, then requests from
/// its containers, else from its limits.
pub(super) fn default(spec: &mut Value) {
    let own = |field: &str| lookup(spec, "resources").get(field).and_then(Value::as_object).cloned();
    let (limits, requests) = (own("limits").unwrap_or_default(), own("requests").unwrap_or_default());
    if limits.is_empty() && requests.is_empty() {
        return;
    }
    let (mut limits, mut requests) = (limits, requests);
    for (name, amount) in of_containers(spec, "limits") {
        if resources::is_huge_page(&name) && !requests.contains_key(&name) {
            fill(&mut limits, name, amount);
        }
    }
    if !limits.is_empty() {
        for (name, amount) in of_containers(spec, "requests") {
            if is_supported(&name) && !resources::is_huge_page(&name) {
                fill(&mut requests, name, amount);
            }
        }
        for (name, amount) in limits.iter().filter(|(name, _)| is_supported(name)) {
            requests.entry(name.clone()).or_insert_with(|| amount.clone());
        }
    }
    for (field, amounts) in [("limits", limits), ("requests", requests)] {
        if !amounts.is_empty() {
            spec["resources"][field] = Value::Object(amounts);
        }
    }
}

fn fill(amounts: &mut Map<String, Value>, name: String, amount: Quantity) {
    amounts.entry(name).or_insert_with(|| Value::from(amount.to_string()));
}

/// The rules of a pod's own `resources`.
pub(super) fn rules(out: &mut Causes, spec: &Place<'_>, claims: &[&str]) {
    let Some(at) = spec.present("resources") else { return };
    if spec.field("os").text("name") == "windows" {
        out.push(Cause::forbidden(&at.path, "may not be set for a windows pod"));
        return;
    }
    if at.has("claims") {
        out.push(Cause::forbidden(at.of("claims"), "claims may not be set for Resources at pod-level"));
    }
    resources::pod(out, &at, claims);
    enough(out, &at.field("requests"), &of_containers(spec.value, "requests"), "requests", |_| true);
    enough(out, &at.field("limits"), &of_containers(spec.value, "limits"), "limits", resources::is_huge_page);
    for (i, container) in spec.list("containers").enumerate() {
        for (name, limit) in container.field("resources").map("limits") {
            let own = &at.value["limits"][name];
            if resources::compare(limit, own) == Some(Ordering::Greater)
                && let (Some(limit), Some(own)) = (quantity(limit), quantity(own))
            {
                out.push(Cause::invalid(
                    format!("{}.containers[{i}][{name}].limits", at.path),
                    &Value::from(limit.to_string()),
                    &format!("must be less than or equal to pod limits of {own}"),
                ));
            }
        }
    }
}

/// What the pod says is not less than what its containers need.
fn enough(out: &mut Causes, at: &Place<'_>, needed: &Amounts, what: &str, counts: fn(&str) -> bool) {
    for (name, total) in needed.iter().filter(|(name, _)| counts(name)) {
        let own = at.key(name);
        if let Some(amount) = quantity(own.value).filter(|amount| total > amount) {
            out.push(Cause::invalid(
                own.path,
                &Value::from(amount.to_string()),
                &format!("must be greater than or equal to aggregate container {what} of {total}"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_need_the_most_that_runs_at_once() {
        let of = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "2"}}});
        for (init, expected) in [
            (json!([]), "4"),
            (json!([of("3")]), "4"),
            (json!([of("9")]), "9"),
            (json!([sidecar]), "6"),
            (json!([sidecar, of("9")]), "11"),
            (json!([of("9"), sidecar]), "9"),
        ] {
            let spec = json!({"containers": [of("1"), of("3")], "initContainers": init});
            assert_eq!(of_containers(&spec, "requests")["cpu"].to_string(), expected, "{spec}");
        }
    }

    #[test]
    fn requests_come_from_containers_and_then_from_limits() {
        let containers =
            json!([{"resources": {"requests": {"cpu": "1"}, "limits": {"hugepages-2Mi": "4Mi"}}}]);
        for (own, expected) in [
            (json!({}), json!({})),
            (
                json!({"requests": {"cpu": "2"}}),
                json!({"requests": {"cpu": "2", "hugepages-2Mi": "4Mi", "memory": null}, "limits": {"hugepages-2Mi": "4Mi"}}),
            ),
            (
                json!({"limits": {"cpu": "2", "memory": "1Gi"}}),
                json!({"requests": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi"},
                    "limits": {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "4Mi"}}),
            ),
        ] {
            let mut spec = json!({"containers": containers, "resources": own});
            default(&mut spec);
            let mut expected = expected;
            if let Some(requests) = expected["requests"].as_object_mut() {
                requests.retain(|_, amount| !amount.is_null());
            }
            if expected.get("requests").is_some_and(Value::is_null) {
                expected = json!({});
            }
            assert_eq!(spec["resources"], expected);
        }
    }

    #[test]
    fn a_pod_says_enough_for_its_containers() {
        let spec = json!({"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}, "containers": [
            {"resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": "3"}}}]});
        let mut out = Vec::new();
        rules(&mut out, &Place::new("spec", &spec), &[]);
        let told: Vec<String> = out.iter().map(Cause::to_string).collect();
        assert_eq!(
            told,
            [
                "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 1500m",
                "spec.resources.containers[0][cpu].limits: Invalid value: \"3\": must be less than or equal to pod limits of 2",
            ]
        );
    }
}
