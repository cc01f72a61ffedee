//! Which pods the tenant's policies leave open: labels of ours on super pods, by which the platform's own policies
//! choose.
//!
//! A NetworkPolicy closes a pod in a direction by selecting it. What is selected by none of several selectors cannot be
//! said in one, so it is said on each pod. A pod without the label is closed.

use api_types::labels;
use api_types::tenancy::{LabelSelector, StringMap};
use serde_json::{Value, json};

/// The value of a label: no policy of the tenant selects the pod in this direction.
pub const OPEN: &str = "open";
/// The value of a label: some policy does, and its rules alone count.
pub const CLOSED: &str = "closed";

/// In which directions no policy of the tenant selects a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What comes in.
    pub ingress: bool,
    /// What goes out.
    pub egress: bool,
}

impl Open {
    /// Of a pod with these labels, under the policies of its namespace, refused ones too.
    pub fn of(policies: &[Value], labels: &StringMap) -> Open {
        let mut open = Open { ingress: true, egress: true };
        for policy in policies {
            // A selector that cannot be read selects everything: it closes.
            let selector = serde_json::from_value::<LabelSelector>(policy["spec"]["podSelector"].clone());
            if policy["spec"]["podSelector"].is_null()
                || selector.is_ok_and(|selector| !selector.matches(labels))
            {
                continue;
            }
            let (ingress, egress) = directions(&policy["spec"]);
            open.ingress &= !ingress;
            open.egress &= !egress;
        }
        open
    }

    /// The labels that say so, by key.
    pub fn labels(self) -> [(&'static str, &'static str); 2] {
        let value = |open: bool| if open { OPEN } else { CLOSED };
        [(labels::INGRESS, value(self.ingress)), (labels::EGRESS, value(self.egress))]
    }

    /// The patch of `observed` metadata that makes it say so; `None` when it does.
    pub fn patch(self, observed: &Value) -> Option<Value> {
        let there = &observed["metadata"]["labels"];
        let wrong: serde_json::Map<String, Value> = self
            .labels()
            .into_iter()
            .filter(|(key, value)| there[*key] != *value)
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        (!wrong.is_empty()).then(|| json!({"metadata": {"labels": wrong}}))
    }
}

/// In which directions a policy's spec holds: what comes in, what goes out. As Kubernetes has it, a policy that does not
/// say holds for what comes in, and for what goes out where it has rules for that.
pub fn directions(spec: &Value) -> (bool, bool) {
    match spec["policyTypes"].as_array().filter(|types| !types.is_empty()) {
        Some(types) => (types.contains(&json!("Ingress")), types.contains(&json!("Egress"))),
        None => (true, spec["egress"].as_array().is_some_and(|rules| !rules.is_empty())),
    }
}

/// The labels of an object's metadata.
pub fn labels_of(object: &Value) -> StringMap {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or("").to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_closed_by_any_policy_that_selects_it() {
        let labels: StringMap = [("app".to_owned(), "web".to_owned())].into();
        let policy = |spec: Value| json!({"spec": spec});
        let (all, both) = (Open { ingress: true, egress: true }, Open { ingress: false, egress: false });
        let (no_ingress, no_egress) = (Open { ingress: false, ..all }, Open { egress: false, ..all });
        for (policies, expected) in [
            (vec![], all),
            (vec![json!({"podSelector": {}})], no_ingress),
            (vec![json!({"podSelector": {}, "egress": [{}]})], both),
            (vec![json!({"podSelector": {}, "policyTypes": ["Egress"]})], no_egress),
            (vec![json!({"podSelector": {"matchLabels": {"app": "web"}}})], no_ingress),
            (vec![json!({"podSelector": {"matchLabels": {"app": "db"}}})], all),
            (
                vec![json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Odd"}]}})],
                no_ingress,
            ),
            (
                vec![
                    json!({"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]}),
                    json!({"podSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]},
                        "policyTypes": ["Egress", "Ingress"]}),
                ],
                both,
            ),
        ] {
            let policies: Vec<Value> = policies.into_iter().map(policy).collect();
            assert_eq!(Open::of(&policies, &labels), expected, "{policies:?}");
        }
        let observed = json!({"metadata": {"labels": {labels::INGRESS: "open"}}});
        let patch = json!({"metadata": {"labels": {labels::INGRESS: "closed", labels::EGRESS: "open"}}});
        assert_eq!(no_ingress.patch(&observed), Some(patch));
        let observed = json!({"metadata": {"labels": {labels::INGRESS: "open", labels::EGRESS: "open"}}});
        assert_eq!(all.patch(&observed), None);
    }
}
