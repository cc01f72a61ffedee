//! What pods say of nodes, taints and other pods, compiled.

use super::pod::{Labels, label};
use crate::access::{elements, number, text};
use crate::selectors::{Selector, labels_of};
use compact_str::CompactString;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Something that is preferred, and how much.
#[derive(Clone, Debug)]
pub(super) struct Preferred<T> {
    pub(super) weight: i64,
    pub(super) term: T,
}

/// A term about nodes. One that says nothing, or has an operator that is not known, matches none.
#[derive(Clone, Debug)]
pub(super) struct NodeTerm(Option<(Selector, Selector)>);

impl NodeTerm {
    pub(super) fn of(term: &Value) -> Self {
        let says = |field: &str| term[field].as_array().is_some_and(|list| !list.is_empty());
        let parse = || {
            let labels = Selector::of_expressions(&term["matchExpressions"])?;
            Some((labels, Selector::of_expressions(&term["matchFields"])?))
        };
        let says_something = says("matchExpressions") || says("matchFields");
        NodeTerm(if says_something { parse() } else { None })
    }

    pub(super) fn matches(&self, labels: &Labels, name: &CompactString) -> bool {
        self.0.as_ref().is_some_and(|(by_label, by_field)| {
            let field = [(CompactString::const_new("metadata.name"), name.clone())];
            by_label.matches(labels) && (by_field.is_empty() || by_field.matches(&field))
        })
    }
}

/// What a pod says of nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeTerms {
    selector: Selector,
    required: Option<Vec<NodeTerm>>,
    /// The only nodes that the required terms allow by name; `None`: they do not name them.
    pub(super) names: Option<BTreeSet<CompactString>>,
    pub(super) preferred: Vec<Preferred<NodeTerm>>,
}

impl NodeTerms {
    pub(super) fn of(spec: &Value) -> Self {
        let affinity = &spec["affinity"]["nodeAffinity"];
        let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
        let terms = elements(required, "/nodeSelectorTerms");
        let preferred = elements(affinity, "/preferredDuringSchedulingIgnoredDuringExecution").iter();
        NodeTerms {
            selector: Selector::of_labels(&spec["nodeSelector"]),
            required: required.is_object().then(|| terms.iter().map(NodeTerm::of).collect()),
            names: if terms.is_empty() { None } else { named(terms) },
            preferred: preferred
                .map(|one| Preferred {
                    weight: number(one, "/weight").unwrap_or(0),
                    term: NodeTerm::of(&one["preference"]),
                })
                .collect(),
        }
    }

    /// True when selector and required terms match the node.
    pub(super) fn match_node(&self, labels: &Labels, name: &CompactString) -> bool {
        self.selector.matches(labels)
            && self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(labels, name)))
    }
}

