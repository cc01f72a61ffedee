//! Field paths of parameters: `spec.containers[0].image`, `metadata.annotations[example.com/tier]`.
//!
//! A segment in brackets is an index when it is a number, else a key; a key may be quoted with `'` or `"`.

use serde_json::{Map, Value};
use std::fmt;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A key of an object.
    Key(String),
    /// An index of an array.
    Index(usize),
}

/// A path that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<Segment>);

/// Why a path cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is not a path.
    #[error("{path:?} is not a field path: {why}")]
    Syntax {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It leads through a value of another type.
    #[error("{path:?} leads through {at:?}, which is not {expected}")]
    WrongType {
        /// The path.
        path: String,
        /// Where it fails.
        at: String,
        /// `an object` or `a list`.
        expected: &'static str,
    },
    /// The index is beyond the end of its list.
    #[error("{path:?}: {at:?} has {length} elements; the index may be {length} at most")]
    OutOfRange {
        /// The path.
        path: String,
        /// The list.
        at: String,
        /// Its length.
        length: usize,
    },
}

impl FieldPath {
    /// Parses a path.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let fault = |why| PathError::Syntax { path: path.to_owned(), why };
        let mut segments = Vec::new();
        let mut rest = path;
        let mut first = true;
        while !rest.is_empty() || first {
            if let Some(inner) = rest.strip_prefix('[') {
                let (segment, after) = bracketed(inner).map_err(fault)?;
                segments.push(segment);
                rest = after;
            } else {
                if !first {
                    rest =
                        rest.strip_prefix('.').ok_or_else(|| fault("a dot or a bracket must follow ']'"))?;
                }
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let key = &rest[..end];
                if key.is_empty() || key.contains(']') {
                    return Err(fault(if key.is_empty() { "a segment is empty" } else { "']' without '['" }));
                }
                segments.push(Segment::Key(key.to_owned()));
                rest = &rest[end..];
            }
            first = false;
        }
        Ok(FieldPath(segments))
    }

    /// The segments.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The value at the path.
    pub fn get<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(root, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        })
    }

    /// Puts a value at the path. Missing objects and lists on the way are made; an index may be one past the end.
    pub fn set(&self, root: &mut Value, new: Value) -> Result<(), PathError> {
        *self.entry(root)? = new;
        Ok(())
    }

    /// The place at the path, made when it is missing.
    pub fn entry<'a>(&self, root: &'a mut Value) -> Result<&'a mut Value, PathError> {
        let mut place = root;
        for (depth, segment) in self.0.iter().enumerate() {
            let at = || FieldPath(self.0[..depth].to_vec()).to_string();
            let wrong = |expected| PathError::WrongType { path: self.to_string(), at: at(), expected };
            place = match segment {
                Segment::Key(key) => {
                    if place.is_null() {
                        *place = Value::Object(Map::new());
                    }
                    let map = place.as_object_mut().ok_or_else(|| wrong("an object"))?;
                    map.entry(key.clone()).or_insert(Value::Null)
                }
                Segment::Index(index) => {
                    if place.is_null() {
                        *place = Value::Array(Vec::new());
                    }
                    let list = place.as_array_mut().ok_or_else(|| wrong("a list"))?;
                    let length = list.len();
                    if *index == length {
                        list.push(Value::Null);
                    }
                    list.get_mut(*index).ok_or_else(|| PathError::OutOfRange {
                        path: self.to_string(),
                        at: at(),
                        length,
                    })?
                }
            };
        }
        Ok(place)
    }
}

/// Reads what follows an opening bracket, up to and with the closing one.
fn bracketed(inner: &str) -> Result<(Segment, &str), &'static str> {
    if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let body = &inner[1..];
        let end = body.find(quote).ok_or("a quote is not closed")?;
        let after = body[end + 1..].strip_prefix(']').ok_or("']' must follow the quote")?;
        return Ok((Segment::Key(body[..end].to_owned()), after));
    }
    let end = inner.find(']').ok_or("'[' is not closed")?;
    let (text, after) = (&inner[..end], &inner[end + 1..]);
    match text {
        "" => Err("a segment is empty"),
        "*" => Err("the wildcard '*' is not implemented"),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map(|index| (Segment::Index(index), after)).map_err(|_| "the index is too large")
        }
        key if key.contains('[') => Err("'[' inside brackets"),
        key => Ok((Segment::Key(key.to_owned()), after)),
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    let digits = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
                    let special = key.is_empty() || key == "*" || key.contains(['.', '[', ']', '\'', '"']);
                    if digits || special {
                        let quote = if key.contains('\'') { '"' } else { '\'' };
                        write!(f, "[{quote}{key}{quote}]")?;
                    } else {
                        write!(f, "{}{key}", if position == 0 { "" } else { "." })?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_are_put_where_the_path_says() {
        for (path, before, after) in [
            ("spec.image", json!({}), json!({"spec": {"image": 1}})),
            (
                "spec.c[0].image",
                json!({"spec": {"c": [{"a": 2}]}}),
                json!({"spec": {"c": [{"a": 2, "image": 1}]}}),
            ),
            ("spec.c[1]", json!({"spec": {"c": [0]}}), json!({"spec": {"c": [0, 1]}})),
            ("metadata.annotations[x.y/z]", json!({}), json!({"metadata": {"annotations": {"x.y/z": 1}}})),
            ("a['b.c'].d", json!({}), json!({"a": {"b.c": {"d": 1}}})),
            ("a[\"0\"]", json!({}), json!({"a": {"0": 1}})),
            ("[a][b]", json!({}), json!({"a": {"b": 1}})),
        ] {
            let mut value = before;
            FieldPath::parse(path).unwrap().set(&mut value, json!(1)).unwrap();
            assert_eq!(value, after, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[0",
            "a]",
            "a[0]b",
            "a[*].b",
            "a['b]",
            "a[99999999999999999999]",
        ] {
            assert!(matches!(FieldPath::parse(path), Err(PathError::Syntax { .. })), "{path}");
        }
    }

    #[test]
    fn a_path_through_the_wrong_type_is_refused() {
        for (path, expected) in [
            ("a.b", "\"a.b\" leads through \"a\", which is not an object"),
            ("a[0]", "\"a[0]\" leads through \"a\", which is not a list"),
            ("l[2]", "\"l[2]\": \"l\" has 1 elements; the index may be 1 at most"),
        ] {
            let mut value = json!({"a": "text", "l": [1]});
            let error = FieldPath::parse(path).unwrap().set(&mut value, json!(1)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn a_path_that_was_set_is_read_back(keys in prop::collection::vec("[a-z0-9./*-]{0,6}", 1..5)) {
            let path = FieldPath(keys.into_iter().map(Segment::Key).collect());
            prop_assert_eq!(&FieldPath::parse(&path.to_string()).unwrap(), &path);
            let mut value = Value::Null;
            path.set(&mut value, json!(7)).unwrap();
            prop_assert_eq!(path.get(&value), Some(&json!(7)));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,20}") {
            let _ = FieldPath::parse(&text);
        }
    }
}
