//! Label selectors (`metav1.LabelSelector`), and an index from labels to the objects that select them.

use crate::access::{elements, text};
use compact_str::CompactString;
use plane_client::{GroupResource, Object, ObjectName, Scope, TenantId, Trigger};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

type Labels = [(CompactString, CompactString)];

/// A selector that can be matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Requirement {
    key: CompactString,
    operator: Operator,
    values: Vec<CompactString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

const OPERATORS: &[(&str, Operator)] = &[
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
    ("Gt", Operator::Gt),
    ("Lt", Operator::Lt),
];

impl Selector {
    /// A `metav1.LabelSelector`. `None`: it has an operator that is not known, and matches nothing.
    pub(crate) fn parse(selector: &Value) -> Option<Self> {
        let mut all = Self::of_labels(&selector["matchLabels"]);
        all.0.extend(Self::of_expressions(&selector["matchExpressions"])?.0);
        Some(all)
    }

    /// A map of labels that must all be there.
    pub(crate) fn of_labels(labels: &Value) -> Self {
        let pairs = labels.as_object().into_iter().flatten();
        Selector(
            pairs
                .map(|(key, value)| Requirement {
                    key: key.as_str().into(),
                    operator: Operator::In,
                    values: vec![value.as_str().unwrap_or("").into()],
                })
                .collect(),
        )
    }

    /// A list of `{key, operator, values}`. `None`: an operator is not known.
    pub(crate) fn of_expressions(expressions: &Value) -> Option<Self> {
        let list = expressions.as_array().map(Vec::as_slice).unwrap_or_default();
        let requirement = |expression: &Value| {
            let name = expression["operator"].as_str()?;
            let values = expression["values"].as_array().map(Vec::as_slice).unwrap_or_default();
            Some(Requirement {
                key: expression["key"].as_str()?.into(),
                operator: OPERATORS.iter().find(|(text, _)| *text == name)?.1,
                values: values.iter().map(|value| value.as_str().unwrap_or("").into()).collect(),
            })
        };
        list.iter().map(requirement).collect::<Option<Vec<_>>>().map(Selector)
    }

    /// What both require.
    pub(crate) fn and(mut self, other: Selector) -> Self {
        self.0.extend(other.0);
        self
    }

    /// True when nothing is required: everything matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when the labels meet every requirement.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| {
            let found = labels.iter().find(|(key, _)| *key == requirement.key).map(|(_, value)| value);
            requirement.is_met_by(found)
        })
    }
}

impl Requirement {
    fn is_met_by(&self, value: Option<&CompactString>) -> bool {
        let is_in = value.is_some_and(|value| self.values.contains(value));
        let number = |text: Option<&CompactString>| text.and_then(|text| text.parse::<i64>().ok());
        let bounds = || Some((number(value)?, number(self.values.first())?));
        match self.operator {
            Operator::In => is_in,
            Operator::NotIn => !is_in,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => bounds().is_some_and(|(value, bound)| value > bound),
            Operator::Lt => bounds().is_some_and(|(value, bound)| value < bound),
        }
    }
}

/// A label selector as Go prints it, in messages; `nil` for none.
pub(crate) fn go_text(selector: &Value) -> String {
    if selector.is_null() {
        return "nil".to_owned();
    }
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let sorted: BTreeMap<&String, &Value> = labels.collect();
    let labels: String =
        sorted.into_iter().map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or(""))).collect();
    let one = |expression: &Value| {
        let values: Vec<&str> = elements(expression, "/values").iter().filter_map(Value::as_str).collect();
        let (key, operator) = (text(expression, "/key"), text(expression, "/operator"));
        let values = values.join(" ");
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions: String = elements(selector, "/matchExpressions").iter().map(one).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

/// The labels of a JSON object (`metadata.labels`, or a template's), as [`Selector::matches`] takes them.
pub(crate) fn labels_of(labels: &Value) -> Vec<(CompactString, CompactString)> {
    let pairs = labels.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or("").into())).collect()
}

/// Which selecting objects an event of a selected object makes due: those that match it now, and those that
/// matched it before. It may name too many, never too few of those it was told of; a selecting object that it
/// was not told of yet becomes due by its own event.
#[derive(Default)]
pub(crate) struct SelectorIndex(Mutex<HashMap<(TenantId, CompactString), Namespace>>);

#[derive(Default)]
struct Namespace {
    selectors: HashMap<CompactString, Selector>,
    /// By selected object: who selected it last.
    selected: HashMap<CompactString, BTreeSet<CompactString>>,
}

impl SelectorIndex {
    fn with<R>(&self, tenant: TenantId, namespace: &str, act: impl FnOnce(&mut Namespace) -> R) -> R {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (tenant, CompactString::from(namespace));
        let result = act(all.entry(key.clone()).or_default());
        if all.get(&key).is_some_and(|found| found.selectors.is_empty() && found.selected.is_empty()) {
            all.remove(&key);
        }
        result
    }

    /// Sets the selector of a selecting object; `None`: it selects nothing, or is gone.
    pub(crate) fn set(&self, tenant: TenantId, name: &ObjectName, selector: Option<Selector>) {
        self.with(tenant, &name.namespace, |namespace| match selector {
            Some(selector) => {
                namespace.selectors.insert(name.name.clone(), selector);
            }
            None => {
                namespace.selectors.remove(&name.name);
                namespace.selected.retain(|_, by| {
                    by.remove(&name.name);
                    !by.is_empty()
                });
            }
        });
    }