/// The nodes that terms name; `None`: one of them names none.
fn named(terms: &[Value]) -> Option<BTreeSet<CompactString>> {
    let of_term = |term: &Value| {
        let fields = elements(term, "/matchFields").iter();
        let names = fields.filter(|field| field["key"] == "metadata.name" && field["operator"] == "In");
        let sets = names.map(|field| {
            let values = elements(field, "/values").iter().filter_map(Value::as_str);
            values.map(CompactString::from).collect::<BTreeSet<_>>()
        });
        sets.reduce(|a, b| a.intersection(&b).cloned().collect())
    };
    terms.iter().map(of_term).try_fold(BTreeSet::new(), |mut all, names| {
        all.extend(names?);
        Some(all)
    })
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taint {
    pub(super) key: CompactString,
    pub(super) value: CompactString,
    pub(super) effect: CompactString,
}

impl Taint {
    pub(super) fn of(taint: &Value) -> Self {
        let part = |field: &str| CompactString::from(taint[field].as_str().unwrap_or(""));
        Taint { key: part("key"), value: part("value"), effect: part("effect") }
    }

    /// It keeps pods away.
    pub(super) fn repels(&self) -> bool {
        matches!(self.effect.as_str(), "NoSchedule" | "NoExecute")
    }
}

/// A toleration of a pod.
#[derive(Clone, Debug)]
pub(super) struct Toleration {
    taint: Taint,
    operator: CompactString,
}

impl Toleration {
    pub(super) fn of(toleration: &Value) -> Self {
        Toleration { taint: Taint::of(toleration), operator: text(toleration, "/operator").into() }
    }

    /// Of taints with this effect.
    pub(super) fn is_for(&self, effect: &str) -> bool {
        self.taint.effect.is_empty() || self.taint.effect == effect
    }

    pub(super) fn covers(&self, taint: &Taint) -> bool {
        let value_fits = match self.operator.as_str() {
            "Exists" => true,
            "" | "Equal" => self.taint.value == taint.value,
            _ => false,
        };
        value_fits && self.is_for(&taint.effect) && (self.taint.key.is_empty() || self.taint.key == taint.key)
    }
}

/// A term about other pods.
#[derive(Clone, Debug)]
pub(super) struct PodTerm {
    namespaces: Vec<CompactString>,
    /// `None`: no further namespaces; empty: all.
    by_label: Option<Selector>,
    /// `None`: no pods.
    selector: Option<Selector>,
    pub(super) topology: CompactString,
}

impl PodTerm {
    fn of_selector(selector: &Value) -> Option<Selector> {
        if selector.is_null() { None } else { Selector::parse(selector) }
    }

    pub(super) fn of(term: &Value, namespace: &str) -> Self {
        let named = elements(term, "/namespaces").iter().filter_map(Value::as_str);
        let mut namespaces: Vec<CompactString> = named.map(CompactString::from).collect();
        if namespaces.is_empty() && term["namespaceSelector"].is_null() {
            namespaces.push(namespace.into());
        }
        PodTerm {
            namespaces,
            by_label: Self::of_selector(&term["namespaceSelector"]),
            selector: Self::of_selector(&term["labelSelector"]),
            topology: text(term, "/topologyKey").into(),
        }
    }

    /// True when it is about pods of this namespace, with these labels of the namespace.
    pub(super) fn covers(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespaces.iter().any(|known| known == namespace)
            || self.by_label.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// What selects the pods that it is about; `None`: nothing does.
    pub(super) fn selector(&self) -> Option<&Selector> {
        self.selector.as_ref()
    }

    /// True when it is about pods with these labels.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// A rule of how pods spread over the nodes.
#[derive(Clone, Debug)]
pub(super) struct Constraint {
    pub(super) max_skew: i64,
    pub(super) topology: CompactString,
    /// `None`: it counts no pods.
    pub(super) selector: Option<Selector>,
    pub(super) min_domains: i64,
    pub(super) is_hard: bool,
    pub(super) honors_affinity: bool,
    pub(super) honors_taints: bool,
}

impl Constraint {
    pub(super) fn of(constraint: &Value, own: &Labels) -> Self {
        let mut selector = constraint["labelSelector"].clone();
        // The server writes these into the selector; a pod from before has them here only.
        let keys = elements(constraint, "/matchLabelKeys").iter().filter_map(Value::as_str);
        for (key, value) in keys.filter_map(|key| Some((key, label(own, key)?))) {
            if selector.is_object() {
                let expression = json!({"key": key, "operator": "In", "values": [value]});
                let mut all = elements(&selector, "/matchExpressions").to_vec();
                all.push(expression);
                selector["matchExpressions"] = all.into();
            }
        }
        Constraint {
            max_skew: number(constraint, "/maxSkew").unwrap_or(1),
            topology: text(constraint, "/topologyKey").into(),
            selector: PodTerm::of_selector(&selector),
            min_domains: number(constraint, "/minDomains").unwrap_or(1),
            is_hard: constraint["whenUnsatisfiable"] != "ScheduleAnyway",
            honors_affinity: constraint["nodeAffinityPolicy"] != "Ignore",
            honors_taints: constraint["nodeTaintsPolicy"] == "Honor",
        }
    }

    /// A soft one, for the pods that a selector selects.
    pub(super) fn by_default(topology: &'static str, max_skew: i64, selector: &Selector) -> Self {
        Constraint {
            max_skew,
            topology: topology.into(),
            selector: Some(selector.clone()),
            min_domains: 1,
            is_hard: false,
            honors_affinity: true,
            honors_taints: false,
        }
    }
}

/// Labels as they stand in an object's metadata.
pub(super) fn labels_in(object: &Value) -> Labels {
    labels_of(&object["metadata"]["labels"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_name_nodes_only_where_each_does() {
        let by_name = |names: &[&str]| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": names}]});
        let by_label = json!({"matchExpressions": [{"key": "disk", "operator": "Exists"}]});
        let mut both = by_name(&["a", "b"]);
        both["matchFields"].as_array_mut().unwrap().push(by_name(&["b", "c"])["matchFields"][0].clone());
        for (case, terms, expected) in [
            ("one", vec![by_name(&["a"])], Some(vec!["a"])),
            ("one of two", vec![by_name(&["a"]), by_name(&["b"])], Some(vec!["a", "b"])),
            ("both of two", vec![both], Some(vec!["b"])),
            ("another way", vec![by_name(&["a"]), by_label], None),
        ] {
            let terms = json!({"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
            let names = NodeTerms::of(&terms).names;
            let found = names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(found, expected.map(|e| e.iter().map(ToString::to_string).collect()), "{case}");
        }
    }

    #[test]
    fn tolerations_cover_taints() {
        let taint = Taint::of(&json!({"key": "k", "value": "v", "effect": "NoSchedule"}));
        for (toleration, expected) in [
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "w"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"operator": "Exists"}), true),
            (json!({"operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "j", "operator": "Exists"}), false),
        ] {
            assert_eq!(Toleration::of(&toleration).covers(&taint), expected, "{toleration}");
        }
    }

    #[test]
    fn terms_are_about_namespaces_by_name_and_by_label() {
        let labels = |team: &str| vec![("team".into(), team.into())];
        for (case, term, expected) in [
            ("its own", json!({}), [true, false]),
            ("by name", json!({"namespaces": ["other"]}), [false, true]),
            ("all", json!({"namespaceSelector": {}}), [true, true]),
            ("by label", json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), [false, true]),
        ] {
            let term = PodTerm::of(&term, "own");
            assert_eq!(
                [term.covers("own", &labels("a")), term.covers("other", &labels("b"))],
                expected,
                "{case}"
            );
            assert!(!term.selects(&labels("a")), "no selector selects nothing");
        }
    }
}
