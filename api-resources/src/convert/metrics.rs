//! Metrics, behavior and conditions of autoscalers as the annotations of `autoscaling/v1` write them: JSON with the
//! fields in a fixed order, named as the first release of each named them.

use crate::kinds::place::lookup;
use crate::kinds::resources;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// What a field of the flat form is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Text,
    Number,
    Object,
    /// A quantity that is left out when there is none.
    Quantity,
    /// A quantity that is written as 0 when there is none.
    AlwaysQuantity,
}

impl Of {
    fn is(self, value: &Value) -> bool {
        match self {
            Of::Text => value.is_string(),
            Of::Number => value.is_i64(),
            Of::Object => value.is_object(),
            Of::Quantity | Of::AlwaysQuantity => value.is_string() || value.is_number(),
        }
    }
}

/// Its name in the flat form, its path in `v2`, what it is.
pub(super) type Field = (&'static str, &'static str, Of);
/// The field of the source in a metric, its fields.
pub(super) type Source = (&'static str, &'static [Field]);

/// The sources of wanted metrics.
pub(super) fn of_spec() -> &'static [Source] {
    &[
        (
            "object",
            &[
                ("target", "describedObject", Of::Object),
                ("metricName", "metric.name", Of::Text),
                ("targetValue", "target.value", Of::AlwaysQuantity),
                ("selector", "metric.selector", Of::Object),
                ("averageValue", "target.averageValue", Of::Quantity),
            ],
        ),
        (
            "pods",
            &[
                ("metricName", "metric.name", Of::Text),
                ("targetAverageValue", "target.averageValue", Of::AlwaysQuantity),
                ("selector", "metric.selector", Of::Object),
            ],
        ),
        (
            "resource",
            &[
                ("name", "name", Of::Text),
                ("targetAverageUtilization", "target.averageUtilization", Of::Number),
                ("targetAverageValue", "target.averageValue", Of::Quantity),
            ],
        ),
        (
            "containerResource",
            &[
                ("name", "name", Of::Text),
                ("targetAverageUtilization", "target.averageUtilization", Of::Number),
                ("targetAverageValue", "target.averageValue", Of::Quantity),
                ("container", "container", Of::Text),
            ],
        ),
        (
            "external",
            &[
                ("metricName", "metric.name", Of::Text),
                ("metricSelector", "metric.selector", Of::Object),
                ("targetValue", "target.value", Of::Quantity),
                ("targetAverageValue", "target.averageValue", Of::Quantity),
            ],
        ),
    ]
}

/// The sources of observed metrics.
pub(super) fn of_status() -> &'static [Source] {
    &[
        (
            "object",
            &[
                ("target", "describedObject", Of::Object),
                ("metricName", "metric.name", Of::Text),
                ("currentValue", "current.value", Of::AlwaysQuantity),
                ("selector", "metric.selector", Of::Object),
                ("averageValue", "current.averageValue", Of::Quantity),
            ],
        ),
        (
            "pods",
            &[
                ("metricName", "metric.name", Of::Text),
                ("currentAverageValue", "current.averageValue", Of::AlwaysQuantity),
                ("selector", "metric.selector", Of::Object),
            ],
        ),
        (
            "resource",
            &[
                ("name", "name", Of::Text),
                ("currentAverageUtilization", "current.averageUtilization", Of::Number),
                ("currentAverageValue", "current.averageValue", Of::AlwaysQuantity),
            ],
        ),
        (
            "containerResource",
            &[
                ("name", "name", Of::Text),
                ("currentAverageUtilization", "current.averageUtilization", Of::Number),
                ("currentAverageValue", "current.averageValue", Of::AlwaysQuantity),
                ("container", "container", Of::Text),
            ],
        ),
        (
            "external",
            &[
                ("metricName", "metric.name", Of::Text),
                ("metricSelector", "metric.selector", Of::Object),
                ("currentValue", "current.value", Of::AlwaysQuantity),
                ("currentAverageValue", "current.averageValue", Of::Quantity),
            ],
        ),
    ]
}

/// Metrics of `v2` as text.
pub(super) fn write(sources: &[Source], metrics: &[&Value]) -> String {
    let all = metrics.iter().map(|metric| {
        let sources = sources.iter().filter(|(name, _)| metric[name].is_object()).map(|(name, fields)| {
            let source = &metric[name];
            let members = fields.iter().filter_map(|(flat, path, of)| {
                let value = lookup(source, path);
                match (value.is_null(), of) {
                    (false, _) => Some((*flat, value.to_string())),
                    (true, Of::AlwaysQuantity) => Some((*flat, "\"0\"".to_owned())),
                    (true, Of::Text) => Some((*flat, "\"\"".to_owned())),
                    (true, _) => None,
                }
            });
            (*name, object(members))
        });
        object(std::iter::once(("type", metric["type"].to_string())).chain(sources))
    });
    array(all)
}

/// Metrics of `v2` from their text; `None` when it is not of this form.
pub(super) fn read(sources: &[Source], list: &Value) -> Option<Vec<Value>> {
    list.as_array()?.iter().map(|flat| metric(sources, flat)).collect()
}