    /// The selecting objects that an event of this object makes due.
    pub(crate) fn due(&self, object: &Object) -> Vec<ObjectName> {
        self.with(object.tenant, &object.name.namespace, |namespace| {
            let matching = namespace.selectors.iter().filter(|(_, s)| s.matches(&object.meta.labels));
            let now: BTreeSet<CompactString> = matching.map(|(name, _)| name.clone()).collect();
            let mut due = namespace.selected.remove(&object.name.name).unwrap_or_default();
            due.extend(now.iter().cloned());
            if !now.is_empty() {
                namespace.selected.insert(object.name.name.clone(), now);
            }
            due.iter().map(|name| ObjectName::new(&object.name.namespace, name)).collect()
        })
    }

    /// The selecting objects whose selector matches, in order of their names.
    pub(crate) fn selecting(&self, object: &Object) -> Vec<CompactString> {
        self.with(object.tenant, &object.name.namespace, |namespace| {
            let matching = namespace.selectors.iter().filter(|(_, s)| s.matches(&object.meta.labels));
            let mut names: Vec<CompactString> = matching.map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names
        })
    }

    /// Events of a resource make its controller of this kind due; where nobody controls an object, those that select it.
    pub(crate) fn owners(self: &Arc<Self>, resource: GroupResource, kind: &'static str) -> Trigger {
        let orphans = self.clone();
        Trigger::mapped(resource, Scope::All, move |object| match object.meta.controller() {
            Some(owner) if owner.kind == kind => vec![ObjectName::new(&object.name.namespace, &owner.name)],
            Some(_) => vec![],
            None => orphans.due(object),
        })
    }

    /// Says what a selecting object selects, read from a complete list of the namespace, and which selected
    /// objects there are at all: what is gone is forgotten.
    pub(crate) fn observe(&self, tenant: TenantId, by: &ObjectName, all: &[Object], selected: &[&Object]) {
        self.with(tenant, &by.namespace, |namespace| {
            if namespace.selected.len() > all.len() {
                let live: BTreeSet<&CompactString> = all.iter().map(|object| &object.name.name).collect();
                namespace.selected.retain(|name, _| live.contains(name));
            }
            for object in selected {
                namespace.selected.entry(object.name.name.clone()).or_default().insert(by.name.clone());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::{Meta, Revision};
    use serde_json::json;

    #[test]
    fn requirements() {
        let labels = labels_of(&json!({"app": "web", "tier": "2"}));
        let expression = |key: &str, operator: &str, values: &[&str]| {
            let list = json!([{"key": key, "operator": operator, "values": values}]);
            Selector::of_expressions(&list).map(|selector| selector.matches(&labels))
        };
        for (key, operator, values, expected) in [
            ("app", "In", &["web", "x"][..], Some(true)),
            ("app", "In", &["x"], Some(false)),
            ("none", "In", &["x"], Some(false)),
            ("app", "NotIn", &["x"], Some(true)),
            ("none", "NotIn", &["x"], Some(true)),
            ("app", "NotIn", &["web"], Some(false)),
            ("app", "Exists", &[], Some(true)),
            ("none", "Exists", &[], Some(false)),
            ("none", "DoesNotExist", &[], Some(true)),
            ("tier", "Gt", &["1"], Some(true)),
            ("tier", "Lt", &["2"], Some(false)),
            ("app", "Gt", &["1"], Some(false)),
            ("app", "Like", &["web"], None),
        ] {
            assert_eq!(expression(key, operator, values), expected, "{key} {operator} {values:?}");
        }
        let both =
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]});
        assert!(!Selector::parse(&both).unwrap().matches(&labels));
        assert!(Selector::parse(&json!({})).unwrap().is_empty());
    }

    #[test]
    fn the_index_names_those_that_match_now_and_those_that_matched_before() {
        let tenant = TenantId::HOST;
        let pod = |labels: Value| Object {
            tenant,
            resource: GroupResource::new("", "pods"),
            name: ObjectName::new("ns", "p"),
            revision: Revision(1),
            bytes: Default::default(),
            meta: Arc::new(Meta::of(&json!({"metadata": {"labels": labels}}))),
        };
        let index = SelectorIndex::default();
        let name = |name: &str| ObjectName::new("ns", name);
        index.set(tenant, &name("a"), Some(Selector::of_labels(&json!({"app": "a"}))));
        index.set(tenant, &name("b"), Some(Selector::of_labels(&json!({"app": "b"}))));
        index.set(tenant, &ObjectName::new("other", "a"), Some(Selector::of_labels(&json!({"app": "a"}))));
        assert_eq!(index.due(&pod(json!({"app": "a"}))), [name("a")]);
        assert_eq!(index.due(&pod(json!({"app": "b"}))), [name("a"), name("b")]);
        assert_eq!(index.due(&pod(json!({}))), [name("b")]);
        assert_eq!(index.due(&pod(json!({}))), []);
        let found = pod(json!({"app": "a"}));
        index.observe(tenant, &name("a"), std::slice::from_ref(&found), &[&found]);
        index.set(tenant, &name("a"), None);
        assert_eq!(index.due(&pod(json!({}))), []);
    }
}
