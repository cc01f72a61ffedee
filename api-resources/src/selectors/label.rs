//! Label selectors.

use super::{SelectorError, label_parser};
use crate::names;
use compact_str::CompactString;
use serde_json::Value;
use std::fmt;

/// Requirements on labels, all of which must hold; without any it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<Requirement>,
    /// Selects nothing at all (`metav1.LabelSelector` that is absent).
    nothing: bool,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: CompactString,
    /// How it is compared.
    pub operator: Operator,
    /// With what; sorted.
    pub values: Vec<CompactString>,
}

/// How a requirement compares (`k8s.io/apimachinery/pkg/selection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Requirement {
    /// A requirement whose key and values have been checked.
    ///
    /// # Errors
    /// In Kubernetes' words, with its paths `key` and `values`.
    pub fn new(key: &str, operator: Operator, mut values: Vec<CompactString>) -> Result<Self, SelectorError> {
        let mut wrong = Vec::new();
        let key_errors = names::qualified_name(key);
        if !key_errors.is_empty() {
            wrong.push(format!("key: Invalid value: {key:?}: {}", key_errors.join("; ")));
        }
        let list = || format!("[{}]", values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(","));
        let count = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        wrong.extend(count.map(|detail| format!("values: Invalid value: {}: {detail}", list())));
        for (index, value) in values.iter().enumerate() {
            let number = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if number && value.parse::<i64>().is_err() {
                wrong.push(format!(
                    "values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                ));
            }
            let errors = names::label_value(value);
            if !errors.is_empty() {
                wrong
                    .push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", errors.join("; ")));
            }
        }
        match wrong.as_slice() {
            [] => {
                values.sort();
                values.dedup();
                Ok(Requirement { key: key.into(), operator, values })
            }
            [one] => Err(SelectorError(one.clone())),
            many => Err(SelectorError(format!("[{}]", many.join(", ")))),
        }
    }

    /// True when labels satisfy it. `label` gives a label's value.
    fn holds<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = label(&self.key);
        let known = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => value.is_some_and(known),
            Operator::NotEquals | Operator::NotIn => value.is_none_or(|v| !known(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(|(label, bound)| label > bound),
            Operator::LessThan => self.compare(value).is_some_and(|(label, bound)| label < bound),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing.
    pub fn nothing() -> Self {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// Requirements that must all hold.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        LabelSelector { requirements, nothing: false }
    }

    /// Parses the text of a `labelSelector` parameter: `app in (a,b),!x,tier!=web`. The empty text selects
    /// everything.
    ///
    /// # Errors
    /// In Kubernetes' words.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        label_parser::parse(text).map(Self::of)
    }

    /// Reads a `metav1.LabelSelector` (`matchLabels`, `matchExpressions`). Null selects nothing, the empty object
    /// everything.
    ///
    /// # Errors
    /// An unknown operator, or what [`Requirement::new`] finds.
    pub fn from_json(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = CompactString::from(value.as_str().unwrap_or(""));
            requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or("") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{other:?} is not a valid label selector operator")));
                }
            };
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.map(|v| CompactString::from(v.as_str().unwrap_or(""))).collect();
            requirements.push(Requirement::new(expression["key"].as_str().unwrap_or(""), operator, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// Reads a map of labels (`spec.selector` of services and replication controllers), which are equalities. Null
    /// and the empty map select everything.
    pub fn from_map(labels: &Value) -> Self {
        let labels = labels.as_object().into_iter().flatten();
        Self::of(
            labels
                .map(|(key, value)| Requirement {
                    key: key.as_str().into(),
                    operator: Operator::Equals,
                    values: vec![value.as_str().unwrap_or("").into()],
                })
                .collect(),
        )
    }

    /// True when it selects everything.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// True when labels, sorted by key as in [`Meta`](api_types::Meta), are selected.
    pub fn matches(&self, labels: &[(CompactString, CompactString)]) -> bool {
        self.matches_by(|key| {
            labels.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok().map(|i| labels[i].1.as_str())
        })
    }

    /// True when the labels of an object's JSON map are selected; null is no labels.
    pub fn matches_json(&self, labels: &Value) -> bool {
        self.matches_by(|key| labels.get(key).and_then(Value::as_str))
    }

    fn matches_by<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.holds(&label))
    }
}

/// As Kubernetes writes it, in the order of keys; parses back to the same selector.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn selectors_select_as_in_kubernetes() {
        let labels = json!({"app": "a", "tier": "web", "n": "5"});
        for (text, expected) in [
            ("", true),
            ("app=a", true),
            ("app==a,tier=web", true),
            ("app=b", false),
            ("app!=b", true),
            ("none!=b", true),
            ("app in (a, b)", true),
            ("app in (b)", false),
            ("app notin (b)", true),
            ("none notin (b)", true),
            ("app", true),
            ("!app", false),
            ("!none", true),
            ("app in (a,b),!x", true),
            ("n>4", true),
            ("n>5", false),
            ("n<6", true),
            ("tier<6", false),
            ("app=", false),
            ("app in ()", false),
        ] {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches_json(&labels), expected, "{text}");
            let meta = api_types::Meta::of(&json!({"metadata": {"labels": labels}}));
            assert_eq!(selector.matches(&meta.labels), expected, "{text}");
        }
    }

    #[test]
    fn the_struct_form_is_converted() {
        for (selector, text) in [
            (json!({}), ""),
            (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
            (
                json!({"matchLabels": {"b": "2"}, "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["z", "y"]}, {"key": "c", "operator": "Exists"}]}),
                "a in (y,z),b=2,c",
            ),
            (json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), "!a"),
        ] {
            assert_eq!(LabelSelector::from_json(&selector).unwrap().to_string(), text);
        }
        assert!(!LabelSelector::from_json(&Value::Null).unwrap().matches(&[]));
        let error = LabelSelector::from_json(&json!({"matchExpressions": [{"key": "a", "operator": "Is"}]}));
        assert_eq!(error.unwrap_err().to_string(), "\"Is\" is not a valid label selector operator");
    }

    fn key() -> impl Strategy<Value = String> {
        "([a-z]{1,4}\\.[a-z]{2}/)?[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,5}[a-zA-Z0-9])?"
            .prop_filter("keyword", |k| k != "in" && k != "notin")
    }

    fn value() -> impl Strategy<Value = String> {
        "([a-zA-Z0-9]([a-zA-Z0-9_.-]{0,5}[a-zA-Z0-9])?)?"
            .prop_filter("keyword", |v| v != "in" && v != "notin")
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let of = |operator| {
            (key(), value()).prop_map(move |(k, v)| Requirement::new(&k, operator, vec![v.into()]).unwrap())
        };
        let set = |operator| {
            (key(), proptest::collection::vec(value(), 1..4)).prop_map(move |(k, v)| {
                Requirement::new(&k, operator, v.into_iter().map(CompactString::from).collect()).unwrap()
            })
        };
        let bare = |operator| key().prop_map(move |k| Requirement::new(&k, operator, Vec::new()).unwrap());
        let number = |operator| {
            (key(), 0i64..1000)
                .prop_map(move |(k, n)| Requirement::new(&k, operator, vec![n.to_string().into()]).unwrap())
        };
        prop_oneof![
            of(Operator::Equals),
            of(Operator::DoubleEquals),
            of(Operator::NotEquals),
            set(Operator::In),
            set(Operator::NotIn),
            bare(Operator::Exists),
            bare(Operator::DoesNotExist),
            number(Operator::GreaterThan),
            number(Operator::LessThan),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(requirements in proptest::collection::vec(requirement(), 0..4)) {
            let selector = LabelSelector::of(requirements);
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "[a-c!=<>(), \tin/.]{0,24}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
            }
        }

        #[test]
        fn in_and_notin_are_opposites(labels in proptest::collection::btree_map(key(), value(), 0..4), k in key(),
            values in proptest::collection::vec(value(), 1..4)) {
            let labels = json!(labels);
            let values: Vec<CompactString> = values.into_iter().map(CompactString::from).collect();
            let of = |operator, values| LabelSelector::of(vec![Requirement::new(&k, operator, values).unwrap()]);
            let (is, not) = (of(Operator::In, values.clone()), of(Operator::NotIn, values));
            prop_assert_ne!(is.matches_json(&labels), not.matches_json(&labels));
            let (is, not) = (of(Operator::Exists, vec![]), of(Operator::DoesNotExist, vec![]));
            prop_assert_ne!(is.matches_json(&labels), not.matches_json(&labels));
        }
    }
}
