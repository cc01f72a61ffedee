//! The rules of affinity and of spreading over topologies.

use super::place::{Causes, Place, invalid_all, one_of, positive, require_with};
use crate::{metadata, names};
use api_types::Cause;
use serde_json::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// The rules of `spec.affinity`.
pub(super) fn affinity(out: &mut Causes, spec: &Place<'_>) {
    let Some(affinity) = spec.present("affinity") else { return };
    if let Some(node) = affinity.present("nodeAffinity") {
        if let Some(required) = node.present(REQUIRED) {
            node_selector(out, &required);
        }
        for term in node.list(PREFERRED) {
            weight(out, &term);
            node_selector_term(out, &term.field("preference"), true);
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.field(kind);
        pods.list(REQUIRED).for_each(|term| pod_term(out, &term));
        for term in pods.list(PREFERRED) {
            weight(out, &term);
            pod_term(out, &term.field("podAffinityTerm"));
        }
    }
}

fn weight(out: &mut Causes, term: &Place<'_>) {
    let weight = term.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        out.push(Cause::invalid(term.of("weight"), &Value::from(weight), "must be in the range 1-100"));
    }
}

/// A node selector: of pods and of volumes.
pub(super) fn node_selector(out: &mut Causes, at: &Place<'_>) {
    if require_with(out, at, "nodeSelectorTerms", "must have at least one node selector term") {
        at.list("nodeSelectorTerms").for_each(|term| node_selector_term(out, &term, false));
    }
}

fn node_selector_term(out: &mut Causes, at: &Place<'_>, any_value: bool) {
    for expression in at.list("matchExpressions") {
        let count = expression.list("values").count();
        let values = expression.of("values");
        match expression.text("operator") {
            "In" | "NotIn" if count == 0 => {
                out.push(Cause::required(values, "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if count > 0 => out.push(Cause::forbidden(
                values,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "Gt" | "Lt" if count != 1 => out.push(Cause::required(
                values,
                "must be specified single value when `operator` is 'Lt' or 'Gt'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            _ => not_an_operator(out, &expression),
        }
        let key = expression.text("key");
        invalid_all(out, &expression.of("key"), key, names::qualified_name(key));
        if !any_value {
            for value in expression.list("values") {
                invalid_all(out, &value.path, value.as_text(), names::label_value(value.as_text()));
            }
        }
    }
    for requirement in at.list("matchFields") {
        match requirement.text("operator") {
            "In" | "NotIn" if requirement.list("values").count() != 1 => out.push(Cause::required(
                requirement.of("values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            )),
            "In" | "NotIn" => {}
            _ => not_an_operator(out, &requirement),
        }
        if requirement.text("key") == "metadata.name" {
            for value in requirement.list("values") {
                invalid_all(out, &value.path, value.as_text(), names::dns_subdomain(value.as_text()));
            }
        } else {
            out.push(Cause::invalid(
                requirement.of("key"),
                &Value::from(requirement.text("key")),
                "not a valid field selector key",
            ));
        }
    }
}

fn not_an_operator(out: &mut Causes, at: &Place<'_>) {
    let operator = Value::from(at.text("operator"));
    out.push(Cause::invalid(at.of("operator"), &operator, "not a valid selector operator"));
}

fn pod_term(out: &mut Causes, at: &Place<'_>) {
    metadata::label_selector(out, &at.field("labelSelector"));
    metadata::label_selector(out, &at.field("namespaceSelector"));
    for name in at.texts("namespaces") {
        invalid_all(out, &at.of("namespace"), name, names::dns_label(name));
    }
    label_keys(out, at);
    let key = at.text("topologyKey");
    if key.is_empty() {
        out.push(Cause::required(at.of("topologyKey"), "can not be empty"));
    }
    invalid_all(out, &at.of("topologyKey"), key, names::qualified_name(key));
}

/// `matchLabelKeys` and `mismatchLabelKeys` (KEP-3633) need a selector and may not overlap.
fn label_keys(out: &mut Causes, at: &Place<'_>) {
    let mismatch = at.texts("mismatchLabelKeys");
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        if at.lacks(field) {
            continue;
        }
        if !at.has("labelSelector") {
            out.push(Cause::forbidden(at.of(field), "must not be specified when labelSelector is not set"));
            continue;
        }
        for key in at.list(field) {
            invalid_all(out, &key.path, key.as_text(), names::qualified_name(key.as_text()));
        }
    }
    for key in at.list("matchLabelKeys") {
        if mismatch.contains(&key.as_text()) {
            out.push(Cause::invalid(
                &key.path,
                key.value,
                "exists in both matchLabelKeys and mismatchLabelKeys",
            ));
        }
    }
}

/// The rules of `spec.topologySpreadConstraints`.
pub(super) fn spread(out: &mut Causes, spec: &Place<'_>) {
    let all: Vec<Place<'_>> = spec.list("topologySpreadConstraints").collect();
    for (i, at) in all.iter().enumerate() {
        above_zero(out, at, "maxSkew");
        require_with(out, at, "topologyKey", "can not be empty");
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&at.text("whenUnsatisfiable")) {
            let action = Value::from(at.text("whenUnsatisfiable"));
            out.push(Cause::not_supported(at.of("whenUnsatisfiable"), &action, &actions));
        }
        let key = |c: &Place<'_>| (c.text("topologyKey").to_owned(), c.text("whenUnsatisfiable").to_owned());
        if all[i + 1..].iter().any(|other| key(other) == key(at)) {
            let (topology, action) = key(at);
            let value = Value::from(format!("{{{topology}, {action}}}"));
            out.push(Cause::duplicate(at.of("{topologyKey, whenUnsatisfiable}"), &value));
        }
        if at.has("minDomains") {
            positive(out, at, "minDomains");
            let action = at.text("whenUnsatisfiable");
            if action != "DoNotSchedule" {
                out.push(Cause::invalid(
                    at.of("minDomains"),
                    at.field("minDomains").value,
                    &format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"),
                ));
            }
        }
        one_of(out, at, "nodeAffinityPolicy", &["Honor", "Ignore"]);
        one_of(out, at, "nodeTaintsPolicy", &["Honor", "Ignore"]);
        label_keys(out, at);
        metadata::label_selector(out, &at.field("labelSelector"));
    }
}

fn above_zero(out: &mut Causes, at: &Place<'_>, field: &str) {
    let number = at.int(field).unwrap_or(0);
    if number <= 0 {
        out.push(Cause::invalid(at.of(field), &Value::from(number), "must be greater than zero"));
    }
}