fn metric(sources: &[Source], flat: &Value) -> Option<Value> {
    let flat = flat.as_object()?;
    let mut out = Map::new();
    if let Some(kind) = flat.get("type") {
        out.insert("type".into(), kind.as_str()?.into());
    }
    for (name, fields) in sources {
        let Some(source) = flat.get(*name).filter(|source| !source.is_null()) else { continue };
        let source = source.as_object()?;
        let mut made = json!({});
        for (flat, path, of) in *fields {
            let value = source.get(*flat).filter(|value| !value.is_null());
            if value.is_some_and(|value| !of.is(value)) {
                return None;
            }
            let value = match (value, of) {
                (Some(value), _) => value.clone(),
                (None, Of::AlwaysQuantity) => "0".into(),
                (None, _) => continue,
            };
            match path.split_once('.') {
                Some((outer, inner)) => made[outer][inner] = value,
                None => made[*path] = value,
            }
        }
        target_type(name, &mut made);
        out.insert((*name).to_owned(), made);
    }
    Some(out.into())
}

/// The flat form says by its fields what `target.type` says.
fn target_type(source: &str, made: &mut Value) {
    let Some(target) = made.get_mut("target").and_then(Value::as_object_mut) else { return };
    if source == "object" && target.contains_key("averageValue") {
        // Written for want of a value.
        if target.get("value").is_some_and(resources::is_zero) {
            target.remove("value");
        }
    }
    let has = |name: &str| target.contains_key(name);
    let of = match source {
        "object" if !has("averageValue") => "Value",
        "external" if has("value") => "Value",
        "resource" | "containerResource" if has("averageUtilization") => "Utilization",
        _ => "AverageValue",
    };
    target.insert("type".into(), of.into());
}

/// Its name in the annotation, its name in `v2`.
type Name = (&'static str, &'static str);

const DIRECTIONS: &[Name] = &[("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")];
const RULES: &[Name] = &[
    ("StabilizationWindowSeconds", "stabilizationWindowSeconds"),
    ("SelectPolicy", "selectPolicy"),
    ("Policies", "policies"),
    ("Tolerance", "tolerance"),
];
const POLICY: &[Name] = &[("Type", "type"), ("Value", "value"), ("PeriodSeconds", "periodSeconds")];

/// `spec.behavior` as text: unlike all others with capital letters and nulls.
pub(super) fn write_behavior(behavior: &Value) -> String {
    let policies = |list: &Value| match list.as_array() {
        Some(list) => array(
            list.iter()
                .map(|policy| object(POLICY.iter().map(|(flat, name)| (*flat, policy[name].to_string())))),
        ),
        None => "null".to_owned(),
    };
    let rules = |rules: &Value| {
        object(RULES.iter().map(|(flat, name)| match *name {
            "policies" => (*flat, policies(&rules[name])),
            _ => (*flat, rules[name].to_string()),
        }))
    };
    object(DIRECTIONS.iter().map(|(flat, name)| match &behavior[name] {
        Value::Null => (*flat, "null".to_owned()),
        direction => (*flat, rules(direction)),
    }))
}

/// `spec.behavior` from its text; `None` when it is not of this form, or says nothing.
pub(super) fn read_behavior(flat: &Value) -> Option<Value> {
    let mut behavior = named(flat, DIRECTIONS)?;
    for (_, direction) in DIRECTIONS {
        let Some(rules) = behavior.get(*direction) else { continue };
        let mut rules = named(rules, RULES)?;
        let numbers = rules.get("stabilizationWindowSeconds").is_none_or(Value::is_i64);
        let texts = rules.get("selectPolicy").is_none_or(Value::is_string);
        let quantities = rules.get("tolerance").is_none_or(|tolerance| Of::Quantity.is(tolerance));
        if !(numbers && texts && quantities) {
            return None;
        }
        if let Some(list) = rules.get("policies") {
            let list: Option<Vec<Value>> =
                list.as_array()?.iter().map(|policy| named(policy, POLICY).map(Value::from)).collect();
            let list = list?;
            let good = |policy: &Value| {
                policy.get("type").is_none_or(Value::is_string)
                    && ["value", "periodSeconds"].iter().all(|n| policy.get(n).is_none_or(Value::is_i64))
            };
            if !list.iter().all(good) {
                return None;
            }
            rules.insert("policies".into(), list.into());
        }
        behavior.insert((*direction).to_owned(), rules.into());
    }
    (!behavior.is_empty()).then(|| behavior.into())
}

/// The named members of an object that are not null, with their names in `v2`. Upper and lower case do not matter.
fn named(flat: &Value, names: &[Name]) -> Option<Map<String, Value>> {
    let flat = flat.as_object()?;
    let find = |wanted: &str| {
        flat.iter().find(|(name, value)| name.eq_ignore_ascii_case(wanted) && !value.is_null())
    };
    Some(names.iter().filter_map(|(_, name)| Some(((*name).to_owned(), find(name)?.1.clone()))).collect())
}

/// The fields of a condition, all of them texts; the time is null when it is not known.
const CONDITION: &[&str] = &["type", "status", "lastTransitionTime", "reason", "message"];

/// True for a list of conditions.
pub(super) fn are_conditions(list: &Value) -> bool {
    let text = |condition: &Value| {
        condition.as_object().is_some_and(|fields| {
            fields.iter().all(|(name, value)| {
                CONDITION.contains(&name.as_str()) && (value.is_string() || value.is_null())
            })
        })
    };
    list.as_array().is_some_and(|list| list.iter().all(text))
}

/// Conditions as text.
pub(super) fn write_conditions(conditions: &[Value]) -> String {
    let one = |condition: &Value| {
        let written = |name: &str| name == "lastTransitionTime" || !condition[name].is_null();
        let known = CONDITION.iter().filter(|name| written(name));
        object(known.map(|name| (*name, condition[*name].to_string())))
    };
    array(conditions.iter().map(one))
}

/// An object in JSON with its members in their order.
fn object<'a>(members: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in members.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}\"{name}\":{value}");
    }
    out.push('}');
    out
}

fn array(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(","))
}
