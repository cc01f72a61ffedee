//! Finds where two answers differ, and says how.

use crate::exchange::Response;
use crate::volatile::Volatile;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How two answers differ at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// One side did not answer.
    NoAnswer,
    /// The HTTP statuses differ.
    OtherStatus,
    /// A header differs.
    OtherHeader,
    /// Only the left side has the field or item.
    Missing,
    /// Only the right side has the field or item.
    Extra,
    /// Both have it with values of different JSON types.
    OtherType,
    /// Both have it with different values.
    OtherValue,
    /// The same items in another order.
    OtherOrder,
}

impl Class {
    /// The class in a line.
    pub fn explained(self) -> &'static str {
        match self {
            Class::NoAnswer => "no answer: a side broke off or took too long, so nothing can be compared",
            Class::OtherStatus => {
                "other status: one side does what the other refuses, or refuses it otherwise"
            }
            Class::OtherHeader => "other header: clients read it beside the body",
            Class::Missing => "missing: the left side has it and the right side has not",
            Class::Extra => "extra: the right side has it and the left side has not",
            Class::OtherType => "other type: clients that decode one cannot decode the other",
            Class::OtherValue => "other value: both have it, with different contents",
            Class::OtherOrder => "other order: the same items, listed differently",
        }
    }
}

/// A place where two answers differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// How.
    pub class: Class,
    /// `status`, `header NAME`, or a JSON path into the body; `.` is the whole.
    pub path: String,
    /// What the left side has.
    pub left: Option<Value>,
    /// What the right side has.
    pub right: Option<Value>,
}

/// Compares two answers. With different statuses only their messages are shown, since the bodies are about other things.
pub fn responses(left: &Response, right: &Response, volatile: &Volatile) -> Vec<Difference> {
    if left.status != right.status {
        let shown = |response: &Response| Some(Value::String(volatile.text(&outcome(response))));
        let (left, right) = (shown(left), shown(right));
        return vec![Difference { class: Class::OtherStatus, path: "status".to_owned(), left, right }];
    }
    let mut found = Vec::new();
    let names: BTreeSet<&String> = left.headers.keys().chain(right.headers.keys()).collect();
    for name in names {
        let value =
            |response: &Response| response.headers.get(name).map(|text| Value::String(volatile.text(text)));
        let (left, right) = (value(left), value(right));
        if left != right {
            found.push(Difference { class: Class::OtherHeader, path: format!("header {name}"), left, right });
        }
    }
    values(".", &volatile.normal(&left.body), &volatile.normal(&right.body), &mut found);
    found
}

fn outcome(response: &Response) -> String {
    let message = response.body["message"].as_str().or(response.body.as_str()).unwrap_or_default();
    format!("{} {message}", response.status).trim_end().to_owned()
}

fn values(path: &str, left: &Value, right: &Value, found: &mut Vec<Difference>) {
    let class = match (left, right) {
        (Value::Object(left), Value::Object(right)) => return objects(path, left, right, found),
        (Value::Array(left), Value::Array(right)) => return arrays(path, left, right, found),
        _ if left == right => return,
        _ if std::mem::discriminant(left) == std::mem::discriminant(right) => Class::OtherValue,
        _ => Class::OtherType,
    };
    found.push(difference(class, path, Some(left), Some(right)));
}

fn objects(path: &str, left: &Map<String, Value>, right: &Map<String, Value>, found: &mut Vec<Difference>) {
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        either(&field(path, key), left.get(key), right.get(key), found);
    }
}

fn arrays(path: &str, left: &[Value], right: &[Value], found: &mut Vec<Difference>) {
    let (Some(by_left), Some(by_right)) = (by_identity(left), by_identity(right)) else {
        if left != right && sorted(left) == sorted(right) {
            let whole = |items: &[Value]| Value::Array(items.to_vec());
            found.push(difference(Class::OtherOrder, path, Some(&whole(left)), Some(&whole(right))));
            return;
        }
        for at in 0..left.len().max(right.len()) {
            either(&item(path, &at.to_string()), left.get(at), right.get(at), found);
        }
        return;
    };
    let names: BTreeSet<&String> = by_left.keys().chain(by_right.keys()).collect();
    for name in names {
        let (left, right) = (by_left.get(name).copied(), by_right.get(name).copied());
        either(&item(path, name), left, right, found);
    }
    let order = |items: &[Value], others: &BTreeMap<String, &Value>| -> Vec<Value> {
        items
            .iter()
            .filter_map(identity)
            .filter(|name| others.contains_key(name))
            .map(Value::String)
            .collect()
    };
    let (left, right) = (order(left, &by_right), order(right, &by_left));
    if left != right {
        found.push(difference(
            Class::OtherOrder,
            path,
            Some(&Value::Array(left)),
            Some(&Value::Array(right)),
        ));
    }
}

fn either(path: &str, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<Difference>) {
    match (left, right) {
        (Some(left), Some(right)) => values(path, left, right, found),
        (Some(_), None) => found.push(difference(Class::Missing, path, left, None)),
        (None, Some(_)) => found.push(difference(Class::Extra, path, None, right)),
        (None, None) => {}
    }
}

