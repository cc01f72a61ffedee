//! Walking an object while knowing the path of where one is, for validators.

use super::sameness;
use crate::names;
use api_types::Cause;
use serde_json::{Map, Value};

/// What validators collect.
pub type Causes = Vec<Cause>;

static ABSENT: Value = Value::Null;

/// A value and its path in the object.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// The path; empty for the object itself.
    pub path: String,
    /// The value; null when it is not there.
    pub value: &'a Value,
}

impl<'a> Place<'a> {
    /// The object itself.
    pub fn root(value: &'a Value) -> Self {
        Place { path: String::new(), value }
    }

    /// A value at a given path.
    pub fn new(path: impl Into<String>, value: &'a Value) -> Self {
        Place { path: path.into(), value }
    }

    /// The path of a field, without going there.
    pub fn of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { joined([&self.path, ".", name]) }
    }

    /// A field; its value is null when it is not there.
    pub fn field(&self, name: &str) -> Place<'a> {
        Place { path: self.of(name), value: self.value.get(name).unwrap_or(&ABSENT) }
    }

    /// A field, when it is there and not null.
    pub fn present(&self, name: &str) -> Option<Place<'a>> {
        self.has(name).then(|| self.field(name))
    }

    /// A value of a map: `path[key]`.
    pub fn key(&self, key: &str) -> Place<'a> {
        Place { path: joined([&self.path, "[", key, "]"]), value: self.value.get(key).unwrap_or(&ABSENT) }
    }

    /// True when the field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some_and(|v| !v.is_null())
    }

    /// True when the field is absent, null, or an empty string, list or map.
    pub fn lacks(&self, name: &str) -> bool {
        match self.value.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::String(s)) => s.is_empty(),
            Some(Value::Array(a)) => a.is_empty(),
            Some(Value::Object(o)) => o.is_empty(),
            Some(_) => false,
        }
    }

    /// The field's text; empty when absent.
    pub fn text(&self, name: &str) -> &'a str {
        self.value.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// The field's whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.value.get(name).and_then(Value::as_i64)
    }

    /// True when the field is there and true.
    pub fn flag(&self, name: &str) -> bool {
        self.value.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The field's entries; none when absent.
    pub fn map(&self, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
    }

    /// The elements of a list field, each with its path.
    pub fn list(&self, name: &str) -> impl Iterator<Item = Place<'a>> + use<'a> {
        self.field(name).elements()
    }

    /// The elements of this list, each with its path.
    pub fn elements(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let path = self.path.clone();
        let elements = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        elements.iter().enumerate().map(move |(i, value)| Place { path: indexed(&path, i), value })
    }

    /// The texts of a list of strings.
    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        let elements = self.value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        elements.iter().filter_map(Value::as_str).collect()
    }

    /// This value as a string; empty when it is none.
    pub fn as_text(&self) -> &'a str {
        self.value.as_str().unwrap_or("")
    }
}

/// Parts of a path put together. Formatting costs several times as much, and there is a path for each field of each
/// write.
fn joined<const N: usize>(parts: [&str; N]) -> String {
    parts.concat()
}

/// The path of an element.
fn indexed(path: &str, index: usize) -> String {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    match DIGITS.get(index) {
        Some(digit) => joined([path, "[", digit, "]"]),
        None => format!("{path}[{index}]"),
    }
}

/// Adds `Required value` for a field that is absent or empty; true when it was there.
pub fn require(out: &mut Causes, at: &Place<'_>, name: &str) -> bool {
    require_with(out, at, name, "")
}

/// [`require`] with a detail.
pub fn require_with(out: &mut Causes, at: &Place<'_>, name: &str, detail: &str) -> bool {
    let lacks = at.lacks(name);
    if lacks {
        out.push(Cause::required(at.of(name), detail));
    }
    !lacks
}

/// Adds `Invalid value` for each message.
pub fn invalid_all(out: &mut Causes, path: &str, value: &str, messages: Vec<String>) {
    let value = Value::from(value);
    out.extend(messages.iter().map(|m| Cause::invalid(path, &value, m)));
}

/// Adds `Unsupported value` unless the field is one of the supported; an absent field passes.
pub fn one_of(out: &mut Causes, at: &Place<'_>, name: &str, supported: &[&str]) {
    if let Some(field) = at.present(name)
        && !supported.contains(&field.as_text())
    {
        out.push(Cause::not_supported(field.path, field.value, supported));
    }
}

/// [`one_of`] for a field that must be there: absent or empty is `Required value`.
pub fn required_one_of(out: &mut Causes, at: &Place<'_>, name: &str, supported: &[&str]) {
    if require(out, at, name) {
        one_of(out, at, name, supported);
    }
}

/// Adds `must be greater than or equal to 0` for a negative number; absent passes.
pub fn not_negative(out: &mut Causes, at: &Place<'_>, name: &str) {
    if at.int(name).is_some_and(|n| n < 0) {
        out.push(Cause::invalid(at.of(name), at.field(name).value, crate::names::NOT_NEGATIVE));
    }
}

/// Adds `must be greater than zero` for a number that is not; absent passes.
pub fn positive(out: &mut Causes, at: &Place<'_>, name: &str) {
    if at.int(name).is_some_and(|n| n <= 0) {
        out.push(Cause::invalid(at.of(name), at.field(name).value, "must be greater than zero"));
    }
}