fn difference(class: Class, path: &str, left: Option<&Value>, right: Option<&Value>) -> Difference {
    Difference { class, path: path.to_owned(), left: left.cloned(), right: right.cloned() }
}

fn field(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (path, plain) {
        (".", true) => format!(".{key}"),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{key:?}]"),
    }
}

fn item(path: &str, at: &str) -> String {
    format!("{path}[{at}]")
}

/// What tells items of a list apart: that of objects, of managed fields, or of the causes of a refusal.
fn identity(item: &Value) -> Option<String> {
    const KEYS: &[&[&str]] = &[
        &["/metadata/namespace", "/metadata/name"],
        &["/manager", "/operation", "/subresource"],
        &["/field", "/reason"],
        &["/groupVersion"],
        &["/name"],
    ];
    let key = KEYS.iter().find(|key| key.iter().any(|pointer| item.pointer(pointer).is_some()))?;
    let parts: Vec<&str> =
        key.iter().filter_map(|pointer| item.pointer(pointer).and_then(Value::as_str)).collect();
    Some(parts.join("/"))
}

/// Items by what tells them apart; nothing when that is missing or not unique.
fn by_identity(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let named: Option<BTreeMap<String, &Value>> =
        items.iter().map(|item| Some((identity(item)?, item))).collect();
    named.filter(|named| named.len() == items.len())
}

fn sorted(items: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
    texts.sort_unstable();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    type Places = &'static [(Class, &'static str)];

    fn response(status: u16, body: Value) -> Response {
        Response { status, headers: BTreeMap::new(), body }
    }

    #[test]
    fn each_difference_has_its_class_and_place() {
        // Left body, right body, differences.
        let table: [(Value, Value, Places); 14] = [
            (json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 2}]}), &[]),
            (json!({"uid": "a"}), json!({"uid": "b"}), &[]),
            (json!({"a": 1}), json!({}), &[(Class::Missing, ".a")]),
            (json!({}), json!({"a": {"b": 1}}), &[(Class::Extra, ".a")]),
            (json!({"a": 1}), json!({"a": 2}), &[(Class::OtherValue, ".a")]),
            (json!({"a": 1}), json!({"a": "1"}), &[(Class::OtherType, ".a")]),
            (json!("a"), json!("b"), &[(Class::OtherValue, ".")]),
            (json!({"a": {"x.y/z": 1}}), json!({"a": {"x.y/z": 2}}), &[(Class::OtherValue, ".a[\"x.y/z\"]")]),
            (json!({"a": [1, 2]}), json!({"a": [2, 1]}), &[(Class::OtherOrder, ".a")]),
            (json!({"a": [1, 2]}), json!({"a": [1]}), &[(Class::Missing, ".a[1]")]),
            (
                json!({"a": [{"name": "x", "v": 1}, {"name": "y"}]}),
                json!({"a": [{"name": "y"}, {"name": "x", "v": 2}]}),
                &[(Class::OtherValue, ".a[x].v"), (Class::OtherOrder, ".a")],
            ),
            (
                json!({"items": [{"metadata": {"name": "x"}}]}),
                json!({"items": [{"metadata": {"name": "y"}}]}),
                &[(Class::Missing, ".items[x]"), (Class::Extra, ".items[y]")],
            ),
            // Names that are not unique tell nothing apart.
            (
                json!([{"name": "x", "v": 1}, {"name": "x", "v": 2}]),
                json!([{"name": "x", "v": 1}, {"name": "x", "v": 3}]),
                &[(Class::OtherValue, ".[1].v")],
            ),
            (json!([]), json!([{"name": "x"}]), &[(Class::Extra, ".[x]")]),
        ];
        let volatile = Volatile::new().unwrap();
        for (left, right, expected) in table {
            let found = responses(&response(200, left.clone()), &response(200, right.clone()), &volatile);
            let found: Vec<(Class, &str)> =
                found.iter().map(|difference| (difference.class, difference.path.as_str())).collect();
            assert_eq!(found, expected, "{left} {right}");
        }
    }

    #[test]
    fn another_status_hides_the_bodies() {
        let left = response(422, json!({"message": "bad name", "code": 422}));
        let right = response(201, json!({"kind": "Pod"}));
        let found = responses(&left, &right, &Volatile::new().unwrap());
        let expected = Difference {
            class: Class::OtherStatus,
            path: "status".to_owned(),
            left: Some(json!("422 bad name")),
            right: Some(json!("201")),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn headers_are_compared() {
        let mut left = response(200, Value::Null);
        left.headers.insert("warning".to_owned(), "299 - \"unknown field\"".to_owned());
        let found = responses(&left, &response(200, Value::Null), &Volatile::new().unwrap());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].class, found[0].path.as_str()), (Class::OtherHeader, "header warning"));
        assert_eq!(found[0].right, None);
    }
}