/// True when the values at a path (`spec.selector`, without indexes) mean the same; null counts as absent.
pub fn same(new: &Value, old: &Value, path: &str) -> bool {
    sameness::same(lookup(new, path), lookup(old, path))
}

/// Adds `field is immutable` when the values at a path differ.
pub fn immutable(out: &mut Causes, new: &Value, old: &Value, path: &str) {
    if !same(new, old, path) {
        out.push(Cause::invalid(path, lookup(new, path), "field is immutable"));
    }
}

/// Adds `field is immutable` for a path when two values differ.
pub fn not_changed(out: &mut Causes, path: &str, new: &Value, old: &Value) {
    if !sameness::same(new, old) {
        out.push(Cause::invalid(path, new, "field is immutable"));
    }
}

/// Adds `field is immutable` when the texts at a path differ; an absent one is empty.
pub fn text_stays(out: &mut Causes, new: &Value, old: &Value, path: &str) {
    let text = |object| lookup(object, path).as_str().unwrap_or("");
    if text(new) != text(old) {
        out.push(Cause::invalid(path, &Value::from(text(new)), "field is immutable"));
    }
}

/// The value at a path of fields; null when it is not there.
pub fn lookup<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').try_fold(object, |value, field| value.get(field)).unwrap_or(&ABSENT)
}

/// Sets a field of an object when it is absent or null.
pub fn set_default(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(name).is_none_or(Value::is_null)
    {
        map.insert(name.to_owned(), value.into());
    }
}

/// Sets a field that is absent, null or the empty string: Go's zero value of a string.
pub fn set_default_text(object: &mut Value, name: &str, value: &str) {
    if let Some(map) = object.as_object_mut()
        && map.get(name).is_none_or(|v| v.is_null() || v.as_str() == Some(""))
    {
        map.insert(name.to_owned(), Value::from(value));
    }
}

/// Sets a whole number that is absent, null or 0: Go's zero value of a number.
pub fn set_default_number(object: &mut Value, name: &str, value: i64) {
    if let Some(map) = object.as_object_mut()
        && map.get(name).is_none_or(|v| v.is_null() || v.as_i64() == Some(0))
    {
        map.insert(name.to_owned(), Value::from(value));
    }
}

/// The objects in a list field, to change them.
pub fn each_mut<'a>(object: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    let elements = object.get_mut(name).and_then(Value::as_array_mut);
    elements.into_iter().flatten().filter(|element| element.is_object())
}

/// Puts an empty map where a field is absent or null, and gives it; `None` when something else is there.
pub fn map_at<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    set_default(object, name, Value::Object(Map::new()));
    object.get_mut(name).filter(|value| value.is_object())
}

/// Puts an empty list where a field is absent or null, and gives it; `None` when something else is there.
pub fn list_at<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    set_default(object, name, Value::Array(Vec::new()));
    object.get_mut(name).and_then(Value::as_array_mut)
}

/// The rules of `example.com/thing`: each defect names the part that has it.
pub fn domain_prefixed_path(out: &mut Causes, at: &Place<'_>) {
    let text = at.as_text();
    if text.is_empty() {
        out.push(Cause::required(&at.path, ""));
        return;
    }
    match text.split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty()) {
        Some((host, path)) => {
            invalid_all(out, &at.path, host, names::dns_subdomain(host));
            invalid_all(out, &at.path, path, names::http_path(path));
        }
        None => {
            let message = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            out.push(Cause::invalid(&at.path, at.value, message));
        }
    }
}

/// Adds `Not found` for a name that refers to nothing.
pub fn not_found(out: &mut Causes, path: String, name: &str) {
    let message = format!("Not found: {}", Value::from(name));
    out.push(Cause::new(api_types::CauseReason::FieldValueNotFound, path, message));
}

/// Adds `Too many` for a list that is longer than allowed.
pub fn at_most(out: &mut Causes, at: &Place<'_>, name: &str, max: usize) {
    let count = at.list(name).count();
    if count > max {
        let message = format!("Too many: {count}: must have at most {max} items");
        out.push(Cause::new(api_types::CauseReason::FieldValueTooMany, at.of(name), message));
    }
}

/// A field that is an object, to change it; `None` when it is absent or something else.
pub fn object_at<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    object.get_mut(name).filter(|value| value.is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_a_domain_tell_which_part_is_wrong() {
        for (text, wrong) in [
            ("a.b/c/d", vec![]),
            ("", vec!["at: Required value"]),
            ("a", vec!["at: Invalid value: \"a\": must be a domain-prefixed path"]),
            ("a/", vec!["at: Invalid value: \"a/\": must be a domain-prefixed path"]),
            (
                "A/b c",
                vec!["at: Invalid value: \"A\": a lowercase", "at: Invalid value: \"b c\": Invalid path"],
            ),
        ] {
            let (mut out, value) = (Vec::new(), Value::from(text));
            domain_prefixed_path(&mut out, &Place::new("at", &value));
            assert_eq!(out.len(), wrong.len(), "{text}");
            for (cause, start) in out.iter().zip(wrong) {
                assert!(cause.to_string().starts_with(start), "{cause}");
            }
        }
    }
}
